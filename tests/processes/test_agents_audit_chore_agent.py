"""A prompt that a chore has prepared goes to the very agent that its task names."""

from pathlib import Path

from acting import stage
from letta_server import letta_server

from orchestrator.config.model import AgentConfig, AgentKind, BuiltinPrompt
from orchestrator.schedule.runs import Outcome


async def test_a_prepared_prompt_reaches_the_letta_agent_that_the_task_names(tmp_path: Path) -> None:
    with letta_server() as server:
        companion = AgentConfig("companion", AgentKind.LETTA, base_url=server.url, agent_id="agent-1")
        async with stage(tmp_path, agents={"companion": companion}) as here:
            here.write("vault/Needs_Action/mail.md", "Hello\n")
            here.write("vault/Prompts/morning_triage.md", "Sort what is there.\n")
            named = await here.perform(BuiltinPrompt("morning_triage", "companion", "agent-2"))
            other = await here.perform(BuiltinPrompt("morning_triage", "companion"))
        paths = [each.path for each in server.arrived]
        assert all(each.text.startswith("Sort what is there.\n") for each in server.arrived)
    assert (named.outcome, other.outcome) == (Outcome.SUCCESS, Outcome.SUCCESS)
    assert paths == ["/v1/agents/agent-2/messages", "/v1/agents/agent-1/messages"]
