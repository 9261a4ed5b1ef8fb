"""Writes facts into the database: the events, the last known states, and the processes that may outlive the daemon."""

import anyio

from orchestrator.clock import Clock
from orchestrator.control.status import StatusSource
from orchestrator.events import Fact, WatcherChanged, WatcherSaid
from orchestrator.store.database import Database, KnownProcess
from orchestrator.supervise.machine import RealMachine
from orchestrator.supervise.supervisor import Supervisor
from orchestrator.turns import EndOfTurn

SAVE_EVERY = 1.0  # seconds between two writes of the last known states
TASKS_AT_ONCE = 200  # so many take some milliseconds to be put together
PAUSE = 0.02  # seconds until the next so many


class Recorder:
    """A subscriber of the bus, and the task that saves the last known states when they changed."""

    def __init__(
        self, database: Database, supervisor: Supervisor, machine: RealMachine, status: StatusSource, clock: Clock
    ) -> None:
        self._database = database
        self._supervisor = supervisor
        self._machine = machine
        self._status = status
        self._clock = clock
        self._dirty = anyio.Event()
        self._facts: list[Fact] = []
        self._soon = EndOfTurn(self._record)
        self._anew = True  # nothing that the database holds of tasks is known to be true
        database.when_opened(self._begin_anew)

    def note(self, fact: Fact) -> None:
        self._status.board.note(fact)  # before anybody who hears of it asks
        self._dirty.set()
        if not isinstance(fact, WatcherSaid):  # a heartbeat's text is no history
            self._facts.append(fact)
            self._soon.ask()

    def _record(self) -> None:
        facts, self._facts = self._facts, []
        for fact in facts:
            self._database.record(fact)
        for name in {fact.name for fact in facts if isinstance(fact, WatcherChanged)}:
            self._remember_process(name)

    async def serve(self) -> None:
        while True:
            await self._dirty.wait()
            self._dirty = anyio.Event()
            self.save_watchers()
            while self._save_some_tasks():
                await self._clock.sleep(PAUSE)
            await self._clock.sleep(SAVE_EVERY)

    def save(self) -> None:
        """Save the last known states now."""
        self.save_watchers()
        while self._save_some_tasks():
            pass

    def save_watchers(self) -> None:
        """Save the watchers' last known states now."""
        self._database.save_watchers(self._status.watchers())

    def _save_some_tasks(self) -> bool:
        """Whether there may be more to save."""
        if self._anew:
            self._database.forget_tasks()
            self._anew = False
        objects, gone = self._status.board.take(TASKS_AT_ONCE)
        self._database.save_tasks(objects, gone)
        return len(objects) == TASKS_AT_ONCE

    def _begin_anew(self) -> None:
        """There is another file, with nothing or with an earlier daemon's tasks in it."""
        self._anew = True
        self._status.board.forget()
        self._dirty.set()

    def _remember_process(self, name: str) -> None:
        keeper = self._supervisor.keepers.get(name)
        launched = self._machine.launched.get(name)
        if keeper is None or keeper.pid is None:
            self._database.forget_process(name)
            return
        if launched is None or launched.identity.pid != keeper.pid:
            return  # what is left of an earlier daemon's process, which is written down already
        identity = launched.identity
        self._database.save_process(
            KnownProcess(
                name=name,
                pid=identity.pid,
                start_time=identity.start_time,
                boot_id=identity.boot_id,
                command=launched.fingerprint,
                spec={"restarts": keeper.child.total, "dry_run": launched.dry_run, "watched": keeper.watched},
                wanted=keeper.child.wanted,
            )
        )
