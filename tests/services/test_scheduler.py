"""The schedule on a manual clock: slots, overlaps, lanes, retries, time-outs, chains."""

from datetime import datetime, time
from typing import Any

import pytest
from manual_clock import START
from scheduling_site import FAILED, OK, World, at, task

from orchestrator.config.model import Overlap, Priority, Retry
from orchestrator.events import RunFinished, RunRetrying, TaskChanged
from orchestrator.schedule.runs import Outcome, Result, Trigger
from orchestrator.schedule.when import Calendar, Cron, Every, Manual, Once

SUCCESS = ("schedule", "success")


@pytest.fixture
def world() -> World:
    return World()


# --- slots ---


async def test_every_slot_runs_once_at_its_instant_and_does_not_drift(world: World) -> None:
    world.actions.takes["t"] = 3.0
    async with world.serving(task()):
        await world.clock.advance(61)
    assert world.actions.times() == [10, 20, 30, 40, 50, 60]
    assert world.store.told() == [SUCCESS] * 5 + [("schedule", "interrupted"), ("retry", "…")]


async def test_a_slot_is_written_down_before_it_runs(world: World) -> None:
    async with world.serving(task()):
        await world.clock.advance(9.9)
        assert world.store.told() == [("schedule", "…")]
        assert world.actions.began == []
        await world.clock.advance(0.1)
        assert world.actions.times() == [10]


@pytest.mark.parametrize(
    ("schedule", "times"),
    [
        (Calendar((time(23, 31), time(23, 32))), [60, 120]),
        (Cron("*/2 * * * *"), [120, 240]),
        (Cron("0 9 * * *"), []),
        (Once((datetime(2026, 11, 20, 23, 30, 5),)), [5]),  # noqa: DTZ001  of the schedule's zone
        (Every(0.5), [number * 0.5 for number in range(1, 601)]),
        (Manual(), []),
    ],
)
async def test_schedules_of_every_kind(world: World, schedule: Any, times: list[float]) -> None:
    async with world.serving(task(schedule=schedule)):
        await world.clock.advance(300)
    assert world.actions.times() == times


async def test_five_hundred_at_one_moment_all_run_at_it_within_the_limit(world: World) -> None:
    world.settings = {"max_concurrent": 50}
    names = [f"t{number}" for number in range(500)]
    for name in names:
        world.actions.takes[name] = 0.01
    async with world.serving(*(task(name) for name in names)):
        await world.clock.advance(11)
    assert sorted(name for name, _ in world.actions.began) == sorted(names)
    assert world.actions.most == 50


async def test_nothing_runs_that_cannot_be_written_down_and_no_slot_is_lost(world: World) -> None:
    async with world.serving(task()) as scheduler:
        world.store.broken = True
        await world.clock.advance(21)
        assert world.actions.began == []
        assert scheduler.state == "error"
        assert "the disk is full" in world.problems.lines()[0]
        world.store.broken = False
        await world.clock.advance(8)
        assert scheduler.state == "idle"
        assert world.problems.lines() == []
    assert [outcome for _, outcome in world.store.told()] == ["missed", "success"]


# --- conditions, priorities, lanes, overlaps ---


async def test_without_a_file_that_it_is_for_a_run_is_skipped(world: World) -> None:
    async with world.serving(task(only_if_any=("Inbox/*",))):
        await world.clock.advance(10)
        world.there.add("Inbox/*")
        await world.clock.advance(10)
    assert world.store.told() == [("schedule", "skipped"), SUCCESS]
    assert world.actions.times() == [20]


async def test_the_more_urgent_go_first_and_a_lane_holds_one_at_a_time(world: World) -> None:
    world.settings = {"max_concurrent": 2}
    priorities = {"low": Priority.LOW, "critical": Priority.CRITICAL, "normal": Priority.NORMAL, "high": Priority.HIGH}
    lanes = {"critical": "agent", "high": "agent"}
    for name in priorities:
        world.actions.takes[name] = 1.0
    tasks = [task(name, priority=priority, lane=lanes.get(name)) for name, priority in priorities.items()]
    async with world.serving(*tasks):
        await world.clock.advance(15)
    assert world.actions.began == [("critical", 10.0), ("normal", 10.0), ("high", 11.0), ("low", 11.0)]


@pytest.mark.parametrize(
    ("overlap", "told", "times"),
    [
        (Overlap.SKIP, ["success", "skipped", "skipped", "success"], [10, 40]),
        (Overlap.QUEUE, ["success", "success", "skipped", "success"], [10, 35, 60]),
        (Overlap.CANCEL, ["cancelled", "cancelled", "cancelled", "success"], [10, 20, 30, 40]),
    ],
)
async def test_a_slot_that_comes_during_an_earlier_run(
    world: World, overlap: Overlap, told: list[str], times: list[float]
) -> None:
    world.actions.takes["t"] = 25.0
    async with world.serving(task(overlap=overlap)) as scheduler:
        await world.clock.advance(40)
        scheduler.enable("t", enabled=False)
        await world.clock.advance(60)
    assert [outcome for _, outcome in world.store.told()] == told
    assert world.actions.times() == times


# --- attempts ---


async def test_failures_are_retried_with_growing_waits_under_one_run(world: World) -> None:
    world.actions.results["t"] = [FAILED, FAILED, FAILED, OK]
    async with world.serving(task(schedule=Manual())) as scheduler:
        run = (await scheduler.fire("t", Trigger.MANUAL)).run
        await world.clock.advance(0.5)
        assert world.store.rows[run.run_id].phase == "retrying"
        assert world.store.rows[run.run_id].retry_at is not None
        await world.clock.advance(20)
    assert world.store.told() == [("manual", "success")]
    assert run.attempts == 4
    first, second, third, fourth = world.actions.times()
    assert (second - first, third - second, fourth - third) == pytest.approx((1, 2, 4), rel=0.11)
    assert [fact.attempt for fact in world.facts if isinstance(fact, RunRetrying)] == [1, 2, 3]


async def test_a_run_that_only_fails_fails_after_its_last_attempt(world: World) -> None:
    world.actions.results["t"] = [FAILED] * 9
    async with world.serving(task(schedule=Manual(), retry=Retry(max=1))) as scheduler:
        run = (await scheduler.fire("t", Trigger.MANUAL)).run
        await world.clock.advance(20)
    assert (run.outcome, run.attempts, run.error) == (Outcome.FAILURE, 2, "no")


async def test_a_run_that_takes_too_long_is_ended_and_not_tried_again(world: World) -> None:
    world.actions.takes["t"] = 99.0
    async with world.serving(task(schedule=Manual(), timeout=2.0)) as scheduler:
        run = (await scheduler.fire("t", Trigger.MANUAL)).run
        await world.clock.advance(30)
    assert (run.outcome, run.duration, world.actions.died) == (Outcome.TIMEOUT, 2.0, ["t"])


async def test_while_it_waits_for_its_retry_a_run_takes_no_room(world: World) -> None:
    world.settings = {"max_concurrent": 1}
    world.actions.results["a"] = [FAILED]
    tasks = (task("a", schedule=Manual(), retry=Retry(initial=60.0, max_delay=60.0)), task("b", schedule=Manual()))
    async with world.serving(*tasks) as scheduler:
        await scheduler.fire("a", Trigger.MANUAL)
        await world.clock.advance(1)
        await scheduler.fire("b", Trigger.MANUAL)
        await world.clock.advance(1)
        assert world.store.told("b") == [("manual", "success")]


async def test_cancelling_ends_a_run_whatever_it_is_at(world: World) -> None:
    world.settings = {"max_concurrent": 1}
    world.actions.takes["running"] = 99.0
    world.actions.results["retrying"] = [FAILED]
    names = ("retrying", "running", "queued")
    async with world.serving(*(task(name, schedule=Manual()) for name in names)) as scheduler:
        for name in names:
            await scheduler.fire(name, Trigger.MANUAL)
            await world.clock.advance(0.1)
        for name in names:
            (active,) = scheduler.view(name).active
            assert active.run.phase == name
            scheduler.cancel(active, "enough")
        await world.clock.advance(0)
        assert [world.store.told(name) for name in names] == [[("manual", "cancelled")]] * 3
        assert scheduler.state == "idle"
        world.actions.takes.clear()
        await scheduler.fire("running", Trigger.MANUAL)  # nothing holds the only place
        await world.clock.advance(1)
    assert world.store.told("running")[-1] == ("manual", "success")


async def test_nothing_secret_is_recorded(world: World) -> None:
    world.actions.results["t"] = [Result(Outcome.FAILURE, "it is hunter22", "hunter22 was wrong")]
    async with world.serving(task(schedule=Manual(), retry=Retry(max=0))) as scheduler:
        run = (await scheduler.fire("t", Trigger.MANUAL)).run
        await world.clock.advance(1)
    assert (run.output, run.error) == ("it is ***", "*** was wrong")
    (fact,) = (fact for fact in world.facts if isinstance(fact, RunFinished))
    assert fact.error == "*** was wrong"


# --- what else sets runs off ---


async def test_a_chain_follows_success_only_and_a_manual_one_too(world: World) -> None:
    world.actions.results["a"] = [OK, FAILED]
    tasks = (
        task("a", schedule=Manual(), retry=Retry(max=0)),
        task("b", schedule=Manual(), after=("a",)),
        task("c", schedule=Manual(), after=("b",)),
        task("off", schedule=Manual(), after=("a",), enabled=False),
    )
    async with world.serving(*tasks) as scheduler:
        await scheduler.fire("a", Trigger.MANUAL)
        await world.clock.advance(1)
        await scheduler.fire("a", Trigger.MANUAL)
        await world.clock.advance(1)
    assert world.store.told("b") == world.store.told("c") == [("after", "success")]
    assert world.store.told("off") == []


async def test_a_change_during_a_run_is_followed_up_once_it_is_over(world: World) -> None:
    world.actions.takes["t"] = 5.0
    async with world.serving(task(schedule=Manual(), on_change=("*.md",))) as scheduler:
        for _ in range(4):
            scheduler.changed("t", world.clock.t)
            await world.clock.advance(1)
        await world.clock.advance(10)
    assert world.store.told() == [("change", "success"), ("change", "success")]


@pytest.mark.parametrize("takes", [0.1, 5.0])
async def test_a_task_that_sets_itself_off_is_slowed_down_and_a_change_from_outside_frees_it(
    world: World, takes: float
) -> None:
    world.actions.takes["t"] = takes
    async with world.serving(task(schedule=Manual(), on_change=("*.md",))) as scheduler:
        scheduler.changed("t", world.clock.t)
        passed_on = 0
        for _ in range(800):  # what a run has written is passed on half a second later, or a second
            await world.clock.advance(0.5)
            if len(world.actions.wrote) > passed_on and world.clock.t - world.actions.wrote[-1] >= 0.5:
                passed_on = len(world.actions.wrote)
                scheduler.changed("t", world.actions.wrote[-1])
        began = world.actions.times()
        assert began[6] - began[5] > 60
        assert began[7] - began[6] > 120
        assert "set off again and again" in world.problems.lines()[0]
        await world.clock.advance(4000)
        before = len(world.actions.began)
        scheduler.changed("t", world.clock.t)  # somebody else's
        await world.clock.advance(10)
        assert len(world.actions.began) == before + 1
        assert world.problems.lines() == []


async def test_who_edits_a_lot_during_a_long_run_is_not_taken_for_it(world: World) -> None:
    world.actions.takes["t"] = 600.0
    async with world.serving(task(schedule=Manual(), on_change=("*.md",))) as scheduler:
        scheduler.changed("t", world.clock.t)
        for _ in range(20):
            await world.clock.advance(20)
            scheduler.changed("t", world.clock.t)
        await world.clock.advance(300)
        scheduler.changed("t", world.clock.t)  # during the follow-up
        await world.clock.advance(1000)
        assert world.actions.times() == [0, 600, 1200]
        assert world.problems.lines() == []


async def test_after_so_many_successes_a_task_disables_itself(world: World) -> None:
    world.actions.results["t"] = [FAILED, OK, OK]
    async with world.serving(task(max_runs=2, retry=Retry(max=0))) as scheduler:
        await world.clock.advance(100)
        assert not scheduler.entries["t"].enabled
    assert [outcome for _, outcome in world.store.told()] == ["failure", "success", "success"]
    assert [fact.reason for fact in world.facts if isinstance(fact, TaskChanged)] == [
        "it has succeeded 2 times, as max_runs says"
    ]
    async with world.serving(task(max_runs=2)) as scheduler:  # the next daemon keeps to it
        await world.clock.advance(50)
        assert len(world.store.told()) == 3
        scheduler.enable("t", enabled=True)
        await world.clock.advance(100)
    assert len(world.store.told()) == 5


# --- what people decide ---


async def test_what_passes_while_a_task_is_disabled_was_not_missed(world: World) -> None:
    async with world.serving(task(schedule=Calendar((time(23, 31),)))) as scheduler:
        assert scheduler.enable("t", enabled=False)
        assert not scheduler.enable("t", enabled=False)
        await world.clock.advance(120)
        scheduler.enable("t", enabled=True)
        await world.clock.advance(120)
        assert world.store.told() == []
        assert scheduler.view("t").entry.next == at(86_460)


async def test_a_pause_starts_nothing_outlives_the_daemon_and_is_caught_up(world: World) -> None:
    async with world.serving(task()) as scheduler:
        scheduler.pause(paused=True)
        await world.clock.advance(60)
        assert (scheduler.state, world.store.told()) == ("paused", [])
        await scheduler.fire("t", Trigger.MANUAL)  # a person may still run it
        await world.clock.advance(1)
    async with world.serving(task()) as scheduler:
        assert scheduler.state == "paused"
        await world.clock.advance(60)
        scheduler.pause(paused=False)
        await world.clock.advance(1)
    assert world.store.told() == [("manual", "success"), ("schedule", "missed"), ("catch_up", "success")]


async def test_a_pause_holds_what_already_waits_but_not_what_a_person_asks_for(world: World) -> None:
    world.settings = {"max_concurrent": 1}
    world.actions.takes["long"] = 5.0
    world.actions.results["retrying"] = [FAILED]
    tasks = (
        task("long", schedule=Manual()),
        task("queued", schedule=Every(1.0), overlap=Overlap.QUEUE),
        task("retrying", schedule=Manual(), retry=Retry(initial=8.0)),
        task("by hand", schedule=Manual()),
    )
    async with world.serving(*tasks) as scheduler:
        await scheduler.fire("retrying", Trigger.CHANGE)
        await world.clock.advance(0.5)
        await scheduler.fire("long", Trigger.MANUAL)
        await world.clock.advance(2)
        await scheduler.fire("by hand", Trigger.MANUAL)
        scheduler.pause(paused=True)
        await world.clock.advance(20)
        assert [name for name, _ in world.actions.began] == ["retrying", "long", "by hand"]
        assert scheduler.view("queued").active[0].run.phase == "queued"
        scheduler.pause(paused=False)
        await world.clock.advance(1)
        assert {"queued", "retrying"} <= {name for name, _ in world.actions.began[3:]}


async def test_missed_slots_are_told_like_runs(world: World) -> None:
    async with world.serving(task()):
        await world.clock.advance(1)
    world.clock.step(60)
    async with world.serving(task()):
        await world.clock.advance(1)
    told = [fact.outcome for fact in world.facts if isinstance(fact, RunFinished)]
    assert told == ["missed", "success"]


async def test_what_is_decided_a_moment_before_a_slot_still_holds_for_it(world: World) -> None:
    async with world.serving(task("off"), task("t")) as scheduler:
        await world.clock.advance(9.9)
        assert world.store.told() == world.store.told("off") == [("schedule", "…")]
        scheduler.enable("off", enabled=False)
        scheduler.pause(paused=True)
        await world.clock.advance(1)
        assert world.store.told() == world.store.told("off") == []
        scheduler.pause(paused=False)
        await world.clock.advance(1)
        assert world.store.told() == [("catch_up", "success")]
        await world.clock.advance(9)
    assert world.store.told() == [("catch_up", "success"), SUCCESS]
    assert world.actions.times() == [10.9, 20]
    assert world.store.told("off") == []


async def test_a_task_that_is_gone_takes_its_runs_along(world: World) -> None:
    world.actions.takes["t"] = 99.0
    async with world.serving(task()) as scheduler:
        await world.clock.advance(11)
        await scheduler.load(world.config(), [task("other")])
        await world.clock.advance(1)
        assert world.store.told() == [("schedule", "cancelled")]
        assert list(scheduler.entries) == ["other"]


async def test_another_schedule_counts_from_its_change_on(world: World) -> None:
    async with world.serving(task(schedule=Calendar((time(23, 31),)))) as scheduler:
        await world.clock.advance(600)
        changed = task(schedule=Calendar((time(23, 35), time(23, 50))))
        await scheduler.load(world.config(), [changed])
        await world.clock.advance(60)
        assert scheduler.view("t").entry.next == at(1200)
    assert world.store.told() == [SUCCESS]


async def test_a_cycle_runs_what_is_due_and_what_follows_from_it(world: World) -> None:
    async with world.serving(task(), task("b", schedule=Manual(), after=("t",)), killed=True):
        pass
    world.clock.step(35)
    scheduler = world.build()
    await scheduler.prepare(world.config(), [task(), task("b", schedule=Manual(), after=("t",))])
    runs = await scheduler.cycle()
    assert [(run.task, run.trigger, run.outcome) for run in runs] == [
        ("t", Trigger.CATCH_UP, Outcome.SUCCESS),
        ("b", Trigger.AFTER, Outcome.SUCCESS),
    ]
    assert runs[0].slot == START.replace(second=30)
    assert await scheduler.cycle() == []
