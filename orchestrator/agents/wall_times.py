"""PURE. Times as people are told them, "3pm (Europe/Lisbon)", "Mon 10am", "Feb 4, 8pm", as moments."""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from typing import Final
from zoneinfo import ZoneInfo

from orchestrator.schedule.zone import first_instant

JUST_PAST: Final = timedelta(minutes=2)  # named a moment ago, by a clock that goes a little differently
RECENT: Final = timedelta(days=60)  # a day without a year that is past for no longer is not meant as next year's

_MONTHS: Final = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

_BETWEEN: Final = re.compile(r"[\s,]*(?:(?:at|on)\s+)?", re.IGNORECASE)
_ZONE: Final = re.compile(r"\s*(?:\((?P<zone>[A-Za-z][\w+\-/]*)\)|(?P<utc>UTC|GMT|Z)\b)", re.IGNORECASE)
_PIECES: Final = tuple(
    re.compile(piece, re.IGNORECASE)
    for piece in (
        rf"(?P<month>{'|'.join(_MONTHS)})[a-z]*\.?\s+(?P<day>\d{{1,2}})(?:st|nd|rd|th)?\b(?!:)(?:,?\s+(?P<year>20\d\d)\b)?",
        rf"(?P<weekday>{'|'.join(_WEEKDAYS)})[a-z]*\b\.?",
        r"(?P<near>today|tomorrow)\b",
        r"(?P<hour>\d{1,2})(?:[:.](?P<minute>\d\d)(?::\d\d)?)?\s*(?P<half>[ap])\.?m\b\.?",
        r"(?P<hour>\d{1,2}):(?P<minute>\d\d)(?::\d\d)?(?!\d)",
        r"(?P<named>noon|midnight)\b",
        _ZONE.pattern,
    )
)


def soonest(text: str, begin: int, now: datetime, zone: tzinfo) -> datetime | None:
    """The moment that is named in `text` at `begin`: the next such, or one that is just past.

    None where none is named there. Raises OverflowError and ValueError where it is none of the calendar.
    """
    said = _pieces(text, begin)
    if not said.keys() - {"zone", "utc"}:
        return None
    there = _zone(said.get("zone"), said.get("utc")) or zone
    here = now.astimezone(there)
    moments = sorted(_moments(_days(said, here.date()), _time(said), there))
    earliest = now - (RECENT if "month" in said else JUST_PAST)
    return next((moment for moment in moments if moment >= earliest), None)


def zone_at(text: str, begin: int) -> tzinfo | None:
    """The zone that is named in `text` at `begin`, if there is one and it exists."""
    found = _ZONE.match(text, begin)
    return None if found is None else _zone(found["zone"], found["utc"])


def month(name: str) -> int:
    """The number of a month by how its English name begins. Raises ValueError."""
    return _MONTHS.index(name[:3].lower()) + 1


def _pieces(text: str, begin: int) -> dict[str, str]:
    """What is said of the day, of the time and of the zone, in any order, each once."""
    said = dict[str, str]()
    while True:
        gap = _BETWEEN.match(text, begin)
        begin = begin if gap is None else gap.end()
        found = next((match for piece in _PIECES if (match := piece.match(text, begin))), None)
        fresh = {} if found is None else {name: value for name, value in found.groupdict().items() if value}
        if found is None or fresh.keys() & said.keys():
            return said
        said |= fresh
        begin = found.end()


def _time(said: dict[str, str]) -> time:
    """The time of the day; midnight where only a day is named. Raises ValueError."""
    if "hour" not in said:
        return time(12 if said.get("named", "").lower() == "noon" else 0)
    hour = int(said["hour"])
    if half := said.get("half"):
        if not 1 <= hour <= 12:
            raise ValueError(f"{hour}{half}m")
        hour = hour % 12 + (12 if half.lower() == "p" else 0)
    return time(hour, int(said.get("minute", "0")))


def _days(said: dict[str, str], today: date) -> Iterator[date]:
    """The days that may be meant, from a little before today."""
    if "month" in said:
        for year in [int(said["year"])] if "year" in said else range(today.year - 1, today.year + 2):
            try:
                yield date(year, month(said["month"]), int(said["day"]))
            except ValueError:  # the 29th of February of another year
                continue
        return
    near = said.get("near", "").lower()
    if near:
        yield today + timedelta(days=1 if near == "tomorrow" else 0)
        return
    for ahead in range(-1, 9):
        day = today + timedelta(days=ahead)
        if "weekday" not in said or _WEEKDAYS[day.weekday()] == said["weekday"][:3].lower():
            yield day


def _moments(days: Iterator[date], at: time, zone: tzinfo) -> Iterator[datetime]:
    """When the zone's clocks show that time on these days: twice where they are put back, after the gap if skipped."""
    for day in days:
        wall = datetime.combine(day, at)
        first = first_instant(zone, wall)
        if first is not None:
            yield first
            again = wall.replace(tzinfo=zone, fold=1).astimezone(UTC)
            if again > first and again.astimezone(zone).replace(tzinfo=None) == wall:
                yield again


def _zone(name: str | None, utc: str | None) -> tzinfo | None:
    if utc:
        return UTC
    try:
        return None if name is None else ZoneInfo(name)
    except (KeyError, ValueError, OSError):  # OSError: "Europe" is a folder
        return None
