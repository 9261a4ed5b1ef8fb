"""`aiempctl add`: a task from the words of a command line, for the daemon to keep."""

from __future__ import annotations

import json
import os
import re
import sys
import time

from orchestrator.cli.arguments import client, configured, count, duration, json_option, vault_options
from orchestrator.cli.text import local_time
from orchestrator.errors import Unreachable, UserError
from orchestrator.exits import Exit
from orchestrator.readable import visible

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from orchestrator.cli.program import Arguments

_CLOCK_TIME = "([01]?[0-9]|2[0-3]):([0-5][0-9])(?::([0-5][0-9]))?"
_LONGEST_PROMPT = 1024 * 1024  # bytes; a request may not be longer, nor a task's file

# What a prompt that is sent only once gets besides: nobody else asks again for what it was to do, and who could not
# be reached can be, most likely, in a few minutes.
_ONE_TIME_PROMPT = {"max_runs": 1, "retry": {"max": 3, "initial": "1m", "factor": 2, "max_delay": "15m"}}


def declare(parser: Arguments) -> None:
    parser.add_argument("name", metavar="NAME", help="what the task shall be called")
    parser.add_argument("--cron", metavar="EXPR", help='when it fires: five fields, "0 9 * * 1-5", or @daily')
    parser.add_argument("--every", type=_duration, metavar="DUR", help="when it fires: each time this has passed, 15m")
    parser.add_argument("--at", metavar="TIME", help="when it fires: once, 2026-12-24T18:00 or the next 18:00")
    parser.add_argument(
        "--start-at", metavar="TIME", help="not before then, and --every counts from there: 2026-12-24T18:00, 18:00"
    )
    parser.add_argument(
        "--prompt",
        metavar="TEXT",
        help="what it does: send this to an agent (--prompt=TEXT when it begins with -); - alone: what stdin holds."
        " With --at it is disabled after its success, unless --max-runs says otherwise; a failure is tried again"
        " after 1, 2 and 4 minutes, and after that by `aiempctl run NAME`",
    )
    parser.add_argument("--prompt-file", metavar="FILE", help="the same, with the text in FILE as it is now")
    parser.add_argument("--agent", metavar="AGENT", help="the agent of the configuration that gets the prompt: claude")
    parser.add_argument("--agent-id", metavar="ID", help="which of a Letta server's agents it is")
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
    what = {"prompt": args.prompt, "file": args.prompt_file, "handler": args.handler, "command": command or None}
    if sum(value is not None for value in when.values()) != 1:
        args.usage_error("say when it fires, in exactly one way: --cron EXPR, --every DUR or --at TIME")
    if sum(value is not None for value in what.values()) != 1:
        ways = "--prompt TEXT, --prompt-file FILE, --handler M:F or -- COMMAND"
        args.usage_error(f"say what it does, in exactly one way: {ways}")
    is_prompt = args.prompt is not None or args.prompt_file is not None
    for key in ("agent", "agent_id"):
        if getattr(args, key) is not None and not is_prompt:
            args.usage_error(f"--{key.replace('_', '-')} says who gets the --prompt; without one, nothing is sent")
    if args.start_at is not None and args.at is not None:
        args.usage_error("--at says when already; --start-at goes with --every or --cron")
    if args.at is not None:
        when = {"frequency": "once", "at": _moment(args, args.at)}
    if args.start_at is not None:
        when["start_at"] = _moment(args, args.start_at)
    what = {"prompt": _prompt(args), "handler": args.handler, "command": command or None}
    more = {key: getattr(args, key) for key in ("agent", "agent_id", "description", "timeout", "priority", "lane")}
    table = {**when, **what, **more, "max_runs": args.max_runs}
    given = {key: value for key, value in table.items() if value is not None}
    return {**_ONE_TIME_PROMPT, **given} if is_prompt and args.at is not None else given


def _prompt(args: Namespace) -> str | None:
    """The text of the prompt, wherever it is; None where something else is to be done."""
    path = args.prompt_file
    if args.prompt == "-" or path == "-":
        what, data = "stdin", sys.stdin.buffer.read(_LONGEST_PROMPT + 1)
    elif path is not None:
        with open(path, "rb") as file:  # noqa: PTH123  pathlib's import costs more than most verbs
            what, data = path, file.read(_LONGEST_PROMPT + 1)
    else:
        text: str | None = args.prompt
        return text
    if len(data) > _LONGEST_PROMPT:
        raise UserError(f"{what} is larger than 1 MiB; let the prompt name a file that the agent then reads")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise UserError(f"{what} is not UTF-8; a prompt is text") from None


def _from_here(command: list[str]) -> list[str]:
    """The command as it is meant here: the daemon runs it in the vault, where `./report.sh` would be another file."""
    if command and "/" in command[0] and os.path.exists(command[0]):  # noqa: PTH110  a string, as it will be sent
        from orchestrator.config.find import from_here  # noqa: PLC0415  only for such a command

        return [from_here(command[0]), *command[1:]]
    return command


def _moment(args: Namespace, text: str) -> str:
    """What a TIME means: a date-time as it stands, a time of day as the next such time in the daemon's zone."""
    found = re.fullmatch(_CLOCK_TIME, text)
    if not found:
        return text
    from datetime import UTC  # noqa: PLC0415  this and the next only for a time of day
    from zoneinfo import ZoneInfo  # noqa: PLC0415

    name = _zone_name(args)
    zone = UTC if name == "UTC" else ZoneInfo(name)
    hour, minute, second = (int(part or 0) for part in found.groups())
    return next_time(hour, minute, second, zone=zone, now=time.time())


def _zone_name(args: Namespace) -> str:
    """The daemon's zone: as it tells its runs, as the configuration has it, or the machine's."""
    from orchestrator.config.zones import exists, machine  # noqa: PLC0415  only for a time of day

    told = os.environ.get("AIEMP_TIMEZONE") if args.config is None else None
    said = told or configured(args, "supervisor").get("timezone")
    return said if isinstance(said, str) and exists(said) else machine(os.environ)


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
