"""Checks MCP servers at once, without a daemon: for `aiemp doctor`."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Mapping
from contextlib import suppress
from typing import Final

from orchestrator.actions.leftovers import end_leftovers
from orchestrator.clock import SystemClock
from orchestrator.mcp import call, finding
from orchestrator.mcp.finding import Finding, State
from orchestrator.mcp.server import Server
from orchestrator.places import Places

PRINTED_MAX: Final = 16 * 1024  # bytes


def check_now(servers: Iterable[Server], vault: str, environ: Mapping[str, str]) -> list[Finding]:
    """Check one after the other; `environ` is that of the daemon. Blocks, for each no longer than its timeout allows.

    They are started as in the daemon's own dry run or not: as DRY_RUN in `environ` says.
    """
    places = Places(vault)
    return [server.unchecked() if server.why_not is not None else _check(server, places, environ) for server in servers]


def _check(server: Server, places: Places, environ: Mapping[str, str]) -> Finding:
    check_id, limit = call.new_id(), server.timeout + call.SPARE
    dry_run = environ.get("DRY_RUN", "").lower() == "true"
    state, why, printed = State.FAILED, call.NO_RESULT, b""
    with tempfile.TemporaryFile() as stdin, tempfile.TemporaryFile() as stdout:
        stdin.write(call.document(server, places.vault))
        stdin.seek(0)
        try:
            process = subprocess.Popen(
                call.argv(server),
                cwd=places.vault,
                env=call.environment(environ, places, check_id, dry_run=dry_run),
                stdin=stdin,
                stdout=stdout,
                stderr=subprocess.DEVNULL,
                start_new_session=True,
            )
        except OSError as error:
            return _found(server, State.FAILED, f"its check cannot be started: {error.strerror}")
        try:
            process.wait(limit)
        except subprocess.TimeoutExpired:
            state, why = State.TIMEOUT, call.NO_END.format(limit)
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            with suppress(OSError):  # nobody can be looked for: the daemon does that when it next starts
                end_leftovers(places.state, call.STOP, {check_id})
        stdout.seek(0)
        printed = stdout.read(PRINTED_MAX)
    last = printed.rstrip().rpartition(b"\n")[2]
    return finding.read(last, server.name, server.transport, SystemClock().now()) or _found(server, state, why)


def _found(server: Server, state: State, why: str) -> Finding:
    return Finding(server.name, server.transport, state, checked_at=SystemClock().now(), error=why)
