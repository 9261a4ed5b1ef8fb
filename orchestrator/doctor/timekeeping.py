"""PURE. Does the schedule go by the time that people expect, and is the clock right?"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Final
from zoneinfo import ZoneInfo

from orchestrator.doctor.finding import Finding, ok, problem, warning

CHECK: Final = "time"
OLDEST: Final = 2026  # the year of this program: a clock before it is wrong
_SET_CLOCK: Final = "sudo timedatectl set-ntp true"


@dataclass(frozen=True, slots=True)
class Clock:
    """`now` is aware; the zones are IANA names, `zone` the schedule's. `synchronised` is None where nobody can tell."""

    now: datetime
    zone: str | None
    machine: str
    zones_known: bool
    synchronised: bool | None


def judge(it: Clock) -> Iterator[Finding]:
    if it.now.year < OLDEST:
        text = f"the clock says {it.now:%Y-%m-%d}, which is long past: what is due is judged by it"
        yield problem(CHECK, text, f"{_SET_CLOCK}, or set it by hand: sudo date -s '2026-…'")
    if it.synchronised is False:
        yield warning(CHECK, "the clock is not synchronised: tasks may run early or late", _SET_CLOCK)
    if not it.zones_known:
        text = "there is no database of time zones: only UTC is known, and clock changes are not"
        yield warning(CHECK, text, "sudo apt install tzdata, or your system's package of that name")
    if it.zone is None:
        return
    here = it.now.astimezone(ZoneInfo(it.zone))
    said = f"tasks run by the time of {it.zone}, where it is {here:%H:%M} now"
    if it.zone == it.machine:
        yield ok(CHECK, said)
    elif it.now.astimezone(ZoneInfo(it.machine)).utcoffset() == here.utcoffset():
        yield ok(CHECK, f"{said}, as it is for this machine ({it.machine})")
    else:
        text = f"{said}; this machine's own time zone is {it.machine}, which does not count"
        yield warning(CHECK, text, "if that is not meant, correct `timezone` under [supervisor], then: aiempctl reload")
