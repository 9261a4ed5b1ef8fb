"""The SQLite database: what happened, what the watchers were last known to do, and which processes may outlive us."""

import asyncio
import json
import logging
import sqlite3
import threading
from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from types import TracebackType
from typing import Any, Final, Self, TypeVar

import anyio

from orchestrator.clock import rfc3339
from orchestrator.errors import UserError
from orchestrator.events import Fact
from orchestrator.store import reading, writing
from orchestrator.store.connecting import Connecting
from orchestrator.store.opening import is_damage
from orchestrator.store.pending import Ask, Batch, Pending, Write
from orchestrator.threads import in_thread

log = logging.getLogger(__name__)

T = TypeVar("T")

RETRY: Final = 5.0  # seconds until a write that failed is tried again

# Keys of the problems reported; the first one comes and goes, the others stay until the next start.
UNWRITABLE: Final = "database"
DAMAGED: Final = "database-damaged"
NEWER: Final = "database-newer"

# The last three: a row that no version of aiemp wrote.
UNREADABLE: Final = (sqlite3.Error, OSError, ValueError, TypeError, OverflowError)

OnProblem = Callable[[str, str | None], None]


class Unavailable(UserError):
    """The database cannot be used just now, or not any more."""


@dataclass(frozen=True, slots=True, kw_only=True)
class KnownProcess:
    """A watcher's process, as the next daemon must know it to adopt it after this one was killed."""

    name: str
    pid: int
    start_time: int  # clock ticks since boot (/proc/PID/stat, field 22): with pid and boot_id it names one process
    boot_id: str
    command: str  # a hash of what was started
    spec: Mapping[str, Any]  # whatever else adoption needs, as JSON
    wanted: bool


class Database:
    """One connection in one thread of its own; nothing here blocks the event loop.

    `record`, `put`, `save_*` and `forget_*` only queue, and never fail: while the disk is full they wait, and are tried
    again. What is awaited is answered after everything queued before it. An awaited write survives a power cut
    (`synchronous = FULL`); everything else survives the death of the daemon as soon as its batch is committed.
    `on_problem(key, text)` is called in the event loop, with None for the text when the problem is over.
    """

    def __init__(self, path: str, *, now: Callable[[], datetime], on_problem: OnProblem) -> None:
        self.close_limit = 5.0  # seconds that an orderly stop waits for a disk that hangs
        self._path = path
        self.now = now
        self._on_problem = on_problem
        self._pending = Pending()
        self._opened: Future[None] = Future()
        self._ended: Future[None] = Future()
        self._loop: asyncio.AbstractEventLoop | None = None
        # Used by the thread alone:
        self._file = Connecting(path, now, partial(self._report, DAMAGED), partial(self._report, NEWER))
        self._unwritable = False
        self._taken: list[Ask] = []  # the questions that wait for the batch in work

    async def __aenter__(self) -> Self:
        self._loop = asyncio.get_running_loop()
        for future in (self._opened, self._ended):
            future.set_running_or_notify_cancel()  # from now on a cancelled waiter leaves it to the thread to fill
        # A daemon thread: one that hangs on a dead disk must not keep the process from ending.
        threading.Thread(target=self._run, name="database", daemon=True).start()
        await asyncio.wrap_future(self._opened)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Write what is left and close the file; raises what ended the thread, if anything did."""
        self._pending.finish()
        with anyio.move_on_after(self.close_limit, shield=True) as scope:
            await asyncio.wrap_future(self._ended)
        if scope.cancelled_caught:
            words = "the disk did not take the last events within %g s; they are not in %s"
            log.error(words, self.close_limit, self._path)

    def record(self, fact: Fact) -> None:
        """Remember `fact`. When the disk cannot keep up with a crash loop, a note says how many facts are missing."""
        self._pending.add(fact)

    def save_watchers(self, statuses: Iterable[Mapping[str, Any]]) -> None:
        """Make these the watchers' last known states, and forget all others. Each has a `name`; order is kept."""
        rows = tuple(dict(status) for status in statuses)
        self.put("watchers", lambda connection: writing.replace_watchers(connection, rows, self.now()))

    def save_tasks(self, statuses: Mapping[int, Mapping[str, Any]], gone: Iterable[str] = ()) -> None:
        """Remember the last known states of these tasks, by the numbers that put them in order, beside all others.

        Forget those that are `gone`. They are not copied: leave them as they are from now on.
        """
        for name in gone:
            self.put(f"status {name}", partial(writing.save_task, name=name, row=None), passing=True)
        for number, status in statuses.items():
            row = number, status, self.now()
            self.put(f"status {status['name']}", partial(writing.save_task, name=status["name"], row=row), passing=True)

    def forget_tasks(self) -> None:
        """Forget the last known states of all tasks."""
        self.put("statuses", writing.forget_tasks, passing=True)

    def when_opened(self, call: Callable[[], None]) -> None:
        """Have `call` called, in the event loop, for every file that is opened from now on.

        What was `passing` may have been written to the one before it alone.
        """
        self.retell(lambda _: self._in_loop(call))

    def save_process(self, process: KnownProcess) -> None:
        """Remember the process that runs a watcher; written within milliseconds (`flush` waits for it)."""
        row = (
            process.name,
            process.pid,
            process.start_time,
            process.boot_id,
            process.command,
            writing.as_text(process.spec),
            process.wanted,
        )

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("REPLACE INTO processes VALUES (?, ?, ?, ?, ?, ?, ?)", row)

        self.put(f"process {process.name}", write, urgent=True)

    def forget_process(self, name: str) -> None:
        def write(connection: sqlite3.Connection) -> None:
            connection.execute("DELETE FROM processes WHERE name = ?", (name,))

        self.put(f"process {name}", write, urgent=True)

    async def started(self, *, pid: int, boot_id: str, version: str) -> dict[str, Any] | None:
        """Remember that this daemon runs. Gives the one before it: pid, boot_id, started_at, stopped_at, version.

        `stopped_at` is None when that one did not stop in order. None when there was none, or nothing is known of it.
        """
        row = (pid, boot_id, rfc3339(self.now()), version)

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("REPLACE INTO daemon VALUES (1, ?, ?, ?, NULL, ?)", row)

        previous = await self.read(reading.daemon, otherwise=None)
        self.put("daemon", write)
        return previous

    async def stopped(self) -> None:
        """Remember that this daemon stopped in order; written when this returns, if the disk allows."""
        at = rfc3339(self.now())

        def write(connection: sqlite3.Connection) -> None:
            connection.execute("UPDATE daemon SET stopped_at = ?", (at,))

        with suppress(Unavailable):  # reported already
            await self.write(write)

    async def flush(self) -> bool:
        """Wait until everything queued so far is committed; False when the disk does not allow it."""
        try:
            await self._ask(None, write=True)
        except Unavailable:
            return False
        return True

    async def events(self, limit: int = 1000) -> list[dict[str, Any]]:
        """The newest `limit` facts, oldest first, as `Fact.as_json` gives them."""
        return await self.read(lambda connection: reading.events(connection, limit), otherwise=[])

    async def restarts(self, name: str, limit: int = writing.KEEP_RESTARTS) -> list[dict[str, Any]]:
        """The newest `limit` automatic restarts of a watcher, oldest first: `at` (RFC 3339, UTC) and `cause`."""
        return await self.read(lambda connection: reading.restarts(connection, name, limit), otherwise=[])

    async def processes(self) -> list[KnownProcess]:
        """The processes that the last daemon left in the table: those it did not live to see the end of."""

        def read(connection: sqlite3.Connection) -> list[KnownProcess]:
            rows = connection.execute(
                "SELECT name, pid, start_time, boot_id, command, spec, wanted FROM processes ORDER BY name"
            )
            return [
                KnownProcess(
                    name=name,
                    pid=pid,
                    start_time=start_time,
                    boot_id=boot_id,
                    command=command,
                    spec=found,
                    wanted=bool(wanted),
                )
                for name, pid, start_time, boot_id, command, spec, wanted in rows
                if isinstance(found := json.loads(spec), dict)  # it may be saved from a damaged file
            ]

        return await self.read(read, otherwise=[])

    def put(
        self, key: str, write: Write, *, urgent: bool = False, passing: bool = False, durable: bool = False
    ) -> None:
        """Queue a write, instead of one that still waits under `key`: within milliseconds if it is urgent, else soon.

        Unless it is `passing` it says what holds until the next one under `key`, and is done again to a new file,
        should this one be damaged or gone. A `durable` one survives a power cut as soon as its batch is committed.
        """
        self._pending.put(key, write, urgent=urgent, passing=passing, durable=durable)

    def retell(self, write: Write) -> None:
        """Have `write` done, in the database's thread, to every file that is opened from now on."""
        self._file.retold += (write,)

    async def read(self, apply: Callable[[sqlite3.Connection], T], *, otherwise: T) -> T:
        """What `apply` gives, or `otherwise` when the database cannot be read."""
        try:
            return await self.ask(apply)
        except Unavailable:
            return otherwise

    async def read_aside(self, apply: Callable[[sqlite3.Connection], T], *, otherwise: T) -> T:
        """As `read`, for what may take seconds: on a connection and in a thread of its own, so that nobody waits."""
        try:
            await self._ask(None, write=False)  # what was queued until now is in the file then
            return await in_thread(reading.aside, self._path, apply)
        except (Unavailable, *UNREADABLE) as error:
            log.info("%s is not read aside: %s", self._path, error)
            return await self.read(apply, otherwise=otherwise)

    async def ask(self, apply: Callable[[sqlite3.Connection], T]) -> T:
        """What `apply` gives, or Unavailable is raised."""
        return await self._ask(apply, write=False)

    async def write(self, apply: Callable[[sqlite3.Connection], T]) -> T:
        """What `apply` gives, in a durable transaction of its own. Raises Unavailable: then nothing is written."""
        return await self._ask(apply, write=True)

    async def _ask(self, apply: Callable[[sqlite3.Connection], T] | None, *, write: bool) -> T:
        """What `apply` gives in the database's thread. Raises Unavailable."""
        ask = Ask(apply, write)
        if not self._pending.ask(ask):
            raise Unavailable(f"{self._path} is closed")
        result: T = await asyncio.wrap_future(ask.done)
        return result

    # From here on everything runs in the thread.

    def _run(self) -> None:
        try:
            self._serve()
        except Exception as error:  # the boundary: nobody is above a thread; __aexit__ raises it in the event loop
            log.exception("the database's thread failed")
            self._report(UNWRITABLE, f"nothing is written to {self._path} any more: {error!r}; restart the daemon")
            failure: Exception | None = error
        else:
            failure = None
        for ask in self._taken:
            if not ask.done.done():
                ask.done.set_exception(Unavailable(f"{self._path} is closed"))
        for ask in self._pending.close():
            if ask.done.set_running_or_notify_cancel():
                ask.done.set_exception(Unavailable(f"{self._path} is closed"))
        if not self._opened.done():
            self._opened.set_result(None)
        if failure is None:
            self._ended.set_result(None)
        else:
            self._ended.set_exception(failure)

    def _serve(self) -> None:
        pause = 0.0
        self._ready()
        self._opened.set_result(None)
        try:
            while batch := self._pending.take(pause):
                self._begin(batch.asks)
                committed = self._write(batch)
                if not committed:
                    self._begin(self._pending.give_back(batch))
                for ask in self._taken:
                    self._answer(ask, committed=committed)
                self._taken.clear()
                if not committed and self._pending.closing:
                    return
                pause = 0.0 if committed else RETRY
        finally:
            self._file.close()

    def _begin(self, asks: Iterable[Ask]) -> None:
        """Take these questions on, except those that nobody waits for any more."""
        self._taken += [ask for ask in asks if ask.done.set_running_or_notify_cancel()]

    def _ready(self) -> sqlite3.Connection | None:
        """The connection, opened if there is none yet; None while there is nothing to write to."""
        try:
            return self._file.ready()
        except (sqlite3.Error, OSError) as error:
            self._failed(error)
            return None

    def _write(self, batch: Batch) -> bool:
        """Commit a batch; False when it must be tried again later."""
        connection = self._ready()
        if connection is None:
            return self._file.lost
        try:
            try:
                self._commit(connection, batch)
            except sqlite3.Error as error:
                if not is_damage(error):
                    raise
                self._commit(self._file.begin_anew(error), batch)
        except (sqlite3.Error, OSError) as error:
            self._file.drop_if_stuck()
            self._failed(error)
            return False
        self._file.current |= {key: write for key, write in batch.writes.items() if key not in batch.passing}
        if self._unwritable:
            self._unwritable = False
            self._report(UNWRITABLE, None)
        return True

    def _commit(self, connection: sqlite3.Connection, batch: Batch) -> None:
        def write(connection: sqlite3.Connection) -> None:
            writing.insert_facts(connection, batch.facts, batch.dropped)
            for each in batch.writes.values():
                each(connection)

        self._transact(connection, write, durable=batch.durable)

    def _transact(
        self, connection: sqlite3.Connection, apply: Callable[[sqlite3.Connection], T], *, durable: bool
    ) -> T:
        """What `apply` gives in a transaction: again in another one, when somebody has put away the file meanwhile."""
        while True:
            with writing.transaction(connection, durable=durable):
                result = apply(connection)
            if not self._file.follow() or self._file.connection is None:
                return result
            connection = self._file.connection

    def _answer(self, ask: Ask, *, committed: bool) -> None:
        connection = self._file.connection
        if connection is None or (ask.write and not committed):
            ask.done.set_exception(Unavailable(f"{self._path} cannot be written just now"))
            return
        try:
            if ask.apply is None:
                result = None
            elif ask.write:
                result = self._transact(connection, ask.apply, durable=True)
            else:
                result = ask.apply(connection)
        except UNREADABLE as error:
            log.warning("%s: %s", self._path, error)
            self._file.drop_if_stuck()
            if ask.write and is_damage(error):
                try:
                    self._file.begin_anew(error)
                except (sqlite3.Error, OSError) as failure:
                    self._failed(failure)
            ask.done.set_exception(Unavailable(f"{self._path}: {error}"))
        else:
            ask.done.set_result(result)

    def _failed(self, error: Exception) -> None:
        self._unwritable = True
        self._report(
            UNWRITABLE,
            f"{self._path} cannot be written ({error}); events wait in memory and it is tried again every {RETRY:g} s: "
            "see that the disk has space and the file is yours",
        )

    def _report(self, key: str, text: str | None) -> None:
        self._in_loop(partial(self._on_problem, key, text))

    def _in_loop(self, call: Callable[[], None]) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the event loop is closed: nobody is left to tell
                self._loop.call_soon_threadsafe(call)
