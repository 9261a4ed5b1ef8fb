"""Lets runs in: one of a task at a time by its overlap policy, so many at once, one to a lane; and ends them."""

import logging
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import datetime
from typing import Final

import anyio
import anyio.abc
import anyio.lowlevel

from orchestrator.clock import Clock
from orchestrator.config.model import Overlap, TaskConfig
from orchestrator.schedule import retry, takeup, tomorrow
from orchestrator.schedule.admission import Admission, Candidate
from orchestrator.schedule.gate import Gate
from orchestrator.schedule.holds import Held, agent_of
from orchestrator.schedule.runner import Active, Records, Runner
from orchestrator.schedule.runs import HoldKind, Outcome, Phase, Result, Run, Trigger
from orchestrator.schedule.shield import Shield
from orchestrator.turns import EndOfTurn

log = logging.getLogger(__name__)

STOPPED: Final = "the daemon was stopped"
WRITE_AGAIN: Final = 5.0  # seconds until the next try to write down that a message is about to be sent


class Dispatcher:
    """The runs that are not finished. `arrive` takes written-down runs; each then lives in a task of its own.

    `waits_long`: whether runs wait for the end of a pause or of a hold; else they are left to the next daemon, `kept`.
    A budget that is spent is as a hold for those that are not skipped for it, see `tomorrow`.
    """

    def __init__(
        self,
        runner: Runner,
        records: Records,
        gate: Gate,
        clock: Clock,
        shield: Shield,
        on_finished: Callable[[Active], Awaitable[None]],
    ) -> None:
        self.active: dict[str, Active] = {}
        self.max_concurrent = 5
        self.waits_long = True
        self.kept: list[Run] = []  # that an agent was not ready for
        self._runner = runner
        self._records = records
        self._gate = gate
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
        self._parked: dict[str, Active] = {}  # what waits for the end of a pause or of a hold

    def serve_in(self, tasks: anyio.abc.TaskGroup) -> None:
        """Carry runs out in this task group from now on."""
        self._tasks = tasks
        for active in self.active.values():
            tasks.start_soon(self._live, active)

    def set_limit(self, max_concurrent: int) -> None:
        self.max_concurrent = max_concurrent
        self._soon.ask()

    def look_again(self) -> None:
        """Something may start that might not before, or no more; attempts under way go on."""
        for active in tuple(self.active.values()):
            run_id = active.run.run_id
            if run_id in self._admission and not self._lets(active):
                self._admission.remove(run_id)
                self._park(active)
        for active in tuple(self._parked.values()):
            if self._lets(active):
                self._take_in(active)
            else:
                self._say_why(active)

    def _take_in(self, active: Active) -> None:
        """Nothing keeps a run waiting any more."""
        del self._parked[active.run.run_id]
        active.since = self._clock.monotonic()  # that it waited was not for want of room
        self._queue(active)

    def give_up(self, now: datetime) -> float | None:
        """End what an agent's trouble has kept waiting for too long, and notice that a day with another budget began.

        Give the seconds until there is more of either.
        """
        ends = list[float]()
        for active in tuple(self._parked.values()):
            if active.ending is not None:
                continue
            if self._lets(active):
                self._take_in(active)
            elif (held := self._held_by(active)) is not None:
                left = takeup.patience(active.run, active.task, now)
                if left <= 0:
                    self._end(active, takeup.given_up(active.run, active.task, held))
                    continue
                ends += [left, (held.until - now).total_seconds()]
        return min(ends, default=None)

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
        self._end(active, Result(Outcome.CANCELLED, error=why))

    def _end(self, active: Active, ending: Result) -> None:
        if active.ending is None:
            active.ending = ending
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
            if (refused := self._refused(active)) is not None:
                return refused
            await self._turn(active)
            try:
                # Others of the lane may have spent it meanwhile.
                if (refused := self._refused(active)) is not None:
                    return refused
                if self._budget(active) is not None:
                    continue
                result = await self._runner.attempt(active)
                self._gate.account(active, result)
                put_off = self._put_off(active, result)
            finally:
                self._leave(active)
                active.turn, active.since = anyio.Event(), self._clock.monotonic()
            if put_off:
                self._queue(active)
                await self._records.waiting(run)
            elif result.hold is not None:
                return replace(result, outcome=Outcome.FAILURE, error=result.hold.why)
            elif retry.again(run, result):
                await self._runner.pause(active, result)
            else:
                return result

    def _refused(self, active: Active) -> Result | None:
        """Say how a run ends whose agent must cost no more today; one that has failed stays a failure."""
        why = self._gate.refusal(active.task)
        if why is None or tomorrow.may_wait(active.run, active.task):
            return None
        run = active.run
        if run.attempts:
            return Result(Outcome.FAILURE, run.output, f"{run.error}; {why}" if run.error else why, details=run.details)
        return Result(Outcome.SKIPPED, error=why)

    def _put_off(self, active: Active, result: Result) -> bool:
        """Hold an agent that has not taken the prompt; tell whether the run waits for it.

        Then the attempt was none. Who has set a run off by hand is there to read what is wrong, and may mend it.
        """
        run, agent = active.run, agent_of(active.task)
        if result.hold is None or agent is None:
            return False
        self._gate.hold(agent, active.task.lane, result.hold)
        if result.final or (run.trigger is Trigger.MANUAL and result.hold.kind is not HoldKind.LIMIT):
            return False
        run.phase, run.attempts = Phase.QUEUED, run.attempts - 1
        if not run.attempts:
            run.started_at = active.began = None
        return True

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
            while not await self._records.waiting(run) and takeup.sends_once(active.task, self._gate.agents):
                await self._before_writing_again(active)

    async def _before_writing_again(self, active: Active) -> None:
        """Wait a while: what must not be done twice does not start before the next daemon would know of it."""
        active.status_text = "waits until it can be written down that it starts, for it must not be sent twice"
        if not self.waits_long:
            self.kept.append(active.run)
            self._keep(active)
            active.scope.cancel()
        await self._clock.sleep(WRITE_AGAIN)

    def _queue(self, active: Active) -> None:
        run, task = active.run, active.task
        if run.run_id in self._admission or run.run_id in self._parked:
            return
        if not self._lets(active):
            self._park(active)
            return
        active.status_text = None
        self._admission.add(Candidate(run.run_id, task.priority, run.slot, task.lane, active.since))
        self._soon.ask()

    def _lets(self, active: Active) -> bool:
        return self._gate.lets(active) and self._budget(active) is None

    def _held_by(self, active: Active) -> Held | None:
        """Give what of its agent keeps a run waiting."""
        return self._gate.held(active) or self._budget(active)

    def _budget(self, active: Active) -> Held | None:
        """Give what keeps a run waiting whose agent must cost no more today."""
        if not tomorrow.may_wait(active.run, active.task):
            return None
        return tomorrow.wait(active.task, self._gate.spending, self._clock.now())

    def _park(self, active: Active) -> None:
        self._parked[active.run.run_id] = active
        self._say_why(active)
        if (budget := self._budget(active)) is not None and active.run.retry_at is None:
            active.run.retry_at = budget.until  # so long it waits at least, however late it is by then
            if active.run.phase is Phase.QUEUED:  # else it is written down in a moment
                self._records.begun(active.run)
        if self.waits_long:
            self._gate.look_soon()
            return
        if self._held_by(active) is not None:
            self.kept.append(active.run)
        self._keep(active)
        active.scope.cancel()

    def _say_why(self, active: Active) -> None:
        held = self._held_by(active)
        active.status_text = None if held is None else self._gate.in_words(held, agent_of(active.task))

    def _admit(self) -> None:
        free = self.max_concurrent - len(self._running)
        if free <= 0 or not self._admission:
            return
        self._gate.look()
        busy = [lane for lane in self._running.values() if lane is not None]
        for run_id in self._admission.take(free, busy, self._clock.monotonic()):
            active = self.active[run_id]
            self._running[run_id] = active.task.lane
            active.tried = True
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
