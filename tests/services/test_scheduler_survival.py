"""What becomes of slots and runs when the daemon dies or stops, the machine sleeps, or the clock is set."""

from datetime import time

import pytest
from manual_clock import START
from scheduling_site import FAILED, World, at, task

from orchestrator.config.model import CatchUp, Retry
from orchestrator.events import SchedulerChanged
from orchestrator.schedule.runs import Run, Trigger
from orchestrator.schedule.when import Calendar, Cron, Every, Manual

HOURLY = task(schedule=Every(3600.0))
DAILY = Calendar((time(8),))  # the clock starts at 23:30


@pytest.fixture
def world() -> World:
    return World()


# --- killed, and started again ---


async def test_what_ran_when_the_daemon_was_killed_is_interrupted_and_retried_as_another_run(world: World) -> None:
    world.actions.takes["t"] = 5.0
    async with world.serving(task(), killed=True):
        await world.clock.advance(12)
    assert world.store.told() == [("schedule", "…")]
    async with world.serving(task()):
        await world.clock.advance(7.5)
        assert world.store.told() == [("schedule", "interrupted"), ("retry", "success")]
    first, second = list(world.store.rows.values())[:2]
    assert first.run_id != second.run_id
    assert (first.slot, first.retries, second.slot, second.retries) == (at(10), 3, at(10), 2)


def not_written(run: Run) -> None:
    """Killed before the database's thread came to it."""


@pytest.mark.parametrize("trigger", [Trigger.MANUAL, Trigger.CHANGE, Trigger.AFTER])
async def test_what_had_just_begun_is_not_begun_again(world: World, trigger: Trigger) -> None:
    world.actions.takes["t"] = 5.0
    once = task(schedule=Manual(), retry=Retry(max=0))
    world.store.begun = not_written  # type: ignore[method-assign]
    async with world.serving(once, killed=True) as scheduler:
        await scheduler.fire("t", trigger)
        await world.clock.advance(1)
    async with world.serving(once):
        await world.clock.advance(10)
    assert world.store.told() == [(trigger.value, "interrupted")]
    assert len(world.actions.began) == 1


async def test_an_attempt_that_had_just_begun_after_a_wait_is_not_made_again(world: World) -> None:
    world.actions.results["t"] = [FAILED]
    once = task(schedule=Manual(), retry=Retry(max=1))
    world.store.begun = not_written  # type: ignore[method-assign]
    async with world.serving(once, killed=True) as scheduler:
        await scheduler.fire("t", Trigger.MANUAL)
        await world.clock.advance(0.5)
        world.actions.takes["t"] = 5.0
        await world.clock.advance(2)
        assert len(world.actions.began) == 2
    async with world.serving(task(schedule=Manual(), retry=Retry(max=0))):
        await world.clock.advance(10)
    assert world.store.told()[0] == ("manual", "interrupted")


async def test_without_retries_what_was_interrupted_stays_so(world: World) -> None:
    world.actions.takes["t"] = 5.0
    async with world.serving(task(retry=Retry(max=0)), killed=True):
        await world.clock.advance(12)
    async with world.serving(task(retry=Retry(max=0))):
        await world.clock.advance(7.5)
    assert world.store.told() == [("schedule", "interrupted")]


async def test_a_daemon_that_dies_again_and_again_uses_its_retries_up(world: World) -> None:
    world.actions.takes["t"] = 1000.0
    once = task(schedule=Manual(), timeout=5000.0, retry=Retry(max=2))
    async with world.serving(once, killed=True) as scheduler:
        await scheduler.fire("t", Trigger.MANUAL)
        await world.clock.advance(1)
    for _ in range(5):
        async with world.serving(once, killed=True):
            await world.clock.advance(10)
    assert world.store.told() == [("manual", "interrupted"), ("retry", "interrupted"), ("retry", "interrupted")]


async def test_a_slot_that_was_claimed_and_had_not_come_is_never_run_twice(world: World) -> None:
    async with world.serving(task(retry=Retry(max=0)), killed=True):
        await world.clock.advance(9.9)
    async with world.serving(task(retry=Retry(max=0))):
        await world.clock.advance(11)
    assert world.actions.times() == [20]
    assert world.store.told() == [("schedule", "interrupted"), ("schedule", "success")]


async def test_what_only_waited_when_the_daemon_died_still_waits(world: World) -> None:
    world.settings = {"max_concurrent": 1}
    world.actions.takes["long"] = 30.0
    tasks = (task("long", schedule=Manual(), retry=Retry(max=0)), task("t", schedule=Manual()))
    async with world.serving(*tasks, killed=True) as scheduler:
        await scheduler.fire("long", Trigger.MANUAL)
        await world.clock.advance(1)
        await scheduler.fire("t", Trigger.MANUAL)
        await world.clock.advance(1)
    async with world.serving(*tasks):
        await world.clock.advance(1)
    assert world.store.told("t") == [("manual", "success")]


async def test_what_waited_for_too_long_was_missed(world: World) -> None:
    world.settings = {"max_concurrent": 1}
    world.actions.takes["long"] = 30.0
    tasks = (task("long", schedule=Manual()), task("t", schedule=Manual(), max_lateness=3600.0))
    async with world.serving(*tasks, killed=True) as scheduler:
        await scheduler.fire("long", Trigger.MANUAL)
        await world.clock.advance(1)
        await scheduler.fire("t", Trigger.MANUAL)
        await world.clock.advance(1)
    world.clock.step(3700)
    async with world.serving(*tasks):
        await world.clock.advance(1)
    assert world.store.told("t") == [("manual", "missed")]


async def test_the_wait_for_a_retry_goes_on_over_a_restart(world: World) -> None:
    world.actions.results["t"] = [FAILED]
    slow = task(schedule=Manual(), retry=Retry(initial=100.0))
    async with world.serving(slow, killed=True) as scheduler:
        await scheduler.fire("t", Trigger.MANUAL)
        await world.clock.advance(50)
    async with world.serving(slow):
        await world.clock.advance(30)
        assert len(world.actions.began) == 1
        await world.clock.advance(31)
        assert len(world.actions.began) == 2
    assert world.store.told() == [("manual", "success")]
    assert next(iter(world.store.rows.values())).attempts == 2


async def test_an_orderly_stop_interrupts_what_runs_and_keeps_what_waits(world: World) -> None:
    world.settings = {"max_concurrent": 1}
    world.actions.takes["long"] = 30.0
    tasks = (task("long", schedule=Manual()), task("t", schedule=Manual()))
    async with world.serving(*tasks) as scheduler:
        await scheduler.fire("long", Trigger.MANUAL)
        await world.clock.advance(1)
        await scheduler.fire("t", Trigger.MANUAL)
        await world.clock.advance(1)
    assert world.actions.died == ["long"]
    assert world.store.told("long") == [("manual", "interrupted"), ("retry", "…")]
    assert world.store.told("t") == [("manual", "…")]
    world.actions.takes.clear()
    async with world.serving(*tasks):
        await world.clock.advance(2)
    assert world.store.told("long") == [("manual", "interrupted"), ("retry", "success")]
    assert world.store.told("t") == [("manual", "success")]


# --- down or asleep over slots ---


@pytest.mark.parametrize(
    ("down", "told"),
    [
        (30, []),
        (3600, [("catch_up", "success")]),
        (3 * 3600, [("schedule", "missed"), ("catch_up", "success")]),
        (14 * 3600, [("schedule", "missed"), ("catch_up", "success")]),
    ],
)
async def test_a_daemon_that_was_down_catches_up_once(world: World, down: float, told: list[tuple[str, str]]) -> None:
    async with world.serving(HOURLY):
        await world.clock.advance(1)
    world.clock.step(down)
    async with world.serving(HOURLY):
        await world.clock.advance(1)
    assert world.store.told() == told


async def test_after_a_catch_up_an_interval_goes_on_in_its_old_beat(world: World) -> None:
    async with world.serving(HOURLY):
        await world.clock.advance(1)
    world.clock.step(2.5 * 3600)
    async with world.serving(HOURLY):
        await world.clock.advance(3600)
    assert world.actions.times() == [9001, 3 * 3600]


async def test_what_is_too_late_or_not_to_be_caught_up_is_on_record_as_missed(world: World) -> None:
    tasks = (
        task("late", schedule=DAILY, max_lateness=3600.0),
        task("never", schedule=DAILY, catch_up=CatchUp.NONE),
    )
    world.clock.step(-20 * 3600)  # 3:30
    async with world.serving(*tasks):
        await world.clock.advance(5 * 3600)
    world.clock.step(31 * 3600)
    async with world.serving(*tasks):
        await world.clock.advance(1)
    for name in ("late", "never"):
        assert world.store.told(name) == [("schedule", "success"), ("schedule", "missed")]


async def test_a_suspended_machine_is_noticed_and_caught_up(world: World) -> None:
    world.clock.step(-20 * 3600)  # 3:30
    async with world.serving(task(schedule=DAILY), task("c", schedule=Cron("*/10 * * * *"))):
        await world.clock.advance(5)
        world.clock.step(9 * 3600)  # the monotonic clock stands still meanwhile
        await world.clock.advance(31)
        assert world.store.told() == [("catch_up", "success")]
        assert world.store.told("c") == [("schedule", "missed"), ("catch_up", "success")]
        await world.clock.advance(600)
        assert world.store.told("c")[2:] == [("schedule", "success")]
    noticed = [fact.change for fact in world.facts if isinstance(fact, SchedulerChanged)]
    assert noticed[0].startswith("the machine slept")


@pytest.mark.parametrize("back", [3600, 86_400])
async def test_a_clock_set_back_runs_no_slot_twice_and_stops_nothing(world: World, back: float) -> None:
    schedule = Cron("* * * * *")
    async with world.serving(task(), task("c", schedule=schedule)):
        await world.clock.advance(301)
        world.clock.step(-back)
        await world.clock.advance(600)
    slots = [row.slot for row in world.store.rows.values() if row.task == "c"]
    assert len(slots) == len(set(slots))
    times = world.actions.times()
    assert times[:30] == [10.0 * number for number in range(1, 31)]
    assert len(times) >= 85  # an interval starts anew when it is noticed, at most 30 s later
    assert len(world.actions.times("c")) >= 14


async def test_a_daily_task_that_was_never_run_is_due_when_its_time_has_passed_today(world: World) -> None:
    tasks = (
        task("daily", schedule=DAILY),
        task("however late", schedule=DAILY, max_lateness=60.0),
        task("cron", schedule=Cron("0 8 * * *")),
    )
    world.clock.step(-12 * 3600)  # 11:30
    async with world.serving(*tasks):
        await world.clock.advance(1)
    assert world.store.told("daily") == [("catch_up", "success")]
    assert world.store.told("however late") == [("catch_up", "success")]
    assert world.store.told("cron") == []
    assert next(iter(world.store.rows.values())).slot == START.replace(hour=8, minute=0)


async def test_summer_time_moves_a_fixed_slot_right_behind_the_gap(world: World) -> None:
    world.zone = "Europe/Berlin"
    world.clock.step((at(0).replace(year=2027, month=3, day=28, hour=0, minute=0) - START).total_seconds())
    async with world.serving(task(schedule=Cron("30 2 * * *"))):
        await world.clock.advance(2 * 3600)
    slots = [row.slot for row in world.store.rows.values()]
    assert slots == [at(0).replace(year=2027, month=3, day=28, hour=1, minute=0)]
