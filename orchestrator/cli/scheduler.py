"""`aiempctl scheduler`: let no more runs start, or let them start again."""

from __future__ import annotations

import json

from orchestrator.cli.arguments import client, json_option, vault_options
from orchestrator.control.protocol import ACTIONS_ON_THE_SCHEDULER
from orchestrator.exits import Exit
from orchestrator.readable import visible

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace

    from orchestrator.cli.program import Arguments


def declare(parser: Arguments) -> None:
    parser.add_argument("action", choices=ACTIONS_ON_THE_SCHEDULER, help="what the scheduler shall do")
    json_option(parser)
    vault_options(parser)


def scheduler(args: Namespace) -> int:
    with client(args) as daemon:
        answer = daemon.call("scheduler", {"action": args.action})
    if args.json:
        print(json.dumps(answer))
    else:
        print(visible(answer.get("message") or f"the scheduler is {answer.get('scheduler')}"))
    return Exit.OK


VERBS = {"scheduler": (declare, scheduler)}
