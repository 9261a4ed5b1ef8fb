"""PURE. When a task fires: schedules as data, their slots (aware UTC datetimes), and which of these are due."""

from __future__ import annotations

from calendar import monthrange
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import lru_cache
from itertools import islice, takewhile
from typing import TYPE_CHECKING, Final

from orchestrator.schedule.pattern import Pattern
from orchestrator.schedule.zone import NEW_CLOCK, RESOLUTION, changes, first_instant

if TYPE_CHECKING:
    from orchestrator.config.model import CatchUp  # which needs this file to be loaded first

__all__ = [
    "LAST",
    "MANY",
    "Calendar",
    "Cron",
    "Due",
    "Every",
    "Hourly",
    "Manual",
    "Once",
    "Schedule",
    "Starting",
    "describe",
    "due",
    "fingerprint",
    "first_seen",
    "next_slot",
    "note",
    "plain",
    "slots",
]

LAST: Final = "last"
MANY: Final = 1000  # missed slots are counted up to here: a year of missed minutes must not take seconds

_DAYS: Final = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_UNITS: Final = ((86_400_000_000, "d"), (3_600_000_000, "h"), (60_000_000, "min"), (1_000_000, "s"), (1000, "ms"))
_MINUTE: Final = timedelta(minutes=1)


@dataclass(frozen=True, slots=True)
class Manual:
    """Never by the clock."""


@dataclass(frozen=True, slots=True)
class Once:
    """At these moments; naive ones are wall-clock times of the zone that the schedule is asked in."""

    at: tuple[datetime, ...]


@dataclass(frozen=True, slots=True)
class Every:
    """Each `seconds` from the slot before."""

    seconds: float

    @property
    def step(self) -> timedelta:
        return max(RESOLUTION, timedelta(seconds=self.seconds))


@dataclass(frozen=True, slots=True)
class Hourly:
    """At these minutes and seconds of every real hour: each time's hour is 0."""

    times: tuple[time, ...]


@dataclass(frozen=True, slots=True)
class Calendar:
    """At these wall-clock times of each day that fits: its weekday (Monday is 0) and, where given, day of month."""

    times: tuple[time, ...]
    weekdays: frozenset[int] = frozenset(range(7))
    month_day: int | str | None = None  # 1..31 or LAST


@dataclass(frozen=True, slots=True)
class Cron:
    """A cron expression of five fields, checked."""

    expression: str


Regular = Every | Hourly | Calendar | Cron


@dataclass(frozen=True, slots=True)
class Starting:
    """As `schedule`, without any slot before `start`; a naive one is a wall-clock time of the zone asked in.

    An Every has its first slot at `start` itself, and counts all others from there, whatever became of the earlier.
    """

    schedule: Regular
    start: datetime


Schedule = Manual | Once | Regular | Starting


@dataclass(frozen=True, slots=True)
class Due:
    """What to do about slots that have come: run `slot`, and put the `missed` others on record.

    `late`: `slot` is caught up. `missed` is MANY when there are as many or more.
    """

    slot: datetime | None
    late: bool
    missed: int
    newest_missed: datetime | None


def next_slot(schedule: Schedule, zone: tzinfo, after: datetime, anchor: datetime | None = None) -> datetime | None:
    """The first slot strictly after `after`; None: there is none any more, in the calendar's 9999 years.

    `anchor`: what an `every` schedule counts from (default: `after`); its first slot is one interval later.
    """
    after = after.astimezone(UTC)
    try:
        match schedule:
            case Manual():
                return None
            case Once():
                return min((slot for slot in _moments(schedule, zone) if slot > after), default=None)
            case Every():
                start, step = after if anchor is None else anchor.astimezone(UTC), schedule.step
                return start + max(1, (after - start) // step + 1) * step
            case Hourly() | Calendar() | Cron():
                return _compiled(schedule).next_slot(zone, after)
            case Starting(begun):
                return next_slot(begun, zone, _since(schedule, zone, after))
    except OverflowError:
        return None


def slots(schedule: Schedule, zone: tzinfo, after: datetime, anchor: datetime | None = None) -> Iterator[datetime]:
    """All slots after `after`, in order; see next_slot."""
    anchor = after if anchor is None else anchor
    slot = next_slot(schedule, zone, after, anchor)
    while slot is not None:
        yield slot
        slot = next_slot(schedule, zone, slot, anchor)


def due(
    schedule: Schedule,
    zone: tzinfo,
    *,
    handled_until: datetime,
    now: datetime,
    awake_since: datetime,
    catch_up: CatchUp,
    max_lateness: float,
) -> Due:
    """What to do about the slots in (handled_until, now].

    Those at or after `awake_since` are on time: the newest of them is to be run. Without any, the newest of those
    before is caught up when `catch_up` is LATEST and it is at most `max_lateness` seconds old. All others are missed.
    """
    first = next_slot(schedule, zone, handled_until)
    if first is None or first > now:
        return Due(None, late=False, missed=0, newest_missed=None)
    # Mostly there is this one slot, and it is now.
    newest = first if first == now else _newest(schedule, zone, handled_until, now) or first
    late = newest < awake_since
    if late and (catch_up != "latest" or (now - newest).total_seconds() > max_lateness):
        return Due(None, late=False, missed=_count(schedule, zone, handled_until, newest), newest_missed=newest)
    missed = None if newest == first else _newest(schedule, zone, handled_until, newest - RESOLUTION)
    return Due(newest, late, 0 if missed is None else _count(schedule, zone, handled_until, missed), missed)


def first_seen(schedule: Schedule, zone: tzinfo, now: datetime) -> datetime:
    """What to take as `handled_until` of a task never seen before: `now`.

    For a Calendar that had a slot on this local day already: just before the newest of these, which is due then.
    """
    if isinstance(plain(schedule), Calendar):
        newest = _newest(schedule, zone, now - timedelta(days=2), now)  # no local day is longer than that
        if newest is not None and newest.astimezone(zone).date() == now.astimezone(zone).date():
            return newest - RESOLUTION
    return now


def plain(schedule: Schedule) -> Schedule:
    """The schedule without the moment that it starts at."""
    return schedule.schedule if isinstance(schedule, Starting) else schedule


def note(schedule: Schedule, zone: tzinfo, slot: datetime) -> str | None:
    """For a slot that a clock change moved to where it is: what was skipped, for a person; else None."""
    slot = slot.astimezone(UTC)
    change = next(changes(zone, slot - RESOLUTION, slot), None)
    if change is None or not timedelta(0) < change.jump <= NEW_CLOCK:
        return None
    skipped = list(_fixed_times(schedule, change.shown_before, change.shown_after))
    if not skipped:
        return None
    shown = ", ".join(_clock(each.hour * 3600 + each.minute * 60 + each.second) for each in skipped[:3])
    more = f" and {len(skipped) - 3} more" if len(skipped) > 3 else ""
    return f"clock change: {shown}{more} {'does' if len(skipped) == 1 else 'do'} not exist that day"


def fingerprint(schedule: Schedule, zone_name: str) -> str:
    """A short text that differs when the slots differ."""
    match schedule:
        case Manual():
            return "manual"
        case Every():
            return f"every {schedule.step // RESOLUTION} us"
        case Once(at):
            return f"once {','.join(sorted({moment.isoformat() for moment in at}))} {zone_name}"
        case Hourly(times):
            return f"hourly {_clocks(times)} {zone_name}"
        case Calendar(times, weekdays, month_day):
            return f"calendar {_clocks(times)} {''.join(map(str, sorted(weekdays)))} {month_day} {zone_name}"
        case Cron(expression):
            return f"cron {expression} {zone_name}"
        case Starting(begun, start):
            moment = start if start.tzinfo is None else start.astimezone(UTC)
            return f"{fingerprint(begun, zone_name)} from {moment.isoformat()} {zone_name}"


def describe(schedule: Schedule) -> str:
    """The schedule in a person's words: `daily at 08:00`, `every 15 min`, `cron 0 9 * * 1-5 from 2026-12-01`."""
    match schedule:
        case Manual():
            return "by hand"
        case Every():
            return f"every {_span(schedule.step // RESOLUTION)}"
        case Once(at):
            return f"once at {', '.join(sorted(map(_moment, at)))}"
        case Hourly(times):
            return f"hourly at {', '.join(_clock(second)[2:] for second in _seconds(times))}"
        case Calendar(times):
            return f"{_which_days(schedule)} at {', '.join(map(_clock, _seconds(times)))}"
        case Cron(expression):
            return f"cron {expression}"
        case Starting(begun, start):
            midnight = start.tzinfo is None and start.time() == time()
            return f"{describe(begun)} from {start.date().isoformat() if midnight else _moment(start)}"


def _since(schedule: Starting, zone: tzinfo, after: datetime) -> datetime:
    """From where to ask the schedule that starts, in place of `after`, for its slots after that.

    That is just before the start or later; for an Every, which counts from there, one of its slots, or one interval
    before the first.
    """
    start = _instant(schedule.start, zone)
    if isinstance(schedule.schedule, Every):
        step = schedule.schedule.step
        return start + max(-1, (after - start) // step) * step
    return max(after, start - RESOLUTION)


def _instant(start: datetime, zone: tzinfo) -> datetime:
    """In UTC; a wall-clock time that a new clock skipped is taken as if it had not."""
    if start.tzinfo is None:
        return first_instant(zone, start) or start.replace(tzinfo=zone).astimezone(UTC)
    return start.astimezone(UTC)


def _newest(schedule: Schedule, zone: tzinfo, after: datetime, until: datetime) -> datetime | None:
    """The newest slot in (after, until]; an `every` schedule counts from `after`.

    Asks for the next slot a few dozen times, whatever lies in between.
    """
    if isinstance(schedule, Every):
        count = (until - after) // schedule.step
        return after.astimezone(UTC) + count * schedule.step if count > 0 else None
    if isinstance(schedule, Starting):
        return _newest(schedule.schedule, zone, _since(schedule, zone, after), until)

    def slot_after(moment: datetime) -> datetime | None:
        slot = next_slot(schedule, zone, moment)
        return None if slot is None or slot > until else slot

    low = slot_after(after)
    if low is None:
        return None
    # Between `high` and `until` there is no slot. First reach back from there, further each time, then halve.
    high, reach, found = until, _MINUTE, None
    while found is None and until - reach > low:
        found = slot_after(until - reach)
        if found is None:
            high = until - reach
        reach *= 2
    low = found or low
    while (found := slot_after(low)) is not None:
        low = slot_after(found + (high - found) // 2) or found
        if low == found:
            high = found + (high - found) // 2
    return low


def _count(schedule: Schedule, zone: tzinfo, after: datetime, until: datetime) -> int:
    """How many slots lie in (after, until], at most MANY; an `every` schedule counts from `after`."""
    if isinstance(schedule, Every):
        return min(MANY, (until - after) // schedule.step)
    if isinstance(schedule, Starting):
        return _count(schedule.schedule, zone, _since(schedule, zone, after), until)
    return sum(1 for _ in takewhile(lambda slot: slot <= until, islice(slots(schedule, zone, after), MANY)))


def _moments(schedule: Once, zone: tzinfo) -> Iterator[datetime]:
    for moment in schedule.at:
        slot = first_instant(zone, moment) if moment.tzinfo is None else moment.astimezone(UTC)
        if slot is not None:
            yield slot


def _fixed_times(schedule: Schedule, start: datetime, end: datetime) -> Iterable[datetime]:
    """The wall-clock times in [start, end) that are one slot each, whatever the clocks do."""
    match schedule:
        case Once(at):
            return sorted(moment for moment in at if moment.tzinfo is None and start <= moment < end)
        case Calendar() | Cron() if not (pattern := _compiled(schedule)).every_real_minute:
            return pattern.between(start, end)
        case Starting(begun):
            return _fixed_times(begun, start, end)
        case _:
            return ()


@lru_cache(maxsize=1024)
def _compiled(schedule: Hourly | Calendar | Cron) -> Pattern:
    match schedule:
        case Hourly(times):
            seconds = _seconds(times)
            every_hour = tuple(hour * 3600 + second for hour in range(24) for second in seconds)
            return Pattern(every_hour, lambda _: True, every_real_minute=True)
        case Calendar(times, weekdays, month_day):

            def fits(day: date) -> bool:
                wanted = monthrange(day.year, day.month)[1] if month_day == LAST else month_day
                return day.weekday() in weekdays and (wanted is None or day.day == wanted)

            return Pattern(_seconds(times), fits)
        case Cron(expression):
            from orchestrator.schedule.cron import compile_cron  # noqa: PLC0415  cronsim only for those who use cron

            return compile_cron(expression)


def _seconds(times: Iterable[time]) -> tuple[int, ...]:
    """Each time's seconds since midnight, in order, each once."""
    return tuple(sorted({each.hour * 3600 + each.minute * 60 + each.second for each in times}))


def _clock(second: int) -> str:
    """A second of the day as `08:00`, or `08:00:30`."""
    minute = f"{second // 3600:02}:{second // 60 % 60:02}"
    return f"{minute}:{second % 60:02}" if second % 60 else minute


def _moment(moment: datetime) -> str:
    """A moment as `2026-11-20 08:00`, with seconds and offset where it has some."""
    return moment.isoformat(" ", "seconds" if moment.second else "minutes")


def _clocks(times: Iterable[time]) -> str:
    return ",".join(map(_clock, _seconds(times)))


def _which_days(schedule: Calendar) -> str:
    days = {frozenset(range(7)): "daily", frozenset(range(5)): "weekdays"}.get(schedule.weekdays)
    days = days or ", ".join(_DAYS[day] for day in sorted(schedule.weekdays))
    match schedule.month_day:
        case None:
            return days
        case "last":
            of_month = "last day of the month"
        case day:
            of_month = f"day {day} of the month"
    return of_month if days == "daily" else f"{of_month} on {days}"


def _span(microseconds: int) -> str:
    """A duration in the largest unit that it is a whole number of."""
    for size, unit in _UNITS:
        if microseconds % size == 0:
            return f"{microseconds // size} {unit}"
    return f"{microseconds / 1e6:g} s"
