"""The composition root: builds the daemon's parts, starts them in order, and stops them in order. Nothing else does."""

import asyncio
import logging
import os
import signal
from collections.abc import Mapping, Sequence
from contextlib import ExitStack, suppress
from functools import partial
from typing import Any

import anyio
import anyio.abc

from orchestrator import __version__, adoption, groundwork, journal
from orchestrator.clock import Clock
from orchestrator.config.model import Config
from orchestrator.control.agent_board import AgentBoard
from orchestrator.control.commands import Commands
from orchestrator.control.readiness import ready
from orchestrator.control.server import ControlServer
from orchestrator.control.status import StatusSource
from orchestrator.control.task_commands import TaskCommands
from orchestrator.descriptors import make_room
from orchestrator.errors import UserError
from orchestrator.events import Bus, SupervisorChanged
from orchestrator.logs.capture import Capture
from orchestrator.mcp.monitor import McpMonitor
from orchestrator.places import Places
from orchestrator.problems import Problems
from orchestrator.processes.identity import boot_id
from orchestrator.processes.notify import NotifySockets
from orchestrator.processes.programs import Surroundings
from orchestrator.recorder import Recorder
from orchestrator.reloading import Reloader, Source
from orchestrator.schedule.runs import Outcome, Result, Run
from orchestrator.scheduling import Scheduling
from orchestrator.sdnotify import ServiceManager
from orchestrator.store import last_known, task_log
from orchestrator.store.database import Database
from orchestrator.store.runs import RunStore
from orchestrator.supervise.changes import Change
from orchestrator.supervise.machine import RealMachine
from orchestrator.supervise.supervisor import Supervisor
from orchestrator.supervise.verdict import Verb
from orchestrator.vault import health
from orchestrator.vault.reporter import Reporter

log = logging.getLogger(__name__)

LAST_WORDS = 2.0  # seconds that a slow disk gets for the last Dashboard, out of shutdown_timeout
CLOSING = 5.0  # seconds that a slow disk gets beyond shutdown_timeout at the most, for what was not written yet
START_PATIENCE = 10.0  # seconds that `--once` waits beyond the watchers' own limits


def set_log_level(config: Config) -> None:
    logging.getLogger().setLevel(config.log_level.upper())
    logging.getLogger("asyncio").setLevel(logging.WARNING)


class Daemon:
    """The running whole: its parts, its life from start to stop, and what `Commands` asks of it."""

    def __init__(
        self,
        source: Source,
        config: Config,
        places: Places,
        *,
        clock: Clock,
        bus: Bus,
        problems: Problems,
        capture: Capture,
    ) -> None:
        self._config = config
        self._places = places
        self._clock = clock
        self._bus = bus
        self._problems = problems
        self._capture = capture
        self._manager = ServiceManager.from_environ(os.environ, os.getpid())
        around = Surroundings(places, str(config.file.parent), config.dry_run, dict(os.environ))
        self._machine = RealMachine(around, capture, NotifySockets(groundwork.sockets_folder(places, "notify")))
        self._supervisor = Supervisor(self._machine, clock, bus)
        self._database = Database(places.database, now=clock.now, on_problem=problems.put)
        self._store = RunStore(self._database)
        self._add_to_task_log = capture.own_log("task-log", places.task_log)
        self._scheduling = Scheduling(
            config,
            places,
            self._store,
            notify=NotifySockets(groundwork.sockets_folder(places, "runs")),
            environ=around.environ,
            log_run=self._log_run,
            update_dashboard=self._update_dashboard,
            clock=clock,
            bus=bus,
            problems=problems,
        )
        scheduler = self._scheduling.scheduler
        self._agents = AgentBoard(config, scheduler, around.environ, clock=clock, bus=bus, problems=problems)
        self._mcp = McpMonitor(places, around, clock, self._scheduling.groups, bus, problems)
        self._checking: anyio.CancelScope | None = None  # of MCP servers
        self._checked = anyio.Event()  # none of them is checked any more
        self._status = StatusSource(
            config, self._supervisor, self._machine.launched, scheduler, self._agents, self._servers, problems, clock
        )
        self._recorder = Recorder(self._database, self._supervisor, self._machine, self._status, clock)
        self._reporter = Reporter(places, self._rows, clock=clock, bus=bus, problems=problems, timezone=config.timezone)
        self._reloader = Reloader(
            source,
            config,
            self._supervisor,
            self._machine.launched,
            bus=bus,
            problems=problems,
            clock=clock,
            apply_settings=self._apply_settings,
        )
        self._last_known = last_known.watchers(places.database)
        self._started = anyio.Event()
        self._stop_asked = anyio.Event()
        self._told_to_stop = 0  # times, by signal
        self._task_changes: dict[str, Any] = {}
        self.cut_short = False  # told to stop in the middle of `--once`
        self._deadline: float | None = None  # monotonic seconds: when all must be over

    # --- from start to stop ---

    async def main(self, watchers: bool, once: bool) -> dict[str, Any] | None:  # noqa: FBT001  anyio.run's way
        """Live: start, serve until told to stop, stop. With `once`, stop after one cycle and give its summary."""
        summary = None
        self._problems.bind(asyncio.get_running_loop())
        listeners = journal.write, self._recorder.note, self._agents.note
        with ExitStack() as listening:
            for listener in listeners:
                listening.enter_context(self._bus.subscribed(listener))
            async with self._database, anyio.create_task_group() as tasks:
                self._publish("starting")
                await self._start(tasks)
                asked = await self._start_watchers() if watchers else {}
                if once:
                    await self._scheduling.prepare()
                else:
                    await tasks.start(self._scheduling.serve)
                    self._checking = anyio.CancelScope()
                    tasks.start_soon(self._look_after_servers, self._checking)
                # Not earlier: "stopped" would be written down for what is only not started yet.
                tasks.start_soon(self._recorder.serve)
                if not self.stopping:
                    self._ready()
                    if once:
                        summary = await self._one_cycle(asked)
                        self.cut_short = self.stopping
                    else:
                        await self._stop_asked.wait()
                await self._stop()
                tasks.cancel_scope.cancel()
        self._machine.close()
        self._scheduling.close()
        self._manager.close()
        groundwork.remove_fallback(self._places)
        return summary

    async def _start(self, tasks: anyio.abc.TaskGroup) -> None:
        tasks.start_soon(self._hear_signals, tasks)
        if (short := make_room(self._config)) is not None:
            self._problems.report("descriptors", short)
        for watcher in self._config.watchers.values():
            self._supervisor.add(watcher)
        await tasks.start(self._supervisor.serve)
        tasks_ = TaskCommands(self._scheduling, self._status, self._store, self._clock, partial(ready, self))
        commands = Commands(self, self._supervisor, self._status, self._places, tasks_)
        server = ControlServer(groundwork.control_socket(self._places), commands.handle, self._bus)
        await tasks.start(server.serve)
        await tasks.start(self._reporter.serve)
        if self._manager.watchdog is not None:
            tasks.start_soon(self._feed_watchdog, self._manager.watchdog)

    async def _start_watchers(self) -> dict[str, int | None]:
        """Adopt what an earlier daemon left running, and start the rest."""
        previous = await self._database.started(pid=os.getpid(), boot_id=boot_id(), version=__version__)
        known = await self._database.processes()
        # Without a database nobody knows: then the last one may have died.
        died = previous is None or (previous["stopped_at"] is None and previous["boot_id"] == boot_id())
        found = adoption.take_over(
            known,
            self._config,
            self._places.state,
            self._machine,
            self._supervisor,
            search=died,
            last_known=self._last_known,
        )
        self._machine.tidy()
        self._supervisor.renew(found.outdated)
        settled = {*found.adopted, *(adoption.respect(self._last_known, self._supervisor) if died else ())}
        wanted = [each.name for each in self._config.watchers.values() if each.enabled and each.autostart]
        start = [name for name in wanted if name not in settled]
        asked = self._supervisor.ask(Verb.START, start, except_for=settled)
        # What was just being stopped: for good, if that was someone's wish, else it was the dying daemon's shutdown.
        by_person = {status.get("name") for status in self._last_known if status.get("stopped_by_person")}
        again = [name for name in found.unwanted if name in wanted and name not in by_person]
        self._supervisor.renew(again)
        self._supervisor.ask(Verb.STOP, [name for name in found.unwanted if name not in again], person=True)
        return asked

    def _ready(self) -> None:
        self._status.state = "running"
        self._started.set()
        self._publish("running")
        count = len(self._supervisor.keepers)
        self._manager.send(READY="1", STATUS=f"supervising {count} watcher{'' if count == 1 else 's'}")

    async def _one_cycle(self, asked: Mapping[str, int | None]) -> dict[str, Any]:
        policies = [self._config.watchers[name].policy for name in asked]
        patience = sum(max(each.start_seconds, each.ready_timeout) for each in policies) + START_PATIENCE
        async with anyio.create_task_group() as tasks:
            waiting = anyio.CancelScope()

            async def hurry() -> None:
                await self._stop_asked.wait()
                waiting.cancel()
                await self._stop_runs(self._limit())  # the cycle ends with what it runs

            tasks.start_soon(hurry)
            with waiting:
                await self._supervisor.wait(Verb.START, asked, patience)
            runs = [run.as_json() for run in await self._scheduling.cycle()]
            if not self.stopping:
                tasks.cancel_scope.cancel()
        found = await self._status.whole()
        await self._reporter.write_final()
        return {"supervisor": found["supervisor"], "watchers": found["watchers"], "runs": runs, "vault": found["vault"]}

    async def _stop(self) -> None:
        self._status.state = "stopping"
        self._publish("stopping")
        self._manager.send(STOPPING="1", STATUS="stopping the watchers")
        if self._checking is not None:
            self._checking.cancel()
        limit, last_words = self._limit(), self._last_words
        with anyio.CancelScope(shield=True):
            async with anyio.create_task_group() as ends:
                ends.start_soon(self._stop_watchers, limit)
                ends.start_soon(self._stop_runs, limit)
            self._status.state = "stopped"
            self._publish("stopped")
            self._recorder.save()
            with anyio.move_on_after(last_words):
                await self._reporter.write_final()
                await self._database.stopped()
        self._database.close_limit = self.time_left()

    @property
    def _last_words(self) -> float:
        return min(LAST_WORDS, self._reloader.config.shutdown_timeout / 4)

    def _limit(self) -> float:
        """Give the seconds that stopping watchers and runs may take, from the first time that this is asked."""
        if self._deadline is None:
            self._deadline = self._clock.monotonic() + self._reloader.config.shutdown_timeout
        return max(0.0, self._deadline - self._last_words - self._clock.monotonic())

    async def _stop_watchers(self, limit: float) -> None:
        if not await self._supervisor.stop_all(limit):
            log.error("not every watcher could be killed within %g s", limit)

    async def _stop_runs(self, limit: float) -> None:
        """End the runs and the checks of MCP servers, whatever they are at, and wait no longer than `limit` for it."""

        async def kill() -> None:
            await self._clock.sleep(limit * 0.8)
            self._scheduling.kill_all()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(kill)
            with anyio.move_on_after(limit) as late:
                await self._scheduling.stop()
                if self._checking is not None:
                    await self._checked.wait()
            if late.cancelled_caught:
                log.error("what became of every run could not be written down within %g s", limit)
            self._scheduling.give_up()
            self._scheduling.groups.give_up()
            tasks.cancel_scope.cancel()

    def time_left(self) -> float:
        """Give the seconds that something which must still be written may take."""
        left = 0.0 if self._deadline is None else self._deadline - self._clock.monotonic()
        return min(CLOSING, max(left, 0.5))

    # --- what goes on meanwhile ---

    async def _hear_signals(self, tasks: anyio.abc.TaskGroup) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT, signal.SIGHUP) as signals:
            async for number in signals:
                if number == signal.SIGHUP:
                    tasks.start_soon(self._reload_when_ready)
                    continue
                self._told_to_stop += 1
                self._stop_asked.set()
                if self._told_to_stop > 1:
                    log.warning("told twice to stop: killing what is left")
                    self._supervisor.kill_all()
                    self._scheduling.kill_all()
                    self._scheduling.give_up()

    async def _reload_when_ready(self) -> None:
        await self._started.wait()
        if not self.stopping:
            with suppress(UserError):  # said in the log and in `status`; the old configuration stays
                await self.reload(plan=False)

    async def _look_after_servers(self, checking: anyio.CancelScope) -> None:
        self._mcp.use(self._reloader.config)
        try:
            with checking:
                await self._mcp.serve()
        finally:
            self._checked.set()

    def _servers(self) -> list[dict[str, Any]]:
        return [found.as_json() for found in self._mcp.findings()]

    async def _feed_watchdog(self, interval: float) -> None:
        while True:
            self._manager.send(WATCHDOG="1")
            await self._clock.sleep(interval / 3)

    def _rows(self) -> Sequence[health.Row]:
        supervisor = self._status.supervisor()
        return [
            health.supervisor_row(supervisor, self._status.started_at),
            *(health.watcher_row(watcher) for watcher in self._status.watchers()),
            *(health.server_row(server) for server in self._servers()),
            *(health.agent_row(agent) for agent in self._agents.look()),
            *self._status.board.rows(),
        ]

    def _apply_settings(self, config: Config) -> None:
        self._status.config = self._agents.config = config
        self._mcp.use(config)
        self._capture.set_limits(config.logs)
        self._machine.use_dry_run(config.dry_run)
        self._reporter.use_timezone(config.timezone)
        set_log_level(config)

    def _log_run(self, run: Run) -> None:
        self._add_to_task_log(task_log.line(run, self._clock.now()))

    async def _update_dashboard(self) -> Result:
        await self._reporter.write_final()
        return Result(Outcome.SUCCESS, "the Dashboard's health table is up to date")

    def _publish(self, state: str) -> None:
        self._bus.publish(SupervisorChanged(at=self._clock.now(), new=state, pid=os.getpid()))

    # --- commands.Daemon ---

    @property
    def stopping(self) -> bool:
        return self._stop_asked.is_set()

    async def started(self) -> None:
        await self._started.wait()

    async def reload(self, *, plan: bool) -> tuple[list[Change], list[str]]:
        if plan:
            found = self._reloader.reload(plan=True)
            self._task_changes = await self._scheduling.foresee(self._reloader.seen)
            return found
        self._manager.send(RELOADING="1", MONOTONIC_USEC=str(round(self._clock.monotonic() * 1_000_000)))
        try:
            found = self._reloader.reload(plan=False)
            self._task_changes = await self._scheduling.foresee(self._reloader.config)
            await self._scheduling.use(self._reloader.config)
        finally:
            self._manager.send(READY="1")
        return found

    def task_changes(self) -> dict[str, Any]:
        return self._task_changes

    async def remember(self) -> None:
        self._recorder.save_watchers()
        with anyio.move_on_after(1.0):
            await self._database.flush()

    def shut_down(self) -> None:
        self._stop_asked.set()

    async def events(self, limit: int) -> list[dict[str, Any]]:
        return await self._database.events(limit)
