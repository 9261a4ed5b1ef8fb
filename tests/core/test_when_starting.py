"""Schedules that begin at a moment: no slot before it, and from there on the slots that one would expect."""

from collections.abc import Iterator
from datetime import UTC, datetime, time, timedelta
from itertools import islice, takewhile
from zoneinfo import ZoneInfo

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from test_when_oracle import MEANINGS, PLACES, Meaning, Place, due_by_hand, oracle

from orchestrator.cli.next import Memory, anchor, coming
from orchestrator.config.model import CatchUp, Command, TaskConfig
from orchestrator.schedule.book import Book
from orchestrator.schedule.cron import check_cron
from orchestrator.schedule.runs import TaskState
from orchestrator.schedule.when import (
    Calendar,
    Cron,
    Every,
    Hourly,
    Regular,
    Starting,
    describe,
    due,
    fingerprint,
    first_seen,
    next_slot,
    note,
    plain,
    slots,
)

BERLIN = ZoneInfo("Europe/Berlin")
EIGHT = Calendar((time(8),))
HOUR = timedelta(hours=1)
MICROSECOND = timedelta(microseconds=1)


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)


def local(text: str) -> datetime:
    """Give the instant at which it is this late in Berlin."""
    return moment(text).replace(tzinfo=BERLIN).astimezone(UTC)


@pytest.mark.parametrize(
    ("schedule", "start", "after", "expected"),
    [
        # An interval: the start itself, then counted from it, wherever one asks from.
        (Every(5400.0), "2026-12-01T08:00", "2026-11-25T00:00", ["12-01T08:00", "12-01T09:30", "12-01T11:00"]),
        (Every(5400.0), "2026-12-01T08:00", "2026-12-01T07:59:59", ["12-01T08:00", "12-01T09:30"]),
        (Every(5400.0), "2026-12-01T08:00", "2026-12-01T08:00", ["12-01T09:30", "12-01T11:00"]),
        (Every(5400.0), "2026-12-01T08:00", "2026-12-01T09:29", ["12-01T09:30", "12-01T11:00"]),
        (Every(5400.0), "2026-12-01T08:00+01:00", "2026-12-02T00:01", ["12-02T00:30", "12-02T02:00"]),
        (Every(86_400.0), "2026-10-24T08:00", "2026-10-20T00:00", ["10-24T08:00", "10-25T07:00", "10-26T07:00"]),
        (Every(86_400.0), "2026-03-29T02:30", "2026-03-20T00:00", ["03-29T03:00", "03-30T03:00"]),  # in the gap
        # The rest: its own slots, from then on.
        (EIGHT, "2026-12-01", "2026-11-25T00:00", ["12-01T08:00", "12-02T08:00"]),
        (EIGHT, "2026-12-01T08:00", "2026-11-25T00:00", ["12-01T08:00", "12-02T08:00"]),
        (EIGHT, "2026-12-01T08:00:01", "2026-11-25T00:00", ["12-02T08:00", "12-03T08:00"]),
        (EIGHT, "2026-12-01T07:00Z", "2026-12-01T08:00", ["12-02T08:00"]),
        (Calendar((time(2, 30),)), "2026-03-29T02:30", "2026-03-01T00:00", ["03-29T03:00", "03-30T02:30"]),
        (Calendar((time(2, 30),)), "2026-10-25T02:30", "2026-10-25T00:00", ["10-25T02:30", "10-26T02:30"]),
        (Calendar((time(2, 30),)), "2026-10-25T01:30Z", "2026-10-25T00:00", ["10-26T02:30"]),  # the second 02:30
        (Hourly((time(0, 15),)), "2026-12-01T08:16", "2026-11-25T00:00", ["12-01T09:15", "12-01T10:15"]),
        (Cron("0 9 * * 1-5"), "2026-12-05", "2026-11-25T00:00", ["12-07T09:00", "12-08T09:00"]),
        (Cron("0 9 * * 1-5"), "2020-01-01", "2026-11-25T10:00", ["11-26T09:00", "11-27T09:00"]),
    ],
)
def test_slots(schedule: Regular, start: str, after: str, expected: list[str]) -> None:
    found = islice(slots(Starting(schedule, moment(start)), BERLIN, local(after)), len(expected))
    assert [f"{slot.astimezone(BERLIN):%m-%dT%H:%M}" for slot in found] == expected


def test_a_start_that_a_new_clock_skipped_is_an_instant_all_the_same() -> None:
    apia = ZoneInfo("Pacific/Apia")
    starting = Starting(Every(3600.0), moment("2011-12-30T12:00"))  # a day that never was there
    assert next_slot(starting, apia, moment("2011-12-01T00:00Z")) == moment("2011-12-30T22:00Z")


def test_what_an_interval_was_remembered_by_does_not_shift_it() -> None:
    starting = Starting(Every(3600.0), moment("2026-12-01T08:00Z"))
    after = moment("2026-12-01T10:20Z")
    assert next_slot(starting, UTC, after, after) == moment("2026-12-01T11:00Z")
    assert next_slot(starting, UTC, after, after - timedelta(minutes=7)) == moment("2026-12-01T11:00Z")


def test_the_calendar_ends_for_these_too() -> None:
    for schedule in (Every(86_400.0), EIGHT, Cron("0 0 1 1 *")):
        starting = Starting(schedule, moment("2026-01-01T00:00Z"))
        assert next_slot(starting, UTC, datetime.max.replace(tzinfo=UTC)) is None


# --- properties ---

OFFSETS = st.timedeltas(timedelta(days=-2), timedelta(days=5))


def _start(place: Place, offset: timedelta, *, naive: bool) -> tuple[datetime, datetime]:
    """A start as it may be written, and the instant that it means."""
    instant = (place.start + offset).replace(second=0, microsecond=0)
    if not naive:
        return instant.astimezone(place.zone), instant
    shown = instant.astimezone(place.zone)
    assume(not shown.fold)  # a naive time means the first of two
    return shown.replace(tzinfo=None), instant


def _fires(meaning: Meaning) -> bool:
    if isinstance(meaning.schedule, Cron):
        try:
            check_cron(meaning.schedule.expression)
        except ValueError:
            return False
    return True


def _up_to(place: Place, schedule: Starting) -> list[datetime]:
    return list(takewhile(lambda slot: slot <= place.end, slots(schedule, place.zone, place.start)))


@given(MEANINGS.filter(_fires), PLACES, OFFSETS, st.booleans())
def test_the_slots_are_those_of_the_plain_schedule_from_the_start_on(
    meaning: Meaning,
    place: Place,
    offset: timedelta,
    naive: bool,  # noqa: FBT001  hypothesis gives it by position
) -> None:
    assert isinstance(meaning.schedule, Hourly | Calendar | Cron)
    written, start = _start(place, offset, naive=naive)
    found = _up_to(place, Starting(meaning.schedule, written))
    assert found == [slot for slot in oracle(meaning, place) if slot >= start]


def _counted(start: datetime, step: timedelta, place: Place) -> Iterator[datetime]:
    """All from the start on, one by one."""
    slot = start
    while slot <= place.end:
        if slot > place.start:
            yield slot
        slot += step


STEPS = st.integers(20, 10**6).map(lambda tenths: Every(tenths * 30.1))


@given(STEPS, PLACES, OFFSETS, st.booleans())
def test_an_interval_is_counted_from_the_start(
    every: Every,
    place: Place,
    offset: timedelta,
    naive: bool,  # noqa: FBT001  as above
) -> None:
    written, start = _start(place, offset, naive=naive)
    assert _up_to(place, Starting(every, written)) == list(_counted(start, every.step, place))


@given(
    MEANINGS.filter(_fires).map(lambda meaning: meaning.schedule) | STEPS,
    PLACES,
    OFFSETS,
    st.floats(0, 1),
    st.floats(0, 3 * 86_400),
    st.sampled_from(CatchUp),
)
def test_what_is_due_is_what_a_list_of_all_slots_says(
    schedule: Regular, place: Place, offset: timedelta, awake: float, max_lateness: float, catch_up: CatchUp
) -> None:
    starting = Starting(schedule, (place.start + offset).replace(microsecond=0))
    awake_since = place.start + awake * (place.end - place.start)
    found = due(
        starting,
        place.zone,
        handled_until=place.start,
        now=place.end,
        awake_since=awake_since,
        catch_up=catch_up,
        max_lateness=max_lateness,
    )
    assert found == due_by_hand(_up_to(place, starting), place.end, awake_since, catch_up, max_lateness)


# --- what is due of a task never seen before ---


@pytest.mark.parametrize(
    ("schedule", "start", "now", "expected"),
    [
        (EIGHT, "2026-12-01", "2026-11-25T09:00", None),  # today's is before the start
        (EIGHT, "2026-11-25T08:30", "2026-11-25T09:00", None),
        (EIGHT, "2026-11-25T08:00", "2026-11-25T09:00", "2026-11-25T08:00"),
        (EIGHT, "2026-11-01", "2026-11-25T09:00", "2026-11-25T08:00"),
        (EIGHT, "2026-11-01", "2026-11-25T07:00", None),
        (Calendar((time(8), time(8, 45))), "2026-11-25T08:30", "2026-11-25T09:00", "2026-11-25T08:45"),
        (Every(3600.0), "2026-11-25T07:30", "2026-11-25T09:00", None),
        (Cron("0 8 * * *"), "2026-11-01", "2026-11-25T09:00", None),
    ],
)
def test_a_task_never_seen_is_due_when_its_time_has_passed_today(
    schedule: Regular, start: str, now: str, expected: str | None
) -> None:
    starting, seen_at = Starting(schedule, moment(start)), local(now)
    seen = first_seen(starting, BERLIN, seen_at)
    assert seen == (seen_at if expected is None else local(expected) - MICROSECOND)
    today = due(
        starting,
        BERLIN,
        handled_until=seen,
        now=seen_at,
        awake_since=seen_at,
        catch_up=CatchUp.LATEST,
        max_lateness=43_200.0,
    )
    assert (today.slot, today.missed) == (None if expected is None else local(expected), 0)


# --- in words, and as a fingerprint ---


@pytest.mark.parametrize(
    ("schedule", "start", "expected"),
    [
        (EIGHT, "2026-12-01", "daily at 08:00 from 2026-12-01"),
        (EIGHT, "2026-12-01T08:00", "daily at 08:00 from 2026-12-01 08:00"),
        (Every(900.0), "2026-12-01T08:00:30", "every 15 min from 2026-12-01 08:00:30"),
        (Cron("0 9 * * 1-5"), "2026-12-01T00:00+01:00", "cron 0 9 * * 1-5 from 2026-12-01 00:00+01:00"),
    ],
)
def test_in_words(schedule: Regular, start: str, expected: str) -> None:
    assert describe(Starting(schedule, moment(start))) == expected


def test_the_fingerprint_differs_when_the_slots_do() -> None:
    every = Every(60.0)
    different = [
        *(fingerprint(every, "UTC"), fingerprint(EIGHT, "UTC")),
        *(fingerprint(Starting(every, moment(f"2026-12-0{day}")), "UTC") for day in (1, 2)),
        fingerprint(Starting(every, moment("2026-12-01")), "Europe/Berlin"),
        fingerprint(Starting(EIGHT, moment("2026-12-01")), "UTC"),
        fingerprint(Starting(EIGHT, moment("2026-12-01T00:00+05:00")), "UTC"),
    ]
    assert len(set(different)) == len(different)
    same = [Starting(every, moment(text)) for text in ("2026-12-01T08:00Z", "2026-12-01T09:00+01:00")]
    assert fingerprint(same[0], "UTC") == fingerprint(same[1], "UTC")


def test_a_slot_that_a_clock_change_moved_has_its_note() -> None:
    starting = Starting(Calendar((time(2, 30),)), moment("2026-03-01"))
    slot = moment("2026-03-29T01:00Z")
    assert note(starting, BERLIN, slot) == "clock change: 02:30 does not exist that day"
    assert note(Starting(Every(3600.0), moment("2026-03-01")), BERLIN, slot) is None


def test_the_plain_schedule() -> None:
    assert plain(Starting(EIGHT, moment("2026-12-01"))) is plain(EIGHT) is EIGHT


# --- in the book of all tasks ---

START = datetime(2026, 12, 1, 8, tzinfo=UTC)


def _task(schedule: Regular, start: datetime = START) -> TaskConfig:
    return TaskConfig("a", Command(("true",)), Starting(schedule, start))


def _book(task: TaskConfig, now: datetime, state: TaskState | None = None) -> Book:
    book = Book()
    book.load([task], {} if state is None else {task.name: state}, UTC, "UTC", now)
    return book


@pytest.mark.parametrize(
    ("now", "expected"),
    [
        (START - 9 * HOUR, START),
        (START, START + HOUR),
        (START + 90 * timedelta(minutes=1), START + 2 * HOUR),  # seen for the first time long after the start
    ],
)
def test_an_interval_goes_on_in_the_same_rhythm_whatever_happens(now: datetime, expected: datetime) -> None:
    task = _task(Every(3600.0))
    book = _book(task, now)
    entry = book.entries["a"]
    assert entry.next == expected
    assert book.look(entry, now, now).missed == 0
    later = START + timedelta(hours=30, minutes=17)
    state = TaskState("a", later, entry.state.schedule)  # enabled again, or taken up by another daemon, at `later`
    assert _book(task, later, state).entries["a"].next == START + 31 * HOUR
    book.remember(entry, state)
    assert entry.next == START + 31 * HOUR
    (set_back,) = book.set_back(START - timedelta(minutes=5))
    assert (entry.state, entry.next) == (set_back, START)


def test_another_start_begins_anew() -> None:
    now = START + timedelta(hours=5, minutes=1)
    before = _book(_task(Every(3600.0)), now).entries["a"].state
    entry = _book(_task(Every(3600.0), START + timedelta(minutes=30)), now + HOUR, before).entries["a"]
    assert (entry.state.handled_until, entry.next) == (now + HOUR, START + timedelta(hours=6, minutes=30))


def test_a_calendar_that_never_ran_is_due_however_late_on_that_day() -> None:
    now = START.replace(hour=23)
    task = TaskConfig("a", Command(("true",)), Starting(EIGHT, START), max_lateness=60.0)
    book = _book(task, now)
    assert book.look(book.entries["a"], now, now).slot == START


def test_next_knows_the_start() -> None:
    """`aiemp next` from before it, and from long after, with and without something remembered."""
    task = _task(Every(3600.0))
    memory = Memory(START + timedelta(minutes=1), fingerprint(task.schedule, "UTC"), None)
    for start, expected in ((START - 99 * HOUR, START), (START + timedelta(minutes=61), START + 2 * HOUR)):
        for known in (None, memory):
            anchors = {"a": anchor(task, known, start, "UTC")}
            found = [slot for slot, _ in coming([task], anchors, UTC, start, until=None, count=2)]
            assert found == [expected, expected + HOUR]
