"""Wall-clock times as instants: real zones, and what their clocks did."""

from datetime import MAXYEAR, UTC, datetime, timedelta, timezone, tzinfo
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.schedule.zone import changes, first_instant, offset

NAMES = [
    *("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kathmandu", "Pacific/Apia", "UTC"),
    *("America/Sao_Paulo", "America/Havana", "Antarctica/Troll", "Antarctica/Casey", "Africa/Casablanca"),
    *("Asia/Pyongyang", "Asia/Beirut", "America/St_Johns", "Pacific/Chatham", "Pacific/Kwajalein", "Asia/Manila"),
]
FIXED = [UTC, timezone(timedelta(hours=14)), timezone(timedelta(hours=-12)), timezone(timedelta(seconds=1))]
ZONES: list[tzinfo] = [*map(ZoneInfo, NAMES), *FIXED]


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


@pytest.mark.parametrize(
    ("zone", "wall", "expected"),
    [
        ("Europe/Berlin", "2026-01-15T08:00", "2026-01-15T07:00Z"),
        ("Europe/Berlin", "2026-07-15T08:00", "2026-07-15T06:00Z"),
        ("Europe/Berlin", "2026-03-29T01:59:59", "2026-03-29T00:59:59Z"),
        ("Europe/Berlin", "2026-03-29T02:00", "2026-03-29T01:00Z"),  # in the gap
        ("Europe/Berlin", "2026-03-29T02:30", "2026-03-29T01:00Z"),
        ("Europe/Berlin", "2026-03-29T02:59:59.999999", "2026-03-29T01:00Z"),
        ("Europe/Berlin", "2026-03-29T03:00", "2026-03-29T01:00Z"),
        ("Europe/Berlin", "2026-10-25T02:00", "2026-10-25T00:00Z"),  # twice: the first
        ("Europe/Berlin", "2026-10-25T02:30", "2026-10-25T00:30Z"),
        ("Europe/Berlin", "2026-10-25T03:00", "2026-10-25T02:00Z"),
        ("America/New_York", "2026-03-08T02:30", "2026-03-08T07:00Z"),
        ("America/New_York", "2026-11-01T01:30", "2026-11-01T05:30Z"),
        ("Australia/Lord_Howe", "2026-10-04T02:15", "2026-10-03T15:30Z"),  # clocks go forward by half an hour
        ("Australia/Lord_Howe", "2026-04-05T01:45", "2026-04-04T14:45Z"),
        ("Asia/Kathmandu", "2026-06-01T08:00", "2026-06-01T02:15Z"),
        ("Asia/Kathmandu", "1986-01-01T00:10", "1985-12-31T18:30Z"),  # clocks went forward by 15 minutes
        ("America/Sao_Paulo", "2018-11-04T00:00", "2018-11-04T03:00Z"),  # no midnight that day
        ("Asia/Beirut", "2022-03-27T00:30", "2022-03-26T22:00Z"),
        ("Asia/Pyongyang", "2018-05-04T23:45", "2018-05-04T15:00Z"),  # the gap ends with the day
        ("Antarctica/Casey", "2011-10-28T03:00", "2011-10-27T18:00Z"),  # three hours are no new clock yet
        ("Pacific/Apia", "2011-12-29T23:59", "2011-12-30T09:59Z"),
        ("Pacific/Apia", "2011-12-30T12:00", None),  # this day never was
        ("Pacific/Apia", "2011-12-31T00:00", "2011-12-30T10:00Z"),
        ("UTC", "2026-03-29T02:30", "2026-03-29T02:30Z"),
    ],
)
def test_the_instant_of_a_wall_clock_time(zone: str, wall: str, expected: str | None) -> None:
    assert first_instant(ZoneInfo(zone), moment(wall)) == (moment(expected) if expected else None)


@pytest.mark.parametrize(
    ("zone", "year", "expected"),
    [
        ("Europe/Berlin", 2026, ["2026-03-29T01:00Z", "2026-10-25T01:00Z"]),
        ("America/New_York", 2026, ["2026-03-08T07:00Z", "2026-11-01T06:00Z"]),
        ("Australia/Lord_Howe", 2026, ["2026-04-04T15:00Z", "2026-10-03T15:30Z"]),
        ("Asia/Kathmandu", 2026, []),
        ("Pacific/Apia", 2011, ["2011-04-02T14:00Z", "2011-09-24T14:00Z", "2011-12-30T10:00Z"]),
        ("Africa/Casablanca", 2026, ["2026-02-15T02:00Z", "2026-03-22T02:00Z"]),  # Ramadan
        ("UTC", 2026, []),
    ],
)
def test_the_changes_of_a_year(zone: str, year: int, expected: list[str]) -> None:
    start = datetime(year, 1, 1, tzinfo=UTC)
    found = list(changes(ZoneInfo(zone), start, start.replace(year=year + 1)))
    assert [change.at for change in found] == [moment(text) for text in expected]
    for change in found:
        assert offset(ZoneInfo(zone), change.at) == change.after
        assert offset(ZoneInfo(zone), change.at - timedelta(microseconds=1)) == change.before
        assert change.shown_after - change.shown_before == change.jump


def test_a_change_belongs_to_the_span_that_ends_with_it() -> None:
    berlin, at = ZoneInfo("Europe/Berlin"), moment("2026-03-29T01:00Z")
    second = timedelta(seconds=1)
    assert [change.at for change in changes(berlin, at - second, at)] == [at]
    assert not list(changes(berlin, at, at + second))
    assert not list(changes(berlin, at - 2 * second, at - second))


class NewYear(tzinfo):
    """Clocks that go forward by an hour at the first instant of 2030, UTC."""

    def utcoffset(self, wall: datetime | None) -> timedelta:
        assert wall is not None
        turn = datetime(2030, 1, 1, 0 if wall.fold else 1)  # noqa: DTZ001  a wall-clock time
        return timedelta(hours=wall.replace(tzinfo=None, fold=0) >= turn)

    def dst(self, _: datetime | None, /) -> None:
        return None

    def tzname(self, _: datetime | None, /) -> str:
        return "NewYear"

    def fromutc(self, wall: datetime) -> datetime:
        return wall + timedelta(hours=wall.year >= 2030)


def test_a_change_at_new_year_is_found_once() -> None:
    at = moment("2030-01-01T00:00Z")
    assert [change.at for change in changes(NewYear(), moment("2029-01-01T00:00Z"), moment("2031-01-01T00:00Z"))] == [
        at
    ]
    assert [change.at for change in changes(NewYear(), moment("2029-12-31T23:59Z"), at)] == [at]
    assert first_instant(NewYear(), datetime(2030, 1, 1, 0, 30)) == at  # noqa: DTZ001  a wall-clock time


def test_changes_lie_where_the_zone_has_them_to_the_second() -> None:
    """Liberia's clocks were 44.5 minutes behind until 1972."""
    at = moment("1972-01-07T00:44:30Z")
    days = timedelta(days=30)
    assert [change.at for change in changes(ZoneInfo("Africa/Monrovia"), at - days, at + days)] == [at]


@pytest.mark.parametrize("zone", ZONES, ids=str)
@pytest.mark.parametrize("year", [1, 2, 9998, MAXYEAR])
def test_the_ends_of_the_calendar_are_no_trouble(zone: tzinfo, year: int) -> None:
    list(changes(zone, datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, tzinfo=UTC)))


@given(st.sampled_from(ZONES), st.datetimes(datetime(1970, 1, 3), datetime(2060, 1, 1)))  # noqa: DTZ001  wall-clock times
def test_the_clocks_show_what_was_asked_for_or_skip_it(zone: tzinfo, wall: datetime) -> None:
    found = first_instant(zone, wall)
    around = list(
        changes(zone, wall.replace(tzinfo=UTC) - timedelta(days=2), wall.replace(tzinfo=UTC) + timedelta(days=2))
    )
    gaps = [change for change in around if change.shown_before <= wall < change.shown_after]
    if found is None:
        assert gaps[0].jump > timedelta(hours=3)
    elif gaps:
        assert found == gaps[0].at
    else:
        assert (found.astimezone(zone).replace(tzinfo=None, fold=0)) == wall
        assert not found.astimezone(zone).fold  # the first of two


@given(
    st.sampled_from(ZONES),
    st.datetimes(datetime(1995, 1, 1), datetime(2040, 1, 1)),  # noqa: DTZ001  wall-clock times
    st.timedeltas(timedelta(0), timedelta(days=2)),
)
def test_later_on_the_wall_is_never_earlier(zone: tzinfo, wall: datetime, more: timedelta) -> None:
    first, second = first_instant(zone, wall), first_instant(zone, wall + more)
    if first is not None and second is not None:
        assert first <= second
