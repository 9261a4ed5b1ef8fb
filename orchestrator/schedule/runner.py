"""Carries one run out: waits for its turn, makes its attempts, times them out, and records what came of it."""

import logging
import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, Final, Protocol

import anyio
import anyio.lowlevel

from orchestrator.clock import Clock
from orchestrator.config.model import TaskConfig
from orchestrator.events import Bus, RunFinished, RunRetrying, RunStarted
from orchestrator.schedule import retry, takeup
from orchestrator.schedule.holds import agent_of
from orchestrator.schedule.runs import Hold, Outcome, Phase, Result, Run, precise

log = logging.getLogger(__name__)

CUT_OFF: Final = frozenset({Outcome.TIMEOUT, Outcome.CANCELLED, Outcome.INTERRUPTED})
NAP: Final = 30.0  # seconds to sleep at most, so that a suspend or a step of the clock is noticed


class Performer(Protocol):
    """Who makes an attempt: `actions.host.ActionHost`, or a stand-in in tests."""

    async def perform(self, task: TaskConfig, run: Run, *, on_status: Callable[[str], None]) -> Result: ...


class Records(Protocol):
    """Where runs are written down: `store.runs.RunStore`, or a stand-in in tests."""

    def begun(self, run: Run) -> None: ...
    async def waiting(self, run: Run) -> bool: ...
    async def finish(self, run: Run) -> None: ...


@dataclass(slots=True, eq=False)
class Active:
    """A run that is not finished, with the task as it was configured when it was set off."""

    run: Run
    task: TaskConfig
    since: float  # monotonic seconds: when it began to wait for its turn
    turn: anyio.Event = field(default_factory=anyio.Event)  # it may start
    scope: anyio.CancelScope = field(default_factory=anyio.CancelScope)
    done: anyio.Event = field(default_factory=anyio.Event)
    ending: Result | None = None  # why it was cancelled
    kept: bool = False  # … without an outcome: the next daemon goes on with it
    status_text: str | None = None
    began: float | None = None  # monotonic seconds: the first attempt
    tried: bool = False  # it was let in once, so it waits for agents that are held like any other
    number: int = 0  # of the attempts made, by this daemon, those too that are not counted


class Runner:
    """Makes attempts and writes down what becomes of runs; what it needs of the others it is given."""

    def __init__(
        self,
        performer: Performer,
        records: Records,
        *,
        exists: Callable[[Sequence[str]], Awaitable[bool]],
        redact: Callable[[str], str],
        log_run: Callable[[Run], None],
        clock: Clock,
        bus: Bus,
    ) -> None:
        self._performer = performer
        self._records = records
        self._exists = exists
        self._redact = redact
        self._log_run = log_run
        self._clock = clock
        self._bus = bus

    async def attempt(self, active: Active) -> Result:
        """Make one attempt. Cancelling it ends whatever the action has started."""
        run, task = active.run, active.task
        with self._clock.move_on_after(task.timeout) as scope:
            if run.attempts == 0 and task.only_if_any and not await self._exists(task.only_if_any):
                return Result(Outcome.SKIPPED, error=f"no file matches {', '.join(task.only_if_any)}")
            self._begin(active)
            result = await self._perform(active)
        if scope.cancelled_caught:
            return Result(Outcome.TIMEOUT, run.output, f"not finished within {task.timeout:g} s")
        if result.details is not None:
            run.details = self._redacted_within(result.details)
        return result if result.hold is None else replace(result, hold=self._redacted_hold(result.hold))

    async def pause(self, active: Active, failed: Result) -> None:
        """Wait out the time between an attempt that failed and the next."""
        run = active.run
        seconds = retry.wait(run.attempts, active.task.retry, chance())
        run.phase, run.error = Phase.RETRYING, self._redacted(failed.error)
        run.output = self._redact(failed.output)
        run.retry_at = self._clock.now() + timedelta(seconds=seconds)
        await self._records.waiting(run)
        self._bus.publish(
            RunRetrying(
                at=self._clock.now(),
                name=run.task,
                run_id=run.run_id,
                attempt=run.attempts,
                seconds=round(seconds, 3),
                error=run.error,
            )
        )
        await self.wait_for_retry(active)

    async def wait_for_retry(self, active: Active) -> None:
        """Sleep until the run's `retry_at`, on the clock on the wall: a suspend counts.

        But never longer than any retry waits: that clock may have been set back.
        """
        run = active.run
        latest = self._clock.monotonic() + active.task.retry.max_delay
        while run.retry_at is not None and self._clock.monotonic() < latest:
            left = min((run.retry_at - self._clock.now()).total_seconds(), latest - self._clock.monotonic())
            if left <= 0:
                break
            await self._clock.sleep(min(left, NAP))
        run.retry_at = None  # it is over, whatever that clock says later

    async def finish(self, run: Run, result: Result, began: float | None = None) -> None:
        """Give the run, whose first attempt began at `began` (monotonic seconds), its outcome, and write it down.

        Nobody else learns of it before.
        """
        run.phase, run.outcome, run.retry_at = Phase.FINISHED, result.outcome, None
        run.output, run.error = self._redact(result.output), self._redacted(result.error)
        run.details = self._redacted_within(run.details if result.details is None else result.details)
        if result.outcome in CUT_OFF and (run.details or {}).get("delivery") == "unknown":
            run.error = (run.error or result.outcome.value).removesuffix(takeup.DOUBT) + takeup.DOUBT
        run.duration = None if began is None else self._clock.monotonic() - began
        await self._records.finish(run)
        self.tell(run)

    def tell(self, run: Run) -> None:
        """Let everybody know of a run that has its outcome and is written down."""
        self._log_run(run)
        self._bus.publish(finished(run, self._clock))

    def _begin(self, active: Active) -> None:
        run = active.run
        now = self._clock.now()
        run.phase, run.retry_at, run.attempts = Phase.RUNNING, None, run.attempts + 1
        run.output, run.details = "", None
        active.number += 1
        if run.started_at is None:
            run.started_at = now
        if active.began is None:
            active.began = self._clock.monotonic()
        active.status_text = None
        self._records.begun(run)
        self._bus.publish(
            RunStarted(
                at=now,
                name=run.task,
                run_id=run.run_id,
                slot=precise(run.slot),
                trigger=run.trigger.value,
                attempt=run.attempts,
            )
        )

    async def _perform(self, active: Active) -> Result:
        def say(text: str) -> None:
            active.status_text = self._redact(text)

        try:
            return await self._performer.perform(active.task, active.run, on_status=say)
        except Exception as error:  # the boundary: a bug around one action must not reach other runs or the watchers
            log.exception("%s: the attempt failed inside aiemp", active.run.task)
            # Where it was cut off already, that counts, whatever went wrong in ending it.
            await anyio.lowlevel.checkpoint_if_cancelled()
            # A prompt may have been taken by then, and must not be sent twice.
            final = agent_of(active.task) is not None
            return Result(Outcome.FAILURE, error=f"failed inside aiemp: {error!r}", final=final)

    def _redacted(self, text: str | None) -> str | None:
        return None if text is None else self._redact(text)

    def _redacted_hold(self, hold: Hold) -> Hold:
        return replace(hold, why=self._redact(hold.why))

    def _redacted_within(self, found: Any) -> Any:
        """Take secrets out of every text in what JSON knows, of the names in it too."""
        if isinstance(found, str):
            return self._redact(found)
        if isinstance(found, Mapping):
            return {self._redact(str(key)): self._redacted_within(value) for key, value in found.items()}
        if isinstance(found, list | tuple):
            return [self._redacted_within(each) for each in found]
        return found


def chance() -> float:
    """Give a number from 0 to 1. `random` would load half a megabyte for it."""
    return int.from_bytes(os.urandom(4)) / 2**32


def finished(run: Run, clock: Clock) -> RunFinished:
    """Give the fact that `run` has its outcome."""
    return RunFinished(
        at=clock.now(),
        name=run.task,
        run_id=run.run_id,
        slot=precise(run.slot),
        trigger=run.trigger.value,
        outcome="" if run.outcome is None else run.outcome.value,
        attempts=run.attempts,
        duration_seconds=None if run.duration is None else round(run.duration, 3),
        error=run.error,
    )
