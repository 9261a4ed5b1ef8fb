"""The schedule as a whole: tasks and what is remembered of them, what sets runs off, and what people ask for."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final, Protocol
from zoneinfo import ZoneInfo

import anyio
import anyio.abc

from orchestrator.clock import Clock
from orchestrator.config.model import Config, TaskConfig
from orchestrator.errors import UserError
from orchestrator.events import Bus, SchedulerChanged, TaskChanged
from orchestrator.problems import Problems
from orchestrator.schedule import retry
from orchestrator.schedule.book import Book, Entry
from orchestrator.schedule.dispatcher import Dispatcher
from orchestrator.schedule.runner import Active, Records, Runner
from orchestrator.schedule.runs import Outcome, Phase, Result, Run, TaskState, Trigger
from orchestrator.schedule.slots import Claims, Slots, new_run
from orchestrator.schedule.when import Every

SELF_TRIGGERS: Final = 5  # runs in a row that only changes made during the task's own run may set off
GONE: Final = "the task is no longer there"
ENDED: Final = "the daemon ended meanwhile"
MOMENT: Final = timedelta(microseconds=1)
KEPT: Final = 1000  # runs that `cycle` can tell of
PAUSED: Final = "scheduler.paused"  # the setting's key


class Store(Records, Claims, Protocol):
    """What the schedule remembers: `store.runs.RunStore`, or a stand-in in tests."""

    async def states(self) -> dict[str, TaskState]: ...
    async def save_states(self, states: Sequence[TaskState]) -> None: ...
    def forget_state(self, name: str) -> None: ...
    async def release(self, run_ids: Sequence[str], states: Sequence[TaskState] = ()) -> None: ...
    async def unfinished(self) -> list[Run]: ...
    async def last_runs(self) -> dict[str, Run]: ...
    async def setting(self, key: str) -> str | None: ...
    def put_setting(self, key: str, value: str | None) -> None: ...


@dataclass(frozen=True, slots=True)
class View:
    """What there is to see of one task. `active`: its unfinished runs, oldest first."""

    entry: Entry
    active: tuple[Active, ...]
    last: Run | None


class Scheduler:
    """All tasks of one daemon. `prepare` comes first, then `serve` or `cycle`, in the end `stop`."""

    def __init__(self, store: Store, runner: Runner, *, clock: Clock, bus: Bus, problems: Problems) -> None:
        self.paused = False  # by command
        self._enabled = True  # by configuration
        self._store = store
        self._runner = runner
        self._clock = clock
        self._bus = bus
        self._problems = problems
        self._book = Book()
        self._dispatcher = Dispatcher(runner, store, clock, self._finished)
        self._slots = Slots(self._book, store, self._hand_over, clock=clock, bus=bus, problems=problems)
        self._last: dict[str, Run] = {}
        self._self_triggered: dict[str, int] = {}  # task → runs in a row that its own changes set off
        self._tasks: anyio.abc.TaskGroup | None = None
        self._ended: list[Run] = []  # lately, for `cycle`
        self._stopping = False

    # --- from start to stop ---

    async def prepare(self, config: Config, tasks: Sequence[TaskConfig]) -> None:
        """Take up the tasks, and what the last daemon left of their runs."""
        self._last = await self._store.last_runs()
        self.paused = await self._store.setting(PAUSED) is not None
        await self._load(config, tasks, await self._store.states())
        for run in await self._store.unfinished():
            await self._take_up(run)

    async def load(self, config: Config, tasks: Sequence[TaskConfig]) -> None:
        """Take these tasks and settings instead of those before. Runs under way go on as they were configured."""
        await self._load(config, tasks, {})

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Keep the schedule until cancelled; `stop` comes before that."""
        self._slots.begin()
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            self._dispatcher.serve_in(tasks)
            tasks.start_soon(self._slots.keep)
            tasks.start_soon(self._slots.release)
            task_status.started()

    async def cycle(self) -> list[Run]:
        """Run what is due now and what follows from it, and give all runs when the last is finished.

        For `aiemp run --once`, instead of `serve`. Raises UserError when nothing can be written down.
        """
        self._ended.clear()
        self._slots.begin()
        async with anyio.create_task_group() as tasks:
            self._tasks = tasks
            self._dispatcher.serve_in(tasks)
            if self._slots.open:
                await self._slots.claim_due()
                self._slots.hand_over_until(None)
            await self._dispatcher.quiet()
        return list(self._ended)

    async def stop(self) -> None:
        """End what runs, as `interrupted`, and leave what only waits to the next daemon. Nothing starts any more."""
        self._stopping = True
        self._slots.set_open(is_open=False)
        for run in self._slots.take_back():
            await self._give_back(run, self._book.entries.get(run.task))
        await self._dispatcher.stop()

    async def _load(self, config: Config, tasks: Sequence[TaskConfig], states: dict[str, TaskState]) -> None:
        self._enabled = config.scheduler.enabled
        self._dispatcher.set_limit(config.scheduler.max_concurrent)
        gone = self._book.entries.keys() - {task.name for task in tasks}
        changed = self._book.load(tasks, states, ZoneInfo(config.timezone), config.timezone, self._clock.now())
        for name in gone:
            self._forget(name)
        if changed:
            await self._store.save_states(changed)
        self._open_or_not()

    def _forget(self, name: str) -> None:
        self._store.forget_state(name)
        self._last.pop(name, None)
        for active in self._dispatcher.of_task(name):
            self._dispatcher.cancel(active, GONE)

    async def _take_up(self, run: Run) -> None:
        """Go on with a run that an earlier daemon left: what had begun was interrupted, what waited still waits."""
        entry, late = self._book.entries.get(run.task), (self._clock.now() - run.slot).total_seconds()
        if entry is None:
            await self._close(run, Result(Outcome.CANCELLED, error=GONE))
        elif run.phase is Phase.RUNNING:
            await self._close(run, Result(Outcome.INTERRUPTED, run.output, ENDED))
            await self._instead(run, entry.config)
        elif run.phase is Phase.QUEUED and late > entry.config.max_lateness:
            why = f"it waited for more than max_lateness, {entry.config.max_lateness:g} s"
            await self._close(run, Result(Outcome.MISSED, error=why))
        else:
            self._dispatcher.arrive(run, entry.config)

    async def _close(self, run: Run, result: Result) -> None:
        """Give a run its outcome that nobody carries out."""
        await self._runner.finish(run, result)
        self._last[run.task] = run

    async def _instead(self, run: Run, task: TaskConfig) -> None:
        """Set off a run in place of one that was cut off, where its `retry` allows."""
        left = retry.left(run)
        if left is None:
            return
        seconds = retry.wait(max(1, run.attempts), task.retry, 0.5)
        successor = replace(new_run(task, run.slot, Trigger.RETRY), retries=left, dry_run=run.dry_run)
        successor.phase, successor.retry_at = Phase.RETRYING, self._clock.now() + timedelta(seconds=seconds)
        await self._store.claim([successor], [])
        if not self._stopping:
            self._dispatcher.arrive(successor, task)

    # --- what sets runs off ---

    def _hand_over(self, run: Run) -> None:
        """A claimed slot has come."""
        entry = self._book.entries.get(run.task)
        if entry is not None and entry.enabled and not self._closed():
            self._dispatcher.arrive(run, entry.config)
        elif self._tasks is not None:
            self._tasks.start_soon(self._give_back, run, entry)

    async def _give_back(self, run: Run, entry: Entry | None) -> None:
        """Take back a claim of a slot that came when its task was just disabled, or the scheduler paused.

        In a pause the slot is missed like those after it.
        """
        states = []
        if entry is not None and entry.enabled and entry.state.handled_until == run.slot:
            schedule = entry.config.schedule
            before = run.slot - (schedule.step if isinstance(schedule, Every) else MOMENT)
            states = [replace(entry.state, handled_until=before)]
            self._book.remember(entry, states[0])
        await self._store.release([run.run_id], states)

    async def fire(self, name: str, trigger: Trigger, *, dry_run: bool = False) -> Active:
        """Set a run off now, apart from any slot; it is written down when this returns. Raises UserError."""
        task = self._book.entries[name].config
        run = replace(new_run(task, self._clock.now(), trigger), dry_run=dry_run)
        with anyio.CancelScope(shield=True):  # who asked may go away: what is written down is run
            await self._store.claim([run], [])
        return self._dispatcher.arrive(run, task)

    def changed(self, name: str) -> None:
        """Files that a task waits for have appeared or changed."""
        entry = self._book.entries.get(name)
        if entry is None or not entry.enabled or self._closed() or self._tasks is None:
            return
        busy = bool(self._dispatcher.of_task(name))
        streak = self._self_triggered[name] = self._self_triggered.get(name, 0) + 1 if busy else 0
        if streak > SELF_TRIGGERS:
            text = (
                f"task {name} was set off {SELF_TRIGGERS} times in a row by files that changed while it ran, its own "
                "work it seems; that counts again once a file changes between its runs: let it write elsewhere"
            )
            self._problems.report(f"task {name}", text)
            return
        if not busy:
            self._problems.clear(f"task {name}")
        self._tasks.start_soon(self._try_to_fire, name, Trigger.CHANGE)

    async def _try_to_fire(self, name: str, trigger: Trigger) -> None:
        try:
            await self.fire(name, trigger)
        except UserError as error:
            self._problems.report(f"task {name}", f"task {name} could not be set off ({trigger}): {error}")

    async def _finished(self, run: Run, task: TaskConfig) -> None:
        """A run is over: remember it, count it, set off what follows."""
        self._ended.append(run)
        del self._ended[:-KEPT]
        entry = self._book.entries.get(run.task)
        if entry is None:
            return
        self._last[run.task] = run
        if run.outcome is Outcome.SUCCESS:
            self._count_success(entry)
            for follower in self._book.followers(run.task):
                if not self._closed():
                    await self._try_to_fire(follower.name, Trigger.AFTER)
        elif run.outcome is Outcome.INTERRUPTED:
            await self._instead(run, task)

    def _count_success(self, entry: Entry) -> None:
        state = replace(entry.state, successes=entry.state.successes + 1)
        limit = entry.config.max_runs
        if limit and state.successes >= limit:
            state = replace(state, enabled=False)
            times = "once" if limit == 1 else f"{limit} times"
            reason = f"it has succeeded {times}, as max_runs says"
            self._publish_task(entry.name, "disabled", reason)
        self._remember(entry, state)

    # --- what people ask for ---

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The tasks by name: configured ones in the file's order, then those added."""
        return self._book.entries

    @property
    def state(self) -> str:
        """`idle`, `running`, `paused` or `error`, as `status` has it."""
        if self._slots.failing:
            return "error"
        if self.paused or not self._enabled:
            return "paused"
        return "running" if self._dispatcher.active else "idle"

    def view(self, name: str) -> View:
        return View(self._book.entries[name], self._dispatcher.of_task(name), self._last.get(name))

    def active_run(self, run_id: str) -> Active | None:
        return self._dispatcher.active.get(run_id)

    def cancel(self, active: Active, why: str) -> None:
        self._dispatcher.cancel(active, why)

    def enable(self, name: str, *, enabled: bool) -> bool:
        """Let a task fire, or not, whatever the configuration says; False when that changes nothing.

        What passed while it was disabled was not missed, and its successes are counted anew.
        """
        entry = self._book.entries[name]
        if entry.enabled is enabled:
            return False
        state = replace(entry.state, enabled=enabled)
        if enabled:
            state = replace(state, handled_until=self._clock.now(), successes=0)
        self._remember(entry, state)
        self._publish_task(name, "enabled" if enabled else "disabled", None)
        return True

    def pause(self, *, paused: bool) -> bool:
        """Start no run by itself any more, or again; a daemon that comes later keeps to it. False: nothing changed."""
        if self.paused is paused:
            return False
        self.paused = paused
        self._store.put_setting(PAUSED, "yes" if paused else None)
        self._open_or_not()
        self._bus.publish(SchedulerChanged(at=self._clock.now(), change="paused" if paused else "resumed"))
        return True

    def _closed(self) -> bool:
        return self.paused or not self._enabled or self._stopping

    def _open_or_not(self) -> None:
        self._slots.set_open(is_open=not self._closed())

    def _remember(self, entry: Entry, state: TaskState) -> None:
        self._book.remember(entry, state)
        self._store.save_state(state)
        self._slots.look_again()

    def _publish_task(self, name: str, change: str, reason: str | None) -> None:
        self._bus.publish(TaskChanged(at=self._clock.now(), name=name, change=change, reason=reason))
