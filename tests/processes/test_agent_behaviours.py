"""How Claude Code may behave, and what is made of it: one true outcome in bounded time, and nobody left."""

import json
import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from acting import SLOT, Stage, stage

from orchestrator.config.model import AgentConfig, Prompt, TaskConfig
from orchestrator.processes import procfs
from orchestrator.processes.groups import Patience
from orchestrator.schedule.runs import HoldKind, Outcome, Result, Run, Trigger

FAKE = Path(__file__).parents[1] / "agents" / "fake_claude.py"
PLAYER = ("python", str(FAKE))
SHORT = Patience(stop=0.3, kill=5.0, result=0.4)
LONG = 15.0  # seconds; what ends by itself or by our hand ends long before
SUCCESS, FAILURE, TIMEOUT = Outcome.SUCCESS, Outcome.FAILURE, Outcome.TIMEOUT

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@dataclass(frozen=True)
class Case:
    """What it plays, and what has to come of it within `within` seconds. `timeout`: the task's."""

    plays: str
    outcome: Outcome = SUCCESS
    output: str = "Done."  # stands in the output
    error: str | None = None  # stands in the error; None: there is none
    hold: HoldKind | None = None
    known_until: bool = False  # when the hold ends
    cost: float | None = 0.0123
    timeout: float = LONG
    within: float = LONG
    command: tuple[str, ...] = PLAYER
    environ: Mapping[str, str] = field(default_factory=dict)
    final: bool = False
    called: str = ""

    def __str__(self) -> str:
        return self.called or self.plays


def failure(plays: str, error: str, *, output: str = "", cost: float | None = None, final: bool = False) -> Case:
    return Case(plays, FAILURE, output, error, cost=cost, final=final)


def hold(plays: str, kind: HoldKind, error: str, *, until: bool = False, cost: float | None = 0.0) -> Case:
    return Case(plays, FAILURE, "", error, kind, until, cost)


def timeout(plays: str, seconds: float = 1.0, **more: str) -> Case:
    return Case(plays, TIMEOUT, more.get("output", ""), cost=None, timeout=seconds, within=6.0)


CASES = [
    # --- the result in every form ---
    Case("json"),
    Case("pretty"),
    Case("array"),
    Case("stream-json"),
    Case("notices", output="After the notices."),
    Case("empty-result", output=""),
    Case("huge", output="END"),
    Case("cost 0.40", output="0.40 dollars", cost=0.4),
    # --- results that are none, or worse than they look ---
    failure("truncated", "cut off"),
    failure("garbage", "did not answer with JSON", output="TypeError"),
    failure("garbage-1", "Execution error"),
    failure("nothing", "nothing"),
    failure("nothing-1", "it fell over"),
    failure("exit-0-with-failure", "Prompt is too long", cost=0.0, final=True),
    failure("max-turns", "turns", cost=0.0123, final=True),
    failure("max-budget", "budget", cost=0.0123, final=True),
    failure("during-execution", "the tool was aborted", cost=0.0123),
    failure("model-unknown", "issue with the selected model", cost=0.0, final=True),
    failure("no such part", "fake claude has no part"),
    failure("endless", "more than 64 MiB"),
    # --- results that are better than they look ---
    Case("exit-1-after-success"),
    Case("dies-after-result SIGSEGV", output="It is done."),
    Case("dies-after-result SIGKILL", output="It is done."),
    Case("denials", output="Write"),
    # --- deaths ---
    failure("dies SIGSEGV", "SIGSEGV"),
    failure("dies SIGTERM", "SIGTERM"),
    failure("dies SIGKILL", "SIGKILL"),
    # --- who does not take the prompt ---
    hold("limit-text", HoldKind.LIMIT, "hit your limit", until=True, cost=None),
    hold("limit-epoch", HoldKind.LIMIT, "usage limit", until=True),
    hold("limit-event", HoldKind.LIMIT, "limit", until=True),
    hold("limit-after-much 600", HoldKind.LIMIT, "limit", until=True),
    hold("limit-once marker 600", HoldKind.LIMIT, "limit", until=True),
    hold("limit-weekly", HoldKind.LIMIT, "weekly limit", until=True),
    hold("exit-0-with-error", HoldKind.LIMIT, "Rate limit reached"),
    hold("not-logged-in", HoldKind.LOGIN, "Not logged in"),
    hold("login-expired", HoldKind.LOGIN, "OAuth session expired"),
    hold("no-credit", HoldKind.CREDIT, "Credit balance is too low"),
    hold("network", HoldKind.NETWORK, "ECONNREFUSED"),
    hold("overloaded", HoldKind.BUSY, "529"),
    # --- who does not end ---
    timeout("hang"),
    timeout("hang-half"),
    timeout("ignores-term"),
    Case("hang-after-result", output="It is done.", within=6.0),
    Case("chatter-after-result", output="It is done.", within=6.0),
    Case("ignores-term-after-result", output="It is done.", within=6.0),
    # --- whom it leaves behind ---
    Case("child-in-group", output="It is done.", within=6.0),
    Case("child-in-session", output="It is done.", within=6.0),
    Case("children-hold-it", output="It is done.", within=6.0),
    # --- what it is started with ---
    Case("json", environ={"CLAUDECODE": "1", "CLAUDE_CODE_SESSION_ID": "x"}, called="session around it"),
    Case("secret SOME_API_KEY", output="[redacted]", environ={"SOME_API_KEY": "sk-very-secret"}),
    Case("json", FAILURE, "", "is too old", cost=None, command=(*PLAYER, "--new"), final=True, called="too old"),
    Case("json", FAILURE, "", "not on the PATH", cost=None, command=("no-such-claude",), final=True, called="missing"),
    Case("json", FAILURE, "", "does not exist", cost=None, command=("/no/claude",), final=True, called="not there"),
]


@pytest.mark.parametrize("case", CASES, ids=str)
async def test_what_comes_of_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, case: Case) -> None:
    for name, value in case.environ.items():
        monkeypatch.setenv(name, value)
    run = Run("r1", "t", SLOT, Trigger.SCHEDULE, attempts=1)
    async with stage(tmp_path, agents={"claude": AgentConfig("claude", command=case.command)}, patience=SHORT) as here:
        began = anyio.current_time()
        result = await attempt(here, run, case)
        took = anyio.current_time() - began
        assert still_there(here, run) == []
    assert took < case.within
    assert_fits(case, result)
    assert_details(case, result, run)


async def attempt(here: Stage, run: Run, case: Case) -> Result:
    """Make an attempt as the schedule does: a time-out is an outcome of its own."""
    task = TaskConfig("t", Prompt(f"behave: {case.plays}", "claude"))
    with anyio.move_on_after(case.timeout):
        return await here.host.perform(task, run, on_status=here.said.append)
    return Result(TIMEOUT, run.output, details=run.details)


def assert_fits(case: Case, result: Result) -> None:
    assert (result.outcome, result.error is None) == (case.outcome, case.error is None), result
    assert case.output in result.output
    assert case.error is None or case.error in (result.error or "")
    assert (None if result.hold is None else result.hold.kind) == case.hold
    assert (result.cost_usd, result.final) == (case.cost, case.final)
    if result.hold is not None:
        assert (result.hold.until is not None) is case.known_until
        assert result.hold.until is None or timedelta() < result.hold.until - datetime.now(UTC) < timedelta(days=8)


def assert_details(case: Case, result: Result, run: Run) -> None:
    details = result.details or {}
    assert (details["agent"], details["kind"]) == ("claude", "claude")
    assert details["argv"][0] == case.command[0]
    assert details["argv"][-1] == "…"
    assert "behave" not in str(details["argv"])
    for secret in case.environ.values():
        if len(secret) >= 8:
            assert secret not in result.output + str(details.get("stderr"))
    json.dumps(details)


def still_there(here: Stage, run: Run) -> list[int]:
    """Whoever lives that carries the run in its environment, in whatever session it is."""
    marks = {f"AIEMP_RUN={run.run_id}".encode(), b"AIEMP_STATE_DIR=" + os.fsencode(here.state)}
    found = []
    for pid in procfs.pids():
        process = procfs.stat(pid)
        if process is not None and not process.dead and marks <= procfs.environ(pid):
            found.append(pid)
    return found


def test_the_table_is_long_enough() -> None:
    assert len(set(map(str, CASES))) == len(CASES) >= 30
