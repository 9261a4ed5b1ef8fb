"""`aiemp next`: the coming slots, reckoned without a daemon."""

from __future__ import annotations

import argparse
import json
import os
import sqlite3
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, tzinfo
from fnmatch import fnmatchcase
from heapq import merge
from itertools import groupby, islice, takewhile
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from orchestrator.cli.arguments import find_config, is_terminal, json_option, vault_options, wants_colour
from orchestrator.clock import SystemClock
from orchestrator.config.load import load
from orchestrator.config.model import Config, TaskConfig
from orchestrator.errors import UsageError
from orchestrator.exits import Exit
from orchestrator.places import Places
from orchestrator.readable import visible
from orchestrator.schedule.runs import precise
from orchestrator.schedule.when import Every, describe, fingerprint, note, slots
from orchestrator.schedule.zone import Change, changes, first_instant
from orchestrator.store import read_only

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace

    from orchestrator.cli.program import Arguments

COUNT = 5  # slots of each task, when nobody says how many or how far
_END = datetime(9999, 12, 30, tzinfo=UTC)  # where the calendar ends in every zone


@dataclass(frozen=True, slots=True)
class Memory:
    """What the daemon remembers of a task; see runs.TaskState."""

    handled_until: datetime
    schedule: str
    enabled: bool | None


@dataclass(frozen=True, slots=True)
class Line:
    """A slot of `task`, or, where that is None, a change of the clocks; `at` is local."""

    at: datetime
    task: str | None
    text: str


def declare(parser: Arguments) -> None:
    parser.add_argument("tasks", nargs="*", metavar="TASK", help="only these tasks, disabled ones too; globs work")
    parser.add_argument(
        "--from",
        dest="start",
        type=_moment,
        metavar="ISO",
        help="the slots after this date or date-time (default: now)",
    )
    parser.add_argument("--count", type=_number, metavar="N", help=f"so many slots of each task (default: {COUNT})")
    parser.add_argument("--days", type=_number, metavar="N", help="the slots of N times 24 hours instead")
    json_option(parser)
    vault_options(parser)


def show_next(args: Namespace) -> int:
    if args.count is not None and args.days is not None:
        args.usage_error("--count and --days exclude each other: choose one")
    vault = None if args.vault is None else Path(args.vault)
    config = load(Path(find_config(args)), environ=os.environ, vault=vault)
    zone = UTC if config.timezone == "UTC" else ZoneInfo(config.timezone)
    start = _start(args, zone)
    tasks, memories = _all_tasks(config), _memories(Places(str(config.vault)).database)
    chosen = choose(tasks, memories, args.tasks)
    if not config.scheduler.enabled:
        print("aiemp: [scheduler] is not enabled in the configuration: nothing will run", file=sys.stderr)

    until = None if args.days is None else start + min(timedelta(days=args.days), _END - start)
    count = None if args.days is not None else args.count or COUNT
    anchors = {task.name: anchor(task, memories.get(task.name), start, config.timezone) for task in chosen}
    found = coming(chosen, anchors, zone, start, until=until, count=count)
    if args.json:
        _print_json(found, zone)
        return Exit.OK
    lines = with_changes(found, zone, start, until)
    if is_terminal(sys.stdout):
        shown = _print_calendar(lines)
    else:
        shown = _print_lines(lines, max((len(task.name) for task in chosen), default=0))
    if not shown:
        why = ", ".join(f"{visible(task.name)} runs {describe(task.schedule)}" for task in chosen) if args.tasks else ""
        print(f"no coming slots: {why}" if why else "no coming slots")
    return Exit.OK


def choose(tasks: Mapping[str, TaskConfig], memories: Mapping[str, Memory], names: list[str]) -> list[TaskConfig]:
    """The enabled tasks, or those that match `names`, which may be globs. Raises UsageError for one without a match."""
    if not names:
        return [task for task in tasks.values() if _is_enabled(task, memories.get(task.name))]
    unknown = [name for name in names if not any(fnmatchcase(task, name) for task in tasks)]
    if unknown:
        more = f" and {len(tasks) - 20} more" if len(tasks) > 20 else ""
        there = f"there are {', '.join(islice(tasks, 20))}{more}" if tasks else "there are none"
        raise UsageError(f"no task is called {', '.join(unknown)}; {there}")
    return [task for task in tasks.values() if any(fnmatchcase(task.name, name) for name in names)]


def anchor(task: TaskConfig, memory: Memory | None, start: datetime, zone_name: str) -> datetime:
    """What the slots of an `every` task count from: its remembered slot, or `start` when it was never seen as it is."""
    schedule = task.schedule
    if not isinstance(schedule, Every) or memory is None or memory.schedule != fingerprint(schedule, zone_name):
        return start
    if memory.handled_until <= start:
        return memory.handled_until
    # Asked about the past: the same rhythm.
    return memory.handled_until + (start - memory.handled_until) // schedule.step * schedule.step


def coming(
    tasks: Iterable[TaskConfig],
    anchors: Mapping[str, datetime],
    zone: tzinfo,
    start: datetime,
    *,
    until: datetime | None,
    count: int | None,
) -> Iterator[tuple[datetime, TaskConfig]]:
    """The slots in (start, until] in time order, `count` at most of each task."""
    last = _END if until is None else until

    def of(task: TaskConfig) -> Iterator[tuple[datetime, TaskConfig]]:
        found = takewhile(lambda slot: slot <= last, slots(task.schedule, zone, start, anchors[task.name]))
        return ((slot, task) for slot in islice(found, count))

    return merge(*map(of, tasks), key=lambda pair: pair[0])


def with_changes(
    found: Iterable[tuple[datetime, TaskConfig]], zone: tzinfo, start: datetime, until: datetime | None
) -> Iterator[Line]:
    """The slots as lines, and between them the clock changes of the time shown.

    Without an end that is only the days that have a slot: the slots may lie years apart.
    """
    before = start
    for slot, task in found:
        local = slot.astimezone(zone)
        for change in changes(zone, before, slot):
            if until is not None or change.shown_after.date() == local.date():
                yield _change_line(change, zone)
        again = f"the second {local:%H:%M} of that day" if local.fold else ""
        yield Line(local, task.name, note(task.schedule, zone, slot) or again)
        before = slot
    if until is not None:
        yield from (_change_line(change, zone) for change in changes(zone, before, until))


def _change_line(change: Change, zone: tzinfo) -> Line:
    old, new = change.shown_before, change.shown_after
    shape = "%H:%M" if old.date() == new.date() else "%Y-%m-%d %H:%M"
    way = "forward" if new > old else "back"
    return Line(change.at.astimezone(zone), None, f"clocks go {way} from {old:{shape}} to {new:{shape}}")


def _print_json(found: Iterable[tuple[datetime, TaskConfig]], zone: tzinfo) -> None:
    """One at a time: there may be millions."""
    opening = "["
    for slot, task in found:
        item = {
            "task": task.name,
            "slot": precise(slot),
            "local": slot.astimezone(zone).isoformat(),
            "note": note(task.schedule, zone, slot),
        }
        print(f"{opening}{json.dumps(item)}", end="")
        opening = ",\n "
    print("[]" if opening == "[" else "]")


def _print_lines(lines: Iterable[Line], width: int) -> bool:
    """Aligned columns; False when there was nothing to print."""
    shown = False
    for line in lines:
        if not shown:
            print(f"{'LOCAL TIME':<29}  {'TASK':<{max(width, 4)}}  NOTE")
        print(f"{line.at:%a %Y-%m-%d %H:%M:%S %z}  {visible(line.task or '-'):<{max(width, 4)}}  {line.text}".rstrip())
        shown = True
    return shown


def _print_calendar(lines: Iterable[Line]) -> bool:
    """Day by day, in colours; False when there was nothing to print."""
    from rich.console import Console  # noqa: PLC0415  only for a terminal
    from rich.text import Text  # noqa: PLC0415

    console = Console(no_color=not wants_colour(), highlight=False)
    shown = False
    for day, of_day in groupby(lines, key=lambda line: line.at.date()):
        console.print(Text(f"{day:%A %-d %B %Y}", style="bold"))
        for line in of_day:
            clock = f"{line.at:%H:%M:%S}" if line.at.second else f"{line.at:%H:%M}   "
            parts = [f"  {clock}  ", visible(line.task) if line.task else (line.text, "yellow")]
            parts += [("  " + line.text, "yellow")] if line.task and line.text else []
            console.print(Text.assemble(*parts))
        shown = True
    return shown


def _all_tasks(config: Config) -> dict[str, TaskConfig]:
    """The configured tasks and the added ones by name; says on stderr what is wrong with the latter."""
    from orchestrator.config.added import load_all  # noqa: PLC0415

    added = load_all(Places(str(config.vault)).state, config)
    for problem in added.problems:
        print(f"aiemp: {visible(problem)}", file=sys.stderr)
    return dict(config.tasks) | {task.name: task for task in added.tasks if task.name not in config.tasks}


def _memories(database: str) -> dict[str, Memory]:
    """What is remembered of each task; nothing where there is no readable database with such a table."""
    try:
        connection = read_only.connect(database)
        try:
            rows: list[Any] = connection.execute("SELECT name, handled_until, schedule, enabled FROM tasks").fetchall()
        finally:
            connection.close()
        return {
            name: Memory(_EPOCH + timedelta(microseconds=until), schedule, None if enabled is None else bool(enabled))
            for name, until, schedule, enabled in rows
        }
    except (sqlite3.Error, TypeError, OverflowError):
        return {}


def _is_enabled(task: TaskConfig, memory: Memory | None) -> bool:
    """A person's word by command beats the configuration."""
    return task.enabled if memory is None or memory.enabled is None else memory.enabled


def _start(args: Namespace, zone: tzinfo) -> datetime:
    """The moment of --from in UTC; without an offset it is one in `zone`."""
    given: datetime | None = args.start
    try:
        if given is None:
            return SystemClock().now()
        if given.tzinfo is None:
            given = first_instant(zone, given) or given.replace(tzinfo=zone)
        start = given.astimezone(UTC)
        if start < _END:
            return start
    except OverflowError:
        pass
    raise UsageError(f"--from {given} is too near to an end of the calendar")


def _moment(text: str) -> datetime:
    """A date or date-time, for argparse's `type`."""
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise argparse.ArgumentTypeError(
            f"{visible(text)!r} is no ISO date or date-time; write it like 2026-10-20, 2026-10-20T08:00 or"
            " 2026-10-20T08:00+02:00"
        ) from None


def _number(text: str) -> int:
    """A number of slots or days, for argparse's `type`."""
    if not (text.isascii() and text.isdigit() and len(text) <= 7 and 1 <= int(text) <= 1_000_000):
        raise argparse.ArgumentTypeError(f"{visible(text)!r} is no number from 1 to 1000000")
    return int(text)


_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

VERBS = {"next": (declare, show_next)}
