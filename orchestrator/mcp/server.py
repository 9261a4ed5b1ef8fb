"""PURE. An MCP server as it is to be checked: everything final, nothing to be expanded any more."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from orchestrator.mcp.finding import Finding, State


class Transport(StrEnum):
    """How a server is spoken to."""

    STDIO = "stdio"
    HTTP = "http"  # streamable HTTP
    SSE = "sse"  # HTTP as it was before that


@dataclass(frozen=True, slots=True)
class Server:
    """One server. `why_not` says why it is not checked; it then stays in `state`."""

    name: str
    transport: Transport
    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()
    url: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    timeout: float = 30.0  # seconds for the whole of a check
    config_folder: str | None = None  # of supervisor.toml, where it stands there; None: it is one of .mcp.json
    state: State = State.UNCHECKED
    why_not: str | None = None

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    def unchecked(self) -> Finding:
        """What is known of it before anybody has looked."""
        return Finding(self.name, self.transport, self.state, error=self.why_not)


def from_json(said: Mapping[str, Any]) -> Server:
    """Read what `as_json` has made, after it went through JSON."""
    pairs = {key: tuple((name, value) for name, value in said[key]) for key in ("env", "headers")}
    more = {"transport": Transport(said["transport"]), "state": State(said["state"]), "command": tuple(said["command"])}
    return Server(**{**said, **pairs, **more})
