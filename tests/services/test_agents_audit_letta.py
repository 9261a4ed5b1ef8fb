"""A message to Letta that a daemon's death cut off: nobody knows whether it arrived, and it is not repeated."""

import pytest
from scheduling_site import World, prompt, task

from orchestrator.config.model import AgentConfig, AgentKind, Retry
from orchestrator.schedule.runs import Trigger
from orchestrator.schedule.when import Manual

UNKNOWN = "whether the message was delivered is unknown, so it is not sent again"
COMPANION = AgentConfig("companion", AgentKind.LETTA, agent_id="agent-1")


@pytest.mark.parametrize("agent", ["companion", "claude", None])
async def test_only_what_letta_may_have_is_in_doubt_and_not_sent_again(agent: str | None) -> None:
    world = World()
    world.agents["companion"] = COMPANION
    world.actions.takes["t"] = 100.0
    settings = {"schedule": Manual(), "retry": Retry(max=1)}
    one = task("t", **settings) if agent is None else prompt("t", agent, **settings)
    async with world.serving(one, killed=True) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(1)
    async with world.serving(one):
        await world.clock.advance(200)
    first, *others = world.store.rows.values()
    assert first.outcome == "interrupted"
    assert (UNKNOWN in (first.error or "")) is (agent == "companion")
    assert [each.trigger for each in others] == ([] if agent == "companion" else ["retry"])
    assert len(world.actions.began) == (1 if agent == "companion" else 2)
