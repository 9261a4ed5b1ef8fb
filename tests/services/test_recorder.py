"""What is written down: of a process, for the daemon that may have to adopt it; of tasks, what has changed."""

from collections.abc import AsyncIterator, Callable, Iterable, Mapping
from contextlib import asynccontextmanager
from types import SimpleNamespace
from typing import Any

import anyio
import pytest
from fake_machine import up, watcher, world
from manual_clock import at_rest
from scheduling_site import World, task

from orchestrator.control.task_board import TaskBoard
from orchestrator.events import Bus
from orchestrator.processes.identity import Identity
from orchestrator.recorder import Recorder
from orchestrator.store.database import KnownProcess
from orchestrator.supervise.machine import Launched


@pytest.mark.parametrize("watchdog", [0.0, 5.0])
async def test_whether_a_process_was_told_of_a_watchdog_is_remembered(watchdog: float) -> None:
    saved: list[KnownProcess] = []
    nothing: Any = SimpleNamespace(board=SimpleNamespace(note=lambda _fact: None))
    database: Any = SimpleNamespace(
        record=lambda _fact: None, save_process=saved.append, when_opened=lambda _call: None
    )
    launched: dict[str, Launched] = {}
    async with world(watcher("a", watchdog=watchdog)) as w:
        machine: Any = SimpleNamespace(launched=launched)
        recorder = Recorder(database, w.supervisor, machine, nothing, w.clock)
        with w.bus.subscribed(recorder.note):
            launched["a"] = Launched(Identity(1001, 7, "boot"), "fingerprint")
            await up(w, "a")
            w.supervisor.add(watcher("a", watchdog=99.0))  # this one it does not know of
            w.machine.die("a")
            launched["a"] = Launched(Identity(1002, 8, "boot"), "fingerprint")
            await at_rest()
    told = [(process.pid, process.spec["watched"]) for process in saved]
    assert dict(told) == {1001: watchdog > 0, 1002: True}


class Kept:
    """A database that holds the tasks' last known states."""

    def __init__(self) -> None:
        self.rows: dict[str, Mapping[str, Any]] = {}
        self.writes: list[list[str]] = []  # the names in each write that had any
        self.opened: Callable[[], None]

    def when_opened(self, call: Callable[[], None]) -> None:
        self.opened = call

    def record(self, _fact: object) -> None: ...

    def save_watchers(self, _statuses: object) -> None: ...

    def save_tasks(self, statuses: Mapping[int, Mapping[str, Any]], gone: Iterable[str]) -> None:
        for name in gone:
            del self.rows[name]
        told = {status["name"]: status for status in statuses.values()}
        self.rows |= told
        self.writes += [list(told)] if told else []

    def forget_tasks(self) -> None:
        self.rows.clear()


@asynccontextmanager
async def recording(w: World, kept: Any) -> AsyncIterator[Recorder]:
    status: Any = SimpleNamespace(board=TaskBoard(w.scheduler, w.clock, lambda _: None), watchers=list)
    nothing: Any = None
    recorder = Recorder(kept, nothing, nothing, status, w.clock)
    bus: Bus = w.scheduler._bus
    kept.rows = {"an earlier daemon's": {}}
    with bus.subscribed(recorder.note):
        kept.opened()  # as a database does when it opens its file
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(recorder.serve)
            await w.clock.advance(10)
            yield recorder
            tasks.cancel_scope.cancel()


async def test_of_many_tasks_only_those_that_have_changed_are_written_again() -> None:
    w, kept = World(), Kept()
    tasks = [*(task(f"t{number}", enabled=False) for number in range(1000)), task("runs")]
    async with w.serving(*tasks) as scheduler, recording(w, kept):
        assert kept.rows.keys() == scheduler.entries.keys()
        assert max(map(len, kept.writes)) <= 200
        kept.writes.clear()
        await w.clock.advance(10)
        assert {name for names in kept.writes for name in names} == {"runs"}
        assert kept.rows["runs"]["last_run"]["outcome"] == "success"
        scheduler.enable("t7", enabled=True)
        await w.clock.advance(2)
        assert kept.rows["t7"]["enabled"] is True


async def test_another_file_is_told_everything_again() -> None:
    w, kept = World(), Kept()
    async with w.serving(*(task(f"t{number}", enabled=False) for number in range(500))), recording(w, kept):
        kept.rows = {"an earlier daemon's": {}}
        kept.opened()
        await w.clock.advance(10)
        assert sorted(kept.rows) == sorted(w.scheduler.entries)


async def test_a_last_word_says_all_that_was_not_said_yet() -> None:
    w, kept = World(), Kept()
    async with w.serving(*(task(f"t{number}", enabled=False) for number in range(500))), recording(w, kept) as recorder:
        kept.rows.clear()
        recorder._status.board.forget()
        recorder.save()
        assert len(kept.rows) == 500
