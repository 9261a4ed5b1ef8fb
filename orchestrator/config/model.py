"""What a valid supervisor.toml says: frozen records, durations in seconds, sizes in bytes, paths absolute.

The defaults of the contract live here and nowhere else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

from orchestrator.schedule.when import Manual, Schedule


class Restart(StrEnum):
    """When a watcher that ended by itself is started again."""

    ALWAYS = "always"
    ON_FAILURE = "on-failure"
    NEVER = "never"


class Ready(StrEnum):
    """How a watcher shows that it is up: by staying alive, or by saying READY=1 (sd_notify(3))."""

    ALIVE = "alive"
    NOTIFY = "notify"


@dataclass(frozen=True, slots=True)
class CrashLoop:
    max_restarts: int = 5
    window: float = 600.0


@dataclass(frozen=True, slots=True)
class Backoff:
    initial: float = 1.0  # 0: no waiting
    factor: float = 2.0
    max: float = 60.0
    reset_after: float = 60.0


@dataclass(frozen=True, slots=True)
class Policy:
    """Every setting that takes effect on a running watcher without restarting it."""

    restart: Restart = Restart.ALWAYS
    expected_exit_codes: frozenset[int] = frozenset({0})
    start_seconds: float = 1.0
    ready: Ready = Ready.ALIVE
    ready_timeout: float = 30.0
    watchdog: float = 0.0  # 0: none
    backoff: Backoff = field(default_factory=Backoff)
    crash_loop: CrashLoop = field(default_factory=CrashLoop)
    stop_signal: int = 15
    stop_timeout: float = 10.0


@dataclass(frozen=True, slots=True)
class Launch:
    """How a watcher's process is made. A change of any of these on reload restarts it."""

    command: tuple[str, ...]
    directory: Path
    env: tuple[tuple[str, str], ...] = ()  # sorted; hashable, unlike a dict
    env_file: Path | None = None
    memory_limit: int = 0  # bytes of RSS of the whole process tree; 0: none


@dataclass(frozen=True, slots=True)
class WatcherConfig:
    name: str
    launch: Launch
    policy: Policy = field(default_factory=Policy)
    enabled: bool = True
    autostart: bool = True
    required_env: tuple[str, ...] = ()
    depends_on: tuple[str, ...] = ()


class Priority(StrEnum):
    CRITICAL = "critical"
    HIGH = "high"
    NORMAL = "normal"
    LOW = "low"


class Overlap(StrEnum):
    """What becomes of a slot that comes while an earlier run of the same task is not finished."""

    SKIP = "skip"
    QUEUE = "queue"  # at most one waits
    CANCEL = "cancel"  # the earlier run


class CatchUp(StrEnum):
    LATEST = "latest"  # one run for all missed slots
    NONE = "none"


@dataclass(frozen=True, slots=True)
class Retry:
    """`max` attempts after the first one; the others in seconds."""

    max: int = 3
    initial: float = 1.0
    factor: float = 2.0
    max_delay: float = 300.0


@dataclass(frozen=True, slots=True)
class Builtin:
    name: str


@dataclass(frozen=True, slots=True)
class Handler:
    """A Python function; `folder`: where its module's package is looked for, None for an installed one."""

    module: str
    function: str
    folder: Path | None


@dataclass(frozen=True, slots=True)
class Command:
    argv: tuple[str, ...]


class AgentKind(StrEnum):
    """What stands behind an agent's name."""

    CLAUDE = "claude"  # Claude Code's command line
    LETTA = "letta"  # an agent on a Letta server
    COMMAND = "command"  # any program


@dataclass(frozen=True, slots=True)
class AgentConfig:
    """What prompts are sent to. Each kind has its own of these settings; US dollars."""

    name: str
    kind: AgentKind = AgentKind.CLAUDE
    command: tuple[str, ...] = ("claude",)
    allowed_tools: tuple[str, ...] = ("Read", "Edit", "Write", "Glob", "Grep")
    permission_mode: str = "dontAsk"
    max_turns: int = 0  # 0: no limit
    daily_budget_usd: float = 0.0  # 0: no limit
    base_url: str | None = None  # None: LETTA_BASE_URL, else the server's usual place on this machine
    agent_id: str | None = None
    api_key_env: str = "LETTA_API_KEY"


@dataclass(frozen=True, slots=True)
class McpServer:
    """A server of the Model Context Protocol: a command that is spoken to over its pipes, or a URL."""

    name: str
    command: tuple[str, ...] = ()
    env: tuple[tuple[str, str], ...] = ()  # sorted
    url: str | None = None
    headers: tuple[tuple[str, str], ...] = ()  # sorted
    timeout: float = 30.0  # seconds for the whole of a check


@dataclass(frozen=True, slots=True)
class Prompt:
    """A text for an agent. `agent_id`: of a Letta agent, in place of the one that is configured."""

    text: str
    agent: str
    agent_id: str | None = None


@dataclass(frozen=True, slots=True)
class BuiltinPrompt:
    """One of the prompts that come along: a look at the vault first, then the text of Prompts/NAME.md for an agent."""

    name: str
    agent: str
    agent_id: str | None = None


Action = Builtin | Handler | Command | Prompt | BuiltinPrompt


@dataclass(frozen=True, slots=True)
class TaskConfig:
    """One task, configured in the file or added at run time. Durations in seconds."""

    name: str
    action: Action
    schedule: Schedule = field(default_factory=Manual)
    description: str = ""
    on_change: tuple[str, ...] = ()
    debounce: float = 5.0
    after: tuple[str, ...] = ()
    only_if_any: tuple[str, ...] = ()
    timeout: float = 900.0
    priority: Priority = Priority.NORMAL
    lane: str | None = None  # None: runs beside anything
    overlap: Overlap = Overlap.SKIP
    catch_up: CatchUp = CatchUp.LATEST
    max_lateness: float = 43_200.0
    retry: Retry = field(default_factory=Retry)
    max_runs: int = 0  # 0: no limit
    enabled: bool = True
    added: bool = False  # by `aiempctl add`, so that `remove` may take it away


@dataclass(frozen=True, slots=True)
class SchedulerConfig:
    max_concurrent: int = 5
    enabled: bool = True
    handler_packages: tuple[str, ...] = ()
    keep_history: float = 90 * 86_400.0  # seconds


@dataclass(frozen=True, slots=True)
class LogsConfig:
    max_bytes: int = 5 * 1024 * 1024
    backups: int = 3


@dataclass(frozen=True, slots=True)
class Config:
    """A whole valid configuration."""

    file: Path
    vault: Path
    timezone: str  # IANA name
    dry_run: bool = False
    shutdown_timeout: float = 20.0
    log_level: str = "info"
    logs: LogsConfig = field(default_factory=LogsConfig)
    watchers: Mapping[str, WatcherConfig] = field(default_factory=dict)  # in the file's order
    scheduler: SchedulerConfig = field(default_factory=SchedulerConfig)
    tasks: Mapping[str, TaskConfig] = field(default_factory=dict)  # in the file's order
    agents: Mapping[str, AgentConfig] = field(default_factory=dict)  # in the file's order; "claude" is always there
    mcp: Mapping[str, McpServer] = field(default_factory=dict)  # in the file's order, those that are enabled
