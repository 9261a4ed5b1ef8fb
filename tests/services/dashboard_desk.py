"""A vault's Dashboard on a manual clock, and another program that gets in its way.

The reporter writes in worker threads: `settle` waits until none is at work, and none ever waits for the clock.
"""

from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
import pytest
from manual_clock import ManualClock, at_rest

from orchestrator import files
from orchestrator.events import Bus, SupervisorChanged
from orchestrator.places import Places
from orchestrator.problems import Problems
from orchestrator.vault import reporter
from orchestrator.vault.health import Row

OURS = b"mine\n\n"


class Desk:
    """A vault, its reporter, and the rows that the reporter is to show."""

    def __init__(self, vault: Path) -> None:
        self.vault = vault
        self.clock = ManualClock()
        self.bus = Bus()
        self.problems = Problems(self.bus, self.clock)
        self.places = Places(str(vault))
        (vault / ".aiemp").mkdir(mode=0o700)
        self.file = vault / "Dashboard.md"
        self.copy = Path(self.places.last_dashboard)
        self.states = ["running"]
        self.reporter = reporter.Reporter(
            self.places, self.rows, clock=self.clock, bus=self.bus, problems=self.problems, timezone="Europe/Berlin"
        )

    def rows(self) -> Sequence[Row]:
        told = "; ".join(self.problems.lines())
        return [Row("supervisor", "running", None, told), *(Row(f"w{n}", state) for n, state in enumerate(self.states))]

    def happen(self, *states: str) -> None:
        """Something happened, after which the watchers are in `states`."""
        self.states = list(states)
        self.bus.publish(SupervisorChanged(at=self.clock.now(), new="running", pid=1))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            await tasks.start(self.reporter.serve)
            await settle()
            yield
            tasks.cancel_scope.cancel()

    async def pass_time(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        await settle()

    async def until_shown(self, text: str, at_most: float) -> float:
        """Let time pass until the Dashboard shows `text`; how much that took."""
        begun = self.clock.t
        while text not in self.shown():
            assert self.clock.t - begun < at_most, self.shown()
            await self.pass_time(0.1)
        return self.clock.t - begun

    def shown(self) -> str:
        return self.file.read_text()


async def settle() -> None:
    """Return when the reporter waits for the clock or for news, and no write is under way."""
    with anyio.fail_after(10):
        while True:
            await at_rest()
            if not anyio.to_thread.current_default_thread_limiter().borrowed_tokens:
                return
            await anyio.sleep(0.001)


def write_while(monkeypatch: pytest.MonkeyPatch, intrude: Callable[[], None]) -> None:
    """Let another program act between our reading the Dashboard and our replacing it."""
    replace = files.replace

    def replaced(path: str | Path, data: bytes, *, expect: bytes | None = None, **others: Any) -> None:
        if expect is not None:
            intrude()
        replace(path, data, expect=expect, **others)

    monkeypatch.setattr(files, "replace", replaced)
