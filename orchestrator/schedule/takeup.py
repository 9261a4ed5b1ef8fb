"""PURE. What becomes of the runs that an earlier daemon left, and of one that is cut off now."""

from dataclasses import replace
from datetime import datetime, timedelta

from orchestrator.config.model import TaskConfig
from orchestrator.schedule import retry
from orchestrator.schedule.runs import Outcome, Phase, Result, Run, Trigger

GONE = "the task is no longer there"
ENDED = "the daemon ended meanwhile"


def outcome(run: Run, task: TaskConfig | None, now: datetime) -> Result | None:
    """How a run ended that was left behind; None: it only waited, and still does.

    What was written down as running had begun, or may have: only its outcome is unknown.
    """
    if task is None:
        return Result(Outcome.CANCELLED, run.output, GONE)
    if run.phase is Phase.RUNNING:
        return Result(Outcome.INTERRUPTED, run.output, ENDED)
    if run.phase is Phase.QUEUED and (now - run.slot).total_seconds() > task.max_lateness:
        return Result(Outcome.MISSED, error=f"it waited for more than max_lateness, {task.max_lateness:g} s")
    return None


def successor(run: Run, task: TaskConfig, run_id: str, now: datetime) -> Run | None:
    """The run that is made in place of one that was cut off, where the task's `retry` allows one."""
    left = retry.left(run)
    if left is None:
        return None
    again = Run(run_id, run.task, run.slot, Trigger.RETRY, Phase.RETRYING, retries=left, dry_run=run.dry_run)
    return replace(again, retry_at=now + timedelta(seconds=retry.wait(max(1, run.attempts), task.retry, 0.5)))
