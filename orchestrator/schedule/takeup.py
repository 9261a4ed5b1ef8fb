"""PURE. What becomes of the runs that an earlier daemon left, and of one that is cut off or waits for too long."""

from collections.abc import Mapping
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from orchestrator.config.model import AgentConfig, AgentKind, TaskConfig
from orchestrator.readable import span
from orchestrator.schedule import retry
from orchestrator.schedule.holds import Held, agent_of
from orchestrator.schedule.runs import HoldKind, Outcome, Phase, Result, Run, Trigger

GONE = "the task is no longer there"
ENDED = "the daemon ended meanwhile"
DOUBT = "; whether the message was delivered is unknown, so it is not sent again"

NOT_DELIVERED: Final = frozenset({"not sent", "refused"})  # as `delivery` in a run's details has it

Agents = Mapping[str, AgentConfig]


def outcome(run: Run, task: TaskConfig | None, now: datetime, *, held: Held | None, agents: Agents) -> Result | None:
    """How a run ended that was left behind; None: it only waited, and still does.

    What was written down as running had begun, or may have: only its outcome is unknown. `held`: what it waits for.
    """
    if task is None:
        return Result(Outcome.CANCELLED, run.output, GONE)
    if run.phase is Phase.RUNNING:
        return Result(Outcome.INTERRUPTED, run.output, ENDED + (DOUBT if sends_once(task, agents) else ""))
    if run.phase is not Phase.QUEUED or patience(run, task, now) >= 0:
        return None
    if held is not None:
        return given_up(run, task, held)
    return Result(Outcome.MISSED, error=f"it waited for more than max_lateness, {task.max_lateness:g} s")


def answered(cut_off: Result, answer: Result) -> Result:
    """How a run ended that nobody was there to see the end of, whose agent has left its whole answer all the same.

    What failed is `cut_off` still, so that it is tried again where the task's `retry` allows it.
    """
    if cut_off.outcome is not Outcome.INTERRUPTED:
        return cut_off
    if answer.outcome is Outcome.SUCCESS or answer.final:
        return replace(answer, hold=None)
    why = f"{cut_off.error}; until then: {answer.error}"
    return replace(cut_off, output=answer.output, error=why, cost_usd=answer.cost_usd, details=answer.details)


def patience(run: Run, task: TaskConfig, now: datetime) -> float:
    """Seconds that a run may still wait: for another day's budget at least until that day, in `retry_at`, has begun."""
    left = task.max_lateness - (now - run.slot).total_seconds()
    return left if run.retry_at is None else max(left, (run.retry_at - now).total_seconds())


def given_up(run: Run, task: TaskConfig, held: Held) -> Result:
    """What becomes of a run that an agent's trouble has kept waiting for too long."""
    why = f"{held.why}; it waited for more than max_lateness, {span(task.max_lateness)}"
    if run.attempts:
        return Result(Outcome.FAILURE, run.output, f"{run.error}; then: {why}" if run.error else why)
    return Result(Outcome.MISSED if held.kind is HoldKind.LIMIT else Outcome.FAILURE, error=why)


def successor(run: Run, task: TaskConfig, run_id: str, now: datetime, agents: Agents, *, watched: bool) -> Run | None:
    """The run that is made in place of one that was cut off, where the task's `retry` allows one.

    `watched`: whether we were there, so that `run` tells all. What a daemon before us wrote down last may be less than
    it has begun.
    """
    left = retry.left(run)
    if left is None or (sends_once(task, agents) and not (watched and _is_undelivered(run))):
        return None
    again = Run(run_id, run.task, run.slot, Trigger.RETRY, Phase.RETRYING, retries=left, dry_run=run.dry_run)
    return replace(again, retry_at=now + timedelta(seconds=retry.wait(max(1, run.attempts), task.retry, 0.5)))


def sends_once(task: TaskConfig, agents: Agents) -> bool:
    """Whether what the task does must not be done twice: a message to Letta that was delivered is not sent again."""
    agent = agents.get(agent_of(task) or "")
    return agent is not None and agent.kind is AgentKind.LETTA


def _is_undelivered(run: Run) -> bool:
    """Whether it is known that nothing was delivered: it was let in, but not begun, or its last attempt says so.

    An attempt that has just begun takes away what the one before has told.
    """
    return run.attempts == 0 or (run.details or {}).get("delivery") in NOT_DELIVERED
