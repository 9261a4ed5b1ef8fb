"""A message to Letta that had to wait does not start before it is on the disk that it does: a crash would repeat it."""

import pytest
from scheduling_site import OK, World, prompt, task

from orchestrator.config.model import AgentConfig, AgentKind
from orchestrator.schedule.runs import Outcome, Phase, Trigger
from orchestrator.schedule.when import Manual


@pytest.fixture
def world() -> World:
    world = World()
    world.agents["letta"] = AgentConfig("letta", AgentKind.LETTA)
    world.actions.takes["first"] = 5.0
    return world


FIRST = task("first", schedule=Manual(), lane="agent")


@pytest.mark.parametrize(("agent", "waits"), [("letta", True), ("claude", False)])
async def test_while_nothing_can_be_written_what_must_not_be_sent_twice_waits(
    world: World,
    agent: str,
    waits: bool,  # noqa: FBT001
) -> None:
    async with world.serving(FIRST, prompt(agent=agent, schedule=Manual())) as scheduler:
        await scheduler.fire("first", Trigger.MANUAL)
        await world.clock.advance(1)
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(1)
        world.store.broken = True
        await world.clock.advance(30)
        assert world.actions.times() == ([] if waits else [5])
        assert world.store.rows[run.run_id].phase is (Phase.QUEUED if waits else Phase.FINISHED)
        world.store.broken = False
        await world.clock.advance(5)
        assert world.actions.times() == ([35] if waits else [5])
        assert (run.outcome, run.attempts) == (Outcome.SUCCESS, 1)


async def test_one_that_was_killed_meanwhile_has_sent_nothing_and_the_next_daemon_does(world: World) -> None:
    tasks = (FIRST, prompt(agent="letta", schedule=Manual()))
    async with world.serving(*tasks, killed=True) as scheduler:
        await scheduler.fire("first", Trigger.MANUAL)
        await world.clock.advance(1)
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(1)
        world.store.broken = True
        await world.clock.advance(30)
        (active,) = scheduler.view("t").active
        assert (active.status_text or "").startswith("waits until it can be written down")
    world.store.broken = False
    world.actions.results["t"] = [OK]
    async with world.serving(*tasks):
        await world.clock.advance(1)
    assert world.store.told() == [("change", "success")]
    assert len(world.actions.times()) == 1


async def test_a_cycle_leaves_it_to_the_next_daemon(world: World) -> None:
    tasks = (FIRST, prompt(agent="letta", schedule=Manual()))
    async with world.serving(*tasks) as scheduler:
        await scheduler.fire("first", Trigger.MANUAL)
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(1)
    scheduler = world.build()
    await scheduler.prepare(world.config(), tasks[1:])
    world.store.broken = True
    runs = await scheduler.cycle()
    assert [run.outcome for run in runs if run.task == "t"] == [None]
    assert world.actions.times() == []
