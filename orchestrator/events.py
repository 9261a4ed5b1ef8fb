"""Facts: what happened, as frozen records, and their fan-out to whoever listens (log, database, Dashboard, clients)."""

import logging
from collections.abc import Callable
from contextlib import contextmanager
from dataclasses import dataclass, fields
from datetime import datetime
from typing import TYPE_CHECKING, Any, ClassVar

from orchestrator.clock import rfc3339

if TYPE_CHECKING:
    from collections.abc import Iterator

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """Something that happened at `at` (UTC). Facts never carry an environment or a secret."""

    kind: ClassVar[str] = ""
    at: datetime

    def as_json(self) -> dict[str, Any]:
        # Not asdict(), which copies every value deeply: a fact holds only what JSON knows.
        values = {each.name: getattr(self, each.name) for each in fields(self) if each.name != "at"}
        return {"at": rfc3339(self.at), "kind": self.kind, **values}


@dataclass(frozen=True, slots=True, kw_only=True)
class WatcherChanged(Fact):
    """A watcher went from one state to another. `reason`: one line for a person, None when there is nothing to say."""

    kind: ClassVar[str] = "watcher.state"
    name: str
    old: str
    new: str
    pid: int | None = None
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WatcherDied(Fact):
    """A watcher's process ended. Code and signal are both None when it was adopted: only a parent learns them."""

    kind: ClassVar[str] = "watcher.died"
    name: str
    pid: int
    code: int | None
    signal: str | None
    uptime_seconds: float
    expected: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class WatcherRestarted(Fact):
    """An automatic restart; `cause` says in words what made it necessary, `restarts` counts them so far."""

    kind: ClassVar[str] = "watcher.restarted"
    name: str
    cause: str
    restarts: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WatcherSaid(Fact):
    """A watcher's status text (STATUS= of sd_notify(3)) is another."""

    kind: ClassVar[str] = "watcher.status"
    name: str
    text: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ConfigReloaded(Fact):
    """A new configuration took effect. The lists hold watchers' names."""

    kind: ClassVar[str] = "config.reloaded"
    added: tuple[str, ...]
    removed: tuple[str, ...]
    stopped: tuple[str, ...] = ()
    started: tuple[str, ...] = ()
    restarted: tuple[str, ...]
    changed: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class SupervisorChanged(Fact):
    """The daemon itself: `starting`, `running`, `stopping`, `stopped`."""

    kind: ClassVar[str] = "supervisor.state"
    new: str
    pid: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunStarted(Fact):
    """An attempt of a run began. `slot`: RFC 3339, UTC."""

    kind: ClassVar[str] = "run.started"
    name: str
    run_id: str
    slot: str
    trigger: str
    attempt: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RunRetrying(Fact):
    """An attempt of a run failed; the next one begins in `seconds`."""

    kind: ClassVar[str] = "run.retrying"
    name: str
    run_id: str
    attempt: int
    seconds: float
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class RunFinished(Fact):
    """A run has its outcome. `duration_seconds` is None when nothing of it was begun."""

    kind: ClassVar[str] = "run.finished"
    name: str
    run_id: str
    slot: str
    trigger: str
    outcome: str
    attempts: int
    duration_seconds: float | None
    error: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TaskChanged(Fact):
    """A task was added, removed, enabled or disabled (`change`); `reason` when nobody asked for it."""

    kind: ClassVar[str] = "task"
    name: str
    change: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class SchedulerChanged(Fact):
    """The scheduler was paused or resumed, or noticed that the clock or the machine stood still (`change`)."""

    kind: ClassVar[str] = "scheduler"
    change: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AgentChanged(Fact):
    """An agent's program is missing, its budget spent, or no longer: `state` as in the `agents` of status."""

    kind: ClassVar[str] = "agent"
    name: str
    state: str
    reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class McpChanged(Fact):
    """Something else is known of an MCP server: `state` is one of those of `mcp` in status."""

    kind: ClassVar[str] = "mcp"
    name: str
    state: str
    error: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProblemChanged(Fact):
    """Something is wrong beside the watchers (`text`), or no longer is (None)."""

    kind: ClassVar[str] = "problem"
    key: str
    text: str | None


Subscriber = Callable[[Fact], None]


class Bus:
    """Hands every fact to every subscriber, at once and in order. Subscribers must not block."""

    def __init__(self) -> None:
        self._subscribers: list[Subscriber] = []

    @contextmanager
    def subscribed(self, subscriber: Subscriber) -> "Iterator[None]":
        """Deliver facts to `subscriber` inside the block."""
        self._subscribers.append(subscriber)
        try:
            yield
        finally:
            self._subscribers.remove(subscriber)

    def publish(self, fact: Fact) -> None:
        for subscriber in tuple(self._subscribers):
            try:
                subscriber(fact)
            except Exception:  # the boundary: one listener's bug must not reach the supervisor or the other listeners
                log.exception("a subscriber failed on %s", fact.kind)
