"""Checks one MCP server from within the daemon: in a process group of its own, of which nobody is left."""

import logging
from dataclasses import replace
from typing import Final, Protocol

from orchestrator.clock import Clock
from orchestrator.mcp import call, finding
from orchestrator.mcp.finding import Finding, State
from orchestrator.mcp.server import Server
from orchestrator.processes import nameless
from orchestrator.processes.children import Program, SpawnTrouble
from orchestrator.processes.groups import Ended
from orchestrator.processes.programs import Surroundings

log = logging.getLogger(__name__)

PRINTED_MAX: Final = 16 * 1024  # bytes


class Groups(Protocol):
    """What of actions.groups.Groups a check needs."""

    async def run(self, name: str, key: str, program: Program, *, stdin: int | None, keep: int) -> Ended: ...
    async def end_strays(self, state: str, run_id: str, grace: float) -> None: ...


class Checker:
    """Call it with a server to have that checked, one at a time. Cancelling it leaves no process behind.

    `check_id` marks the processes.
    """

    def __init__(self, around: Surroundings, clock: Clock, groups: Groups, check_id: str = call.DAEMONS) -> None:
        self._around = around
        self._clock = clock
        self._groups = groups
        self._id = check_id

    def use_dry_run(self, dry_run: bool) -> None:  # noqa: FBT001  the name says it
        """Tell servers that are checked from now on whether this is a dry run."""
        self._around = replace(self._around, dry_run=dry_run)

    async def __call__(self, server: Server) -> Finding:
        limit = server.timeout + call.SPARE
        ended = list[Ended]()
        try:
            with self._clock.move_on_after(limit):
                ended.append(await self._run(server))
        except (SpawnTrouble, OSError) as error:
            why = str(error) if isinstance(error, SpawnTrouble) else error.strerror
            return self._found(server, State.FAILED, f"its check cannot be started: {why}")
        finally:
            await self._end_strays(server)
        if not ended:
            return self._found(server, State.TIMEOUT, call.NO_END.format(limit))
        found = finding.read(ended[0].stdout.last_line(), server.name, server.transport, self._clock.now())
        if found is None:
            why = ": ".join([call.NO_RESULT, str(ended[0].death), *ended[0].stderr.last_lines(1)])
            return self._found(server, State.FAILED, why)
        return found

    async def _run(self, server: Server) -> Ended:
        around, argv = self._around, call.argv(server)
        environ = call.environment(around.environ, around.places, self._id, dry_run=around.dry_run)
        vault = around.places.vault
        with nameless.closing(nameless.file_in_memory(), call.document(server, vault)) as stdin:
            program = Program(argv[0], argv, vault, environ)
            return await self._groups.run(f"MCP server {server.name}", self._id, program, stdin=stdin, keep=PRINTED_MAX)

    async def _end_strays(self, server: Server) -> None:
        """End what the server has started in sessions of its own."""
        try:
            await self._groups.end_strays(self._around.places.state, self._id, call.STOP)
        except OSError as error:
            log.warning("MCP server %s: cannot look for what it has left: %s", server.name, error.strerror)

    def _found(self, server: Server, state: State, why: str) -> Finding:
        return Finding(server.name, server.transport, state, checked_at=self._clock.now(), error=why)
