"""The slots that when.py gives, against an oracle that walks real time and looks at the clock on the wall.

The oracle knows nothing of instants computed from wall-clock times: minute by minute (here: half a minute) it sees what
the clocks show, and whether they just skipped something or show it again.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, time, timedelta, timezone, tzinfo
from itertools import takewhile
from zoneinfo import ZoneInfo

from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.config.model import CatchUp
from orchestrator.schedule.cron import check_cron
from orchestrator.schedule.when import (
    LAST,
    MANY,
    Calendar,
    Cron,
    Due,
    Every,
    Hourly,
    Schedule,
    due,
    next_slot,
    note,
    slots,
)

TICK = timedelta(seconds=30)
DAY = timedelta(days=1)

# Places and days on which their clocks did something, UTC.
CHANGES = [
    ("Europe/Berlin", "2026-03-29"),
    ("Europe/Berlin", "2026-10-25"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-04"),
    ("Australia/Lord_Howe", "2026-10-03"),
    ("America/Sao_Paulo", "2018-11-04"),  # no midnight
    ("America/Sao_Paulo", "2018-02-18"),  # midnight twice
    ("America/Havana", "2026-03-08"),
    ("Asia/Beirut", "2022-03-26"),
    ("Antarctica/Troll", "2026-03-29"),  # two hours
    ("Antarctica/Troll", "2026-10-25"),
    ("Antarctica/Casey", "2011-10-27"),  # three hours back
    ("Antarctica/Casey", "2010-03-04"),
    ("Antarctica/Casey", "2020-10-03"),
    ("Africa/Casablanca", "2026-02-15"),
    ("Asia/Pyongyang", "2015-08-14"),
    ("Asia/Pyongyang", "2018-05-04"),
    ("America/Caracas", "2016-05-01"),
    ("Pacific/Chatham", "2026-09-26"),
    ("Pacific/Apia", "2011-12-30"),  # the day that never was
    ("Pacific/Kwajalein", "1993-08-21"),
    ("Asia/Kathmandu", "1985-12-31"),
    ("UTC", "2026-02-28"),
    ("Asia/Kathmandu", "2028-02-28"),
]


@dataclass(frozen=True)
class Place:
    zone: tzinfo
    start: datetime
    days: int

    @property
    def end(self) -> datetime:
        return self.start + self.days * DAY


def _place(named: tuple[str, str], before: timedelta, days: int) -> Place:
    return Place(ZoneInfo(named[0]), datetime.fromisoformat(f"{named[1]}T00:00Z") - before, days)


FIXED_OFFSETS = st.integers(-14 * 60, 14 * 60).map(lambda minutes: timezone(timedelta(minutes=minutes)))
PLACES = st.one_of(
    st.builds(
        _place,
        st.sampled_from(CHANGES),
        st.timedeltas(timedelta(0), 2 * DAY),
        st.integers(1, 4),
    ),
    st.builds(Place, FIXED_OFFSETS, st.datetimes(datetime(2020, 1, 1), timezones=st.just(UTC)), st.integers(1, 3)),  # noqa: DTZ001
)


# What a person means, as plain conditions on what the clocks show.


@dataclass(frozen=True)
class Meaning:
    """A schedule, whether it fires whenever the clocks show a matching time, and which times match."""

    schedule: Schedule
    each_time: bool
    matches: Callable[[datetime], bool]


def last_of_month(day: date) -> bool:
    return (day + DAY).month != day.month


CLOCKS = st.builds(time, st.integers(0, 23), st.integers(0, 59), st.sampled_from([0, 0, 0, 30]))
NIGHTLY = st.builds(time, st.integers(0, 4), st.sampled_from([0, 15, 30, 45, 59]))  # when clocks are changed
TIMES = st.lists(CLOCKS | NIGHTLY, min_size=1, max_size=4).map(tuple)


def _calendar(times: tuple[time, ...], weekdays: frozenset[int], month_day: int | str | None) -> Meaning:
    def matches(shown: datetime) -> bool:
        if shown.time() not in times or shown.weekday() not in weekdays:
            return False
        return month_day is None or (last_of_month(shown) if month_day == LAST else shown.day == month_day)

    return Meaning(Calendar(times, weekdays, month_day), False, matches)  # noqa: FBT003


def _hourly(times: list[time]) -> Meaning:
    return Meaning(
        Hourly(tuple(each.replace(hour=0) for each in times)),
        True,  # noqa: FBT003
        lambda shown: any((shown.minute, shown.second) == (each.minute, each.second) for each in times),
    )


@dataclass(frozen=True)
class Field:
    text: str
    values: frozenset[int]

    @property
    def starred(self) -> bool:
        return self.text.startswith("*")


def fields(least: int, most: int, mostly: int | None = None) -> st.SearchStrategy[Field]:
    """Give a field of values from `least` to `most`, and named ones up to `mostly` only."""
    everything = range(least, most + 1)
    values = st.integers(least, mostly or most)
    ranges = st.tuples(values, values).map(sorted).map(tuple)
    steps = st.integers(1, most)
    plain = st.one_of(
        st.just(Field("*", frozenset(everything))),
        steps.map(lambda step: Field(f"*/{step}", frozenset(everything[::step]))),
        values.map(lambda value: Field(f"{value}", frozenset({value}))),
        ranges.map(lambda ends: Field(f"{ends[0]}-{ends[1]}", frozenset(range(ends[0], ends[1] + 1)))),
        st.tuples(ranges, steps).map(
            lambda found: Field(
                f"{found[0][0]}-{found[0][1]}/{found[1]}", frozenset(range(found[0][0], found[0][1] + 1, found[1]))
            )
        ),
    )
    return st.lists(plain, min_size=1, max_size=2).map(
        lambda parts: Field(",".join(part.text for part in parts), frozenset().union(*(part.values for part in parts)))
    )


def _cron(minute: Field, hour: Field, day: Field, month: Field, weekday: Field) -> Meaning:
    def matches(shown: datetime) -> bool:
        if shown.second or shown.minute not in minute.values or shown.hour not in hour.values:
            return False
        on_day, on_weekday = shown.day in day.values, shown.isoweekday() % 7 in {each % 7 for each in weekday.values}
        both = day.starred or weekday.starred
        return shown.month in month.values and (on_day and on_weekday if both else on_day or on_weekday)

    expression = " ".join(field.text for field in (minute, hour, day, month, weekday))
    return Meaning(Cron(expression), minute.starred or hour.starred, matches)


ANY_DAY = Field("*", frozenset(range(1, 32)))
ANY_MONTH = Field("*", frozenset(range(1, 13)))
ANY_WEEKDAY = Field("*", frozenset(range(7)))
MEANINGS = st.one_of(
    st.builds(
        _calendar,
        TIMES,
        st.just(frozenset(range(7))) | st.frozensets(st.integers(0, 6), min_size=1),
        st.none() | st.integers(1, 31) | st.just(LAST),
    ),
    st.builds(_calendar, TIMES, st.just(frozenset(range(7))), st.none()),
    st.builds(_hourly, st.lists(CLOCKS | NIGHTLY, min_size=1, max_size=3)),
    st.builds(_cron, fields(0, 59), fields(0, 23), st.just(ANY_DAY), st.just(ANY_MONTH), st.just(ANY_WEEKDAY)),
    st.builds(_cron, fields(0, 59), fields(0, 23, 4), fields(1, 31), fields(1, 12), fields(0, 7)),
)


def oracle(meaning: Meaning, place: Place) -> Iterator[datetime]:
    """Walk real time and fire by what the clocks show.

    Every matching time fires when it is shown, or each time it is; what the clocks jumped over fires at the jump,
    unless they jumped over more than three hours.
    """
    # Begins early enough to have seen what may be shown again at the start.
    shown_before = set[datetime]()
    now = place.start.replace(second=0, microsecond=0) - DAY
    last = (now - TICK).astimezone(place.zone).replace(tzinfo=None)
    while now <= place.end:
        shown = now.astimezone(place.zone).replace(tzinfo=None, fold=0)
        fires = meaning.matches(shown) and (meaning.each_time or shown not in shown_before)
        if not meaning.each_time and TICK < shown - last <= timedelta(hours=3) + TICK:
            skipped = last + TICK
            while skipped < shown:
                fires = fires or (skipped not in shown_before and meaning.matches(skipped))
                skipped += TICK
        shown_before.add(shown)
        if fires and now > place.start:
            yield now
        last, now = shown, now + TICK


def computed(schedule: Schedule, place: Place) -> list[datetime]:
    return list(takewhile(lambda slot: slot <= place.end, slots(schedule, place.zone, place.start)))


def test_the_oracle_knows_the_rules() -> None:
    """By hand, for one gap and one repeated hour."""
    half_past_two = _calendar((time(2, 30),), frozenset(range(7)), None)
    each_half_past_two = replace(half_past_two, each_time=True)
    spring = Place(ZoneInfo("Europe/Berlin"), datetime(2026, 3, 28, 12, tzinfo=UTC), 1)
    autumn = Place(ZoneInfo("Europe/Berlin"), datetime(2026, 10, 24, 12, tzinfo=UTC), 1)
    assert list(oracle(half_past_two, spring)) == [datetime(2026, 3, 29, 1, tzinfo=UTC)]
    assert not list(oracle(each_half_past_two, spring))
    assert list(oracle(half_past_two, autumn)) == [datetime(2026, 10, 25, 0, 30, tzinfo=UTC)]
    assert list(oracle(each_half_past_two, autumn)) == [
        datetime(2026, 10, 25, 0, 30, tzinfo=UTC),
        datetime(2026, 10, 25, 1, 30, tzinfo=UTC),
    ]


@given(MEANINGS, PLACES)
def test_the_slots_are_those_of_whoever_watches_the_clock(meaning: Meaning, place: Place) -> None:
    expected = list(oracle(meaning, place))
    if isinstance(meaning.schedule, Cron) and expected:
        assert check_cron(meaning.schedule.expression) == meaning.schedule.expression
    elif isinstance(meaning.schedule, Cron):
        try:
            check_cron(meaning.schedule.expression)
        except ValueError as error:
            assert "never fires" in str(error)  # noqa: PT017  most do not raise
            return
    assert computed(meaning.schedule, place) == expected


@given(MEANINGS, PLACES)
def test_a_note_is_for_slots_whose_own_time_the_clocks_do_not_show(meaning: Meaning, place: Place) -> None:
    for slot in oracle(meaning, place):
        moved = not meaning.matches(slot.astimezone(place.zone).replace(tzinfo=None, fold=0))
        found = note(meaning.schedule, place.zone, slot)
        assert found is not None or not moved
        assert found is None or not meaning.each_time


def due_by_hand(
    all_slots: list[datetime], now: datetime, awake_since: datetime, catch_up: CatchUp, max_lateness: float
) -> Due:
    """Judge the slots that have come, all of them in a list."""
    run, is_late = None, False
    if any(slot >= awake_since for slot in all_slots):
        run = all_slots[-1]
    elif all_slots and catch_up is CatchUp.LATEST and now - all_slots[-1] <= timedelta(seconds=max_lateness):
        run, is_late = all_slots[-1], True
    missed = [slot for slot in all_slots if slot != run]
    return Due(run, is_late, min(MANY, len(missed)), missed[-1] if missed else None)


@given(
    MEANINGS.map(lambda meaning: meaning.schedule) | st.floats(20.0, 1e5).map(Every),
    PLACES,
    st.floats(0, 1),
    st.floats(0, 3 * 86_400),
    st.sampled_from(CatchUp),
)
@example(Cron("* * * * *"), _place(("UTC", "2026-02-28"), timedelta(0), 4), 1.0, 86_400.0, CatchUp.LATEST)
def test_what_is_due_is_what_a_list_of_all_slots_says(
    schedule: Schedule, place: Place, awake: float, max_lateness: float, catch_up: CatchUp
) -> None:
    if isinstance(schedule, Cron):
        try:
            check_cron(schedule.expression)
        except ValueError:
            return
    awake_since = place.start + awake * (place.end - place.start)
    found = due(
        schedule,
        place.zone,
        handled_until=place.start,
        now=place.end,
        awake_since=awake_since,
        catch_up=catch_up,
        max_lateness=max_lateness,
    )
    assert found == due_by_hand(computed(schedule, place), place.end, awake_since, catch_up, max_lateness)
    # At its very slot it is due as well, and nothing else is.
    if found.slot is not None:
        at_it = due(
            schedule,
            place.zone,
            handled_until=found.newest_missed or place.start,
            now=found.slot,
            awake_since=found.slot,
            catch_up=catch_up,
            max_lateness=max_lateness,
        )
        assert at_it == Due(found.slot, late=False, missed=0, newest_missed=None)


@given(MEANINGS, PLACES, st.timedeltas(timedelta(0), 3 * DAY))
def test_where_one_asks_from_does_not_matter(meaning: Meaning, place: Place, later: timedelta) -> None:
    """The next slot is the same from anywhere before it."""
    if isinstance(meaning.schedule, Cron):
        try:
            check_cron(meaning.schedule.expression)
        except ValueError:
            return
    first = next_slot(meaning.schedule, place.zone, place.start)
    between = place.start + later
    if first is not None and between < first:
        assert next_slot(meaning.schedule, place.zone, between) == first
        assert next_slot(meaning.schedule, place.zone, first - timedelta(microseconds=1)) == first
