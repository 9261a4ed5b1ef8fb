"""PURE. Recurring wall-clock times, which calendar, hourly and cron schedules are compiled to, and their slots.

The rules for clock changes are those of Debian's cron (cron(8), "Daylight Saving Time and other time changes").
"""

from bisect import bisect_left
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, tzinfo
from typing import Final

from orchestrator.schedule.zone import Change, changes, first_instant, offset

ALL_MONTHS: Final = frozenset(range(1, 13))

_SECOND: Final = timedelta(seconds=1)
_CYCLE: Final = 146_097  # days of the Gregorian calendar's 400 years, after which every date and weekday recurs
_LAST_DAY: Final = date.max.toordinal()


@dataclass(frozen=True, slots=True)
class Pattern:
    """On each day that fits, each of `seconds`, which count from midnight and ascend."""

    seconds: tuple[int, ...]
    fits: Callable[[date], bool]
    months: frozenset[int] = ALL_MONTHS
    # Whether every real minute counts whose local time matches; else each matching time is one slot a day.
    every_real_minute: bool = False

    def first(self, start: datetime) -> datetime | None:
        """The first of these times at or after the naive `start`; None when there is none any more."""
        today = start.date()
        second = start.hour * 3600 + start.minute * 60 + start.second + (start.microsecond > 0)
        place = bisect_left(self.seconds, second)
        if place < len(self.seconds) and self._on(today):
            return _moment(today, self.seconds[place])
        day = self._day_after(today)
        return None if day is None or not self.seconds else _moment(day, self.seconds[0])

    def next_slot(self, zone: tzinfo, after: datetime) -> datetime | None:
        """The first slot after `after`, both UTC. Raises OverflowError when the calendar ends before."""
        return self._next_real(zone, after) if self.every_real_minute else self._next_fixed(zone, after)

    def between(self, start: datetime, end: datetime) -> Iterator[datetime]:
        """These times in [start, end), all naive."""
        found = self.first(start)
        while found is not None and found < end:
            yield found
            found = self.first(found + _SECOND)

    def _next_fixed(self, zone: tzinfo, after: datetime) -> datetime | None:
        # The clocks' first passage of a time is its slot, so no time up to what they show now has its slot yet to come.
        wall = self.first(_next_second(after + offset(zone, after)))
        while wall is not None:
            slot = first_instant(zone, wall)
            if slot is not None and slot > after:
                return slot
            wall = self.first(wall + _SECOND)
        return None

    def _next_real(self, zone: tzinfo, after: datetime) -> datetime | None:
        ahead = offset(zone, after)
        start = _next_second(after + ahead)
        wall = self.first(start)
        while wall is not None:
            slot = wall.replace(tzinfo=UTC) - ahead
            change: Change | None = next(changes(zone, after, slot), None)
            if change is None:
                return slot
            # From here on the clocks show other times: look again from what they show at the change.
            after, ahead, earlier, start = change.at, change.after, start, change.shown_after
            if not earlier <= start <= wall:
                wall = self.first(start)
        return None

    def _on(self, day: date) -> bool:
        return day.month in self.months and self.fits(day)

    def _day_after(self, day: date) -> date | None:
        """The first day after `day` that fits."""
        ordinal = day.toordinal() + 1
        end = min(ordinal + _CYCLE, _LAST_DAY)
        while ordinal <= end:
            day = date.fromordinal(ordinal)
            if day.month not in self.months:
                ordinal += max(1, 29 - day.day)  # to the 29th, or beyond a February without one: never too far
            elif self.fits(day):
                return day
            else:
                ordinal += 1
        return None


def _next_second(moment: datetime) -> datetime:
    """The first whole second after `moment`, as a naive time."""
    return moment.replace(tzinfo=None, microsecond=0) + _SECOND


def _moment(day: date, second: int) -> datetime:
    # Naive on purpose: which instant it is depends on the zone.
    return datetime(day.year, day.month, day.day, second // 3600, second // 60 % 60, second % 60)  # noqa: DTZ001
