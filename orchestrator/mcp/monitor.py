"""Looks after the vault's MCP servers, once there are any: most daemons have none, and load nothing of all this."""

import os
from typing import TYPE_CHECKING, Final

import anyio

from orchestrator.clock import Clock
from orchestrator.config.model import Config
from orchestrator.events import Bus
from orchestrator.places import Places
from orchestrator.problems import Problems
from orchestrator.processes.programs import Surroundings

if TYPE_CHECKING:
    from orchestrator.mcp.checker import Groups
    from orchestrator.mcp.finding import Finding
    from orchestrator.mcp.rounds import Rounds

AT_START: Final = 5.0  # seconds for the daemon to start its watchers in peace
SELDOM: Final = 30.0  # seconds between two looks for an .mcp.json while there is no server at all


class McpMonitor:
    """`use` says which configuration counts; before that there are no servers. `groups` has to be served meanwhile."""

    def __init__(
        self, places: Places, around: Surroundings, clock: Clock, groups: "Groups", bus: Bus, problems: Problems
    ) -> None:
        self._file = os.path.join(places.vault, ".mcp.json")  # noqa: PTH118  places are strings
        self._parts = places, around, clock, groups, bus, problems
        self._clock = clock
        self._config: Config | None = None
        self._told = anyio.Event()
        self._rounds: Rounds | None = None

    def use(self, config: Config) -> None:
        """Look after the servers of this configuration from now on, and those of the vault."""
        self._config = config
        self._told.set()
        if self._rounds is not None:
            self._rounds.use(config)

    def findings(self) -> "list[Finding]":
        """What is known of every server now, in the order of the configuration."""
        return [] if self._rounds is None else self._rounds.findings()

    async def serve(self) -> None:
        """Look after them until cancelled. No process of theirs is left then."""
        begin = self._clock.monotonic() + AT_START
        while (config := self._config) is None or not (config.mcp or self._is_there()):
            with self._clock.move_on_after(SELDOM):
                await self._told.wait()
            self._told = anyio.Event()
        from orchestrator.mcp.rounds import Rounds  # noqa: PLC0415  see above

        self._rounds = Rounds(*self._parts)
        self._rounds.use(config)
        await self._rounds.serve(begin)

    def _is_there(self) -> bool:
        return os.path.lexists(self._file)
