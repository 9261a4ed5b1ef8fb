"""PURE. When a usage limit ends, read out of what an agent says about it."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta, tzinfo
from typing import Final

from orchestrator.agents import wall_times
from orchestrator.schedule.zone import first_instant

TEXT_MAX: Final = 8_000  # characters that are looked at
FARTHEST: Final = timedelta(days=400)  # what is named beyond is no time that a limit ends

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3_600.0, "d": 86_400.0, "w": 604_800.0}

_WORD: Final = r"\b(?:resets?|renews?|regain(?:ed)?\s+access|(?:try|tried|available|retry)\s+again|retry|until|back)\b"
_AT: Final = re.compile(rf"{_WORD}[\s:,]*(?:(?:again|is|at|on|by|after|only)\b[\s:,]*)*", re.IGNORECASE)
_EPOCH: Final = re.compile(
    r"(?:\||\b(?:resets?(?:[-_ ]?at)?|[\w-]*-reset)[\"']?\s*[:=]|\bresets?\s+at)"
    r"\s*[\"']?(\d{10}(?:\d{3})?)(?![\d\-.:])",
    re.IGNORECASE,
)
_ISO: Final = re.compile(
    rf"(?:{_WORD}|\bresets?_?at\b)[^\n|]{{0,40}}?(?P<date>\d{{4}}-\d\d-\d\d)"
    r"(?:(?:[T ]|\s+at\s+)(?P<time>\d\d:\d\d(?::\d\d)?)(?:\.\d+)?\s*(?P<offset>[+-]\d\d:?\d\d\b)?)?",
    re.IGNORECASE,
)
_HTTP_DATE: Final = re.compile(
    r"retry[-_ ]after[\"']?\s*[:=]?\s*[\"']?[a-z]{3,9},\s*(\d{1,2}\s+[a-z]{3}\s+\d{4}\s+\d\d:\d\d:\d\d)\s+(?:GMT|UTC)",
    re.IGNORECASE,
)
_RETRY_AFTER: Final = re.compile(
    r"retry[-_ ]after(?P<ms>-ms)?[\"']?\s*[:=]?\s*[\"']?"
    r"(?P<amount>\d{1,9}(?:\.\d{1,9})?)(?![\d:-])\s*(?P<unit>ms|[smh])?",
    re.IGNORECASE,
)
_AMOUNT: Final = (
    r"(\d{1,6}(?:\.\d{1,3})?)\s*(ms|weeks?|days?|hours?|hrs?|minutes?|mins?|seconds?|secs?|[wdhms])(?![a-z])"
)
_AMOUNTS: Final = re.compile(_AMOUNT, re.IGNORECASE)
_IN: Final = re.compile(
    rf"(?:{_WORD}[^\n|·∙;]{{0,30}}?\b(?:in|after)|\bwait(?:\s+for)?)\s+(?P<amounts>(?:{_AMOUNT}[\s,]*(?:and\s+)?)+)",
    re.IGNORECASE,
)


def reset(text: str, now: datetime, zone: tzinfo) -> datetime | None:
    """The moment (aware UTC, never before `now`) at which the agent takes prompts again; None where none is named.

    Clock times are those of the zone that is named beside them, else of `zone`; without a day, the next such time.
    """
    now = now.astimezone(UTC)
    text = text[:TEXT_MAX]
    finders: tuple[Callable[[], datetime | None], ...] = (
        lambda: _epoch(text),
        lambda: _iso(text, zone),
        lambda: _http_date(text),
        lambda: _retry_after(text, now),
        lambda: _in(text, now),
        lambda: _at(text, now, zone),
    )
    for find in finders:
        try:
            found = find()
        except (OverflowError, ValueError):  # the 31st of February, or an end of the calendar
            continue
        if found is not None and found - now <= FARTHEST:
            return max(found, now)
    return None


def of_epoch(number: float) -> datetime:
    """The moment so many seconds or milliseconds after 1970. Raises OverflowError and ValueError."""
    return datetime(1970, 1, 1, tzinfo=UTC) + timedelta(seconds=number / 1000 if number >= 1e11 else number)


def _epoch(text: str) -> datetime | None:
    found = _EPOCH.search(text)
    return None if found is None else of_epoch(int(found[1]))


def _iso(text: str, zone: tzinfo) -> datetime | None:
    found = _ISO.search(text)
    if found is None:
        return None
    wall = datetime.fromisoformat(f"{found['date']}T{found['time'] or '00:00'}")
    if found["offset"]:
        return datetime.fromisoformat(f"{wall.isoformat()}{found['offset']}").astimezone(UTC)
    return first_instant(wall_times.zone_at(text, found.end()) or zone, wall)


def _http_date(text: str) -> datetime | None:
    found = _HTTP_DATE.search(text)
    if found is None:
        return None
    day, month, year, time = found[1].split()
    hour, minute, second = map(int, time.split(":"))
    return datetime(int(year), wall_times.month(month), int(day), hour, minute, second, tzinfo=UTC)


def _retry_after(text: str, now: datetime) -> datetime | None:
    found = _RETRY_AFTER.search(text)
    if found is None:
        return None
    unit = "ms" if found["ms"] else (found["unit"] or "s").lower()
    return now + timedelta(seconds=float(found["amount"]) * _SECONDS[unit])


def _in(text: str, now: datetime) -> datetime | None:
    found = _IN.search(text)
    if found is None:
        return None
    amounts = [(float(number), unit.lower()) for number, unit in _AMOUNTS.findall(found["amounts"])]
    return now + timedelta(seconds=sum(number * _SECONDS.get(unit, _SECONDS[unit[0]]) for number, unit in amounts))


def _at(text: str, now: datetime, zone: tzinfo) -> datetime | None:
    for word in _AT.finditer(text):
        if (found := wall_times.soonest(text, word.end(), now, zone)) is not None:
            return found
    return None
