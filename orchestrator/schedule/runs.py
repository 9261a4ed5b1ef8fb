"""PURE. The words of a run: what set it off, how far it is, how it ended."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from orchestrator.clock import rfc3339


class Trigger(StrEnum):
    """What set a run off."""

    SCHEDULE = "schedule"
    CATCH_UP = "catch_up"  # the schedule, but too late: the daemon or the machine was down or asleep
    MANUAL = "manual"
    CHANGE = "change"
    AFTER = "after"
    RETRY = "retry"  # a new run in place of one that the daemon's death cut off


SCHEDULED = frozenset({Trigger.SCHEDULE, Trigger.CATCH_UP})  # those that claim their slot: never two of one slot


class Outcome(StrEnum):
    """How a run ended; every run has exactly one."""

    SUCCESS = "success"
    FAILURE = "failure"
    TIMEOUT = "timeout"
    CANCELLED = "cancelled"
    INTERRUPTED = "interrupted"  # the daemon died meanwhile
    SKIPPED = "skipped"
    MISSED = "missed"  # its slot was dropped


class Phase(StrEnum):
    """How far a run is."""

    QUEUED = "queued"  # claimed; waits for its slot, for room or for its lane
    RUNNING = "running"
    RETRYING = "retrying"  # an attempt failed; waits for the next
    FINISHED = "finished"


class HoldKind(StrEnum):
    """Why an agent takes no prompts for a while."""

    LIMIT = "limit"  # its usage limit is reached; mostly it says until when
    LOGIN = "login"  # it does not know us
    CREDIT = "credit"  # its account is empty
    NETWORK = "network"  # it cannot be reached from here
    BUSY = "busy"  # its servers are overloaded or out of order


@dataclass(frozen=True, slots=True)
class Hold:
    """An agent takes no prompts for a while: that is no failure of the prompt, which waits.

    `why`: one line for a person, with what to do. `until`: when it takes some again, aware UTC, where that is known.
    """

    kind: HoldKind
    why: str
    until: datetime | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What came of one attempt: success, failure, timeout, or skipped with the reason in `error`.

    `details`: what an agent told beside its answer, as JSON knows it. `hold`: the agent has not taken the prompt.
    `final`: another attempt must not be made, whatever the task's `retry` says; a hold is for the runs to come then.
    """

    outcome: Outcome
    output: str = ""
    error: str | None = None
    cost_usd: float | None = None
    details: Mapping[str, Any] | None = None
    hold: Hold | None = None
    final: bool = False


@dataclass(slots=True)
class Run:
    """One execution of a task for one slot. Times are aware UTC; `duration` in seconds, from start to end."""

    run_id: str
    task: str
    slot: datetime
    trigger: Trigger
    phase: Phase = Phase.QUEUED
    attempts: int = 0  # begun so far
    retries: int = 0  # how many attempts beyond the first are allowed
    started_at: datetime | None = None  # of the first attempt
    retry_at: datetime | None = None  # set while RETRYING
    dry_run: bool = False  # asked for with `run --dry-run`
    outcome: Outcome | None = None
    duration: float | None = None
    output: str = ""
    error: str | None = None
    cost_usd: float | None = None  # of all attempts together
    details: Mapping[str, Any] | None = None  # of the last attempt, see Result

    def as_json(self) -> dict[str, Any]:
        """Give the contract's object of `history --json` and `run`."""
        return {
            "run_id": self.run_id,
            "task": self.task,
            "slot": precise(self.slot),
            "started_at": None if self.started_at is None else precise(self.started_at),
            "duration_seconds": None if self.duration is None else round(self.duration, 3),
            "outcome": None if self.outcome is None else self.outcome.value,
            "attempts": self.attempts,
            "trigger": self.trigger.value,
            "output": self.output,
            "error": self.error,
            "cost_usd": self.cost_usd,
            "details": self.details,
        }


def precise(moment: datetime) -> str:
    """RFC 3339 in UTC, ending in Z, with a fraction only where there is one: slots lie on whole seconds mostly."""
    if not moment.microsecond:
        return rfc3339(moment)
    return f"{rfc3339(moment)[:-1]}.{moment.microsecond:06d}".rstrip("0") + "Z"


@dataclass(frozen=True, slots=True)
class TaskState:
    """What is remembered of a task between runs and daemons.

    `handled_until`: every slot up to this instant was claimed or dropped; for an `every` schedule it is also the slot
    that the next ones are counted from.
    """

    name: str
    handled_until: datetime
    schedule: str  # a fingerprint: another one means that the slots are others now
    enabled: bool | None = None  # what a person said by command; None: as configured
    successes: int = 0  # since it was last enabled, for max_runs
    ever_run: bool = False


@dataclass(frozen=True, slots=True)
class Statistics:
    """A task's record in numbers; seconds and US dollars."""

    task: str
    runs: int
    success_rate: float
    p50: float | None
    p95: float | None
    cost_usd: float  # of these runs; the others are of the attempts since the day and the month began
    cost_today_usd: float = 0.0
    cost_month_usd: float = 0.0

    def as_json(self) -> Mapping[str, Any]:
        return {
            "task": self.task,
            "runs": self.runs,
            "success_rate": round(self.success_rate, 4),
            "p50_seconds": self.p50,
            "p95_seconds": self.p95,
            "cost_usd": round(self.cost_usd, 6),
            "cost_today_usd": round(self.cost_today_usd, 6),
            "cost_month_usd": round(self.cost_month_usd, 6),
        }
