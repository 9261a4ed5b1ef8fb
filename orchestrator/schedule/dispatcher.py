"""Lets runs in: one of a task at a time by its overlap policy, so many at once, one to a lane; and ends them."""

from collections.abc import Awaitable, Callable
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
from orchestrator.turns import EndOfTurn

STOPPED: Final = "the daemon was stopped"


class Dispatcher:
    """The runs that are not finished. `arrive` takes written-down runs; each then lives in a task of its own."""

    def __init__(
        self, runner: Runner, records: Records, clock: Clock, on_finished: Callable[[Run, TaskConfig], Awaitable[None]]
    ) -> None:
        self.active: dict[str, Active] = {}
        self.max_concurrent = 5
        self._runner = runner
        self._records = records
        self._clock = clock
        self._on_finished = on_finished
        self._admission = Admission()
        self._by_task: dict[str, list[Active]] = {}
        self._held: dict[str, Active] = {}  # task → the run that waits for the earlier ones of the same task
        self._running: dict[str, str | None] = {}  # run id → its lane
        self._soon = EndOfTurn(self._admit)  # so that of all that arrive together the most urgent is let in first
        self._changed = anyio.Event()
        self._tasks: anyio.abc.TaskGroup | None = None

    def serve_in(self, tasks: anyio.abc.TaskGroup) -> None:
        """Carry runs out in this task group from now on."""
        self._tasks = tasks
        for active in self.active.values():
            tasks.start_soon(self._live, active)

    def set_limit(self, max_concurrent: int) -> None:
        self.max_concurrent = max_concurrent
        self._soon.ask()

    def of_task(self, name: str) -> tuple[Active, ...]:
        """Give the task's unfinished runs, oldest first."""
        return tuple(self._by_task.get(name, ()))

    def arrive(self, run: Run, task: TaskConfig) -> Active:
        """Take a run that is written down; what becomes of it is decided by those of its task that came before."""
        active = Active(run, task, self._clock.monotonic())
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
            self._by_task.setdefault(task.name, []).append(active)
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

    async def stop(self) -> None:
        """End what runs, as interrupted, and keep what only waits for the next daemon; return when all is done."""
        for active in tuple(self.active.values()):
            if self.is_running(active):
                active.ending = active.ending or Result(Outcome.INTERRUPTED, error=STOPPED)
            elif active.ending is None:
                active.kept = True
            active.scope.cancel()
        await self.quiet()

    async def quiet(self) -> None:
        """Return when there is no unfinished run."""
        while self.active:
            self._changed = anyio.Event()
            await self._changed.wait()

    # --- one run's life ---

    async def _live(self, active: Active) -> None:
        result: Result | None = None
        try:
            with active.scope:
                if active.ending is None:
                    result = await self._to_the_end(active)
            if not active.kept:
                with anyio.CancelScope(shield=True):  # what happened is always written down
                    result = result or active.ending or Result(Outcome.CANCELLED)
                    await self._runner.finish(active.run, result, active.began)
                    await self._on_finished(active.run, active.task)
        finally:
            self._forget(active)

    async def _to_the_end(self, active: Active) -> Result:
        """Make attempts until one is the last."""
        run = active.run
        while True:
            if run.phase is Phase.RETRYING:
                await self._runner.wait_for_retry(run)
            await self._turn(active)
            try:
                result = await self._runner.attempt(active)
            finally:
                self._leave(active)
            if not retry.again(run, result.outcome):
                return result
            await self._runner.pause(active, result)

    async def _turn(self, active: Active) -> None:
        """Wait until there is room.

        Who had to wait is written down as waiting, so that a crash does not lose it, and as running before it starts,
        so that a crash does not repeat it.
        """
        run = active.run
        active.turn, active.since = anyio.Event(), self._clock.monotonic()
        waits = run.phase is not Phase.RUNNING
        if self._held.get(run.task) is not active:
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
        self._leave(active)  # it may have been let in just when it was cancelled
        del self.active[run.run_id]
        others = [each for each in self._by_task.get(run.task, ()) if each is not active]
        if others:
            self._by_task[run.task] = others
        else:
            self._by_task.pop(run.task, None)
        if self._held.get(run.task) is active:
            del self._held[run.task]
        elif others == [self._held.get(run.task)]:
            self._queue(self._held.pop(run.task))
        active.done.set()
        self._changed.set()
