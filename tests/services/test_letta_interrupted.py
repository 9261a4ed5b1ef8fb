"""Messages to Letta that were cut off: sent again where it is known that they were not delivered, and only there."""

from typing import Any

import pytest
from manual_clock import at_rest
from scheduling_site import FAILED, World, prompt

from orchestrator.config.model import AgentConfig, AgentKind, Retry, TaskConfig
from orchestrator.schedule.runs import Outcome, Result, Trigger
from orchestrator.schedule.when import Manual

DOUBT = "; whether the message was delivered is unknown, so it is not sent again"


@pytest.fixture
def world() -> World:
    world = World()
    world.agents["letta"] = AgentConfig("letta", AgentKind.LETTA)
    world.actions.takes["t"] = 99.0
    return world


def letta(**settings: Any) -> TaskConfig:
    return prompt(agent="letta", schedule=Manual(), retry=Retry(max=3), **settings)


@pytest.mark.parametrize(
    ("details", "repeated"),
    [
        ({"delivery": "not sent"}, True),
        ({"delivery": "refused"}, True),
        ({"delivery": "unknown"}, False),
        ({"delivery": "delivered"}, False),
        ({}, False),
        (None, False),
    ],
)
async def test_an_orderly_stop_knows_what_was_not_delivered(
    world: World,
    details: dict[str, str] | None,
    repeated: bool,  # noqa: FBT001
) -> None:
    world.actions.details = details
    async with world.serving(letta()) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(1)
    assert run.outcome is Outcome.INTERRUPTED
    assert (DOUBT in (run.error or "")) is (details == {"delivery": "unknown"})
    world.actions.takes = {}
    async with world.serving(letta()):
        await world.clock.advance(100)
    assert world.store.told() == [("change", "interrupted"), *([("retry", "success")] if repeated else [])]


async def test_under_retry_alone(world: World) -> None:
    world.actions.details = {"delivery": "not sent"}
    never = prompt(agent="letta", schedule=Manual(), retry=Retry(max=0))
    async with world.serving(never) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(1)
    async with world.serving(never):
        await world.clock.advance(100)
    assert world.store.told() == [("change", "interrupted")]


async def test_what_was_let_in_but_not_begun_is_sent_by_the_next_daemon(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def looks_for_ever(_: object) -> bool:
        await world.clock.sleep(99)
        return True

    monkeypatch.setattr(world, "_exists", looks_for_ever)
    task = letta(only_if_any=("*.md",))
    async with world.serving(task) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await at_rest()
    assert world.actions.began == []
    monkeypatch.undo()
    world.there, world.actions.takes = {"*.md"}, {}
    async with world.serving(task):
        await world.clock.advance(100)
    assert world.store.told() == [("change", "interrupted"), ("retry", "success")]


@pytest.mark.parametrize("before", [[], [Result(Outcome.FAILURE, error="no", details={"delivery": "refused"})]])
async def test_of_a_daemon_that_was_killed_nothing_is_known(world: World, before: list[Result]) -> None:
    """Not even where its row says that nothing was begun, or that all was refused: the rest may be lost."""
    world.actions.results["t"] = [*before, FAILED]
    world.actions.takes = {} if before else {"t": 99.0}
    async with world.serving(letta(), killed=True) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(0.5)
        world.actions.takes = {"t": 99.0}
        await world.clock.advance(3)
        row = world.store.rows[run.run_id]
        row.attempts, row.details = len(before), before[0].details if before else None
    async with world.serving(letta()):
        await world.clock.advance(200)
    assert world.store.told() == [("change", "interrupted")]
    assert world.store.rows[run.run_id].error == f"the daemon ended meanwhile{DOUBT}"
