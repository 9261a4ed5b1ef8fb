"""For the tests of MCP checks: a checker of real processes in a vault of a test's own, which must leave nobody."""

import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
from spawning import PATIENCE

from orchestrator.clock import SystemClock
from orchestrator.mcp import call
from orchestrator.mcp.checker import Checker
from orchestrator.mcp.finding import Finding
from orchestrator.mcp.server import Server, Transport
from orchestrator.places import Places, private_folder
from orchestrator.processes import procfs
from orchestrator.processes.groups import Groups
from orchestrator.processes.notify import NotifySockets
from orchestrator.processes.programs import Surroundings

PLAYED = str(Path(__file__).with_name("mcp_servers.py"))


def played(behaviour: str, *arguments: str, timeout: float = 20.0, **more: Any) -> Server:
    """The server of mcp_servers.py that behaves so."""
    command = (sys.executable, PLAYED, behaviour, *arguments)
    return Server(behaviour, Transport.STDIO, command, timeout=timeout, **more)


class Bench:
    """A checker, its groups, and what they belong to."""

    def __init__(self, folder: Path, **environ: str) -> None:
        self.vault = folder / "vault"
        self.vault.mkdir()
        self.places = Places(str(self.vault))
        private_folder(self.places.state)
        self.around = Surroundings(self.places, str(folder), dry_run=False, environ={**os.environ, **environ})
        self.groups = Groups(NotifySockets(f"{self.places.state}/runs"), SystemClock())
        self.checker = Checker(self.around, SystemClock(), self.groups)

    def another_checker(self) -> Checker:
        """One whose checks may go on beside others."""
        return Checker(self.around, SystemClock(), self.groups, call.new_id())

    async def check(self, server: Server) -> Finding:
        with anyio.fail_after(3 * PATIENCE):
            found = await self.checker(server)
        assert self.left() == []
        return found

    def left(self) -> list[int]:
        """Every process of a check of this vault that is still there."""
        ours = b"AIEMP_STATE_DIR=" + os.fsencode(self.places.state)
        return [
            pid
            for pid in procfs.pids()
            if pid != os.getpid()
            and ours in procfs.environ(pid)
            and (found := procfs.stat(pid)) is not None
            and not found.dead
        ]


@asynccontextmanager
async def bench(folder: Path, **environ: str) -> AsyncIterator[Bench]:
    made = Bench(folder, **environ)
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(made.groups.serve)
            try:
                yield made
            finally:
                made.groups.kill_all()
                tasks.cancel_scope.cancel()
    finally:
        made.groups.close()


def without_times(found: Finding) -> Finding:
    return replace(found, latency_ms=None, checked_at=None)
