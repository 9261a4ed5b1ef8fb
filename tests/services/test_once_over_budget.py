"""A prompt for one moment, whose agent has spent its day's budget by then: it waits for the next day with a budget."""

from datetime import datetime, timedelta
from typing import Any

import pytest
from manual_clock import START, at_rest
from scheduling_site import OK, World, prompt, task

from orchestrator.config.model import AgentConfig, TaskConfig
from orchestrator.schedule.runs import Outcome, Phase, Result, Run, Trigger
from orchestrator.schedule.scheduler import Scheduler
from orchestrator.schedule.when import Every, Manual, Once

# It is 23:30, and the slot comes 5 s later; 18:30 in New York.
SLOT = datetime(2026, 11, 20, 23, 30, 5)  # noqa: DTZ001  of the schedule's zone
MIDNIGHT = 1800.0  # seconds from the start
WAITS = "waits until 2026-11-21 00:00: budget: agent claude has spent $1.20 of its daily $1.00; "
WAITS += "prompts run again on 2026-11-21"


@pytest.fixture
def world() -> World:
    world = World()
    world.agents["claude"] = AgentConfig("claude", daily_budget_usd=1.0)
    world.actions.answer = lambda asked: Result(OK.outcome, cost_usd=1.2 if asked.name == "spender" else 0.4)
    return world


def once(**more: Any) -> TaskConfig:
    return prompt("once", schedule=Once((SLOT,)), max_runs=1, **more)


def spender(**more: Any) -> TaskConfig:
    return prompt("spender", schedule=Manual(), **more)


async def spend(scheduler: Scheduler, world: World) -> None:
    await scheduler.fire("spender", Trigger.MANUAL)
    await world.clock.advance(1)


def row(world: World, name: str = "once") -> Run:
    (found,) = (each for each in world.store.rows.values() if each.task == name)
    return found


def said(scheduler: Scheduler) -> tuple[Phase, str | None]:
    (active,) = scheduler.view("once").active
    return active.run.phase, active.status_text


async def test_it_waits_for_midnight_and_then_runs(world: World) -> None:
    async with world.serving(once(), spender()) as scheduler:
        await spend(scheduler, world)
        await world.clock.advance(60)
        assert said(scheduler) == (Phase.QUEUED, WAITS)
        assert row(world).phase is Phase.QUEUED
        await world.clock.advance(MIDNIGHT - 62)
        assert world.actions.times("once") == []
        await world.clock.advance(2)
        assert world.actions.times("once") == [MIDNIGHT]
        assert not scheduler.entries["once"].enabled
    found = row(world)
    assert (found.outcome, found.attempts, found.retry_at) == (Outcome.SUCCESS, 1, None)
    assert found.slot == START + timedelta(seconds=5)


async def test_midnight_is_the_local_one(world: World) -> None:
    world.zone = "America/New_York"
    async with world.serving(spender(), prompt("once", schedule=Once((datetime(2026, 11, 20, 18, 30, 5),)))) as found:  # noqa: DTZ001
        await spend(found, world)
        await world.clock.advance(60)
        assert said(found) == (Phase.QUEUED, WAITS)
        await world.clock.advance(86_400)
    assert world.actions.times("once") == [MIDNIGHT + 5 * 3600]


async def test_it_holds_nobody_up_meanwhile(world: World) -> None:
    world.agents["mine"] = AgentConfig("mine")
    async with world.serving(once(), spender(), prompt("other", "mine", schedule=Manual()), task("plain")) as scheduler:
        await spend(scheduler, world)
        await world.clock.advance(10)
        run = (await scheduler.fire("other", Trigger.CHANGE)).run
        await world.clock.advance(1)
        assert run.outcome is Outcome.SUCCESS
        assert world.store.told("plain")


async def test_the_budget_may_be_spent_while_it_waits_for_its_lane(world: World) -> None:
    world.actions.takes["spender"] = 100.0
    async with world.serving(once(), spender()) as scheduler:
        await scheduler.fire("spender", Trigger.CHANGE)
        await world.clock.advance(90)
        assert said(scheduler) == (Phase.QUEUED, None)
        await world.clock.advance(20)
        assert said(scheduler) == (Phase.QUEUED, WAITS)
        await world.clock.advance(MIDNIGHT)
    assert world.actions.times("once") == [MIDNIGHT]


async def test_another_budget_lets_it_go_at_once(world: World) -> None:
    tasks = (once(), spender())
    async with world.serving(*tasks) as scheduler:
        await spend(scheduler, world)
        await world.clock.advance(60)
        world.agents["claude"] = AgentConfig("claude", daily_budget_usd=2.0)
        await scheduler.load(world.config(), tasks)
        await at_rest()
    assert world.actions.times("once") == [61]


@pytest.mark.parametrize("trigger", [Trigger.MANUAL, Trigger.CHANGE, Trigger.AFTER])
async def test_what_is_set_off_otherwise_is_skipped(world: World, trigger: Trigger) -> None:
    async with world.serving(prompt("once", schedule=Once((SLOT + timedelta(days=9),))), spender()) as scheduler:
        await spend(scheduler, world)
        run = (await scheduler.fire("once", trigger)).run
        await world.clock.advance(1)
        assert run.outcome is Outcome.SKIPPED


async def test_what_comes_again_is_skipped(world: World) -> None:
    async with world.serving(prompt("again", schedule=Every(10.0)), spender()) as scheduler:
        await spend(scheduler, world)
        await world.clock.advance(9)
    assert row(world, "again").outcome is Outcome.SKIPPED


async def test_one_that_has_failed_is_not_put_off(world: World) -> None:
    world.actions.answer = lambda _: Result(Outcome.FAILURE, error="no", cost_usd=1.2)
    async with world.serving(once()):
        await world.clock.advance(100)
    found = row(world)
    assert (found.outcome, found.attempts) == (Outcome.FAILURE, 1)
    assert (found.error or "").startswith("no; budget: ")


# --- how long it waits ---


async def test_until_midnight_however_late_that_is(world: World) -> None:
    async with world.serving(once(max_lateness=60.0), spender()) as scheduler:
        await spend(scheduler, world)
        await world.clock.advance(MIDNIGHT)
    assert world.actions.times("once") == [MIDNIGHT]


async def test_beyond_that_no_longer_than_it_may_be_late(world: World) -> None:
    world.actions.takes["other"] = 2000.0  # it ends after midnight, and has spent that day's budget then
    other = prompt("other", schedule=Manual(), timeout=9000.0)
    world.actions.answer = lambda _: Result(OK.outcome, cost_usd=1.2)
    async with world.serving(once(max_lateness=60.0), other, spender(lane=None)) as scheduler:
        await scheduler.fire("other", Trigger.CHANGE)
        await spend(scheduler, world)
        await world.clock.advance(MIDNIGHT + 100)
        assert said(scheduler) == (Phase.QUEUED, None), "it waits for its lane"
        await world.clock.advance(200)
    found = row(world)
    assert (found.outcome, found.attempts) == (Outcome.MISSED, 0)
    assert (found.error or "").startswith("budget: agent claude has spent")
    assert "it waited for more than max_lateness, 1m 0s" in (found.error or "")


@pytest.mark.parametrize("killed", [True, False])
async def test_a_daemon_that_comes_later_goes_on_waiting(world: World, killed: bool) -> None:  # noqa: FBT001
    tasks = (once(), spender())
    async with world.serving(*tasks, killed=killed) as scheduler:
        await spend(scheduler, world)
        await world.clock.advance(60)
    assert row(world).phase is Phase.QUEUED
    async with world.serving(*tasks, killed=killed) as scheduler:
        await world.clock.advance(60)
        assert said(scheduler) == (Phase.QUEUED, WAITS)
    async with world.serving(*tasks):
        await world.clock.advance(MIDNIGHT)
    assert world.actions.times("once") == [MIDNIGHT]
    assert row(world).outcome is Outcome.SUCCESS


async def test_a_daemon_that_comes_later_waits_for_midnight_too(world: World) -> None:
    tasks = (once(max_lateness=60.0), spender())
    async with world.serving(*tasks) as scheduler:
        await spend(scheduler, world)
        await world.clock.advance(30)
    world.clock.step(600)
    async with world.serving(*tasks) as scheduler:
        assert said(scheduler) == (Phase.QUEUED, WAITS)
        await world.clock.advance(MIDNIGHT)
    assert row(world).outcome is Outcome.SUCCESS


async def test_a_cycle_leaves_it_to_the_next_daemon(world: World) -> None:
    tasks = (once(), spender())
    async with world.serving(*tasks, killed=True) as scheduler:
        await scheduler.fire("spender", Trigger.MANUAL)
        await world.clock.advance(1)
    world.clock.step(30)
    scheduler = world.build()
    await scheduler.prepare(world.config(), tasks)
    assert [(run.task, run.outcome) for run in await scheduler.cycle()] == [("once", None)]
    assert row(world).phase is Phase.QUEUED
