"""Runs for the tests of what is written down of them, and the database that they are written to."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path

from orchestrator.schedule.runs import Outcome, Phase, Run, TaskState, Trigger
from orchestrator.store.database import Database
from orchestrator.store.runs import RunStore

NOW = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
STATE = TaskState("report", NOW, "daily 08:00", enabled=False, successes=3, ever_run=True)
_ids = count()


class Time:
    """The database's clock, which the tests set."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@asynccontextmanager
async def opened(path: Path, time: Time | None = None) -> AsyncIterator[tuple[Database, RunStore]]:
    problems: list[str | None] = []
    async with Database(str(path), now=time or Time(), on_problem=lambda _, text: problems.append(text)) as database:
        yield database, RunStore(database)
    assert problems == []


def run(task: str = "report", slot: float = 0, trigger: Trigger = Trigger.SCHEDULE) -> Run:
    return Run(f"run{next(_ids)}", task, NOW + timedelta(seconds=slot), trigger, retries=3)


def begin(one: Run) -> Run:
    one.phase, one.attempts, one.started_at = Phase.RUNNING, one.attempts + 1, NOW
    return one


def end(one: Run, outcome: Outcome = Outcome.SUCCESS, duration: float | None = 1.5, output: str = "") -> Run:
    one.phase, one.outcome, one.duration, one.output = Phase.FINISHED, outcome, duration, output
    return one
