"""`aiempctl reload`: put a changed configuration into effect, or say beforehand what that would do."""

from __future__ import annotations

import json
import sys

from orchestrator.cli.arguments import Progress, client, json_option, records, vault_options
from orchestrator.cli.text import result_line
from orchestrator.errors import ConfigInvalid
from orchestrator.exits import Exit
from orchestrator.readable import visible

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Collection
    from typing import Any

    from orchestrator.cli.program import Arguments

# change: (with --plan, done)
_WORDS = {
    "added": ("would be added", "added"),
    "removed": ("would be stopped and removed", "stopped and removed"),
    "stop": ("would stop", "stopped"),
    "start": ("would start", "started"),
    "restart": ("would restart", "restarted"),
    "update": ("would change without a restart", "changed without a restart"),
}

_TASK_WORDS = {
    "added": ("would be added", "added"),
    "removed": ("would be removed, and its runs ended", "removed, and its runs ended"),
    "changed": ("would change", "changed"),
}


def declare(parser: Arguments) -> None:
    parser.add_argument("--plan", action="store_true", help="only show what would change, and which PIDs would restart")
    json_option(parser)
    vault_options(parser)


def reload(args: Namespace) -> int:
    try:
        with client(args) as daemon, Progress() as progress:
            answer = daemon.call("reload", {"plan": args.plan}, progress)
    except ConfigInvalid as problem:
        notice = "" if args.plan else "aiempctl: nothing was changed; the configuration in force stays"
        raise ConfigInvalid((*problem.problems, notice) if notice else problem.problems) from None
    results = records(answer, "results") if "results" in answer else []  # an older daemon does not wait
    failed = [result for result in results if not result.get("ok")]
    if args.json:
        print(json.dumps(answer))
    elif lines := render(answer, plan=args.plan, without={str(result.get("name")) for result in failed}):
        print("\n".join(lines))
    for result in failed:
        print(result_line(result), file=sys.stderr)
    notes = answer.get("notes")
    for note in notes if isinstance(notes, list) else []:
        print(f"aiempctl: this added task is not run: {visible(note)}", file=sys.stderr)
    return Exit.FAILED if failed else Exit.OK


def render(answer: dict[str, Any], *, plan: bool, without: Collection[str] = ()) -> list[str]:
    """A line for each change and, last, one about what stays. `without`: of whom something else is said."""
    found = records(answer, "changes")
    changes = [change for change in found if str(change.get("name")) not in without]
    lines = [_line(change, plan=plan) for change in changes if change.get("change") != "unchanged"]
    settings = answer.get("settings")
    words = "would change" if plan else "changed"
    lines += [f"{visible(key)}: {words}" for key in (settings if isinstance(settings, list) else [])]
    tasks = answer.get("tasks")
    lines += [_task_line(each, plan=plan) for each in (tasks if isinstance(tasks, list) else [])]
    same = sum(change.get("change") == "unchanged" for change in changes)
    if not lines and not without:
        return [f"nothing {words}"]
    return [*lines, f"{same} unchanged"] if same else lines


def _task_line(change: dict[str, Any], *, plan: bool) -> str:
    """`task report: would change (schedule)`."""
    kind, keys = str(change.get("change")), change.get("keys")
    words = _TASK_WORDS.get(kind, (kind, kind))[0 if plan else 1]
    listed = f" ({', '.join(map(visible, keys))})" if isinstance(keys, list) and keys else ""
    return f"task {visible(change.get('name'))}: {visible(words)}{listed}"


def _line(change: dict[str, Any], *, plan: bool) -> str:
    """`inbox: would restart, pid 12 (command, env)`; afterwards without the PID, which nobody has any more by then."""
    kind = str(change.get("change"))
    words = _WORDS.get(kind, (kind, kind))[0 if plan else 1]
    pid = f", pid {visible(change['pid'])}" if plan and change.get("pid") and kind != "update" else ""
    keys, reason = change.get("keys"), change.get("reason")
    said = [*(keys if isinstance(keys, list) else []), *([reason] if reason else [])]
    listed = f" ({', '.join(map(visible, said))})" if said else ""
    return f"{visible(change.get('name'))}: {visible(words)}{pid}{listed}"


VERBS = {"reload": (declare, reload)}
