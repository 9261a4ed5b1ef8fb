"""Knows which MCP servers there are, has them checked again and again, and tells what has changed."""

import math
from collections.abc import Awaitable, Callable
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import anyio

from orchestrator.clock import Clock
from orchestrator.config.model import Config
from orchestrator.events import Bus, McpChanged
from orchestrator.mcp import servers
from orchestrator.mcp.checker import Checker, Groups
from orchestrator.mcp.finding import Finding, State
from orchestrator.mcp.monitor import SELDOM
from orchestrator.mcp.server import Server
from orchestrator.places import Places
from orchestrator.problems import Problems
from orchestrator.processes.programs import Surroundings
from orchestrator.threads import in_thread

EVERY: Final = 900.0  # seconds between two checks of a server
AGAIN: Final = 60.0  # seconds until one that did not answer is checked again; each time twice as long
LOOK: Final = 10.0  # seconds between two looks at the vault's .mcp.json; see SELDOM
REMOVED: Final = "removed"  # what is said of a server that is no longer there

Read = Callable[[Config], Awaitable[tuple[list[Server], list[str]]]]
Check = Callable[[Server], Awaitable[Finding]]


@dataclass(slots=True)
class _Watched:
    """One server: what is known of it, and when it is checked next (monotonic seconds)."""

    server: Server
    finding: Finding
    due: float
    again: float = field(default=AGAIN)  # seconds


class Rounds:
    """Checks one server at a time. `use` says which configuration counts; before that there are none.

    `read` and `check` are for tests in which no real time passes.
    """

    def __init__(
        self,
        places: Places,
        around: Surroundings,
        clock: Clock,
        groups: Groups,
        bus: Bus,
        problems: Problems,
        *,
        read: Read | None = None,
        check: Check | None = None,
    ) -> None:
        self._places = places
        self._environ = around.environ
        self._clock = clock
        self._bus = bus
        self._problems = problems
        self._checker = Checker(around, clock, groups)
        self._read = read or self._read_files
        self._check = check or self._checker
        self._config: Config | None = None
        self._used: Config | None = None  # the one that was read last, with its files as `_marks` has them
        self._marks: tuple[object, ...] = ()
        self._watched: dict[str, _Watched] = {}  # in the order of the configuration
        self._lines: list[str] = []
        self._told = anyio.Event()  # of another configuration
        self._taken = anyio.Event()  # other servers

    def use(self, config: Config) -> None:
        """Look after the servers of this configuration from now on."""
        self._config = config
        self._checker.use_dry_run(config.dry_run)
        self._told.set()

    def findings(self) -> list[Finding]:
        """What is known of every server now, in the order of the configuration."""
        return [each.finding for each in self._watched.values()]

    async def serve(self, begin: float) -> None:
        """Look after them until cancelled, from `begin` on (monotonic seconds). Nobody is left then."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._keep_looking, begin)
            tasks.start_soon(self._keep_checking)

    # --- which there are ---

    async def _keep_looking(self, begin: float) -> None:
        while True:
            await self._look(begin)
            with self._clock.move_on_after(self._until_next_look()):
                await self._told.wait()
            self._told = anyio.Event()

    def _until_next_look(self) -> float:
        """Give the seconds: many where nothing at all was found."""
        is_nothing = self._used is self._config and not self._watched and not self._lines
        return SELDOM if is_nothing else LOOK

    async def _look(self, begin: float) -> None:
        """Read the configuration and the files when they are others than before."""
        config = self._config
        if config is None:
            return
        marks = servers.marks(self._places.vault)
        if config is self._used and marks == self._marks:
            return
        try:
            found, lines = await self._read(config)
        except BlockingIOError:  # no thread left: at the next look
            return
        self._used, self._marks = config, marks
        self._report(lines)
        self._take(found, max(begin, self._clock.monotonic()))

    async def _read_files(self, config: Config) -> tuple[list[Server], list[str]]:
        folder = str(config.file.parent)
        read = partial(servers.read, config_folder=folder)
        return await in_thread(read, self._places.vault, config.mcp, self._environ)

    def _report(self, lines: list[str]) -> None:
        for line in self._lines:
            if line not in lines:
                self._problems.clear(f"mcp: {line}")
        for line in lines:
            self._problems.report(f"mcp: {line}", line)
        self._lines = lines

    def _take(self, found: list[Server], soon: float) -> None:
        """Look after these; those that are new, others than before or not well are checked soon."""
        before, self._watched = self._watched, {}
        for server in found:
            known = before.pop(server.name, None)
            if known is None or known.server != server:
                due = math.inf if server.why_not is not None else soon
                self._watched[server.name] = _Watched(server, server.unchecked(), due)
                if known is None or not known.finding.says_the_same(server.unchecked()):
                    self._tell(server.unchecked())
                continue
            self._watched[server.name] = known
            if server.why_not is None and known.finding.state is not State.OK:
                known.due, known.again = min(known.due, soon), AGAIN
        for name in before:
            self._bus.publish(McpChanged(at=self._clock.now(), name=name, state=REMOVED))
        self._taken.set()

    # --- how they are ---

    async def _keep_checking(self) -> None:
        while True:
            upcoming = min(self._watched.values(), key=lambda each: each.due, default=None)
            left = math.inf if upcoming is None else upcoming.due - self._clock.monotonic()
            if upcoming is not None and left <= 0:
                await self._check_one(upcoming)
                continue
            with nullcontext() if math.isinf(left) else self._clock.move_on_after(left):
                await self._taken.wait()
            self._taken = anyio.Event()

    async def _check_one(self, watched: _Watched) -> None:
        old = watched.finding
        if old.state is State.UNCHECKED:
            watched.finding = replace(old, state=State.CHECKING)
        found = await self._check(watched.server)
        watched.finding = found
        if found.state is State.OK:
            wait, watched.again = EVERY, AGAIN
        else:
            wait, watched.again = min(watched.again, EVERY), watched.again * 2
        watched.due = self._clock.monotonic() + wait
        if self._watched.get(watched.server.name) is watched and not found.says_the_same(old):
            self._tell(found)

    def _tell(self, found: Finding) -> None:
        fact = McpChanged(at=self._clock.now(), name=found.name, state=found.state, error=found.error)
        self._bus.publish(fact)
