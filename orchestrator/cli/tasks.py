"""`aiempctl tasks`: the tasks, what they are at, when they fire next, how they last ended."""

from __future__ import annotations

import json
import time

from orchestrator.cli.arguments import (
    configured,
    find_vault,
    json_option,
    matching,
    records,
    refuse_unknown,
    vault_options,
)
from orchestrator.cli.tables import print_table
from orchestrator.cli.task_text import IN_STATUS, TASK_HEADINGS, task_cells
from orchestrator.control.client import Client
from orchestrator.errors import Unreachable
from orchestrator.exits import Exit

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from orchestrator.cli.program import Arguments


def declare(parser: Arguments) -> None:
    parser.add_argument("names", nargs="*", metavar="TASK", help="only these tasks; shell globs work")
    parser.add_argument("--due", action="store_true", help="only those whose time has come")
    json_option(parser)
    vault_options(parser)


def tasks(args: Namespace) -> int:
    vault, unreachable = find_vault(args), None
    try:
        with Client(vault) as daemon:
            found = records(daemon.call("tasks", {"names": args.names or None, "due": args.due}), "tasks")
    except Unreachable as problem:
        found, unreachable = _last_known(args, vault), problem
    if args.json:
        print(json.dumps(found))
    else:
        rows = [task_cells(each, time.time()) for each in found]
        notable = [bool(each.get("blocked") or each.get("status_text")) for each in found]
        notes = [f"{row[0]}: {row[-1]}" for row, is_notable in zip(rows, notable, strict=True) if is_notable]
        print_table(TASK_HEADINGS, rows, nothing="no tasks", narrow=TASK_HEADINGS[:IN_STATUS], notes=notes)
    if unreachable is not None:
        raise unreachable
    return Exit.OK


def _last_known(args: Namespace, vault: str) -> list[dict[str, Any]]:
    """The tasks as the last daemon left them; of these are due whose next slot has passed meanwhile."""
    from orchestrator.places import Places  # noqa: PLC0415  this and the next only without a daemon
    from orchestrator.store import last_known  # noqa: PLC0415

    found = last_known.tasks(Places(vault).database)
    refuse_unknown(args.names, [*(str(each.get("name")) for each in found), *configured(args, "tasks")], "task")
    found = matching(found, args.names)
    if args.due:
        now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time()))  # such times compare as they read
        found = [each for each in found if each.get("enabled") and "" < (each.get("next_slot") or "") <= now]
    return found


VERBS = {"tasks": (declare, tasks)}
