"""The schedule's part of the daemon put together: its runs and their records, added tasks, watched files, upkeep."""

import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import replace
from datetime import timedelta
from typing import Any, Final, TypeVar
from zoneinfo import ZoneInfo

import anyio
import anyio.abc

from orchestrator.actions.answered import forget, left_behind
from orchestrator.actions.answers import End
from orchestrator.actions.host import ActionHost
from orchestrator.clock import Clock
from orchestrator.config import added
from orchestrator.config.model import Config, TaskConfig
from orchestrator.errors import ConfigInvalid, UserError
from orchestrator.events import Bus, TaskChanged
from orchestrator.places import Places
from orchestrator.problems import Problems
from orchestrator.processes.leftovers import end_leftovers
from orchestrator.processes.notify import NotifySockets
from orchestrator.processes.programs import Surroundings
from orchestrator.redaction import Redactor
from orchestrator.schedule import differences
from orchestrator.schedule.changes import Changes
from orchestrator.schedule.conditions import any_exists
from orchestrator.schedule.runner import Runner
from orchestrator.schedule.runs import Result, Run
from orchestrator.schedule.scheduler import Scheduler
from orchestrator.schedule.when import Once, next_slot
from orchestrator.store.runs import RunStore
from orchestrator.threads import in_thread

log = logging.getLogger(__name__)

T = TypeVar("T")

LEFTOVER_GRACE: Final = 2.0  # seconds that what a killed daemon's runs have left gets to end by itself
PRUNE_EVERY: Final = 86_400.0  # seconds
PREPARE_AGAIN: Final = 5.0  # seconds until the next try to read what is remembered
UNREADABLE: Final = "tasks"  # the keys of our lines in `problems`
BROKEN: Final = "added tasks"


class Scheduling:
    """Everything about tasks that is not decided: what the scheduler is given, and what is done around it."""

    def __init__(
        self,
        config: Config,
        places: Places,
        store: RunStore,
        *,
        notify: NotifySockets,
        environ: Mapping[str, str],
        log_run: Callable[[Run], None],
        update_dashboard: Callable[[], Awaitable[Result]],
        clock: Clock,
        bus: Bus,
        problems: Problems,
    ) -> None:
        self._config = config
        self._places = places
        self._store = store
        self._clock = clock
        self._bus = bus
        self._one_at_a_time = anyio.Lock()  # who changes what tasks there are
        self._prepared = False
        self._problems = problems
        around = Surroundings(places, str(config.file.parent), config.dry_run, environ)
        on_builtin = {"health_update": update_dashboard}
        redact = self._redact = Redactor(environ)
        self._host = ActionHost(
            around,
            notify,
            clock,
            timezone=config.timezone,
            on_builtin=on_builtin,
            redact=redact,
            agents=config.agents,
            budget_left=self._budget_left,
        )
        self.groups = self._host.groups  # of processes; serve() hears of them
        runner = Runner(
            self._host,
            store,
            exists=self._exists,
            redact=redact,
            log_run=log_run,
            clock=clock,
            bus=bus,
        )
        self.scheduler = Scheduler(store, runner, clock=clock, bus=bus, problems=problems)
        self._changes = Changes(places.vault, clock, self.scheduler.changed, self._changes_problem)

    # --- from start to stop ---

    async def prepare(self) -> None:
        """End what a killed daemon's runs have left, and take up the tasks and what came of their prompts.

        Raises UserError, see RunStore.states.
        """
        cut_off = {run.run_id for run in await self._store.unfinished()}
        found = await _aside(end_leftovers, self._places.state, LEFTOVER_GRACE, cut_off) if cut_off else set()
        if found:
            log.warning("ended what runs of an earlier daemon had left: %s", ", ".join(sorted(found)))
        self._host.tidy()
        end = End(None, "", self._clock.now(), self._config.timezone)
        answers = await _aside(left_behind, self._places.state, cut_off, end, self._redact)
        async with self._one_at_a_time:
            tasks, _ = await self._tasks()
            await self.scheduler.prepare(self._config, tasks, answers)
            self._prepared = True
        for run_id in cut_off:
            forget(self._places.state, run_id)
        self._watch_files()

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Run the schedule until cancelled; `stop` comes before that.

        While it cannot be read what is remembered of the tasks, none is there, and that is a problem in `status`.
        """
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._host.serve)
            in_trouble = await self._try_to_prepare()
            if in_trouble:
                task_status.started()
                while await self._try_to_prepare():
                    await self._clock.sleep(PREPARE_AGAIN)
            await tasks.start(self.scheduler.serve)
            tasks.start_soon(self._changes.serve)
            tasks.start_soon(self._prune)
            if not in_trouble:
                task_status.started()

    async def _try_to_prepare(self) -> bool:
        """Prepare; tell whether that failed."""
        try:
            await self.prepare()
        except UserError as error:
            self._problems.report(UNREADABLE, f"no task is run, since their past cannot be read: {error}")
            return True
        self._problems.clear(UNREADABLE)
        return False

    async def cycle(self) -> list[Run]:
        """Run what is due, once; see Scheduler.cycle."""
        async with anyio.create_task_group() as tasks:
            await tasks.start(self._host.serve)
            runs = await self.scheduler.cycle()
            tasks.cancel_scope.cancel()
        return runs

    async def stop(self) -> None:
        """End what runs; see Scheduler.stop."""
        await self.scheduler.stop()

    def kill_all(self) -> None:
        """Kill whatever runs, at once."""
        self._host.kill_all()

    def give_up(self) -> None:
        """See Scheduler.give_up."""
        self.scheduler.give_up()

    def close(self) -> None:
        self._host.close()

    # --- what is to be run ---

    async def use(self, config: Config) -> None:
        """Let a new configuration take effect; added tasks are read again too."""
        self._config = config
        self._host.use_dry_run(config.dry_run)
        self._host.use_timezone(config.timezone)
        self._host.use_agents(config.agents)
        async with self._one_at_a_time:
            if self._prepared:  # else it will be, with this configuration
                await self.scheduler.load(self._config, *await self._tasks())
        self._watch_files()

    async def foresee(self, config: Config) -> dict[str, Any]:
        """Give what `use` of this configuration comes to: `tasks`, changes by name, and `notes`, lines for a person."""
        found = await _aside(added.load_all, self._places.state, config)
        kept = {each.name: each.config for each in self.scheduler.entries.values() if each.name not in found.broken}
        changes = differences.compare(kept, [*config.tasks.values(), *found.tasks])
        told = [{"name": each.name, "change": each.change, "keys": list(each.keys)} for each in changes]
        return {"tasks": told, "notes": found.problems}

    async def add(self, name: str, settings: Mapping[str, Any], *, instead: bool) -> None:
        """Add a task, or put it in the place of the added one of that name (`instead`).

        Raises ConfigInvalid, or UserError when the name is taken.
        """
        async with self._one_at_a_time:
            self._refuse_unprepared()
            entry = self.scheduler.entries.get(name)
            if entry is not None and not instead:
                raise UserError(f"there is a task {name} already; choose another name, or remove that one first")
            if instead and (entry is None or not entry.config.added):
                raise UserError(f"{name} is no task that was added by command; change it in {self._config.file}")
            task = await _aside(added.write, self._places.state, name, settings, self._config, self._after())
            if not instead and isinstance(task.schedule, Once) and self._is_over(task.schedule):
                await _aside(added.remove, self._places.state, name, self._after())
                raise ConfigInvalid((f"tasks.{name}.at: has passed; a time to come is needed",))
            await self.scheduler.put(task)
        self._watch_files()
        self._publish(name, "changed" if instead else "added")

    async def remove(self, name: str) -> None:
        """Take an added task away. Raises UserError for a configured one."""
        async with self._one_at_a_time:
            self._refuse_unprepared()
            entry = self.scheduler.entries.get(name)
            if entry is not None and not entry.config.added:
                raise UserError(
                    f"{name} is configured in {self._config.file}; remove it there, or: aiempctl disable {name}"
                )
            await _aside(added.remove, self._places.state, name, self._after())
            self.scheduler.take_away(name)
        self._watch_files()
        self._publish(name, "removed")

    def _is_over(self, schedule: Once) -> bool:
        return next_slot(schedule, ZoneInfo(self._config.timezone), self._clock.now()) is None

    def _after(self) -> dict[str, tuple[str, ...]]:
        return {entry.name: entry.config.after for entry in self.scheduler.entries.values() if entry.config.added}

    def _refuse_unprepared(self) -> None:
        if not self._prepared:
            raise UserError("tasks cannot be changed while their past cannot be read; `aiempctl status` says why")

    async def settings(self, name: str) -> dict[str, Any] | None:
        """Give an added task's table as it was written; None for a configured one."""
        entry = self.scheduler.entries.get(name)
        if entry is None or not entry.config.added:
            return None
        return dict(await _aside(added.settings, self._places.state, name))

    def enable(self, name: str, *, enabled: bool) -> bool:
        """See Scheduler.enable."""
        changed = self.scheduler.enable(name, enabled=enabled)
        if changed:
            self._watch_files()
        return changed

    async def remember(self) -> bool:
        """Tell whether what was decided by command is on disk; the disk gets a second for it."""
        with anyio.move_on_after(1.0):
            return await self._store.flush()
        return False

    async def _tasks(self) -> tuple[list[TaskConfig], set[str]]:
        """Give all tasks, and the names of added ones that are there but cannot be read just now."""
        found = await _aside(added.load_all, self._places.state, self._config)
        broken = "; ".join(found.problems)
        self._problems.put(BROKEN, f"added tasks that are not run: {broken}" if broken else None)
        unreadable = set(found.broken)
        if found.folder is not None:
            unreadable |= {entry.name for entry in self.scheduler.entries.values() if entry.config.added}
        return [*self._config.tasks.values(), *found.tasks], unreadable

    def _watch_files(self) -> None:
        """Watch the files of those tasks that are enabled, by whoever's word."""
        entries = self.scheduler.entries.values()
        self._changes.watch(
            [replace(entry.config, enabled=entry.enabled) for entry in entries if entry.config.on_change]
        )

    # --- what goes on meanwhile ---

    async def _exists(self, patterns: Sequence[str]) -> bool:
        return await in_thread(any_exists, self._places.vault, patterns)

    def _budget_left(self, agent: str) -> float | None:
        return self.scheduler.spending.left(agent, self._clock.now())

    async def _prune(self) -> None:
        while True:
            older = self._clock.now() - timedelta(seconds=self._config.scheduler.keep_history)
            if count := await self._store.prune(older):
                log.info("%d runs older than keep_history were removed from the history", count)
            await self._clock.sleep(PRUNE_EVERY)

    def _changes_problem(self, text: str | None) -> None:
        self._problems.put("on_change", text)

    def _publish(self, name: str, change: str) -> None:
        self._bus.publish(TaskChanged(at=self._clock.now(), name=name, change=change))


async def _aside(work: Callable[..., T], *args: Any) -> T:
    """Do `work` in a worker thread. Raises UserError when there is none left, beside whatever `work` raises."""
    try:
        return await in_thread(work, *args)
    except BlockingIOError as error:
        raise UserError(f"{error.strerror}; end some processes") from error
