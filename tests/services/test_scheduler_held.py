"""Runs of agents that take no prompts, over the end of a daemon, in a cycle, and what of them must not be repeated."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from manual_clock import START
from scheduling_site import FAILED, OK, World, held, limit, prompt, task

from orchestrator.config.model import AgentConfig, AgentKind, Retry
from orchestrator.schedule.runs import HoldKind, Outcome, Phase, Trigger
from orchestrator.schedule.scheduler import Scheduler
from orchestrator.schedule.when import Manual, Once

SUCCESS = ("schedule", "success")
LOGIN = held(HoldKind.LOGIN, "not logged in; run `claude` and log in")


@pytest.fixture
def world() -> World:
    world = World()
    world.agents["letta"] = AgentConfig("letta", AgentKind.LETTA)
    return world


def said(scheduler: Scheduler, name: str = "t") -> str | None:
    (active,) = scheduler.view(name).active
    return active.status_text


# --- the next daemon ---


@pytest.mark.parametrize("killed", [True, False])
@pytest.mark.parametrize("trigger", [Trigger.CHANGE, Trigger.MANUAL])
async def test_a_held_run_waits_on_over_the_end_of_the_daemon(world: World, killed: bool, trigger: Trigger) -> None:  # noqa: FBT001
    world.actions.results["t"] = [limit(100.0)]
    tasks = (prompt(schedule=Manual()), prompt("never tried", schedule=Manual()))
    async with world.serving(*tasks, killed=killed) as scheduler:
        for each in tasks:
            await scheduler.fire(each.name, Trigger.CHANGE if each.name != "t" else trigger)
            await world.clock.advance(1)
    assert [row.phase for row in world.store.rows.values()] == [Phase.QUEUED, Phase.QUEUED]
    for _ in range(2):
        async with world.serving(*tasks, killed=killed) as scheduler:
            await world.clock.advance(20)
            assert said(scheduler) == said(scheduler, "never tried") == "waits until 23:31: usage limit reached"
    async with world.serving(*tasks):
        await world.clock.advance(57)
        assert world.actions.began == [("t", 0)]
        await world.clock.advance(2)
    assert world.actions.times() == [0, 100]
    assert [(row.outcome, row.attempts) for row in world.store.rows.values()] == [(Outcome.SUCCESS, 1)] * 2


async def test_the_waits_go_on_growing_over_the_end_of_the_daemon(world: World) -> None:
    world.actions.answer = lambda _: LOGIN
    slow = prompt(schedule=Manual(), max_lateness=9e9)
    async with world.serving(slow) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(185)
    async with world.serving(slow):
        await world.clock.advance(1000)
    assert world.actions.times() == [0, 60, 180, 420, 900]


async def test_a_hold_that_has_ended_meanwhile_holds_nobody(world: World) -> None:
    world.actions.results["t"] = [limit(100.0)]
    async with world.serving(prompt(schedule=Manual())) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(1)
    world.clock.step(3600)
    async with world.serving(prompt(schedule=Manual())):
        await world.clock.advance(0)
    assert world.store.told() == [("change", "success")]


async def test_who_was_held_for_too_long_while_nobody_looked_has_given_up(world: World) -> None:
    world.actions.results["t"] = [limit(90_000.0)]
    short = prompt(schedule=Manual(), max_lateness=3600.0)
    async with world.serving(short) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(1)
    world.clock.step(7200)
    async with world.serving(short):
        await world.clock.advance(1)
    (row,) = world.store.rows.values()
    assert row.outcome is Outcome.MISSED
    assert (row.error or "").startswith("usage limit reached; it waited")


@pytest.mark.parametrize("text", ["", "{", "[{}]", '[{"agent": "claude", "until": 1e999}]', "null", "7"])
async def test_damaged_holds_are_ignored(world: World, text: str, caplog: pytest.LogCaptureFixture) -> None:
    world.store.settings["holds"] = text
    async with world.serving(prompt()):
        await world.clock.advance(10)
    assert world.store.told() == [SUCCESS]
    assert "unreadable" in caplog.text


async def test_a_cycle_leaves_held_runs_to_the_next_daemon(world: World) -> None:
    tasks = (prompt(), prompt("second"), task("other"))
    async with world.serving(*tasks, killed=True):
        pass
    world.actions.results["t"] = [limit(1000.0)]
    world.clock.step(35)
    scheduler = world.build()
    await scheduler.prepare(world.config(), tasks)
    runs = await scheduler.cycle()
    assert {run.task: run.outcome for run in runs} == {"t": None, "second": None, "other": Outcome.SUCCESS}
    left = {row.task: (row.phase, row.attempts) for row in world.store.rows.values() if row.outcome is None}
    assert left == {"t": (Phase.QUEUED, 0), "second": (Phase.QUEUED, 0)}
    scheduler = world.build()
    await scheduler.prepare(world.config(), tasks)
    assert {run.task for run in await scheduler.cycle()} == {"t", "second"}
    assert len(world.actions.began) == 2
    world.clock.step(1000)
    async with world.serving(*(replace(each, schedule=Manual()) for each in tasks)):
        await world.clock.advance(1)
    assert {row.task: row.outcome for row in world.store.rows.values() if row.outcome is not Outcome.MISSED} == {
        "t": Outcome.SUCCESS,
        "second": Outcome.SUCCESS,
        "other": Outcome.SUCCESS,
    }


async def test_a_cycle_of_a_paused_schedule_ends(world: World) -> None:
    world.actions.results["t"] = [limit(100.0)]
    async with world.serving(prompt(schedule=Manual())) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(1)
        scheduler.pause(paused=True)
    world.clock.step(1000)
    scheduler = world.build()
    await scheduler.prepare(world.config(), [prompt(schedule=Manual())])
    assert await scheduler.cycle() == []
    assert [row.phase for row in world.store.rows.values()] == [Phase.QUEUED]


# --- what is final, and what is not known ---


async def test_what_is_final_is_not_tried_again(world: World) -> None:
    world.actions.results["t"] = [replace(FAILED, final=True)]
    async with world.serving(prompt(schedule=Manual(), retry=Retry(max=3))) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(100)
    assert (run.outcome, run.attempts) == (Outcome.FAILURE, 1)


DOUBT = "; whether the message was delivered is unknown, so it is not sent again"


@pytest.mark.parametrize(("delivery", "doubt"), [("unknown", DOUBT), ("not sent", ""), ("delivered", "")])
async def test_after_a_time_out_it_is_said_whether_the_message_may_have_arrived(
    world: World, delivery: str, doubt: str
) -> None:
    world.actions.takes["t"] = 99.0
    world.actions.details = {"delivery": delivery, "argv": ["a hunter22"], "tokens": {"input": 1}}
    async with world.serving(prompt(agent="letta", schedule=Manual(), timeout=5.0)) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(10)
        assert (run.outcome, run.error) == (Outcome.TIMEOUT, f"not finished within 5 s{doubt}")
        assert run.details == {"delivery": delivery, "argv": ["a ***"], "tokens": {"input": 1}}
        active = await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(1)
        scheduler.cancel(active, "enough")
        await world.clock.advance(0)
        assert (active.run.outcome, active.run.error) == (Outcome.CANCELLED, f"enough{doubt}")


@pytest.mark.parametrize("killed", [True, False])
async def test_an_interrupted_message_to_letta_is_not_sent_again(world: World, killed: bool) -> None:  # noqa: FBT001
    world.actions.takes["t"] = 99.0
    world.actions.details = {"delivery": "unknown"}
    letta = prompt(agent="letta", schedule=Manual(), retry=Retry(max=3))
    async with world.serving(letta, killed=killed) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(1)
    async with world.serving(letta):
        await world.clock.advance(100)
    assert world.store.told() == [("change", "interrupted")]
    (row,) = world.store.rows.values()
    assert row.error == f"the daemon {'ended meanwhile' if killed else 'was stopped'}{DOUBT}"


async def test_an_interrupted_prompt_to_claude_is_sent_again(world: World) -> None:
    world.actions.takes["t"] = 5.0
    async with world.serving(prompt(schedule=Manual()), killed=True) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(1)
    async with world.serving(prompt(schedule=Manual())):
        await world.clock.advance(100)
    assert world.store.told() == [("change", "interrupted"), ("retry", "success")]


async def test_a_one_time_prompt_that_fails_keeps_its_slot_and_can_be_repeated(world: World) -> None:
    world.actions.results["t"] = [FAILED, FAILED, OK]
    slot = datetime(2026, 11, 20, 23, 30, 5)  # noqa: DTZ001  of the schedule's zone
    async with world.serving(prompt(schedule=Once((slot,)), max_runs=1)) as scheduler:
        await world.clock.advance(100)
        (row,) = world.store.rows.values()
        assert (row.outcome, row.attempts, row.slot) == (Outcome.FAILURE, 2, START + timedelta(seconds=5))
        assert scheduler.entries["t"].enabled
        run = (await scheduler.fire("t", Trigger.MANUAL)).run
        await world.clock.advance(1)
        assert run.outcome is Outcome.SUCCESS
        assert not scheduler.entries["t"].enabled
