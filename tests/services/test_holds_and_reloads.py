"""Holds of agents that are gone, are others by now, or are needed by nobody: nothing waits for them in vain."""

from dataclasses import replace
from typing import Any

import pytest
from manual_clock import at_rest
from scheduling_site import FAILED, OK, World, held, limit, prompt, task

from orchestrator.config.model import AgentConfig, AgentKind
from orchestrator.events import SchedulerChanged
from orchestrator.schedule.runs import HoldKind, Outcome, Trigger
from orchestrator.schedule.when import Every, Manual

DAYS = 6 * 86_400.0
LOGIN = held(HoldKind.LOGIN, "not logged in; run `claude` and log in")
MINE = AgentConfig("mine", AgentKind.COMMAND, command=("my-agent",))


@pytest.fixture
def world() -> World:
    world = World()
    world.agents["mine"] = MINE
    world.actions.results["t"] = [limit(DAYS), OK]
    return world


def changes(world: World) -> list[str]:
    return [fact.change for fact in world.facts if isinstance(fact, SchedulerChanged)]


# --- agents that are gone, or others ---


@pytest.mark.parametrize(
    ("change", "tried"),
    [({"command": ("claude", "--account", "two")}, True), ({"max_turns": 9, "daily_budget_usd": 5.0}, False)],
)
async def test_an_agent_that_is_configured_anew_is_tried_at_once(
    world: World,
    change: dict[str, Any],
    tried: bool,  # noqa: FBT001
) -> None:
    async with world.serving(prompt(schedule=Manual())) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(10)
        world.agents["claude"] = replace(world.agents["claude"], **change)
        await scheduler.load(world.config(), [prompt(schedule=Manual())])
        await world.clock.advance(1)
        assert world.actions.times() == ([0, 10] if tried else [0])
    assert changes(world)[1:] == (["agent claude is configured anew, and tried at once"] if tried else [])
    assert ("holds" in world.store.settings) is not tried


async def test_one_that_is_configured_anew_between_two_daemons_is_tried_too(world: World) -> None:
    async with world.serving(prompt(schedule=Manual()), killed=True) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(10)
    world.agents["claude"] = AgentConfig("claude", command=("/opt/claude",))
    async with world.serving(prompt(schedule=Manual())):
        await world.clock.advance(1)
    assert world.actions.times() == [0, 10]


async def test_a_lane_does_not_wait_for_an_agent_that_is_gone(world: World) -> None:
    world.actions.results["t"] = [limit(DAYS), replace(FAILED, final=True)]
    b = prompt("b", "mine", schedule=Manual())
    async with world.serving(prompt(schedule=Manual()), b) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(1)
        await scheduler.fire("b", Trigger.CHANGE)
        await world.clock.advance(1)
        assert world.actions.times("b") == []
        world.agents = {"mine": MINE}
        await scheduler.load(world.config(), [prompt(agent="mine", schedule=Manual()), b])
        await world.clock.advance(1)
        assert world.actions.times("b") == [2]
        assert run.outcome is Outcome.FAILURE, "it need not wait for days to hear that its agent is gone"
    assert "agent claude is there no more" in changes(world)


async def test_one_that_goes_while_its_prompt_is_under_way_holds_nobody(world: World) -> None:
    world.actions.takes["t"] = 10.0
    world.actions.results["t"] = [limit(DAYS), replace(FAILED, final=True)]
    b = prompt("b", "mine", schedule=Manual())
    async with world.serving(prompt(schedule=Manual()), b) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(1)
        world.agents = {"mine": MINE}
        await scheduler.load(world.config(), [prompt(agent="mine", schedule=Manual()), b])
        await scheduler.fire("b", Trigger.CHANGE)
        await world.clock.advance(30)
    assert run.outcome is Outcome.FAILURE
    assert {name for name, _ in world.actions.began} == {"t", "b"}
    assert "holds" not in world.store.settings


# --- lanes of agents that nobody needs ---


async def test_a_lane_is_free_once_all_its_tasks_have_gone_to_another_agent(world: World) -> None:
    """A reload alone does not free it: the run that met the limit still waits for its agent, until it gives up."""
    before = prompt(schedule=Manual(), max_lateness=3600.0)
    after = replace(before, action=prompt(agent="mine").action)
    async with world.serving(before) as scheduler:
        first = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(100)
        await scheduler.load(world.config(), [after, task("plain", schedule=Manual(), lane="agent")])
        plain = (await scheduler.fire("plain", Trigger.CHANGE)).run
        await world.clock.advance(3400)
        assert (first.outcome, plain.outcome) == (None, None)
        await world.clock.advance(101)
        assert (first.outcome, plain.outcome) == (Outcome.MISSED, Outcome.SUCCESS)
        second = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(1)
        assert second.outcome is Outcome.SUCCESS
    assert world.actions.times() == [0, 3601]


async def test_who_resumes_need_not_wait_for_that(world: World) -> None:
    async with world.serving(prompt(schedule=Manual()), prompt("b", "mine", schedule=Manual())) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await scheduler.fire("b", Trigger.CHANGE)
        await world.clock.advance(10)
        assert world.actions.times("b") == []
        assert scheduler.pause(paused=False) == "agent claude is held no more"
        await world.clock.advance(1)
        assert world.actions.times("b") == [10]
    assert "holds" not in world.store.settings


@pytest.mark.parametrize("how", ["disabled", "removed", "changed", "replaced"])
async def test_a_lane_is_free_as_soon_as_the_last_task_of_its_agent_is_not_run_any_more(world: World, how: str) -> None:
    tasks = (prompt(schedule=Manual()), prompt("b", "mine", schedule=Manual()))
    moved = prompt(agent="mine", schedule=Manual())
    async with world.serving(*tasks) as scheduler:
        active = await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(1)
        await scheduler.fire("b", Trigger.CHANGE)
        scheduler.cancel(active, "enough")
        await world.clock.advance(30)
        assert world.actions.times("b") == [], "its task is there and enabled: the lane is held"
        match how:
            case "disabled":
                scheduler.enable("t", enabled=False)
            case "removed":
                scheduler.take_away("t")
            case "changed":
                await scheduler.put(moved)
            case _:
                await scheduler.load(world.config(), [moved, tasks[1]])
        await at_rest()
        assert world.actions.times("b") == [31]
        held = scheduler.holds.of_agent("claude", world.clock.now())
        assert held is not None, "the agent itself has not got better by that"
        await scheduler.put(prompt("again", schedule=Manual()))
        await at_rest()
        await scheduler.fire("b", Trigger.CHANGE)
        await world.clock.advance(30)
        assert world.actions.times("b") == [31], "it is needed again, and so is its lane held"


async def test_the_next_daemon_holds_no_lane_for_an_agent_that_nobody_needs(world: World) -> None:
    b = prompt("b", "mine", schedule=Every(10.0))
    async with world.serving(prompt(schedule=Manual()), b) as scheduler:
        active = await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(1)
        scheduler.cancel(active, "enough")
        await world.clock.advance(11)
        assert world.store.told("b") == [("schedule", "…")]
    async with world.serving(prompt(schedule=Manual(), enabled=False), b, killed=True):
        await world.clock.advance(1)
        assert world.actions.times("b") == [12]
    world.clock.step(10)
    scheduler = world.build()
    await scheduler.prepare(world.config(), [prompt(schedule=Manual(), enabled=False), b])
    assert [run.outcome for run in await scheduler.cycle()] == [Outcome.SUCCESS]


async def test_what_a_person_tries_by_hand_of_a_disabled_task_holds_no_lane_afterwards(world: World) -> None:
    world.actions.results["t"] = [LOGIN]
    world.actions.takes["t"] = 5.0
    tasks = (prompt(schedule=Manual(), enabled=False), prompt("b", "mine", schedule=Manual()))
    async with world.serving(*tasks) as scheduler:
        await scheduler.fire("t", Trigger.MANUAL)
        await world.clock.advance(1)
        await scheduler.fire("b", Trigger.CHANGE)
        await world.clock.advance(5)
    assert world.actions.times("b") == [5]
