"""`aiempctl events`: what happened lately, a line each, and with -f what happens from now on."""

from __future__ import annotations

import json

from orchestrator.cli.arguments import client, count, records, vault_options
from orchestrator.cli.text import local_time
from orchestrator.exits import Exit
from orchestrator.narration import tell

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from orchestrator.cli.program import Arguments


def declare(parser: Arguments) -> None:
    parser.add_argument("-f", "--follow", action="store_true", help="go on as things happen, until Ctrl-C")
    parser.add_argument("-n", "--limit", type=count, default=50, metavar="N", help="the last N events (default: 50)")
    parser.add_argument("--json", action="store_true", help="one JSON object a line")
    vault_options(parser)


def events(args: Namespace) -> int:
    with client(args) as daemon:
        answer = daemon.call("events", {"limit": args.limit, "follow": args.follow})
        for fact in records(answer, "events"):
            _print(fact, as_json=args.json)
        if args.follow:
            for method, fact in daemon.notifications():
                if method == "event":
                    _print(fact, as_json=args.json)
    return Exit.OK


def _print(fact: dict[str, Any], *, as_json: bool) -> None:
    print(json.dumps(fact) if as_json else render(fact), flush=True)


def render(fact: dict[str, Any]) -> str:
    """`2026-11-21 03:40:12 inbox: running → backoff (exit code 1)`, in local time."""
    return f"{local_time(fact.get('at'))} {tell(fact)}"


VERBS = {"events": (declare, events)}
