"""What waits to be written: a bounded queue between the event loop and the database's thread."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Final

from orchestrator.events import (
    Fact,
    RunFinished,
    RunRetrying,
    RunStarted,
    WatcherChanged,
    WatcherDied,
    WatcherRestarted,
)

if TYPE_CHECKING:
    import sqlite3

Write = Callable[["sqlite3.Connection"], None]

MAX_FACTS: Final = 10_000  # as many as the database keeps: more would be pruned right after they were written
BATCH: Final = 500
# Seconds that facts may wait for company. A death's first fact would otherwise wake the thread, and let it compete
# for the interpreter's lock, just when the successor is to be started.
LINGER: Final = 0.02

# What a crash loop produces without end, and what the history of runs tells too. Everything else is rare, and kept
# however long the queue is.
_DROPPABLE: Final = (WatcherChanged, WatcherDied, WatcherRestarted, RunStarted, RunRetrying, RunFinished)


@dataclass(slots=True)
class Ask:
    """Something the event loop waits for. A read runs without a transaction, a write in one of its own.

    Without `apply` it is the batch before it that is waited for.
    """

    apply: "Callable[[sqlite3.Connection], Any] | None"
    write: bool
    done: "Future[Any]" = field(default_factory=Future)


@dataclass(slots=True)
class Dropped:
    """Facts that found the queue full, until a note about them is written."""

    count: int
    since: datetime
    until: datetime


@dataclass(slots=True)
class Batch:
    """What one transaction writes, and the questions that are answered after it."""

    facts: list[Fact] = field(default_factory=list)
    dropped: Dropped | None = None
    writes: dict[str, Write] = field(default_factory=dict)
    passing: set[str] = field(default_factory=set)  # the keys of writes that are done with once they are committed
    durable: bool = False  # whether one of the writes must survive a power cut
    asks: list[Ask] = field(default_factory=list)

    def __bool__(self) -> bool:
        return bool(self.facts or self.dropped or self.writes or self.asks)


class Pending:
    """Filled by the event loop, which it never blocks, and emptied by one thread, which it lets sleep while idle.

    Memory is bounded: facts by `MAX_FACTS`, writes because a later one under the same key replaces the earlier, asks by
    those who wait for them.
    """

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._next = Batch()
        self._urgent = False
        self._closing = False
        self._closed = False

    def add(self, fact: Fact) -> None:
        with self._changed:
            if self._closed:
                return
            if len(self._next.facts) >= MAX_FACTS and isinstance(fact, _DROPPABLE):
                self._count_dropped(1, fact.at, fact.at)
                return
            first = not self._next
            self._next.facts.append(fact)
            if first:  # later ones would only wake the thread to find that it goes on lingering
                self._changed.notify()

    def put(
        self, key: str, write: Write, *, urgent: bool = False, passing: bool = False, durable: bool = False
    ) -> None:
        """Have `write` done with the next batch, instead of one that still waits under `key`."""
        with self._changed:
            first = not self._next
            self._next.writes.pop(key, None)
            self._next.writes[key] = write
            if passing:
                self._next.passing.add(key)
            self._next.durable = self._next.durable or durable
            self._urgent = self._urgent or urgent
            if first or urgent:
                self._changed.notify()

    def ask(self, ask: Ask) -> bool:
        """Queue a question behind everything added so far; False when nobody will answer any more."""
        with self._changed:
            if self._closed:
                return False
            self._next.asks.append(ask)
            self._urgent = True
            self._changed.notify()
            return True

    def finish(self) -> None:
        """Let the thread write what is left, then end."""
        with self._changed:
            self._closing = True
            self._changed.notify()

    def take(self, pause: float = 0.0) -> Batch:
        """Wait for work, at least `pause` seconds unless someone asks. An empty batch means: the end."""
        with self._changed:
            if pause:
                self._changed.wait_for(lambda: self._next.asks or self._closing, timeout=pause)
            self._changed.wait_for(lambda: self._next or self._closing)
            if not self._urgent:
                self._changed.wait_for(lambda: self._urgent or self._closing, timeout=LINGER)
            taken = self._next
            self._next = Batch(facts=taken.facts[BATCH:])
            del taken.facts[BATCH:]
            if self._next.facts:  # the answer must include every fact that came before the question
                self._next.asks, taken.asks = taken.asks, []
            self._urgent = bool(self._next.asks)
            return taken

    def give_back(self, batch: Batch) -> list[Ask]:
        """Put what could not be written in front of what came since.

        Gives the questions that wait behind it: they are to be answered now, not when the disk is well again.
        """
        with self._changed:
            self._next.facts[:0] = batch.facts
            self._next.writes = batch.writes | self._next.writes
            self._next.passing |= batch.passing
            self._next.durable = self._next.durable or batch.durable
            if batch.dropped:
                self._count_dropped(batch.dropped.count, batch.dropped.since, batch.dropped.until)
            kept: list[Fact] = []
            excess = len(self._next.facts) - MAX_FACTS
            for fact in reversed(self._next.facts):  # the newest go first, as in add()
                if excess > 0 and isinstance(fact, _DROPPABLE):
                    excess -= 1
                    self._count_dropped(1, fact.at, fact.at)
                else:
                    kept.append(fact)
            kept.reverse()
            self._next.facts = kept
            asks, self._next.asks = self._next.asks, []
            self._urgent = False
            return asks

    def close(self) -> list[Ask]:
        """Refuse further questions, and give up those that were not answered."""
        with self._changed:
            self._closed = True
            left, self._next.asks = self._next.asks, []
            return left

    @property
    def closing(self) -> bool:
        with self._changed:
            return self._closing

    def _count_dropped(self, count: int, since: datetime, until: datetime) -> None:
        note = self._next.dropped
        if note is None:
            self._next.dropped = Dropped(count, since, until)
        else:
            note.count += count
            note.since = min(note.since, since)
            note.until = max(note.until, until)
