"""Lets runs in: one of a task at a time by its overlap policy, so many at once, one to a lane; and ends them."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Final

import anyio
import anyio.abc
import anyio.lowlevel

from orchestrator.clock import Clock
from orchestrator.config.model import Overlap, TaskConfig
from orchestrator.schedule import retry
from orchestrator.schedule.admission import Admission, Candidate
from orchestrator.schedule.runner import Active, Records, Runner
from orchestrator.schedule.runs import Outcome, Phase, Result, Run, Trigger
from orchestrator.schedule.shield import Shield
from orchestrator.turns import EndOfTurn

log = logging.getLogger(__name__)

STOPPED: Final = "the daemon was stopped"


class Dispatcher:
    """The runs that are not finished. `arrive` takes written-down runs; each then lives in a task of its own."""

    def __init__(
        self,
        runner: Runner,
        records: Records,
        clock: Clock,
        shield: Shield,
        on_finished: Callable[[Active], Awaitable[None]],
    ) -> None:
        self.active: dict[str, Active] = {}
        self.max_concurrent = 5
        self._runner = runner
        self._records = records
        self._clock = clock
        self._shield = shield
        self._on_finished = on_finished
        self._admission = Admission()
        self.by_task: dict[str, list[Active]] = {}
        self._held: dict[str, Active] = {}  # task → the run that waits for the earlier ones of the same task
        self._running: dict[str, str | None] = {}  # run id → its lane
        self._soon = EndOfTurn(self._admit)  # so that of all that arrive together the most urgent is let in first
        self._changed = anyio.Event()
        self._tasks: anyio.abc.TaskGroup | None = None
        self._stopping = False
        self._paused = False
        self._parked: dict[str, Active] = {}  # what waits for the end of a pause

    def serve_in(self, tasks: anyio.abc.TaskGroup) -> None:
        """Carry runs out in this task group from now on."""
        self._tasks = tasks
        for active in self.active.values():
            tasks.start_soon(self._live, active)

    def set_limit(self, max_concurrent: int) -> None:
        self.max_concurrent = max_concurrent
        self._soon.ask()

    def pause(self, *, paused: bool) -> None:
        """Let nothing in but what a person asks for, until the pause is over; attempts under way go on."""
        self._paused = paused
        if paused:
            for active in self.active.values():
                if active.run.run_id in self._admission and active.run.trigger is not Trigger.MANUAL:
                    self._admission.remove(active.run.run_id)
                    self._parked[active.run.run_id] = active
        else:
            parked, self._parked = self._parked, {}
            for active in parked.values():
                self._queue(active)

    def of_task(self, name: str) -> tuple[Active, ...]:
        """Give the task's unfinished runs, oldest first."""
        return tuple(self.by_task.get(name, ()))

    def arrive(self, run: Run, task: TaskConfig) -> Active:
        """Take a run that is written down; what becomes of it is decided by those of its task that came before."""
        active = Active(run, task, self._clock.monotonic())
        if self._stopping:  # it was written down meanwhile: the next daemon's business
            self._keep(active)
            active.done.set()
            return active
        earlier = self.of_task(task.name)
        self.active[run.run_id] = active
        # A changed file must not be overlooked because the task was busy with another one.
        queue = task.overlap is Overlap.QUEUE or (task.overlap is Overlap.SKIP and run.trigger is Trigger.CHANGE)
        if earlier and task.overlap is Overlap.CANCEL:
            for each in earlier:
                self.cancel(each, "a newer run took its place")
            self._held[task.name] = active
        elif earlier and queue and task.name not in self._held:
            self._held[task.name] = active
        elif earlier:
            why = "an earlier run already waits" if queue else "an earlier run was not finished"
            active.ending = Result(Outcome.SKIPPED, error=why)
        if active.ending is None:
            self.by_task.setdefault(task.name, []).append(active)
        if self._tasks is not None:
            self._tasks.start_soon(self._live, active)
        return active

    def cancel(self, active: Active, why: str) -> None:
        """End a run, whatever it is at."""
        if active.ending is None:
            active.ending = Result(Outcome.CANCELLED, error=why)
            active.scope.cancel()

    def is_running(self, active: Active) -> bool:
        """Whether an attempt of it is under way."""
        return active.run.run_id in self._running

    def begin_to_stop(self) -> None:
        """End what runs, as interrupted, and keep what only waits for the next daemon; `quiet` waits for it."""
        self._stopping = True
        for active in tuple(self.active.values()):
            if self.is_running(active):
                active.ending = active.ending or Result(Outcome.INTERRUPTED, error=STOPPED)
            elif active.ending is None:
                self._keep(active)
            active.scope.cancel()

    def _keep(self, active: Active) -> None:
        """Leave a run of which nothing is under way to the next daemon."""
        active.kept = True
        if active.run.phase is Phase.RUNNING:
            active.run.phase = Phase.QUEUED
            self._records.begun(active.run)

    async def quiet(self) -> None:
        """Return when there is no unfinished run."""
        while self.active:
            await self._changed.wait()

    # --- one run's life ---

    async def _live(self, active: Active) -> None:
        try:
            result = await self._outcome(active)
            if not active.kept:
                with self._shield.held():  # what happened is always written down
                    await self._runner.finish(active.run, result, active.began)
                    await self._on_finished(active)
        except Exception:  # the boundary: a bug around one run must not reach the others or the watchers
            log.exception("%s: what became of run %s is not on record", active.run.task, active.run.run_id)
        finally:
            self._forget(active)

    async def _outcome(self, active: Active) -> Result:
        """Carry the run out, until it ends or is ended."""
        result: Result | None = None
        try:
            with active.scope:
                if active.ending is None:
                    result = await self._to_the_end(active)
        except Exception as error:  # the boundary, as above
            log.exception("%s: run %s failed inside aiemp", active.run.task, active.run.run_id)
            result = Result(Outcome.FAILURE, error=f"failed inside aiemp: {error!r}")
        if result is not None:
            return result
        ending = active.ending or Result(Outcome.CANCELLED)
        return replace(ending, output=ending.output or active.run.output)  # what it had printed until then

    async def _to_the_end(self, active: Active) -> Result:
        """Make attempts until one is the last."""
        run = active.run
        while True:
            if run.phase is Phase.RETRYING:
                await self._runner.wait_for_retry(active)
            await self._turn(active)
            try:
                result = await self._runner.attempt(active)
            finally:
                self._leave(active)
                active.turn, active.since = anyio.Event(), self._clock.monotonic()
            if not retry.again(run, result.outcome):
                return result
            await self._runner.pause(active, result)

    async def _turn(self, active: Active) -> None:
        """Wait until there is room.

        Who had to wait is written down as waiting, so that a crash does not lose it, and as running before it starts,
        so that a crash does not repeat it.
        """
        run = active.run
        waits = run.phase is not Phase.RUNNING
        if self._held.get(run.task) is not active and not self.is_running(active):
            self._queue(active)
        await anyio.lowlevel.checkpoint()  # who is let in is decided at the end of this turn of the loop
        if not active.turn.is_set():
            waits, run.phase = True, Phase.QUEUED
            self._records.begun(run)
            await active.turn.wait()
        if waits:
            run.phase = Phase.RUNNING
            await self._records.waiting(run)

    def _queue(self, active: Active) -> None:
        run, task = active.run, active.task
        if run.run_id in self._admission or run.run_id in self._parked:
            return
        if self._paused and run.trigger is not Trigger.MANUAL:
            self._parked[run.run_id] = active
            return
        self._admission.add(Candidate(run.run_id, task.priority, run.slot, task.lane, active.since))
        self._soon.ask()

    def _admit(self) -> None:
        free = self.max_concurrent - len(self._running)
        if free <= 0 or not self._admission:
            return
        busy = [lane for lane in self._running.values() if lane is not None]
        for run_id in self._admission.take(free, busy, self._clock.monotonic()):
            active = self.active[run_id]
            self._running[run_id] = active.task.lane
            active.turn.set()

    def _leave(self, active: Active) -> None:
        self._running.pop(active.run.run_id, None)
        self._soon.ask()

    def _forget(self, active: Active) -> None:
        run = active.run
        self._admission.remove(run.run_id)
        self._parked.pop(run.run_id, None)
        self._leave(active)  # it may have been let in just when it was cancelled
        del self.active[run.run_id]
        others = [each for each in self.by_task.get(run.task, ()) if each is not active]
        if others:
            self.by_task[run.task] = others
        else:
            self.by_task.pop(run.task, None)
        if self._held.get(run.task) is active:
            del self._held[run.task]
        elif others == [self._held.get(run.task)]:
            self._queue(self._held.pop(run.task))
        active.done.set()
        changed, self._changed = self._changed, anyio.Event()
        changed.set()
