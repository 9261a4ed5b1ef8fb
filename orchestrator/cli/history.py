"""`aiempctl history|stats`: what ran, when, why, for how long, how it ended; and each task's record in numbers."""

from __future__ import annotations

import json

from orchestrator.cli.arguments import client, count, json_option, records, vault_options
from orchestrator.cli.tables import print_table
from orchestrator.cli.task_text import RUN_HEADINGS, STATISTICS_HEADINGS, run_cells, statistics_cells
from orchestrator.control.protocol import OUTCOMES
from orchestrator.exits import Exit

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace

    from orchestrator.cli.program import Arguments

_NARROW = ["STARTED", "TASK", "OUTCOME", "TOOK", "RESULT"]
_NARROW_WITH_COST = ["STARTED", "TASK", "OUTCOME", "TOOK", "COST", "RESULT"]


def declare(parser: Arguments) -> None:
    parser.add_argument("task", nargs="?", metavar="TASK", help="only this task's runs")
    parser.add_argument("-n", "--limit", type=count, default=20, metavar="N", help="the last N runs (default: 20)")
    parser.add_argument("--outcome", choices=OUTCOMES, help="only runs that ended so")
    json_option(parser)
    vault_options(parser)


def history(args: Namespace) -> int:
    with client(args) as daemon:
        answer = daemon.call("history", {"task": args.task, "limit": args.limit, "outcome": args.outcome})
    runs = records(answer, "runs")
    if args.json:
        print(json.dumps(runs))
    else:
        narrow = _NARROW_WITH_COST if any(each.get("cost_usd") for each in runs) else _NARROW
        print_table(RUN_HEADINGS, [run_cells(each) for each in runs], nothing="no runs", narrow=narrow)
    return Exit.OK


def declare_stats(parser: Arguments) -> None:
    json_option(parser)
    vault_options(parser)


def stats(args: Namespace) -> int:
    with client(args) as daemon:
        found = records(daemon.call("stats"), "stats")
    if args.json:
        print(json.dumps(found))
    else:
        print_table(STATISTICS_HEADINGS, [statistics_cells(each) for each in found], nothing="no runs")
    return Exit.OK


VERBS = {"history": (declare, history), "stats": (declare_stats, stats)}
