"""The schedule as a whole: tasks and what is remembered of them, what sets runs off, and what people ask for."""

import logging
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import timedelta
from typing import Final
from zoneinfo import ZoneInfo

import anyio
import anyio.abc

from orchestrator.clock import Clock
from orchestrator.config.model import Config, TaskConfig
from orchestrator.errors import UserError
from orchestrator.events import Bus, TaskChanged
from orchestrator.problems import Problems
from orchestrator.schedule import takeup
from orchestrator.schedule.book import Book, Entry
from orchestrator.schedule.dispatcher import Dispatcher
from orchestrator.schedule.followup import FollowUp
from orchestrator.schedule.gate import Gate
from orchestrator.schedule.holds import Holds
from orchestrator.schedule.memory import Memory
from orchestrator.schedule.runner import Active, Runner
from orchestrator.schedule.runs import Outcome, Result, Run, TaskState, Trigger
from orchestrator.schedule.shield import Shield
from orchestrator.schedule.slots import Slots, new_run, new_run_id
from orchestrator.schedule.spending import Spending
from orchestrator.schedule.when import Every

log = logging.getLogger(__name__)

MOMENT: Final = timedelta(microseconds=1)

NO_ANSWERS: Final[Mapping[str, Result]] = {}


@dataclass(frozen=True, slots=True)
class View:
    """What there is to see of one task. `active`: its unfinished runs, oldest first."""

    entry: Entry
    active: tuple[Active, ...]
    last: Run | None


class Scheduler:
    """All tasks of one daemon. `prepare` comes first, then `serve` or `cycle`, in the end `stop`."""

    def __init__(self, store: Memory, runner: Runner, *, clock: Clock, bus: Bus, problems: Problems) -> None:
        self._store = store
        self._runner = runner
        self._clock = clock
        self._bus = bus
        self._book = Book()
        self._shield = Shield()
        self._problems = problems
        self._gate = Gate(
            store, clock=clock, bus=bus, problems=problems, tasks=self._tasks_in_use, on_change=self._open_or_not
        )
        self._dispatcher = Dispatcher(runner, store, self._gate, clock, self._shield, self._finished)
        self._slots = Slots(
            self._book,
            store,
            self._hand_over,
            runner.tell,
            clock=clock,
            bus=bus,
            problems=problems,
            shield=self._shield,
        )
        self._last: dict[str, Run] = {}  # without their outputs
        self._shelf: dict[str, TaskState] = {}  # of added tasks whose files cannot be read just now
        self._follow_up = FollowUp(self._dispatcher, self._may_start, self._try_to_fire, clock=clock, problems=problems)
        self._owed: list[Run] = []  # successors of what was cut off, to be written down yet
        self._tasks: anyio.abc.TaskGroup | None = None
        self._cycle: list[Run] | None = None  # what has ended in the cycle at hand
        self._stopping = False

    # --- from start to stop ---

    async def prepare(
        self, config: Config, tasks: Sequence[TaskConfig], answers: Mapping[str, Result] = NO_ANSWERS
    ) -> None:
        """Take up the tasks, and what the last daemon left of their runs. Raises UserError: then try again.

        `answers`: what came of attempts, by run id, that ended without that daemon.
        """
        self._last = await self._store.last_runs()
        await self._gate.prepare(config)
        await self._load(config, tasks, await self._store.states())
        left, now = await self._store.unfinished(), self._clock.now()
        waiting, succeeded = list[Run](), list[tuple[Entry, Run]]()
        for run in left:
            entry = self._book.entries.get(run.task)
            held = None if entry is None else self.holds.of(entry.config, now)
            task, agents = None if entry is None else entry.config, self._gate.agents
            result = takeup.outcome(run, task, now, held=held, agents=agents)
            if result is None:
                waiting.append(run)
                continue
            if entry is not None and (answer := answers.get(run.run_id)) is not None:
                result, run.attempts = takeup.answered(result, answer), max(1, run.attempts)
                self._gate.account(Active(run, entry.config, self._clock.monotonic()), result)
                succeeded += [(entry, run)] if result.outcome is Outcome.SUCCESS else []
            await self._runner.finish(run, result)
            self._last[run.task] = replace(run, output="", details=None)
            if result.outcome is Outcome.INTERRUPTED and entry is not None:
                again = takeup.successor(run, entry.config, new_run_id(), now, agents, watched=False)
                self._owed += [] if again is None else [again]
        if self._owed:
            await self._store.claim(self._owed, [])
        for run in waiting + self._owed:  # not earlier: all of this can be tried again
            if (entry := self._book.entries.get(run.task)) is not None:
                self._dispatcher.arrive(run, entry.config).tried = True  # nobody sits and waits for it any more
        self._owed = []
        for entry, run in succeeded:
            await self._succeeded(entry, run)
        self._gate.look_who_is_used()

    async def load(self, config: Config, tasks: Sequence[TaskConfig], unreadable: Collection[str] = ()) -> None:
        """Take these tasks and settings instead of those before. Runs under way go on as they were configured.

        `unreadable`: added tasks that are there, but not to be read just now. What is remembered of them is kept.
        """
        await self._load(config, tasks, self._shelf, unreadable)

    async def put(self, task: TaskConfig) -> None:
        """Take one more task, or this one in the place of the one of its name."""
        entry = self._book.entries.get(task.name)
        state = self._book.put(task, None if entry is None else entry.state, self._clock.now())
        self._slots.look_again()
        self._gate.use_changed()
        if state is not None:
            await self._store.save_states([state])

    def take_away(self, name: str) -> None:
        """Run a task no more, and end what runs of it."""
        self._book.drop(name)
        self._forget(name)

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Keep the schedule until cancelled; `stop` comes before that."""
        self._slots.begin()
        async with anyio.create_task_group() as tasks:
            self._serve_in(tasks)
            tasks.start_soon(self._gate.keep, self._dispatcher.give_up)
            tasks.start_soon(self._slots.keep)
            tasks.start_soon(self._slots.release)
            task_status.started()

    async def cycle(self) -> list[Run]:
        """Run what is due now and what follows from it, and give all runs when the last is finished.

        Those that agents are not ready for are left to the next daemon, and have no outcome. For `aiemp run --once`,
        instead of `serve`. Raises UserError when nothing can be written down.
        """
        self._cycle, self._dispatcher.kept, self._dispatcher.waits_long = [], [], False
        self._slots.begin()
        async with anyio.create_task_group() as tasks:
            self._serve_in(tasks)
            if self._slots.open:
                await self._slots.claim_due()
                self._slots.hand_over_until(None)
            await self._dispatcher.quiet()
        runs, self._cycle = self._cycle + self._dispatcher.kept, None
        return runs

    def _serve_in(self, tasks: anyio.abc.TaskGroup) -> None:
        self._tasks = tasks
        self._dispatcher.serve_in(tasks)
        self._follow_up.serve_in(tasks)

    async def stop(self) -> None:
        """End what runs, as `interrupted`, and leave what only waits to the next daemon. Nothing starts any more."""
        self._stopping = True
        self._dispatcher.begin_to_stop()
        await self._give_back(await self._slots.take_back())
        await self._dispatcher.quiet()

    def give_up(self) -> None:
        """There is no time left to wait until everything is written down."""
        self._shield.give_up()

    async def _load(
        self,
        config: Config,
        tasks: Sequence[TaskConfig],
        states: Mapping[str, TaskState],
        unreadable: Collection[str] = (),
    ) -> None:
        self._gate.use(config)
        self._gate.look()
        self._dispatcher.set_limit(config.scheduler.max_concurrent)
        gone = [entry for name, entry in self._book.entries.items() if name not in {task.name for task in tasks}]
        changed = self._book.load(tasks, states, ZoneInfo(config.timezone), config.timezone, self._clock.now())
        for entry in gone:
            if entry.name in unreadable:
                self._shelf[entry.name] = entry.state
            else:
                self._forget(entry.name)
        self._shelf = {name: state for name, state in self._shelf.items() if name in unreadable}
        if changed:
            await self._store.save_states(changed)
        self._gate.look_who_is_used()
        self._open_or_not()

    def _forget(self, name: str) -> None:
        self._store.forget_state(name)
        self._last.pop(name, None)
        self._follow_up.forget(name)
        self._gate.use_changed()
        for active in self._dispatcher.of_task(name):
            self._dispatcher.cancel(active, takeup.GONE)

    # --- what sets runs off ---

    def _hand_over(self, run: Run) -> None:
        """A claimed slot has come."""
        if self._may_start(run.task):
            self._dispatcher.arrive(run, self._book.entries[run.task].config)
        elif self._tasks is not None:
            self._tasks.start_soon(self._give_back, [run])

    async def _give_back(self, runs: Sequence[Run]) -> None:
        """Take back claims of slots that are not to be run after all.

        Where the task is enabled its slot was missed then, like those after it.
        """
        states = []
        for run in runs:
            entry = self._book.entries.get(run.task)
            if entry is not None and entry.enabled and entry.state.handled_until == run.slot:
                schedule = entry.config.schedule
                before = run.slot - (schedule.step if isinstance(schedule, Every) else MOMENT)
                states.append(replace(entry.state, handled_until=before))
                self._book.remember(entry, states[-1])
        if runs:
            await self._store.release([run.run_id for run in runs], states)

    async def fire(self, name: str, trigger: Trigger, *, dry_run: bool = False) -> Active:
        """Set a run off now, apart from any slot; it is written down when this returns. Raises UserError."""
        entry = self._book.entries.get(name)
        if entry is None:
            raise UserError(takeup.GONE)
        if self._stopping:
            raise UserError("the daemon is shutting down")
        run = replace(new_run(entry.config, self._clock.now(), trigger), dry_run=dry_run)
        with self._shield.held():  # who asked may go away: what is written down is run
            await self._store.claim([run], [])
        return self._dispatcher.arrive(run, entry.config)

    def changed(self, name: str, first: float) -> None:
        """Files that a task waits for have appeared or changed, the first of them at `first` (monotonic seconds)."""
        self._follow_up.changed(name, first)

    def _may_start(self, name: str) -> bool:
        """Whether there is such a task, and it may be set off by itself just now."""
        entry = self._book.entries.get(name)
        return entry is not None and entry.enabled and not self._closed()

    async def _try_to_fire(self, name: str, trigger: Trigger, *, dry_run: bool = False) -> None:
        try:
            await self.fire(name, trigger, dry_run=dry_run)
        except UserError as error:
            self._problems.report(f"start of {name}", f"task {name} could not be set off ({trigger}): {error}")
        else:
            self._problems.clear(f"start of {name}")

    async def _finished(self, active: Active) -> None:
        """A run is over: remember it, count it, set off what follows."""
        run, now = active.run, self._clock.monotonic()
        if self._cycle is not None:
            self._cycle.append(run)
        if active.began is not None:
            self._follow_up.guard.ended(run.task, active.began, now)
        self._gate.use_changed()
        entry = self._book.entries.get(run.task)
        if entry is None:
            return
        self._last[run.task] = replace(run, output="", details=None)
        if run.outcome is Outcome.SUCCESS:
            await self._succeeded(entry, run)
        elif run.outcome is Outcome.INTERRUPTED:
            await self._instead(run, active.task)

    async def _succeeded(self, entry: Entry, run: Run) -> None:
        if not run.dry_run:
            self._count_success(entry)
        for follower in self._book.followers(run.task):
            if not self._closed():
                await self._try_to_fire(follower.name, Trigger.AFTER, dry_run=run.dry_run)

    async def _instead(self, run: Run, task: TaskConfig) -> None:
        """Write a run down in place of one that was cut off; it is the next daemon's to carry out."""
        agents = self._gate.agents
        successor = takeup.successor(run, task, new_run_id(), self._clock.now(), agents, watched=True)
        if successor is None:
            return
        try:
            await self._store.claim([successor], [])
        except UserError as error:
            log.warning("%s: run %s is not tried again, which can't be written down: %s", run.task, run.run_id, error)
        else:
            self._dispatcher.arrive(successor, task)

    def _count_success(self, entry: Entry) -> None:
        state = replace(entry.state, successes=entry.state.successes + 1)
        limit = entry.config.max_runs
        if limit and state.successes >= limit:
            state = replace(state, enabled=False)
            times = "once" if limit == 1 else f"{limit} times"
            reason = f"it has succeeded {times}, as max_runs says"
            for active in self._dispatcher.of_task(entry.name):
                if active.began is None:
                    self._dispatcher.cancel(active, reason)
            self._publish_task(entry.name, "disabled", reason)
        self._remember(entry, state)

    # --- what people ask for ---

    @property
    def entries(self) -> Mapping[str, Entry]:
        """The tasks by name: configured ones in the file's order, then those added."""
        return self._book.entries

    @property
    def busy(self) -> Mapping[str, Sequence[Active]]:
        """The unfinished runs of those tasks that have some, oldest first."""
        return self._dispatcher.by_task

    @property
    def last_runs(self) -> Mapping[str, Run]:
        """How each task's last run ended, without its output and details."""
        return self._last

    @property
    def state(self) -> str:
        """`idle`, `running`, `paused` or `error`, as `status` has it."""
        if self._slots.failing:
            return "error"
        if self._gate.shut:
            return "paused"
        return "running" if self._dispatcher.active else "idle"

    @property
    def paused(self) -> bool:
        """Whether a person has paused it by command."""
        return self._gate.paused

    @property
    def paused_by_file(self) -> bool:
        """Whether the file PAUSE lies in the vault, as far as is known."""
        return self._gate.file is not None

    @property
    def holds(self) -> Holds:
        """The agents that take no prompts now."""
        return self._gate.holds

    @property
    def spending(self) -> Spending:
        """What agents and tasks have cost."""
        return self._gate.spending

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

    def pause(self, *, paused: bool) -> str:
        """Start no run by itself any more, or again; a daemon that comes later keeps to it. See Gate.pause."""
        return self._gate.pause(paused=paused)

    def _tasks_in_use(self) -> Iterator[TaskConfig]:
        """Give the tasks that are enabled, and those of unfinished runs as they were when these were set off."""
        yield from (entry.config for entry in self._book.entries.values() if entry.enabled)
        yield from (each.task for each in self._dispatcher.active.values() if each.run.outcome is None)

    def _closed(self) -> bool:
        self._gate.look()
        return self._gate.shut or self._stopping

    def _open_or_not(self) -> None:
        self._slots.set_open(is_open=not (self._gate.shut or self._stopping))
        self._dispatcher.look_again()

    def _remember(self, entry: Entry, state: TaskState) -> None:
        self._book.remember(entry, state)
        self._store.save_state(state)
        self._slots.look_again()
        self._gate.use_changed()

    def _publish_task(self, name: str, change: str, reason: str | None) -> None:
        self._bus.publish(TaskChanged(at=self._clock.now(), name=name, change=change, reason=reason))
