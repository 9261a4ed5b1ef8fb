"""When a task fires: tables of slots over real clock changes, and of what is due."""

from dataclasses import replace
from datetime import MAXYEAR, UTC, datetime, time, timedelta, timezone, tzinfo
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from orchestrator.config.model import CatchUp
from orchestrator.schedule.when import (
    LAST,
    MANY,
    Calendar,
    Cron,
    Due,
    Every,
    Hourly,
    Manual,
    Once,
    Schedule,
    describe,
    due,
    fingerprint,
    first_seen,
    next_slot,
    note,
    slots,
)

BERLIN = ZoneInfo("Europe/Berlin")
WEEKDAYS = frozenset(range(5))
SUNDAY = frozenset({6})


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def at(*clocks: str) -> tuple[time, ...]:
    return tuple(map(time.fromisoformat, clocks))


def daily(*clocks: str) -> Calendar:
    return Calendar(at(*clocks))


def june(text: str) -> datetime:
    """Give `02T08:00` of June 2026, UTC."""
    return moment(f"2026-06-{text}Z")


NOTHING = Due(None, late=False, missed=0, newest_missed=None)


def on_time(slot: str, missed: int = 0, newest: str | None = None) -> Due:
    return Due(june(slot), late=False, missed=missed, newest_missed=june(newest) if newest else None)


def late(slot: str, missed: int = 0, newest: str | None = None) -> Due:
    return replace(on_time(slot, missed, newest), late=True)


def dropped(missed: int, newest: str) -> Due:
    return Due(None, late=False, missed=missed, newest_missed=june(newest))


@pytest.mark.parametrize(
    ("schedule", "zone", "after", "expected"),
    [
        (daily("08:00"), "Europe/Berlin", "2026-10-23T06:00Z", ["10-24T06:00", "10-25T07:00", "10-26T07:00"]),
        (daily("08:00"), "Europe/Berlin", "2026-10-23T05:59:59.9Z", ["10-23T06:00", "10-24T06:00"]),
        (daily("18:00", "08:00", "08:00"), "UTC", "2026-01-01T00:00Z", ["01-01T08:00", "01-01T18:00", "01-02T08:00"]),
        (daily("08:00:30"), "UTC", "2026-01-01T08:00Z", ["01-01T08:00:30", "01-02T08:00:30"]),
        (daily("00:00"), "UTC", "2026-12-30T23:59Z", ["12-31T00:00"]),
        (daily("08:00"), "Asia/Kathmandu", "2026-01-01T00:00Z", ["01-01T02:15", "01-02T02:15"]),
        # In the gap: right after it. In the repeated hour: once, the first time.
        (daily("02:30"), "Europe/Berlin", "2026-03-28T00:00Z", ["03-28T01:30", "03-29T01:00", "03-30T00:30"]),
        (daily("02:00", "02:30", "03:00"), "Europe/Berlin", "2026-03-28T23:00Z", ["03-29T01:00", "03-30T00:00"]),
        (daily("02:30"), "Europe/Berlin", "2026-10-24T01:00Z", ["10-25T00:30", "10-26T01:30"]),
        (daily("02:30"), "Europe/Berlin", "2026-10-25T00:59Z", ["10-26T01:30"]),
        (daily("01:30"), "America/New_York", "2026-10-31T12:00Z", ["11-01T05:30", "11-02T06:30"]),
        (daily("02:30"), "America/New_York", "2026-03-07T12:00Z", ["03-08T07:00", "03-09T06:30"]),
        (daily("02:15"), "Australia/Lord_Howe", "2026-10-03T12:00Z", ["10-03T15:30", "10-04T15:15"]),
        (daily("01:45"), "Australia/Lord_Howe", "2026-04-04T12:00Z", ["04-04T14:45", "04-05T15:15"]),
        (daily("00:00"), "America/Sao_Paulo", "2018-11-03T12:00Z", ["11-04T03:00", "11-05T02:00"]),
        (daily("12:00"), "Pacific/Apia", "2011-12-29T12:00Z", ["12-29T22:00", "12-30T22:00"]),  # 29th and 31st there
        # Days
        (Calendar(at("09:00"), WEEKDAYS), "UTC", "2026-11-20T09:00Z", ["11-23T09:00", "11-24T09:00"]),
        (Calendar(at("09:30"), frozenset({0, 2, 4})), "UTC", "2026-11-20T10:00Z", ["11-23T09:30", "11-25T09:30"]),
        (Calendar(at("22:00"), SUNDAY), "UTC", "2026-11-20T00:00Z", ["11-22T22:00", "11-29T22:00"]),
        (Calendar(at("06:00"), month_day=31), "UTC", "2026-01-31T06:00Z", ["03-31T06:00", "05-31T06:00"]),
        (Calendar(at("06:00"), month_day=LAST), "UTC", "2028-01-31T06:00Z", ["02-29T06:00", "03-31T06:00"]),
        (Calendar(at("06:00"), month_day=1), "UTC", "2026-11-20T00:00Z", ["12-01T06:00"]),
        # Every real hour
        (Hourly(at("00:00")), "Europe/Berlin", "2026-03-29T00:00Z", ["03-29T01:00", "03-29T02:00"]),
        (Hourly(at("00:15", "00:45")), "UTC", "2026-01-01T23:20Z", ["01-01T23:45", "01-02T00:15"]),
        (Hourly(at("00:00:30")), "UTC", "2026-01-01T00:00Z", ["01-01T00:00:30", "01-01T01:00:30"]),
        (Hourly(at("00:00")), "Asia/Kathmandu", "2026-01-01T00:00Z", ["01-01T00:15", "01-01T01:15"]),
        (Hourly(at("00:45")), "Australia/Lord_Howe", "2026-04-04T14:00Z", ["04-04T14:45", "04-04T15:15"]),
        (Hourly(at("00:15")), "Australia/Lord_Howe", "2026-10-03T15:00Z", ["10-03T16:15", "10-03T17:15"]),
        # Cron with fixed times: as the calendar
        (Cron("30 2 1-31 * *"), "Europe/Berlin", "2026-03-28T23:00Z", ["03-29T01:00", "03-30T00:30"]),
        (Cron("0,30 2 * * *"), "Europe/Berlin", "2026-10-24T23:30Z", ["10-25T00:00", "10-25T00:30", "10-26T01:00"]),
        (Cron("0 9 * * 1-5"), "Europe/Berlin", "2026-10-23T08:00Z", ["10-26T08:00", "10-27T08:00"]),
        (Cron("0 0 29 2 *"), "UTC", "2026-01-01T00:00Z", ["02-29T00:00"]),
        (Cron("0 12 L * *"), "UTC", "2027-02-01T00:00Z", ["02-28T12:00", "03-31T12:00"]),
        (Cron("0 12 13 * fri"), "UTC", "2026-11-01T00:00Z", ["11-06T12:00", "11-13T12:00", "11-20T12:00"]),  # or
        (Cron("0 12 */13 * fri"), "UTC", "2026-11-01T00:00Z", ["11-27T12:00"]),  # and
        (Cron("0 12 * * 5#2"), "UTC", "2026-11-01T00:00Z", ["11-13T12:00", "12-11T12:00"]),
        (Cron("0-0/1 5-5/2 * * *"), "UTC", "2026-01-01T06:00Z", ["01-02T05:00", "01-03T05:00"]),  # 05:00 alone
        (Cron("0 12 * * mon-1/2,4-5/1"), "UTC", "2026-11-20T13:00Z", ["11-23T12:00", "11-26T12:00"]),
        (Cron("0 20/2 * * *"), "UTC", "2026-01-01T19:00Z", ["01-01T20:00", "01-01T22:00", "01-02T20:00"]),
        # Cron with a star in front: every real minute
        (Cron("*/30 2 * * *"), "Europe/Berlin", "2026-03-28T23:00Z", ["03-30T00:00"]),
        (
            Cron("*/30 2 * * *"),
            "Europe/Berlin",
            "2026-10-24T12:00Z",
            ["10-25T00:00", "10-25T00:30", "10-25T01:00", "10-25T01:30", "10-26T01:00"],
        ),
        (Cron("30 * * * *"), "Europe/Berlin", "2026-03-29T00:00Z", ["03-29T00:30", "03-29T01:30"]),
        (Cron("30 * * * *"), "Europe/Berlin", "2026-10-25T00:00Z", ["10-25T00:30", "10-25T01:30", "10-25T02:30"]),
        (Cron("0 */6 * * *"), "Pacific/Apia", "2011-12-30T05:00Z", ["12-30T10:00", "12-30T16:00"]),
        # Once
        (Once((moment("2026-03-29T02:30"),)), "Europe/Berlin", "2026-03-01T00:00Z", ["03-29T01:00"]),
        (
            Once((moment("2026-05-01T08:00+02:00"), moment("2026-04-01T08:00"))),
            "UTC",
            "2026-01-01T00:00Z",
            ["04-01T08:00", "05-01T06:00"],
        ),
    ],
)
def test_slots(schedule: Schedule, zone: str, after: str, expected: list[str]) -> None:
    found = islice(slots(schedule, ZoneInfo(zone), moment(after)), len(expected))
    assert [f"{slot:%m-%dT%H:%M:%S}".removesuffix(":00") for slot in found] == expected


@pytest.mark.parametrize(
    ("schedule", "zone"),
    [
        (Manual(), "UTC"),
        (Once((moment("2025-12-31T23:59:59"), moment("2026-01-01T00:00Z"))), "UTC"),
        (Once((moment("2011-12-30T12:00"),)), "Pacific/Apia"),
        (Calendar(()), "UTC"),
    ],
)
def test_without_a_slot_there_is_none(schedule: Schedule, zone: str) -> None:
    assert next_slot(schedule, ZoneInfo(zone), moment("2026-01-01T00:00Z")) is None


@pytest.mark.parametrize("zone", [UTC, BERLIN, ZoneInfo("Pacific/Kiritimati"), timezone(timedelta(hours=-12))])
@pytest.mark.parametrize(
    "schedule",
    [daily("08:00"), Hourly(at("00:00")), Cron("* * * * *"), Cron("0 0 29 2 *"), Every(86_400.0), Every(1e12)],
)
def test_the_calendar_ends_with_its_last_year(schedule: Schedule, zone: tzinfo) -> None:
    start = datetime(MAXYEAR, 12, 30, tzinfo=UTC)
    assert len(list(islice(slots(schedule, zone, start), 5000))) < 5000
    assert next_slot(schedule, zone, datetime.max.replace(tzinfo=UTC)) is None


@pytest.mark.parametrize(
    ("seconds", "after", "anchor", "expected"),
    [
        (900.0, "2026-01-01T08:07:00Z", None, "2026-01-01T08:22:00Z"),
        (900.0, "2026-01-01T08:07:00Z", "2026-01-01T08:00:00Z", "2026-01-01T08:15:00Z"),
        (900.0, "2026-01-01T08:15:00Z", "2026-01-01T08:00:00Z", "2026-01-01T08:30:00Z"),
        (900.0, "2026-01-01T07:00:00Z", "2026-01-01T08:00:00Z", "2026-01-01T08:15:00Z"),  # the clock was set back
        (0.25, "2026-01-01T08:00:00.3Z", "2026-01-01T08:00:00Z", "2026-01-01T08:00:00.5Z"),
        (0.1, "2027-01-01T00:00:00Z", "2026-01-01T00:00:00Z", "2027-01-01T00:00:00.1Z"),  # no rounding adds up
        (86_400.0, "2026-03-29T12:00:00+02:00", "2026-03-28T12:00:00+01:00", "2026-03-29T11:00:00Z"),  # 24 real hours
    ],
)
def test_every_counts_from_its_anchor(seconds: float, after: str, anchor: str | None, expected: str) -> None:
    found = next_slot(Every(seconds), BERLIN, moment(after), None if anchor is None else moment(anchor))
    assert found == moment(expected)


def test_all_slots_of_every_count_from_the_first() -> None:
    start = moment("2026-01-01T08:00:10Z")
    assert list(islice(slots(Every(60.0), UTC, start, moment("2026-01-01T08:00Z")), 2)) == [
        moment("2026-01-01T08:01Z"),
        moment("2026-01-01T08:02Z"),
    ]
    assert list(islice(slots(Every(60.0), UTC, start), 1)) == [start + timedelta(minutes=1)]


@pytest.mark.parametrize(
    ("schedule", "handled", "awake", "now", "catch_up", "lateness", "expected"),
    [
        # Nothing has come
        (daily("08:00"), "01T08:00", "01T00:00", "02T07:59", "latest", 3600, NOTHING),
        (Manual(), "01T08:00", "01T00:00", "09T00:00", "latest", 3600, NOTHING),
        (daily("08:00"), "02T08:00", "01T00:00", "02T07:00", "latest", 3600, NOTHING),
        # On time
        (daily("08:00"), "01T08:00", "01T00:00", "02T08:00", "none", 0, on_time("02T08:00")),
        (daily("08:00"), "01T08:00", "02T08:00", "02T08:00", "none", 0, on_time("02T08:00")),
        (daily("08:00"), "01T08:00", "01T00:00", "02T09:00", "none", 0, on_time("02T08:00")),
        (Every(60), "01T08:00", "01T00:00", "01T08:05", "latest", 60, on_time("01T08:05", 4, "01T08:04")),
        # Missed before, on time now
        (daily("08:00"), "01T08:00", "04T00:00", "04T08:00", "latest", 1e6, on_time("04T08:00", 2, "03T08:00")),
        # Missed, caught up
        (daily("08:00"), "01T08:00", "02T09:00", "02T09:00", "latest", 3600, late("02T08:00")),
        (daily("08:00"), "01T08:00", "04T09:00", "04T09:00", "latest", 3600, late("04T08:00", 2, "03T08:00")),
        (Every(300), "01T08:00", "01T09:01", "01T09:01", "latest", 3600, late("01T09:00", 11, "01T08:55")),
        # Missed for good: too late, or not to be caught up
        (daily("08:00"), "01T08:00", "02T09:01", "02T09:01", "latest", 3600, dropped(1, "02T08:00")),
        (daily("08:00"), "01T08:00", "04T09:00", "04T09:00", "none", 1e6, dropped(3, "04T08:00")),
        (Cron("*/5 * * * *"), "01T08:00", "01T09:01", "01T09:01", "none", 1e6, dropped(12, "01T09:00")),
    ],
)
def test_due(
    schedule: Schedule, handled: str, awake: str, now: str, catch_up: str, lateness: float, expected: Due
) -> None:
    found = due(
        schedule,
        UTC,
        handled_until=june(handled),
        now=june(now),
        awake_since=june(awake),
        catch_up=CatchUp(catch_up),
        max_lateness=lateness,
    )
    assert found == expected


@pytest.mark.parametrize("schedule", [Every(60.0), Cron("* * * * *"), Cron("0-59 * * 1-3 *"), Hourly(at("00:00"))])
def test_a_year_of_missed_slots_is_counted_only_so_far(schedule: Schedule) -> None:
    now = moment("2026-12-01T00:00:30Z")
    found = due(
        schedule,
        BERLIN,
        handled_until=now - timedelta(days=365, seconds=15),
        now=now,
        awake_since=now,
        catch_up=CatchUp.NONE,
        max_lateness=3600.0,
    )
    newest = found.newest_missed
    assert newest is not None
    assert next_slot(schedule, BERLIN, newest, newest - timedelta(minutes=1)) > now  # type: ignore[operator]
    assert found == Due(None, late=False, missed=MANY, newest_missed=newest)


@pytest.mark.parametrize(
    ("schedule", "now", "expected"),
    [
        (daily("08:00"), "2026-06-02T06:30Z", "2026-06-02T05:59:59.999999Z"),
        (daily("08:00", "08:15", "20:00"), "2026-06-02T06:30Z", "2026-06-02T06:14:59.999999Z"),
        (daily("08:00"), "2026-06-02T06:00Z", "2026-06-02T05:59:59.999999Z"),
        (daily("08:00"), "2026-06-02T05:59Z", "2026-06-02T05:59Z"),  # yesterday's does not count
        (daily("23:30"), "2026-06-02T22:10Z", "2026-06-02T22:10Z"),  # the local day began ten minutes ago
        (daily("00:05"), "2026-06-02T22:10Z", "2026-06-02T22:04:59.999999Z"),
        (Calendar(at("08:00"), SUNDAY), "2026-06-02T10:00Z", "2026-06-02T10:00Z"),
        (Hourly(at("00:00")), "2026-06-02T10:30Z", "2026-06-02T10:30Z"),
        (Cron("0 8 * * *"), "2026-06-02T10:30Z", "2026-06-02T10:30Z"),
        (Every(60.0), "2026-06-02T10:30Z", "2026-06-02T10:30Z"),
        (Once((moment("2026-06-02T08:00"),)), "2026-06-02T10:30Z", "2026-06-02T10:30Z"),
    ],
)
def test_a_task_never_seen_is_due_when_its_time_has_passed_today(schedule: Schedule, now: str, expected: str) -> None:
    seen = first_seen(schedule, BERLIN, moment(now))
    assert seen == moment(expected)
    today = due(
        schedule,
        BERLIN,
        handled_until=seen,
        now=moment(now),
        awake_since=moment(now),
        catch_up=CatchUp.LATEST,
        max_lateness=43_200.0,
    )
    assert (today.slot is not None) == (seen != moment(now))
    assert not today.missed


@pytest.mark.parametrize(
    ("schedule", "zone", "slot", "expected"),
    [
        (daily("02:30"), "Europe/Berlin", "2026-03-29T01:00Z", "clock change: 02:30 does not exist that day"),
        (Cron("30 2 * * *"), "Europe/Berlin", "2026-03-29T01:00Z", "clock change: 02:30 does not exist that day"),
        (daily("02:30", "03:00"), "Europe/Berlin", "2026-03-29T01:00Z", "clock change: 02:30 does not exist that day"),
        (
            Cron("0-59/15 2 * * *"),
            "Europe/Berlin",
            "2026-03-29T01:00Z",
            "clock change: 02:00, 02:15, 02:30 and 1 more do not exist that day",
        ),
        (daily("00:00"), "America/Sao_Paulo", "2018-11-04T03:00Z", "clock change: 00:00 does not exist that day"),
        (
            Once((moment("2026-03-29T02:30:15"),)),
            "Europe/Berlin",
            "2026-03-29T01:00Z",
            "clock change: 02:30:15 does not exist that day",
        ),
        (daily("03:00"), "Europe/Berlin", "2026-03-29T01:00Z", None),  # as ever
        (daily("02:30"), "Europe/Berlin", "2026-03-30T00:30Z", None),
        (daily("02:30"), "Europe/Berlin", "2026-10-25T00:30Z", None),  # the first of two: where it belongs
        (Hourly(at("00:00")), "Europe/Berlin", "2026-03-29T01:00Z", None),
        (Cron("*/30 * * * *"), "Europe/Berlin", "2026-03-29T01:00Z", None),
        (Every(3600.0), "Europe/Berlin", "2026-03-29T01:00Z", None),
        (Once((moment("2026-03-29T01:00Z"),)), "Europe/Berlin", "2026-03-29T01:00Z", None),
        (daily("00:00"), "Pacific/Apia", "2011-12-30T10:00Z", None),  # the 31st's own; the 30th's was dropped
    ],
)
def test_a_slot_that_a_clock_change_moved_has_a_note(
    schedule: Schedule, zone: str, slot: str, expected: str | None
) -> None:
    assert note(schedule, ZoneInfo(zone), moment(slot)) == expected


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        (Manual(), "by hand"),
        (Every(900.0), "every 15 min"),
        (Every(21_600.0), "every 6 h"),
        (Every(5400.0), "every 90 min"),
        (Every(0.25), "every 250 ms"),
        (Every(0.000_25), "every 0.00025 s"),
        (Every(172_800.0), "every 2 d"),
        (Hourly(at("00:15", "00:45:30")), "hourly at :15, :45:30"),
        (daily("18:00", "08:00"), "daily at 08:00, 18:00"),
        (Calendar(at("09:00"), WEEKDAYS), "weekdays at 09:00"),
        (Calendar(at("09:30"), frozenset({4, 0, 2})), "Mon, Wed, Fri at 09:30"),
        (Calendar(at("22:00"), SUNDAY), "Sun at 22:00"),
        (Calendar(at("00:00"), month_day=1), "day 1 of the month at 00:00"),
        (Calendar(at("00:00"), month_day=LAST), "last day of the month at 00:00"),
        (Calendar(at("00:00"), SUNDAY, 13), "day 13 of the month on Sun at 00:00"),
        (Cron("0 9 * * 1-5"), "cron 0 9 * * 1-5"),
        (
            Once((moment("2026-11-20T08:00:30"), moment("2026-11-19T08:00"))),
            "once at 2026-11-19 08:00, 2026-11-20 08:00:30",
        ),
        (Once((moment("2026-11-20T08:00+01:00"),)), "once at 2026-11-20 08:00+01:00"),
    ],
)
def test_schedules_in_words(schedule: Schedule, expected: str) -> None:
    assert describe(schedule) == expected


def test_the_fingerprint_differs_when_the_slots_do() -> None:
    different: list[Schedule] = [
        *(Manual(), Every(60.0), Every(60.5), Hourly(at("00:00")), Hourly(at("00:15")), Cron("0 9 * * *")),
        *(daily("00:00"), daily("00:15"), daily("00:15", "08:00"), Calendar(at("00:15"), SUNDAY), Cron("0 9 * * 1")),
        *(Calendar(at("00:15"), month_day=1), Calendar(at("00:15"), month_day=LAST)),
        *(Once((moment("2026-11-20T08:00"),)), Once((moment("2026-11-20T08:00Z"),))),
    ]
    assert len({fingerprint(schedule, "Europe/Berlin") for schedule in different}) == len(different)
    assert fingerprint(daily("08:00", "09:00"), "UTC") == fingerprint(daily("09:00", "08:00", "09:00"), "UTC")
    assert fingerprint(daily("08:00"), "UTC") != fingerprint(daily("08:00"), "Europe/Berlin")
    assert fingerprint(Every(60.0), "UTC") == fingerprint(Every(60.0), "Europe/Berlin")
