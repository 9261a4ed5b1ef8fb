"""What is told of tasks, kept ready: with ten thousand of them only those are looked at that something happened to."""

import itertools
from bisect import bisect_left, insort
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Final, NamedTuple

from orchestrator.clock import Clock
from orchestrator.config.model import TaskConfig
from orchestrator.control.task_status import task_object
from orchestrator.events import (
    AgentChanged,
    ConfigReloaded,
    Fact,
    RunFinished,
    RunRetrying,
    RunStarted,
    SchedulerChanged,
    TaskChanged,
)
from orchestrator.schedule.book import Entry
from orchestrator.schedule.runs import Outcome
from orchestrator.schedule.scheduler import Scheduler
from orchestrator.vault.health import Row, task_row

SHOWN: Final = 200  # rows; a table of ten thousand is half a megabyte that would be written anew with every run
SOON: Final = timedelta(seconds=1)  # slots are claimed a moment ahead
WELL: Final = (Outcome.SUCCESS, Outcome.SKIPPED)


class Changes(NamedTuple):
    """Tasks' objects by numbers that put all of them in order, and the names of tasks that are gone."""

    objects: dict[int, dict[str, Any]]
    gone: list[str]


@dataclass(slots=True)
class _Kept:
    """One task. `seen` is all that what is told of it depends on: while that is equal, so is this."""

    entry: Entry
    number: int
    seen: tuple[object, ...]
    enabled: bool
    next: datetime | None
    unwell: bool
    row: Row | None = None


class TaskBoard:
    """The tasks as the Dashboard shows them and the database remembers them. `note` has to hear of every fact."""

    def __init__(self, scheduler: Scheduler, clock: Clock, blocked: Callable[[TaskConfig], str | None]) -> None:
        self._scheduler = scheduler
        self._clock = clock
        self._blocked = blocked
        self._entries: object = None  # what was looked through as a whole; another one means that all is new
        self._touched = set[str]()
        self._kept = dict[str, _Kept]()
        self._numbers = itertools.count(1)
        self._enabled = set[str]()
        self._unwell = set[str]()  # enabled ones whose last run did not end well
        self._upcoming: list[tuple[datetime, str]] = []  # in order
        self._changed = dict[str, None]()  # what `take` did not give yet, in order
        self._gone = list[str]()

    def note(self, fact: Fact) -> None:
        """Something happened: what it is about is looked at again, when somebody asks."""
        if isinstance(fact, RunStarted | RunRetrying | RunFinished | TaskChanged):
            self._touched.add(fact.name)
        elif isinstance(fact, AgentChanged | ConfigReloaded | SchedulerChanged):
            self._entries = None

    def rows(self) -> list[Row]:
        """Give the rows of the Dashboard: of all enabled tasks or, of very many, of those to be seen first."""
        self._look()
        names = self._in_order(self._enabled) if len(self._enabled) <= SHOWN else self._first()
        rows = [self._row(name) for name in names]
        if more := len(self._enabled) - len(rows):
            rows.append(Row(f"… and {more} more task{'' if more == 1 else 's'}: aiempctl tasks", ""))
        return rows

    def take(self, at_most: int) -> Changes:
        """Give so many of the tasks that have changed since they were last given, and all that are gone."""
        self._look()
        gone, self._gone = self._gone, []
        names = list(itertools.islice(self._changed, at_most))
        for name in names:
            del self._changed[name]
        return Changes({self._kept[name].number: self.object(name) for name in names}, gone)

    def forget(self) -> None:
        """Let `take` give everything again."""
        self._changed = dict.fromkeys(self._kept)
        self._gone = []

    def object(self, name: str) -> dict[str, Any]:
        """Give the contract's object of one task as it is now."""
        view = self._scheduler.view(name)
        return task_object(view, self._blocked(view.entry.config))

    # --- looking ---

    def _look(self) -> None:
        entries = self._scheduler.entries
        if entries is not self._entries:
            self._look_at_all()
            self._entries = entries
        names, self._touched = self._touched, set(self._scheduler.busy)
        names.update(self._touched, self._due())
        for name in names:
            self._look_at(name)

    def _due(self) -> Iterator[str]:
        """Find those whose slot has come, if it was taken up: no fact tells of one that is missed."""
        entries, soon = self._scheduler.entries, self._clock.now() + SOON
        for moment, name in self._upcoming:
            if moment > soon:
                break
            entry = entries.get(name)
            if entry is None or entry.next is not self._kept[name].next:
                yield name

    def _look_at_all(self) -> None:
        """Look at every task, and see to it that the numbers grow in their order."""
        entries, old, number = self._scheduler.entries, self._kept, 0
        self._kept = {}
        for name in old.keys() - entries.keys():
            self._lose(name)
        for name, entry in entries.items():
            known = old.get(name)
            number = known.number if known is not None and known.number > number else next(self._numbers)
            self._kept[name] = self._seen(entry, number, known)
        self._enabled = {name for name, kept in self._kept.items() if kept.enabled}
        self._unwell = {name for name, kept in self._kept.items() if kept.unwell}
        self._upcoming = sorted((kept.next, name) for name, kept in self._kept.items() if kept.next is not None)

    def _look_at(self, name: str) -> None:
        entry, known = self._scheduler.entries.get(name), self._kept.pop(name, None)
        if known is not None and known.next is not None:
            del self._upcoming[bisect_left(self._upcoming, (known.next, name))]
        for names in (self._enabled, self._unwell):
            names.discard(name)
        if entry is None:
            if known is not None:
                self._lose(name)
            return
        same_place = known is not None and known.entry is entry  # another one was put at the end
        number = known.number if known is not None and same_place else next(self._numbers)
        kept = self._kept[name] = self._seen(entry, number, known)
        if kept.enabled:
            self._enabled.add(name)
        if kept.unwell:
            self._unwell.add(name)
        if kept.next is not None:
            insort(self._upcoming, (kept.next, name))

    def _seen(self, entry: Entry, number: int, known: _Kept | None) -> _Kept:
        view = self._scheduler.view(entry.name)
        doing = tuple((each.run.phase, each.status_text) for each in view.active)
        seen = entry.config, entry.state, entry.next, view.last, doing, self._blocked(entry.config)
        same = known is not None and known.seen == seen
        if known is None or not same or known.number != number:
            self._changed[entry.name] = None
        unwell = entry.enabled and view.last is not None and view.last.outcome not in WELL
        row = known.row if known is not None and same else None
        return _Kept(entry, number, seen, entry.enabled, entry.next, unwell, row)

    def _lose(self, name: str) -> None:
        self._gone.append(name)
        self._changed.pop(name, None)

    # --- telling ---

    def _first(self) -> list[str]:
        """SHOWN tasks: those that run or wait, those whose last run did not end well, then those that fire next."""
        busy = self._enabled & set(self._scheduler.busy)
        names = [*self._in_order(busy), *self._in_order(self._unwell - busy)]
        told = set(names)
        upcoming = (name for _, name in self._upcoming if name not in told)
        others = (name for name, kept in self._kept.items() if kept.enabled and kept.next is None and name not in told)
        return list(itertools.islice(itertools.chain(names, upcoming, others), SHOWN))

    def _in_order(self, names: Collection[str]) -> list[str]:
        return sorted(names, key=lambda name: self._kept[name].number)

    def _row(self, name: str) -> Row:
        kept = self._kept[name]
        if kept.row is None:
            kept.row = task_row(self.object(name))
        return kept.row
