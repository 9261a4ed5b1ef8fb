"""What `aiemp next` makes of tasks: which ones, from where, in which order, and the clock changes between."""

from datetime import UTC, datetime, time, timedelta
from itertools import islice
from zoneinfo import ZoneInfo

import pytest

from orchestrator.cli.next import Memory, anchor, choose, coming, with_changes
from orchestrator.config.model import Builtin, TaskConfig
from orchestrator.errors import UsageError
from orchestrator.schedule.when import Calendar, Cron, Every, Manual, Schedule, fingerprint

BERLIN = ZoneInfo("Europe/Berlin")
START = datetime(2026, 10, 24, 10, tzinfo=UTC)


def task(name: str, schedule: Schedule | None = None, *, enabled: bool = True) -> TaskConfig:
    return TaskConfig(name, Builtin("health_update"), schedule or Manual(), enabled=enabled)


def memory(handled_until: datetime = START, schedule: str = "", *, enabled: bool | None = None) -> Memory:
    return Memory(handled_until, schedule, enabled)


TASKS = {each.name: each for each in (task("one"), task("two", enabled=False), task("twenty"))}


@pytest.mark.parametrize(
    ("names", "memories", "expected"),
    [
        ([], {}, ["one", "twenty"]),
        ([], {"two": memory(enabled=True), "one": memory(enabled=False)}, ["two", "twenty"]),
        ([], {"two": memory(), "one": memory()}, ["one", "twenty"]),
        (["two"], {}, ["two"]),
        (["tw*", "two"], {}, ["two", "twenty"]),
        (["one"], {"one": memory(enabled=False)}, ["one"]),
    ],
)
def test_disabled_tasks_are_shown_when_they_are_named(
    names: list[str], memories: dict[str, Memory], expected: list[str]
) -> None:
    assert [each.name for each in choose(TASKS, memories, names)] == expected


def test_every_unknown_name_is_told() -> None:
    with pytest.raises(UsageError, match="no task is called three, f\\*; there are one, two, twenty"):
        choose(TASKS, {}, ["one", "three", "f*"])
    with pytest.raises(UsageError, match="there are none"):
        choose({}, {}, ["one"])


@pytest.mark.parametrize(
    ("remembered", "schedule", "expected"),
    [
        (None, "", 60),
        (-7, "every 60000000 us", 53),
        (-60, "every 60000000 us", 60),
        (-3607, "every 60000000 us", 53),
        (3607, "every 60000000 us", 7),  # asked about the past
        (-7, "every 90000000 us", 60),  # it had another interval then
    ],
)
def test_every_counts_from_the_remembered_slot(remembered: int | None, schedule: str, expected: int) -> None:
    every = task("e", Every(60.0))
    known = None if remembered is None else memory(START + timedelta(seconds=remembered), schedule)
    found = coming([every], {"e": anchor(every, known, START, "UTC")}, UTC, START, until=None, count=2)
    assert [(slot - START).total_seconds() for slot, _ in found] == [expected, expected + 60]


def test_the_rest_asks_nobody_what_was_before() -> None:
    daily = task("d", Calendar((time(8),)))
    known = memory(START + timedelta(days=9), fingerprint(daily.schedule, "UTC"))
    assert anchor(daily, known, START, "UTC") == START


def test_slots_come_in_time_order_and_so_many_of_each_task() -> None:
    tasks = [task("a", Every(600.0)), task("b", Every(900.0)), task("c", Manual()), task("d", Every(1800.0))]
    found = list(coming(tasks, dict.fromkeys("abcd", START), UTC, START, until=None, count=3))
    assert [slot for slot, _ in found] == sorted(slot for slot, _ in found)
    # At 10, 15, 20, 30 (three of them), 45, 60 and 90 minutes; within one instant in the order of the tasks.
    assert "".join(each.name for _, each in found) == "abaabdbdd"


def test_days_are_twenty_four_hours_each_with_their_end() -> None:
    every = task("e", Every(86_400.0))
    found = list(coming([every], {"e": START}, BERLIN, START, until=START + timedelta(days=2), count=None))
    assert [slot - START for slot, _ in found] == [timedelta(days=1), timedelta(days=2)]


def lines(schedule: Schedule, *, until: datetime | None) -> list[tuple[str, str]]:
    found = coming([task("t", schedule)], {"t": START}, BERLIN, START, until=until, count=None if until else 4)
    shown = with_changes(found, BERLIN, START, until)
    return [
        (f"{line.at:%m-%d %H:%M %z}", line.text if line.task is None else f"{line.task} {line.text}") for line in shown
    ]


def test_clock_changes_stand_between_the_slots() -> None:
    change = ("10-25 02:00 +0100", "clocks go back from 03:00 to 02:00")
    assert lines(Cron("*/30 2 * * *"), until=None) == [
        ("10-25 02:00 +0200", "t "),
        ("10-25 02:30 +0200", "t "),
        change,
        ("10-25 02:00 +0100", "t the second 02:00 of that day"),
        ("10-25 02:30 +0100", "t the second 02:30 of that day"),
    ]
    tuesdays = Calendar((time(8),), frozenset({1}))
    assert lines(tuesdays, until=START + timedelta(days=7)) == [change, ("10-27 08:00 +0100", "t ")]
    assert lines(tuesdays, until=START + timedelta(days=2)) == [change]
    assert lines(tuesdays, until=None)[0] == ("10-27 08:00 +0100", "t ")


def test_a_jump_over_midnight_is_told_with_its_dates() -> None:
    apia = ZoneInfo("Pacific/Apia")
    start = datetime(2011, 12, 29, 12, tzinfo=UTC)
    found = coming([task("t", Calendar((time(8),)))], {"t": start}, apia, start, until=None, count=2)
    first, second, third = islice(with_changes(found, apia, start, start + timedelta(days=2)), 3)
    assert (first.task, second.task, third.task) == ("t", None, "t")
    assert second.text == "clocks go forward from 2011-12-30 00:00 to 2011-12-31 00:00"
    assert f"{third.at:%m-%d %H:%M %z}" == "12-31 08:00 +1400"
