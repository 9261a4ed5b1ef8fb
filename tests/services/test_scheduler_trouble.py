"""The schedule under bugs, full disks, unlucky moments and a hurried stop: nothing hangs, and nothing is lost."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import replace

import anyio
import pytest
from manual_clock import at_rest
from scheduling_site import FAILED, World, at, task

from orchestrator.config.model import Overlap, Retry, TaskConfig
from orchestrator.errors import UserError
from orchestrator.schedule.runs import Outcome, Phase, Result, Run, TaskState, Trigger
from orchestrator.schedule.when import Manual, Once


@pytest.fixture
def world() -> World:
    return World()


# --- unlucky moments ---


@pytest.mark.parametrize(("lane", "limit"), [("L", 5), (None, 1)])
async def test_a_held_run_keeps_the_turn_that_it_is_given_before_it_asked(
    world: World, lane: str | None, limit: int
) -> None:
    queued = task("a", schedule=Manual(), overlap=Overlap.QUEUE, lane=lane)
    world.settings = {"max_concurrent": limit}
    world.actions.takes["a"] = 5.0
    async with world.serving(queued, task("other", schedule=Manual())) as scheduler:
        dispatcher, finish = scheduler._dispatcher, world.store.finish
        go_on = asyncio.Event()

        async def finish_late(run: Run) -> None:
            await go_on.wait()
            await finish(run)

        world.store.finish = finish_late  # type: ignore[method-assign]
        first = await scheduler.fire("a", Trigger.MANUAL)
        await world.clock.advance(6)
        world.store.finish = finish  # type: ignore[method-assign]
        second = replace(first.run, run_id="two", phase=Phase.RUNNING, outcome=None, attempts=0, started_at=None)

        def another_arrives_while_somebody_else_asks() -> None:
            dispatcher._soon.ask()
            dispatcher.arrive(second, queued)

        asyncio.get_running_loop().call_soon(another_arrives_while_somebody_else_asks)
        go_on.set()
        await world.clock.advance(60)
        assert second.outcome is Outcome.SUCCESS
        await scheduler.fire("other", Trigger.MANUAL)
        await world.clock.advance(1)
        assert world.store.told("other") == [("manual", "success")]


async def test_what_is_claimed_just_when_the_daemon_stops_waits_for_the_next_one(world: World) -> None:
    claim, go_on = world.store.claim, asyncio.Event()

    async def claim_late(runs: Sequence[Run], states: Sequence[TaskState]) -> list[bool]:
        await go_on.wait()
        return await claim(runs, states)

    tasks = (task("t", retry=Retry(max=0)), task("by hand", schedule=Manual()))
    scheduler = world.build()
    await scheduler.prepare(world.config(), tasks)
    async with anyio.create_task_group() as group:
        await group.start(scheduler.serve)
        await at_rest()
        world.store.claim = claim_late  # type: ignore[method-assign]
        group.start_soon(scheduler.fire, "by hand", Trigger.MANUAL)
        await world.clock.advance(9.9)
        group.start_soon(scheduler.stop)
        await at_rest()
        go_on.set()
        await at_rest()
        group.cancel_scope.cancel()
    world.store.claim = claim  # type: ignore[method-assign]
    assert world.actions.began == []
    async with world.serving(*tasks):
        await world.clock.advance(0.5)
    assert world.store.told() == [("schedule", "success")]
    assert world.store.told("by hand") == [("manual", "success")]


async def test_a_follower_that_is_removed_meanwhile_follows_no_more(world: World) -> None:
    tasks = (
        task("a", schedule=Manual()),
        task("b", schedule=Manual(), after=("a",)),
        task("c", schedule=Manual(), after=("a",)),
    )
    async with world.serving(*tasks) as scheduler:
        claim = world.store.claim

        async def remove_one(runs: Sequence[Run], states: Sequence[TaskState]) -> list[bool]:
            if runs and runs[0].task == "b":
                await scheduler.load(world.config(), tasks[:2])
            return await claim(runs, states)

        world.store.claim = remove_one  # type: ignore[method-assign]
        await scheduler.fire("a", Trigger.MANUAL)
        await world.clock.advance(1)
        assert world.store.told("b") == [("after", "success")]
        assert world.store.told("c") == []
        assert scheduler.state == "idle"


# --- bugs and full disks ---


async def test_a_bug_around_one_run_is_that_runs_failure_alone(world: World) -> None:
    perform = world.actions.perform

    async def fail(task: TaskConfig, run: Run, *, on_status: Callable[[str], None]) -> Result:
        on_status("about to fail")
        raise RuntimeError(f"a bug in {task.name} {run.run_id}")

    async def exists(patterns: Sequence[str]) -> bool:
        assert patterns == ("x",)
        raise BlockingIOError(11, "no thread can be started")

    world._exists = exists  # type: ignore[method-assign]
    world.actions.perform = fail  # type: ignore[method-assign]
    tasks = (
        task("bug", schedule=Manual(), retry=Retry(max=0)),
        task("thread", schedule=Manual(), only_if_any=("x",), retry=Retry(max=0)),
        task("t"),
    )
    async with world.serving(*tasks) as scheduler:
        bug = (await scheduler.fire("bug", Trigger.MANUAL)).run
        thread = (await scheduler.fire("thread", Trigger.MANUAL)).run
        await world.clock.advance(1)
        assert (bug.outcome, thread.outcome) == (Outcome.FAILURE, Outcome.FAILURE)
        assert "a bug" in (bug.error or "")
        assert "no thread" in (thread.error or "")
        world.actions.perform = perform  # type: ignore[method-assign]
        await world.clock.advance(10)
        assert world.store.told() == [("schedule", "success")]


async def test_a_start_that_fails_for_want_of_room_is_tried_again_as_a_whole(world: World) -> None:
    world.settings = {"max_concurrent": 1}
    world.actions.takes["long"] = 30.0
    tasks = (task("long", schedule=Manual()), task("t", schedule=Manual()))
    async with world.serving(*tasks, killed=True) as scheduler:
        await scheduler.fire("long", Trigger.MANUAL)
        await world.clock.advance(1)
        await scheduler.fire("t", Trigger.MANUAL)
        await world.clock.advance(1)
    world.store.broken = True
    scheduler = world.build()
    for _ in range(3):
        with pytest.raises(UserError):
            await scheduler.prepare(world.config(), tasks)
    world.store.broken = False
    await scheduler.prepare(world.config(), tasks)
    world.actions.takes.clear()
    async with anyio.create_task_group() as group:
        await group.start(scheduler.serve)
        await world.clock.advance(5)
        await scheduler.fire("t", Trigger.MANUAL)
        await world.clock.advance(5)
        group.cancel_scope.cancel()
    assert world.store.told("long") == [("manual", "interrupted"), ("retry", "success")]
    assert world.store.told("t") == [("manual", "success"), ("manual", "success")]


async def test_a_stop_gives_up_on_a_disk_that_takes_nothing(world: World) -> None:
    world.actions.takes["t"] = 1000.0

    async def never(run: Run) -> None:
        assert run.outcome is Outcome.INTERRUPTED
        await anyio.sleep_forever()

    scheduler = world.build()
    await scheduler.prepare(world.config(), [task(schedule=Manual())])
    async with anyio.create_task_group() as group:
        await group.start(scheduler.serve)
        await scheduler.fire("t", Trigger.MANUAL)
        await world.clock.advance(1)
        world.store.finish = never  # type: ignore[method-assign]
        group.start_soon(scheduler.stop)
        await at_rest()
        assert scheduler.state != "idle"
        scheduler.give_up()
        await at_rest()
        assert scheduler._dispatcher.active == {}
        group.cancel_scope.cancel()
    assert world.actions.died == ["t"]


# --- clocks ---


async def test_a_clock_that_was_ahead_when_the_last_daemon_ran_silences_nobody(world: World) -> None:
    world.clock.step(86_400)
    async with world.serving(task()):
        await world.clock.advance(30)
    world.clock.step(-86_400)
    async with world.serving(task()):
        await world.clock.advance(30)
    assert world.actions.times() == [86_410, 86_420, 86_430, 40, 50, 60]


async def test_a_clock_set_back_holds_up_a_retry_for_no_longer_than_any(world: World) -> None:
    world.actions.results["t"] = [FAILED]
    async with world.serving(task(schedule=Manual())) as scheduler:
        run = (await scheduler.fire("t", Trigger.MANUAL)).run
        await world.clock.advance(0.5)
        world.clock.step(-30 * 86_400)
        await world.clock.advance(301)
    assert run.outcome is Outcome.SUCCESS


# --- dry runs, limits, outputs, unreadable files ---


async def test_a_dry_run_sets_off_dry_runs_and_counts_for_nothing(world: World) -> None:
    tasks = (task("a", schedule=Manual(), max_runs=1), task("b", schedule=Manual(), after=("a",)))
    async with world.serving(*tasks) as scheduler:
        await scheduler.fire("a", Trigger.MANUAL, dry_run=True)
        await world.clock.advance(1)
        assert [(run.task, run.dry_run) for run in world.store.rows.values()] == [("a", True), ("b", True)]
        assert scheduler.entries["a"].enabled


async def test_the_limit_of_runs_holds_for_those_that_wait_too(world: World) -> None:
    world.actions.takes["t"] = 5.0
    limited = task(schedule=Manual(), max_runs=1, overlap=Overlap.QUEUE)
    async with world.serving(limited) as scheduler:
        for _ in range(2):
            await scheduler.fire("t", Trigger.MANUAL)
        await world.clock.advance(20)
    assert world.store.told() == [("manual", "success"), ("manual", "cancelled")]


async def test_what_a_cancelled_run_printed_is_kept(world: World) -> None:
    world.actions.takes["t"] = 100.0
    async with world.serving(task(schedule=Manual())) as scheduler:
        active = await scheduler.fire("t", Trigger.MANUAL)
        await world.clock.advance(1)
        active.run.output = "half of it"  # as the action host puts it there when it is cancelled
        scheduler.cancel(active, "enough")
        await world.clock.advance(1)
    assert (active.run.outcome, active.run.output) == (Outcome.CANCELLED, "half of it")


async def test_outputs_are_not_kept_in_memory(world: World) -> None:
    world.actions.results["t"] = [Result(Outcome.SUCCESS, "much")]
    async with world.serving(task(schedule=Once((at(5),)))) as scheduler:
        await world.clock.advance(10)
        last = scheduler.view("t").last
        assert last is not None
        assert (last.outcome, last.output) == (Outcome.SUCCESS, "")
        assert next(iter(world.store.rows.values())).output == "much"


async def test_a_file_that_is_unreadable_for_a_while_changes_nothing_about_its_task(world: World) -> None:
    world.actions.takes["added"] = 100.0
    added = task("added", added=True)
    async with world.serving(added) as scheduler:
        await world.clock.advance(11)
        scheduler.enable("added", enabled=False)
        await scheduler.load(world.config(), [], unreadable=["added"])
        assert "added" not in scheduler.entries
        await scheduler.load(world.config(), [added])
        assert not scheduler.entries["added"].enabled
        assert world.store.told("added") == [("schedule", "…")]  # it goes on
        await scheduler.load(world.config(), [])
        await world.clock.advance(1)
        assert world.store.told("added") == [("schedule", "cancelled")]
        await scheduler.load(world.config(), [added])
        assert scheduler.entries["added"].enabled
