"""PURE. The words of a watcher's life: what it can be, what can happen to it, what can be done about it."""

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.processes.death import Death


class State(StrEnum):
    """The names of the phases, as everybody outside sees them."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    BACKOFF = "backoff"
    STOPPING = "stopping"
    EXITED = "exited"
    PAUSED = "paused"
    FATAL = "fatal"


# --- phases: each carries only what belongs to it. Times are monotonic seconds. ---


@dataclass(frozen=True, slots=True)
class Stopped:
    state = State.STOPPED


@dataclass(frozen=True, slots=True)
class Starting:
    state = State.STARTING
    pid: int
    since: float
    ready: bool = False  # READY=1 came


@dataclass(frozen=True, slots=True)
class Running:
    state = State.RUNNING
    pid: int
    since: float  # when the process started
    pinged: float  # the last WATCHDOG=1, at first the moment it counted as running


@dataclass(frozen=True, slots=True)
class Backoff:
    state = State.BACKOFF
    until: float
    wait: float  # seconds in all
    cause: str


@dataclass(frozen=True, slots=True)
class Stopping:
    state = State.STOPPING
    pid: int
    kill_at: float | None  # None: SIGKILL was sent
    cause: str | None  # why it is stopped by itself; None: someone asked for it
    death: Death | None = None  # set: the leader is gone, others of its process group are not
    exits: bool = False  # its policy says not to start it again
    pauses: str | None = None  # it is paused, for this reason, and stays so


@dataclass(frozen=True, slots=True)
class Exited:
    state = State.EXITED
    death: Death
    cause: str | None = None  # why it was stopped, when it did not end by itself


@dataclass(frozen=True, slots=True)
class Paused:
    state = State.PAUSED
    cause: str


@dataclass(frozen=True, slots=True)
class Fatal:
    state = State.FATAL
    cause: str


Phase = Stopped | Starting | Running | Backoff | Stopping | Exited | Paused | Fatal


@dataclass(frozen=True, slots=True)
class Child:
    """All that is known of one watcher. `restarts` are the automatic ones that may still lie in the window."""

    phase: Phase = Stopped()
    wanted: bool = False
    restarts: tuple[float, ...] = ()
    streak: int = 0  # automatic restarts since it last ran for `reset_after`
    total: int = 0  # automatic restarts ever


# --- events ---


@dataclass(frozen=True, slots=True)
class Start:
    """It shall run: asked for by a person, or the start that the daemon makes."""


@dataclass(frozen=True, slots=True)
class RestartAsked:
    """It shall run anew."""


@dataclass(frozen=True, slots=True)
class Resume:
    """Un-pause; clears the restart window."""


@dataclass(frozen=True, slots=True)
class Stop:
    """It shall not run."""


@dataclass(frozen=True, slots=True)
class Kill:
    """It shall not run, and there is no time left for politeness."""


@dataclass(frozen=True, slots=True)
class Spawned:
    pid: int


@dataclass(frozen=True, slots=True)
class Adopted:
    """A process that an earlier daemon started still lives. `uptime` is in seconds."""

    pid: int
    uptime: float


@dataclass(frozen=True, slots=True)
class LeftBehind:
    """Of a process that an earlier daemon started only others of its group are left; they have to be ended first."""

    pid: int  # the group's


@dataclass(frozen=True, slots=True)
class SpawnFailed:
    """It could not be started this time, for want of memory, processes or descriptors."""

    why: str


@dataclass(frozen=True, slots=True)
class SpawnRefused:
    """It cannot be started as it is configured."""

    why: str


@dataclass(frozen=True, slots=True)
class Died:
    """The leader was reaped. `survivors`: others of its process group live on."""

    death: Death
    survivors: bool = False


@dataclass(frozen=True, slots=True)
class GroupGone:
    """Nobody of a process group whose leader was dead lives any more."""


@dataclass(frozen=True, slots=True)
class Readied:
    """READY=1"""


@dataclass(frozen=True, slots=True)
class Pinged:
    """WATCHDOG=1"""


@dataclass(frozen=True, slots=True)
class Unhealthy:
    """It must be stopped and started again, for the reason given: over its memory limit, WATCHDOG=trigger."""

    why: str


@dataclass(frozen=True, slots=True)
class Tick:
    """The deadline has passed."""


Event = (
    Start
    | RestartAsked
    | Resume
    | Stop
    | Kill
    | Spawned
    | Adopted
    | LeftBehind
    | SpawnFailed
    | SpawnRefused
    | Died
    | GroupGone
    | Readied
    | Pinged
    | Unhealthy
    | Tick
)


class Effect(StrEnum):
    SPAWN = "spawn"
    TERMINATE = "terminate"  # the stop signal, to the whole process group
    KILL = "kill"  # SIGKILL, to the whole process group


Outcome = tuple[Child, tuple[Effect, ...]]
