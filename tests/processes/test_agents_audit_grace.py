"""How long an agent may go on after its result, by the patience that the daemon has: five seconds, then it is ended."""

import sys
from pathlib import Path

import anyio
import pytest
from acting import stage

from orchestrator.config.model import AgentConfig, Prompt
from orchestrator.schedule.runs import Outcome

FAKE = Path(__file__).parents[1] / "agents" / "fake_claude.py"
# Ends by itself some seconds after its result, and leaves a mark if it was let.
LINGERS = """
import json, os, time
print(json.dumps({"type": "result", "subtype": "success", "is_error": False, "result": "ok"}), flush=True)
time.sleep(3)
open("at its end", "w").close()
"""

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


async def test_who_hangs_after_the_result_has_five_seconds(tmp_path: Path) -> None:
    claude = AgentConfig("claude", command=("python", str(FAKE)))
    async with stage(tmp_path, agents={"claude": claude}) as here:
        began = anyio.current_time()
        result = await here.perform(Prompt("behave: hang-after-result", "claude"))
        took = anyio.current_time() - began
    assert (result.outcome, result.output) == (Outcome.SUCCESS, "It is done.")
    assert 5.0 <= took < 9.0


async def test_who_is_slow_to_end_within_them_ends_by_itself(tmp_path: Path) -> None:
    claude = AgentConfig("claude", command=("python", "-c", LINGERS))
    async with stage(tmp_path, agents={"claude": claude}) as here:
        result = await here.perform(Prompt("hi", "claude"))
        assert (result.outcome, result.output) == (Outcome.SUCCESS, "ok")
        assert (here.vault / "at its end").exists()
