"""PURE. What the checks look at: one configuration, its vault, and the world that its daemon lives in."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from enum import Enum
from pathlib import Path

from orchestrator.config.model import BuiltinPrompt, Config, Prompt, TaskConfig
from orchestrator.doctor.units import Unit
from orchestrator.places import Places


class Source(Enum):
    """Where the world is known from."""

    DAEMON = "daemon"  # one runs: this is its own
    UNIT = "unit"  # systemd would make it so
    SHELL = "shell"  # nobody says how the daemon is started: as if from here


@dataclass(frozen=True, slots=True)
class World:
    """The environment, account and directory in which the daemon runs, or would."""

    source: Source
    environ: Mapping[str, str]
    uid: int
    account: str  # the user's name
    directory: str
    who: str  # in words: "the running daemon (PID 7)"
    unit: Unit | None = None
    hidden: str | None = None  # a better known world, in words, that this user may not look at


@dataclass(frozen=True, slots=True)
class Holder:
    """What stands in the vault's lock; `held` tells whether somebody holds it."""

    held: bool
    pid: int = 0  # 0: not known
    hostname: str = ""
    started_at: str = ""


@dataclass(frozen=True, slots=True)
class Patient:
    """Everything that was found out before the first check. Paths are absolute."""

    file: str
    shell: Mapping[str, str]  # the environment that `aiemp doctor` was called in
    world: World
    holder: Holder
    units: Sequence[Unit]  # those that start a daemon on this configuration
    vault: str | None  # None: the configuration does not even tell that
    config: Config | None  # None: it is invalid
    invalid: tuple[str, ...] = ()  # what is wrong with it, a line each
    host: str = ""  # this machine's name
    tasks: Sequence[TaskConfig] = field(default=())  # that are enabled, those added by command too
    broken_tasks: Sequence[str] = ()  # a line for each added task that cannot be read
    paused: bool = False  # by `aiempctl scheduler pause`
    daemon: Mapping[str, object] | None = None  # what it answers to `status`
    silent: str | None = None  # why it does not answer, though it holds the lock

    @property
    def places(self) -> Places:
        return Places(self.vault or "/")

    @property
    def tools(self) -> dict[str, str]:
        """The environment for programs that a check asks something: the daemon's, with this shell's PATH."""
        return {**self.world.environ, "PATH": self.shell.get("PATH", "/usr/bin:/bin")}

    @property
    def folder(self) -> Path:
        """Where the configuration lies, and `aiemp init` would be called."""
        return Path(self.file).parent

    def prompting(self) -> dict[str, list[TaskConfig]]:
        """The enabled tasks that send a prompt, by their agent."""
        found = dict[str, list[TaskConfig]]()
        for task in self.tasks:
            if isinstance(task.action, Prompt | BuiltinPrompt):
                found.setdefault(task.action.agent, []).append(task)
        return found
