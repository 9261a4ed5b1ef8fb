"""Checks MCP servers at once, without a daemon: for `aiemp doctor`."""

from collections.abc import Iterable, Mapping
from contextlib import suppress

from orchestrator.clock import SystemClock
from orchestrator.mcp import call, finding
from orchestrator.mcp.finding import Finding, State
from orchestrator.mcp.server import Server
from orchestrator.places import Places
from orchestrator.processes import bounded
from orchestrator.processes.leftovers import end_leftovers


def check_now(servers: Iterable[Server], vault: str, environ: Mapping[str, str]) -> list[Finding]:
    """Check one after the other; `environ` is that of the daemon. Blocks, for each no longer than its timeout allows.

    They are started as in the daemon's own dry run or not: as DRY_RUN in `environ` says.
    """
    places = Places(vault)
    return [server.unchecked() if server.why_not is not None else _check(server, places, environ) for server in servers]


def _check(server: Server, places: Places, environ: Mapping[str, str]) -> Finding:
    check_id, limit = call.new_id(), server.timeout + call.SPARE
    dry_run = environ.get("DRY_RUN", "").lower() == "true"
    told = call.environment(environ, places, check_id, dry_run=dry_run)
    given = call.document(server, places.vault)
    try:
        answer = bounded.ask(call.argv(server), told, places.vault, limit, stdin=given)
    finally:
        with suppress(OSError):  # nobody can be looked for: the daemon does that when it next starts
            end_leftovers(places.state, call.STOP, {check_id})
    if isinstance(answer, str):
        return _found(server, State.FAILED, f"its check cannot be started: {answer}")
    last = answer.out.rstrip().rpartition("\n")[2].encode()
    found = finding.read(last, server.name, server.transport, SystemClock().now())
    if found is not None:
        return found
    if answer.code is None:
        return _found(server, State.TIMEOUT, call.NO_END.format(limit))
    return _found(server, State.FAILED, ": ".join(filter(None, [call.NO_RESULT, answer.last_words()])))


def _found(server: Server, state: State, why: str) -> Finding:
    return Finding(server.name, server.transport, state, checked_at=SystemClock().now(), error=why)
