"""When tasks are told of changed files, on a manual clock; what changes comes from the test."""

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from threading import Event
from typing import Any

import anyio
import pytest
from manual_clock import ManualClock, at_rest

from orchestrator.clock import Clock
from orchestrator.config.model import Command, TaskConfig
from orchestrator.schedule import changes as module
from orchestrator.schedule.changes import Changes
from orchestrator.vault.globs import Globs


class Site:
    """Changes, and a watch that hears what it is told to."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.told: list[tuple[str, float]] = []
        self.problems: list[str | None] = []
        self.problem: str | None = None
        self.globs: Globs | None = None  # of the look that goes on
        self.watches = 0
        self.threads = True
        self._heard: set[str] = set()
        self._wake = anyio.Event()
        self.changes = Changes("/v", self.clock, self._tell, self.problems.append)

    def _tell(self, name: str, first: float) -> None:
        assert first <= self.clock.t
        self.told.append((name, self.clock.t))

    def hear(self, *patterns: str) -> None:
        self._heard |= set(patterns)
        self._wake.set()

    # --- in place of the watch and of its thread ---

    def make(self, vault: str, clock: Clock, environ: Mapping[str, str]) -> "Site":
        assert (vault, clock) == ("/v", self.clock)
        assert "PATH" in environ
        self.watches += 1
        return self

    async def look(self, globs: Globs, stop: Event) -> set[str]:
        if not self.threads:
            raise BlockingIOError(11, "no thread can be started")
        self.globs = globs
        if not stop.is_set():
            await self._wake.wait()
            self._wake = anyio.Event()
        heard, self._heard = self._heard, set()
        self.globs = None
        return heard

    def close(self) -> None:
        self.watches -= 1


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Site:
    async def in_thread(work: Any, *args: Any) -> Any:
        return await work(*args)

    site = Site()
    monkeypatch.setattr(module, "in_thread", in_thread)
    monkeypatch.setattr(module, "Watch", site.make)
    return site


@asynccontextmanager
async def serving(site: Site, *tasks: TaskConfig) -> AsyncIterator[None]:
    site.changes.watch(tasks)
    async with anyio.create_task_group() as group:
        group.start_soon(site.changes.serve)
        await at_rest()
        yield
        group.cancel_scope.cancel()


def task(name: str, *patterns: str, debounce: float = 5.0, enabled: bool = True) -> TaskConfig:
    return TaskConfig(name, Command(("x",)), on_change=patterns, debounce=debounce, enabled=enabled)


async def test_a_task_is_told_once_things_are_quiet(site: Site) -> None:
    async with serving(site, task("a", "A/*", "B/*"), task("b", "B/*", debounce=1), task("c")):
        await site.clock.advance(10)
        site.hear("A/*")
        await site.clock.advance(3)
        site.hear("B/*")
        await site.clock.advance(100)
        assert site.told == [("b", 14), ("a", 18)]
        assert site.problems == []


async def test_changes_that_never_end_are_told_after_ten_times_the_quiet(site: Site) -> None:
    async with serving(site, task("a", "A/*")):
        for _ in range(20):
            site.hear("A/*")
            await site.clock.advance(4)
        assert site.told == [("a", 50)]


async def test_no_quiet_asked_for(site: Site) -> None:
    async with serving(site, task("a", "A/*", debounce=0)):
        site.hear("A/*")
        await at_rest()
        assert site.told == [("a", 0)]


async def test_nothing_is_watched_without_need(site: Site) -> None:
    async with serving(site, task("off", "A/*", enabled=False), task("b")):
        assert site.watches == 0
        site.changes.watch([task("on", "A/*")])
        await at_rest()
        assert site.watches == 1
        assert site.globs is not None
        assert site.globs.patterns == {"A/*"}
        assert not site.globs.leads("Logs")
        site.changes.watch([])
        site.hear()  # as the thread comes back
        await at_rest()
        assert site.watches == 0


async def test_other_tasks(site: Site) -> None:
    async with serving(site, task("a", "A/*"), task("b", "B/*")):
        site.hear("A/*", "B/*")
        await site.clock.advance(1)
        before = site.globs
        site.changes.watch([task("b", "B/*", debounce=3), task("a2", "A/*")])
        await at_rest()
        assert site.globs is before  # the patterns are the same: nothing is begun anew
        site.changes.watch([task("b", "B/*", debounce=3), task("c", "C/*")])
        site.hear()
        await at_rest()
        assert site.globs is not None
        assert site.globs.patterns == {"B/*", "C/*"}
        await site.clock.advance(100)
        assert site.told == [("b", 5)]  # what was heard for it counts still, what was heard for others does not
        site.hear("A/*", "B/*", "C/*")
        await site.clock.advance(100)
        assert site.told[1:] == [("b", 104), ("c", 106)]


async def test_trouble_is_told_once_and_taken_back(site: Site) -> None:
    async with serving(site, task("a", "A/*")):
        for site.problem in (None, "limit", "limit", None):
            site.hear()
            await at_rest()
        assert site.problems == ["changed files (on_change) are noticed late, by looking at all of them: limit", None]
        site.problem = "limit"
        site.hear()
        await at_rest()
        site.changes.watch([])
        site.hear()
        await at_rest()
        assert site.problems[3:] == [None]


async def test_no_thread(site: Site) -> None:
    site.threads = False
    async with serving(site, task("a", "A/*")):
        await site.clock.advance(12)
        assert site.problems == ["changed files (on_change) go unnoticed: no thread can be started; end some processes"]
        site.threads = True
        await site.clock.advance(5)
        site.hear("A/*")
        await site.clock.advance(5)
        assert [name for name, _ in site.told] == ["a"]
        assert site.problems[1:] == [None]
