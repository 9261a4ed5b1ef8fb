"""PURE. A zone's wall-clock times as instants, and the changes of its clocks."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import MAXYEAR, MINYEAR, UTC, datetime, timedelta, tzinfo
from functools import lru_cache
from itertools import pairwise
from typing import Final

# A larger jump is no daylight saving but a new clock, and what it skips is dropped (as Debian's cron has it).
NEW_CLOCK: Final = timedelta(hours=3)
RESOLUTION: Final = timedelta(microseconds=1)

_SAMPLE: Final = timedelta(hours=12)  # no zone ever changed its clocks twice within that
_ZERO: Final = timedelta(0)


@dataclass(frozen=True, slots=True)
class Change:
    """The clocks jump at the instant `at`, from being `before` ahead of UTC to being `after` ahead of it."""

    at: datetime
    before: timedelta
    after: timedelta

    @property
    def jump(self) -> timedelta:
        """How far the clocks go forward: times are skipped; back, where it is negative: times are repeated."""
        return self.after - self.before

    @property
    def shown_before(self) -> datetime:
        """What the clocks would have shown at `at`."""
        return self.at.replace(tzinfo=None) + self.before

    @property
    def shown_after(self) -> datetime:
        """What the clocks show at `at`."""
        return self.at.replace(tzinfo=None) + self.after


def offset(zone: tzinfo, instant: datetime) -> timedelta:
    """How far the zone's clocks are ahead of UTC. Raises OverflowError at either end of the calendar."""
    return instant.astimezone(zone).utcoffset() or _ZERO


def first_instant(zone: tzinfo, wall: datetime) -> datetime | None:
    """The first instant (UTC) at which the zone's clocks show the naive `wall`.

    One that a clock change skips is the instant right after the gap; None when that was a jump of more than three
    hours. Raises OverflowError at either end of the calendar.
    """
    # PEP 495: fold=0 means the offset before a change, fold=1 the one after it; elsewhere they are the same.
    before = wall.replace(tzinfo=zone, fold=0).utcoffset() or _ZERO
    after = wall.replace(tzinfo=zone, fold=1).utcoffset() or _ZERO
    aware = wall.replace(tzinfo=UTC, fold=0)
    if after <= before:
        return aware - before
    if after - before > NEW_CLOCK:
        return None
    return _change(zone, aware - after, aware - before).at


def changes(zone: tzinfo, after: datetime, until: datetime) -> Iterator[Change]:
    """The changes of the zone's clocks in (after, until], both UTC."""
    for year in range(after.year, until.year + 1):
        for change in _year(zone, year):
            if after < change.at <= until:
                yield change


@lru_cache(maxsize=512)
def _year(zone: tzinfo, year: int) -> tuple[Change, ...]:
    """The changes in a year of UTC: after its first instant, up to and including the next year's first."""
    # At either end of the calendar local times would lie outside of it.
    start = datetime(year, 1, 3 if year == MINYEAR else 1, tzinfo=UTC)
    end = datetime(year, 12, 30, tzinfo=UTC) if year == MAXYEAR else datetime(year + 1, 1, 1, tzinfo=UTC)
    samples = [(start + _SAMPLE * n, offset(zone, start + _SAMPLE * n)) for n in range((end - start) // _SAMPLE + 1)]
    return tuple(_change(zone, early, late) for (early, before), (late, after) in pairwise(samples) if before != after)


def _change(zone: tzinfo, early: datetime, late: datetime) -> Change:
    """The change in (early, late], between which the offsets differ; found by bisection."""
    before, after = offset(zone, early), offset(zone, late)
    while late - early > RESOLUTION:
        middle = early + (late - early) // 2
        found = offset(zone, middle)
        if found == before:
            early = middle
        else:
            late, after = middle, found
    return Change(late, before, after)
