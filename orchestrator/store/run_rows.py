"""PURE. Runs and tasks' states as rows of the database, and back."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from orchestrator.schedule.runs import Outcome, Phase, Run, TaskState, Trigger

Row = tuple[Any, ...]

RUN_COLUMNS: Final = (
    "run_id, task, slot, trigger, phase, attempts, retries, started_at, retry_at, dry_run, "
    "outcome, ended_at, duration, cost_usd, error, details, output"
)
STATE_COLUMNS: Final = "name, handled_until, schedule, enabled, successes, ever_run"

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)


def micros(moment: datetime) -> int:
    """An aware moment in microseconds since 1970."""
    return (moment - _EPOCH) // _MICROSECOND


def moment_of(count: int) -> datetime:
    return _EPOCH + timedelta(microseconds=count)


def run_row(run: Run, now: datetime) -> Row:
    """`run` as it is now, in RUN_COLUMNS' order."""
    return (
        run.run_id,
        run.task,
        micros(run.slot),
        run.trigger.value,
        run.phase.value,
        run.attempts,
        run.retries,
        _micros_or_none(run.started_at),
        _micros_or_none(run.retry_at),
        int(run.dry_run),
        None if run.outcome is None else run.outcome.value,
        micros(now) if run.phase is Phase.FINISHED else None,
        run.duration,
        run.cost_usd,
        None if run.error is None else _storable(run.error),
        None if run.details is None else json.dumps(run.details),
        _storable(run.output),
    )


def run_of(row: Sequence[Any]) -> Run:
    """Raise ValueError, TypeError or OverflowError when no version of aiemp wrote the row."""
    run_id, task, slot, trigger, phase, attempts, retries, started_at, retry_at, dry_run = row[:10]
    outcome, _, duration, cost_usd, error, details, output = row[10:]
    return Run(
        run_id=run_id,
        task=task,
        slot=moment_of(slot),
        trigger=Trigger(trigger),
        phase=Phase(phase),
        attempts=attempts,
        retries=retries,
        started_at=None if started_at is None else moment_of(started_at),
        retry_at=None if retry_at is None else moment_of(retry_at),
        dry_run=bool(dry_run),
        outcome=None if outcome is None else Outcome(outcome),
        duration=duration,
        output=output,
        error=error,
        cost_usd=cost_usd,
        details=None if details is None else json.loads(details),
    )


def state_row(state: TaskState) -> Row:
    """`state` in STATE_COLUMNS' order."""
    enabled = None if state.enabled is None else int(state.enabled)
    return (
        state.name,
        micros(state.handled_until),
        state.schedule,
        enabled,
        state.successes,
        int(state.ever_run),
    )


def state_of(row: Sequence[Any]) -> TaskState:
    """Raise TypeError or OverflowError when no version of aiemp wrote the row."""
    name, handled_until, schedule, enabled, successes, ever_run = row
    said = None if enabled is None else bool(enabled)
    return TaskState(name, moment_of(handled_until), schedule, said, successes, bool(ever_run))


def _micros_or_none(moment: datetime | None) -> int | None:
    return None if moment is None else micros(moment)


def _storable(text: str) -> str:
    """`text` without the lone surrogates that undecodable output leaves behind: SQLite's are UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode("utf-8")
