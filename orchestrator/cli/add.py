"""`aiempctl add`: a task from the words of a command line, for the daemon to keep."""

from __future__ import annotations

import json
import os
import re
import time

from orchestrator.cli.arguments import client, configured, count, duration, json_option, vault_options
from orchestrator.cli.text import local_time
from orchestrator.errors import Unreachable
from orchestrator.exits import Exit
from orchestrator.readable import visible

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from orchestrator.cli.program import Arguments

_CLOCK_TIME = "([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?"


def declare(parser: Arguments) -> None:
    parser.add_argument("name", metavar="NAME", help="what the task shall be called")
    parser.add_argument("--cron", metavar="EXPR", help='when it fires: five fields, "0 9 * * 1-5", or @daily')
    parser.add_argument("--every", type=_duration, metavar="DUR", help="when it fires: each time this has passed, 15m")
    parser.add_argument("--at", metavar="TIME", help="when it fires: once, 2026-12-24T18:00 or the next 18:00")
    parser.add_argument("--prompt", metavar="TEXT", help="what it does: send this to an agent")
    parser.add_argument("--agent", metavar="AGENT", help="the agent that gets the prompt")
    parser.add_argument("--handler", metavar="M:F", help="what it does: call this function, handlers.daily:run")
    parser.add_argument(
        "command", nargs="*", default=[], metavar="-- COMMAND", help="what it does: run this, without a shell"
    )
    parser.add_argument("--description", metavar="TEXT", help="what it is for")
    parser.add_argument("--timeout", type=_duration, metavar="DUR", help="end a run that takes longer than this")
    parser.add_argument("--priority", choices=["critical", "high", "normal", "low"], help="which runs go first")
    parser.add_argument("--lane", metavar="LANE", help="runs in one lane never overlap")
    parser.add_argument("--max-runs", type=count, metavar="N", help="disable it after N successful runs")
    json_option(parser)
    vault_options(parser)


def _duration(text: str) -> str | float:
    """A duration as it was written, which is how it is kept too; checked all the same. For argparse's `type`."""
    seconds = duration(text)
    return text if text[-1].isalpha() else int(seconds) if seconds.is_integer() else seconds


def add(args: Namespace) -> int:
    settings = _settings(args)
    with client(args) as daemon:
        answer = daemon.call("add", {"name": args.name, "settings": settings})
    task = answer.get("task")
    if not isinstance(task, dict):
        raise Unreachable("the daemon's answer holds no task; is it another version?")
    print(json.dumps(task) if args.json else _line(task))
    return Exit.OK


def _settings(args: Namespace) -> dict[str, Any]:
    """The task's table. A usage error unless exactly one schedule and one action are given."""
    if args.command:
        args.usage_error(f"write -- before the command: -- {' '.join(args.command)}")
    command = _from_here(args.after_dashes)
    when = {"cron": args.cron, "every": args.every, "at": args.at}
    what = {"prompt": args.prompt, "handler": args.handler, "command": command or None}
    if sum(value is not None for value in when.values()) != 1:
        args.usage_error("say when it fires, in exactly one way: --cron EXPR, --every DUR or --at TIME")
    if sum(value is not None for value in what.values()) != 1:
        args.usage_error("say what it does, in exactly one way: --prompt TEXT, --handler M:F or -- COMMAND")
    if args.agent is not None and args.prompt is None:
        args.usage_error("--agent says who gets the --prompt; without one there is nothing to send")
    if args.at is not None:
        when = {"frequency": "once", "at": _moment(args)}
    more = {key: getattr(args, key) for key in ("agent", "description", "timeout", "priority", "lane", "max_runs")}
    return {key: value for key, value in {**when, **what, **more}.items() if value is not None}


def _from_here(command: list[str]) -> list[str]:
    """The command as it is meant here: the daemon runs it in the vault, where `./report.sh` would be another file."""
    if command and "/" in command[0] and os.path.exists(command[0]):  # noqa: PTH110  a string, as it will be sent
        from orchestrator.config.find import from_here  # noqa: PLC0415  only for such a command

        return [from_here(command[0]), *command[1:]]
    return command


def _moment(args: Namespace) -> str:
    """What --at means: a date-time as it stands, a time of day as the next such time in the daemon's zone."""
    found = re.fullmatch(_CLOCK_TIME, args.at)
    if not found:
        return str(args.at)
    from datetime import UTC  # noqa: PLC0415  this and the next two only for a time of day
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    from orchestrator.config.zones import exists, machine  # noqa: PLC0415

    said = configured(args, "supervisor").get("timezone")
    name = said if isinstance(said, str) and exists(said) else machine(os.environ)
    zone = UTC if name == "UTC" else ZoneInfo(name)
    hour, minute, second = (int(part or 0) for part in found.groups())
    return next_time(hour, minute, second, zone=zone, now=time.time())


def next_time(hour: int, minute: int, second: int, *, zone: Any, now: float) -> str:
    """The next day's ISO date-time, without offset, at which it is that late in `zone`. `now`: seconds since 1970."""
    from datetime import datetime, timedelta  # noqa: PLC0415  see above

    here = datetime.fromtimestamp(now, zone).replace(tzinfo=None)
    moment = here.replace(hour=hour, minute=minute, second=second, microsecond=0, fold=0)
    # Two readings, since a time in a repeated hour counts at its first instant, one in a skipped hour after the gap.
    if moment <= here or moment.replace(tzinfo=zone).timestamp() <= now:
        moment += timedelta(days=1)
    return moment.isoformat()


def _line(task: dict[str, Any]) -> str:
    """`report: added, at 09:00 on weekdays; next 2026-11-23 09:00:00`."""
    schedule = f", {visible(task['schedule'])}" if task.get("schedule") else ""
    coming = f"; next {local_time(task['next_slot'])}" if task.get("next_slot") else ""
    return f"{visible(task.get('name'))}: added{schedule}{coming}"


VERBS = {"add": (declare, add)}
