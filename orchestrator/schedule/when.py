"""PURE. When a task fires: schedules as data, and their slots."""

from dataclasses import dataclass
from datetime import datetime, time
from typing import Final

LAST: Final = "last"


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


Schedule = Manual | Once | Every | Hourly | Calendar | Cron
