"""`aiempctl enable|disable|remove|cancel`: orders about tasks and their runs, and what became of each."""

from __future__ import annotations

import json
import sys

from orchestrator.cli.arguments import Progress, client, json_option, records, vault_options
from orchestrator.errors import UserError
from orchestrator.exits import Exit
from orchestrator.readable import visible

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from orchestrator.cli.program import Arguments

_DONE = {"enable": "enabled", "disable": "disabled", "remove": "removed", "cancel": "cancelled"}


def declare_switch(parser: Arguments) -> None:
    parser.add_argument("names", nargs="+", metavar="TASK", help="tasks; shell globs work")
    json_option(parser)
    vault_options(parser)


def declare_remove(parser: Arguments) -> None:
    parser.add_argument("names", nargs="+", metavar="TASK", help="tasks that were added with `aiempctl add`")
    json_option(parser)
    vault_options(parser)


def order(args: Namespace) -> int:
    return _tell(args, _ask(args, {"names": args.names}))


def declare_cancel(parser: Arguments) -> None:
    parser.add_argument("target", metavar="RUN|TASK", help="a run's id, or a task, whose runs are all meant")
    json_option(parser)
    vault_options(parser)


def cancel(args: Namespace) -> int:
    results = _ask(args, {"target": args.target})
    code = _tell(args, results)
    if not results:
        raise UserError(f"there is nothing to cancel: no run of {args.target} is queued or under way")
    return code


def _ask(args: Namespace, params: dict[str, Any]) -> list[dict[str, Any]]:
    with client(args) as daemon, Progress() as progress:
        return records(daemon.call(args.verb, params, progress), "results")


def _tell(args: Namespace, results: list[dict[str, Any]]) -> int:
    if args.json:
        print(json.dumps({"results": results}))
    for result in results:
        if not result.get("ok"):
            print(_line(args.verb, result), file=sys.stderr)
        elif not args.json:
            print(_line(args.verb, result))
    return Exit.OK if all(result.get("ok") for result in results) else Exit.FAILED


def _line(verb: str, result: dict[str, Any]) -> str:
    """`report: disabled` or, of a run, `report (run 3f2a9c01d4e7): cancelled`."""
    name, task = visible(result.get("name")), result.get("task")
    who = f"{visible(task)} (run {name})" if task else name
    return f"{who}: {visible(result.get('message') or (_DONE[verb] if result.get('ok') else 'failed'))}"


VERBS = {
    "enable": (declare_switch, order),
    "disable": (declare_switch, order),
    "remove": (declare_remove, order),
    "cancel": (declare_cancel, cancel),
}
