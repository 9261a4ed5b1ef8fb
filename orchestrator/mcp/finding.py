"""PURE. What is known of an MCP server: whether it answers, and with what."""

import json
from dataclasses import dataclass, replace
from datetime import datetime
from enum import StrEnum
from typing import Any

from orchestrator.clock import rfc3339


class State(StrEnum):
    """How a server is. All from `timeout` on have an error that says more."""

    UNCHECKED = "unchecked"  # not yet; with an error: never
    CHECKING = "checking"  # for the first time
    OK = "ok"
    TIMEOUT = "timeout"
    FAILED = "failed"
    LOGIN = "login"  # it wants somebody to sign in
    DISABLED = "disabled"  # somebody has switched it off for Claude Code


@dataclass(frozen=True, slots=True)
class Finding:
    """One of the `mcp` of `status --json`. `latency_ms` is how long the answer to a ping took."""

    name: str
    transport: str
    state: State
    version: str | None = None
    tools: int | None = None
    latency_ms: float | None = None
    checked_at: datetime | None = None
    error: str | None = None

    def as_json(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "transport": str(self.transport),
            "state": str(self.state),
            "version": self.version,
            "tools": self.tools,
            "latency_ms": self.latency_ms,
            "checked_at": None if self.checked_at is None else rfc3339(self.checked_at),
            "error": self.error,
        }

    def says_the_same(self, other: "Finding") -> bool:
        """Whether a person has nothing new to learn from `other`. No two answers take equally long."""
        return replace(self, latency_ms=None, checked_at=None) == replace(other, latency_ms=None, checked_at=None)


def line(state: State, **more: Any) -> bytes:
    """What the process that checks a server prints of it."""
    return json.dumps({"state": state, **more}).encode() + b"\n"


def read(printed: bytes, name: str, transport: str, at: datetime) -> Finding | None:
    """Read such a line; None when it is none."""
    try:
        said = json.loads(printed)
        more = {key: said[key] for key in ("version", "tools", "latency_ms", "error") if key in said}
        return Finding(name, transport, State(said["state"]), checked_at=at, **more)
    except (ValueError, TypeError, KeyError, RecursionError):
        return None
