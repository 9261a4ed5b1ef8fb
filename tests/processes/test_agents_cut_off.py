"""Agents that are cut off: what is done and paid for by then counts, and nobody is left."""

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import anyio
import pytest
from acting import Stage, new_run, stage
from spawning import until
from test_agent_behaviours import FAKE, SHORT, still_there

from orchestrator.actions import answer_file
from orchestrator.actions.answer_file import AnswerFile
from orchestrator.clock import SystemClock
from orchestrator.config.model import AgentConfig, Prompt, TaskConfig
from orchestrator.events import Bus
from orchestrator.schedule.runner import Active, Runner
from orchestrator.schedule.runs import Outcome, Result, Run

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

AGENTS = {"claude": AgentConfig("claude", command=("python", str(FAKE)))}


class Nowhere:
    """Records that nobody keeps."""

    def begun(self, run: Run) -> None:
        pass

    async def waiting(self, run: Run) -> bool:
        return bool(run)

    async def finish(self, run: Run) -> None:
        pass


async def attempt(here: Stage, plays: str, timeout: float, run: Run) -> Result:
    """Make an attempt as the daemon does."""

    async def exists(_: object) -> bool:
        return True

    def redact(text: str) -> str:
        return text

    clock = SystemClock()
    runner = Runner(here.host, Nowhere(), exists=exists, redact=redact, log_run=print, clock=clock, bus=Bus())
    task = TaskConfig("t", Prompt(f"behave: {plays}", "claude"), timeout=timeout)
    return await runner.attempt(Active(run, task, clock.monotonic()))


@pytest.fixture
def _not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody notices the answer before the time-out does."""
    monkeypatch.setattr("orchestrator.processes.groups.LOOK", 1000.0)


# --- what was answered ---


@pytest.mark.usefixtures("_not_looked_at")
@pytest.mark.parametrize(("plays", "output"), [("result-save-hang", "It is done."), ("much-save-hang", "xEND")])
async def test_an_answer_that_a_time_out_meets_counts_with_its_cost(tmp_path: Path, plays: str, output: str) -> None:
    async with stage(tmp_path, agents=AGENTS, patience=SHORT) as here:
        run = new_run()
        result = await attempt(here, f"{plays} told", 3.0, run)
        assert still_there(here, run) == []
    assert (result.outcome, result.cost_usd, result.error) == (Outcome.SUCCESS, 0.0123, None)
    assert result.output.endswith(output)
    assert (result.details or {})["session_id"]


@pytest.mark.usefixtures("_not_looked_at")
async def test_an_answer_that_stands_there_outlives_whoever_cancels(tmp_path: Path) -> None:
    found: list[Result] = []
    async with stage(tmp_path, agents=AGENTS, patience=SHORT) as here:
        with anyio.CancelScope() as scope:

            async def ask() -> None:
                found.append(await here.perform(Prompt("behave: result-save-hang told", "claude")))

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(ask)
                await until((here.vault / "told").exists)
                scope.cancel()
    assert [(each.outcome, each.cost_usd) for each in found] == [(Outcome.SUCCESS, 0.0123)]


async def test_half_an_answer_is_none(tmp_path: Path) -> None:
    async with stage(tmp_path, agents=AGENTS, patience=SHORT) as here:
        assert (await attempt(here, "hang-half", 1.5, new_run())).outcome is Outcome.TIMEOUT


# --- what goes wrong meanwhile ---


def fails(*_: object) -> Any:
    raise MemoryError("no room for that")


@pytest.mark.parametrize("broken", ["orchestrator.processes.nameless.size", "AnswerFile.is_whole"])
async def test_whoever_is_looked_at_in_vain_is_not_left_running(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, broken: str
) -> None:
    monkeypatch.setattr(broken.replace("AnswerFile", "orchestrator.actions.answer_file.AnswerFile"), fails)
    async with stage(tmp_path, agents=AGENTS, patience=SHORT) as here:
        run = new_run()
        with anyio.fail_after(20):
            result = await attempt(here, "children-hold-it", 100.0, run)
        assert still_there(here, run) == []
        assert here.nothing_left()
    assert (result.outcome, result.final) == (Outcome.FAILURE, True)
    assert "no room for that" in (result.error or "")


async def test_a_disk_that_cannot_be_asked_for_a_moment_ends_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []

    def size(fd: int) -> int:
        asked.append(fd)
        if len(asked) == 1:
            raise OSError(5, "Input/output error")
        return os.fstat(fd).st_size

    monkeypatch.setattr("orchestrator.processes.nameless.size", size)
    async with stage(tmp_path, agents=AGENTS, patience=SHORT) as here:
        assert (await attempt(here, "hang-after-result", 100.0, new_run())).outcome is Outcome.SUCCESS


@pytest.mark.usefixtures("_not_looked_at")
async def test_a_fault_of_ours_makes_no_failure_of_a_time_out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(AnswerFile, "read", fails)
    async with stage(tmp_path, agents=AGENTS, patience=SHORT) as here:
        run = new_run()
        result = await attempt(here, "result-save-hang told", 2.0, run)
        assert still_there(here, run) == []
    assert (result.outcome, result.error) == (Outcome.TIMEOUT, "not finished within 2 s")


# --- the reader of what is much ---


@pytest.fixture
def slow_reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[], list[str]]:
    """Have a reader that comes to no end, and tells its argv."""
    told = tmp_path / "argv"
    code = f"import sys, time; open({str(told)!r}, 'w').write(' '.join(sys.orig_argv)); time.sleep(1000)"
    (tmp_path / "slow_reader.py").write_text(code)
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    monkeypatch.setattr(answer_file, "MODULE", "slow_reader")
    return lambda: told.read_text().split()


async def test_who_prints_far_too_much_while_it_is_looked_at_is_stopped(
    tmp_path: Path, slow_reader: Callable[[], list[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("answer_file", "prompts"):
        monkeypatch.setattr(f"orchestrator.actions.{module}.PRINTED_MAX", 2**20)
    async with stage(tmp_path, agents=AGENTS, patience=SHORT) as here:
        with anyio.fail_after(answer_file.PATIENCE - 5):
            result = await attempt(here, "slow-endless", 100.0, new_run())
    assert "without coming to an end" in (result.error or "")
    assert slow_reader()[1:] == ["-P", "-m", "slow_reader"]


@pytest.mark.usefixtures("_not_looked_at")
async def test_the_reader_is_killed_with_everything_and_what_the_agent_said_is_in_no_argv(
    tmp_path: Path, slow_reader: Callable[[], list[str]]
) -> None:
    async with stage(tmp_path, agents=AGENTS, patience=SHORT) as here, anyio.create_task_group() as tasks:
        run, found = new_run(), list[Result]()

        async def ask() -> None:
            found.append(await attempt(here, "much-save-hang told", 2.0, run))

        tasks.start_soon(ask)
        with anyio.fail_after(20):
            await until((tmp_path / "argv").exists)
            here.host.kill_all()
            await until(lambda: found)
    assert [each.outcome for each in found] == [Outcome.TIMEOUT]
    assert slow_reader()[1:] == ["-P", "-m", "slow_reader"]
