"""PURE. What becomes of the runs that an earlier daemon left, and of one that is cut off or waits for too long."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta

from orchestrator.config.model import AgentConfig, AgentKind, TaskConfig
from orchestrator.readable import span
from orchestrator.schedule import retry
from orchestrator.schedule.holds import Held, agent_of
from orchestrator.schedule.runs import HoldKind, Outcome, Phase, Result, Run, Trigger

GONE = "the task is no longer there"
ENDED = "the daemon ended meanwhile"
DOUBT = "; whether the message was delivered is unknown, so it is not sent again"

Agents = Mapping[str, AgentConfig]


def outcome(run: Run, task: TaskConfig | None, now: datetime, *, held: Held | None, agents: Agents) -> Result | None:
    """How a run ended that was left behind; None: it only waited, and still does.

    What was written down as running had begun, or may have: only its outcome is unknown. `held`: what it waits for.
    """
    if task is None:
        return Result(Outcome.CANCELLED, run.output, GONE)
    if run.phase is Phase.RUNNING:
        return Result(Outcome.INTERRUPTED, run.output, ENDED if _may_be_repeated(task, agents) else ENDED + DOUBT)
    if run.phase is not Phase.QUEUED or patience(run, task, now) >= 0:
        return None
    if held is not None:
        return given_up(run, task, held)
    return Result(Outcome.MISSED, error=f"it waited for more than max_lateness, {task.max_lateness:g} s")


def patience(run: Run, task: TaskConfig, now: datetime) -> float:
    """Seconds that a run may still wait."""
    return task.max_lateness - (now - run.slot).total_seconds()


def given_up(run: Run, task: TaskConfig, held: Held) -> Result:
    """What becomes of a run that an agent's trouble has kept waiting for too long."""
    why = f"{held.why}; it waited for more than max_lateness, {span(task.max_lateness)}"
    if run.attempts:
        return Result(Outcome.FAILURE, run.output, f"{run.error}; then: {why}" if run.error else why)
    return Result(Outcome.MISSED if held.kind is HoldKind.LIMIT else Outcome.FAILURE, error=why)


def successor(run: Run, task: TaskConfig, run_id: str, now: datetime, agents: Agents) -> Run | None:
    """The run that is made in place of one that was cut off, where the task's `retry` allows one."""
    left = retry.left(run)
    if left is None or not _may_be_repeated(task, agents):
        return None
    again = Run(run_id, run.task, run.slot, Trigger.RETRY, Phase.RETRYING, retries=left, dry_run=run.dry_run)
    return replace(again, retry_at=now + timedelta(seconds=retry.wait(max(1, run.attempts), task.retry, 0.5)))


def _may_be_repeated(task: TaskConfig, agents: Agents) -> bool:
    """Whether that does nothing twice that must not be: a message to Letta may have been delivered."""
    agent = agents.get(agent_of(task) or "")
    return agent is None or agent.kind is not AgentKind.LETTA
