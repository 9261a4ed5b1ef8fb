"""`aiempctl run`: run a task now, and say how that ended."""

from __future__ import annotations

import json
import sys

from orchestrator.cli.arguments import Progress, client, vault_options
from orchestrator.cli.task_text import first_line
from orchestrator.errors import Unreachable
from orchestrator.exits import Exit
from orchestrator.readable import visible

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from typing import Any

    from orchestrator.cli.program import Arguments

_WELL = {"success", "skipped"}


def declare(parser: Arguments) -> None:
    parser.add_argument("task", metavar="TASK", help="the task")
    parser.add_argument("--dry-run", action="store_true", help="let it change nothing outside the vault")
    parser.add_argument("--no-wait", action="store_true", help="print the run's id and don't wait for its end")
    parser.add_argument("--json", action="store_true", help="print one JSON document, as it does anyway")
    vault_options(parser)


def run(args: Namespace) -> int:
    params = {"task": args.task, "dry_run": args.dry_run, "wait": not args.no_wait}
    try:
        with client(args) as daemon, Progress() as progress:
            answer = daemon.call("run", params, _Waiting(args.task, progress))
    except KeyboardInterrupt:
        print(f"aiempctl: no longer waiting; `aiempctl cancel {visible(args.task)}` ends the run", file=sys.stderr)
        raise
    if args.no_wait:
        print(json.dumps({"run_id": answer.get("run_id")}))
        return Exit.OK
    found = answer.get("run")
    if not isinstance(found, dict):
        raise Unreachable("the daemon's answer holds no run; is it another version?")
    print(json.dumps(found), flush=True)
    if found.get("outcome") != "success":
        print(f"aiempctl: {_how(found)}", file=sys.stderr)
    return Exit.OK if found.get("outcome") in _WELL else Exit.FAILED


class _Waiting:
    """Shows progress, and says once that a run waits for its agent, which may take days."""

    def __init__(self, task: str, show: Callable[[dict[str, Any]], None]) -> None:
        self._task = task
        self._show = show
        self._told = False

    def __call__(self, params: dict[str, Any]) -> None:
        _, waits, until = str(params.get("text", "")).partition("waits until ")
        if waits and not self._told:
            self._told = True
            print(
                f"aiempctl: {visible(self._task)} {waits}{visible(until)}; Ctrl-C lets it wait alone, "
                f"`aiempctl cancel {visible(self._task)}` ends it",
                file=sys.stderr,
                flush=True,
            )
        self._show(params)


def _how(run: dict[str, Any]) -> str:
    """`report: failure after 4 attempts: no such file`."""
    attempts, why = run.get("attempts"), first_line(run.get("error") or run.get("output") or "")
    tried = f" after {attempts} attempts" if isinstance(attempts, int) and attempts > 1 else ""
    ended = f"{visible(run.get('task'))}: {visible(run.get('outcome') or 'not finished')}{tried}"
    return f"{ended}: {why}" if why else ended


VERBS = {"run": (declare, run)}
