"""PURE. The tasks there are, what is remembered of each, and which of them is due next."""

import heapq
import itertools
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, tzinfo
from typing import Final

from orchestrator.config.model import TaskConfig
from orchestrator.schedule import when
from orchestrator.schedule.runs import TaskState

DAY: Final = 86_400.0  # seconds
AHEAD: Final = timedelta(seconds=1)  # slots are claimed a moment ahead


@dataclass(slots=True)
class Entry:
    """One task. `next` is its next slot, None when there is none or it is disabled."""

    config: TaskConfig
    state: TaskState
    next: datetime | None = None

    @property
    def name(self) -> str:
        return self.config.name

    @property
    def enabled(self) -> bool:
        """A person's word by command beats the configuration."""
        return self.config.enabled if self.state.enabled is None else self.state.enabled


class Book:
    """All tasks by name, and a heap of their next slots: nothing due costs nothing."""

    def __init__(self) -> None:
        self.entries: dict[str, Entry] = {}
        self._followers: dict[str, list[str]] = {}  # task → those that fire after it
        self._heap: list[tuple[float, int, str]] = []
        self._numbers = itertools.count()
        self._zone: tzinfo | None = None
        self._zone_name = ""

    def load(
        self, tasks: Iterable[TaskConfig], states: Mapping[str, TaskState], zone: tzinfo, zone_name: str, now: datetime
    ) -> list[TaskState]:
        """Take these tasks instead of those before; give the states that are new or other than remembered.

        A task whose slots are others than remembered begins anew at `now`: what the new schedule would have had
        earlier was never asked for.
        """
        self._zone, self._zone_name = zone, zone_name
        old, self.entries, self._heap, self._followers = self.entries, {}, [], {}
        known = {name: entry.state for name, entry in old.items()}
        changed = [self.put(task, known.get(task.name) or states.get(task.name), now) for task in tasks]
        return [state for state in changed if state is not None]

    def put(self, task: TaskConfig, state: TaskState | None, now: datetime) -> TaskState | None:
        """Take a task, in the place of the one of its name; give its state where that is another than `state`."""
        assert self._zone is not None  # noqa: S101  load() comes first
        before = state
        schedule = when.fingerprint(task.schedule, self._zone_name)
        if state is None:
            state = TaskState(task.name, when.first_seen(task.schedule, self._zone, now), schedule)
        elif state.schedule != schedule:
            state = replace(state, handled_until=now, schedule=schedule)
        elif state.handled_until > now + AHEAD:  # the clock was set back while nobody looked
            state = replace(state, handled_until=now)
        self.drop(task.name)
        entry = self.entries[task.name] = Entry(task, state)
        for leader in task.after:
            self._followers.setdefault(leader, []).append(task.name)
        self.reckon(entry)
        return None if state is before else state

    def drop(self, name: str) -> None:
        """Forget a task."""
        entry = self.entries.pop(name, None)
        for leader in () if entry is None else entry.config.after:
            self._followers[leader].remove(name)

    def reckon(self, entry: Entry) -> None:
        """Find the entry's next slot anew."""
        handled = entry.state.handled_until
        assert self._zone is not None  # noqa: S101  load() comes first
        entry.next = when.next_slot(entry.config.schedule, self._zone, handled, handled) if entry.enabled else None
        if entry.next is not None:
            heapq.heappush(self._heap, (entry.next.timestamp(), next(self._numbers), entry.name))

    def remember(self, entry: Entry, state: TaskState) -> None:
        """Let the entry's state be another, and find its next slot anew where that matters."""
        again = (state.handled_until, state.enabled) != (entry.state.handled_until, entry.state.enabled)
        entry.state = state
        if again:
            self.reckon(entry)

    def next_at(self) -> float | None:
        """When the next slot of all is, in seconds since the epoch."""
        while self._heap and not self._current(self._heap[0]):
            heapq.heappop(self._heap)
        return self._heap[0][0] if self._heap else None

    def due(self, until: float) -> list[Entry]:
        """Give those whose next slot lies at or before `until`, in order.

        Each has to be reckoned again afterwards, which `remember` does when its slot was handled.
        """
        found = dict[str, Entry]()
        while (first := self.next_at()) is not None and first <= until:
            name = heapq.heappop(self._heap)[2]
            found[name] = self.entries[name]
        return list(found.values())

    def look(self, entry: Entry, now: datetime, awake_since: datetime) -> when.Due:
        """Give what is due of one entry; a next slot that lies a moment ahead counts as reached."""
        assert self._zone is not None  # noqa: S101  load() comes first
        config, lateness = entry.config, entry.config.max_lateness
        if not entry.state.ever_run and isinstance(when.plain(config.schedule), when.Calendar):
            lateness = max(lateness, DAY)  # who was never run is due however long ago its time was today
        return when.due(
            config.schedule,
            self._zone,
            handled_until=entry.state.handled_until,
            now=now if entry.next is None else max(now, entry.next),
            awake_since=awake_since,
            catch_up=config.catch_up,
            max_lateness=lateness,
        )

    def followers(self, name: str) -> list[Entry]:
        """Give the enabled tasks that fire after a successful run of this one."""
        return [
            entry
            for follower in self._followers.get(name, ())
            if (entry := self.entries.get(follower)) is not None and entry.enabled
        ]

    def set_back(self, now: datetime) -> list[TaskState]:
        """The clock was set back to `now`: nothing after it is handled yet. Gives the states that this changes."""
        changed = []
        for entry in self.entries.values():
            if entry.state.handled_until > now:
                self.remember(entry, replace(entry.state, handled_until=now))
                changed.append(entry.state)
        return changed

    def _current(self, item: tuple[float, int, str]) -> bool:
        entry = self.entries.get(item[2])
        return entry is not None and entry.next is not None and entry.next.timestamp() == item[0]
