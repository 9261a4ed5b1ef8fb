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
TASKS_A_SECOND = 300  # more of them are written more rarely: ten thousand take the database a tenth of a second


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

    def note(self, fact: Fact) -> None:
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
            self.save()
            await self._clock.sleep(SAVE_EVERY * max(1.0, self._status.task_count / TASKS_A_SECOND))

    def save(self) -> None:
        """Save the last known states now."""
        self._dirty = anyio.Event()
        self._database.save_watchers(self._status.watchers())
        self._database.save_tasks(self._status.tasks())

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
