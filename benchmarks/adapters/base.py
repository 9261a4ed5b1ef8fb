"""What the scenarios need to know about a supervisor: how to configure it, start it, and tell it what to do."""

import re
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

Verb = Literal["status", "start", "stop", "restart"]

# The same on every side: aiemp's defaults.
LOG_BYTES = 5 * 1024 * 1024
LOG_BACKUPS = 3


@dataclass(frozen=True, slots=True)
class Watcher:
    """One supervised program. It is restarted at once whenever it dies, and started with its supervisor."""

    name: str
    command: tuple[str, ...]


class Supervisor(ABC):
    """One supervisor, with its files in a folder of its own."""

    title: ClassVar[str]
    # Seconds of the longest cycle it looks around in; kills are spread evenly over it, as real deaths would be.
    tick: ClassVar[float] = 0.5

    def __init__(self, programs: Path, folder: Path, env: Mapping[str, str]) -> None:
        """`programs` is the folder with its executables (bin of its environment)."""
        self.programs = programs
        self.folder = folder
        self.env = dict(env)

    @abstractmethod
    def configure(self, watchers: Sequence[Watcher]) -> None:
        """Write the configuration."""

    @property
    @abstractmethod
    def logs(self) -> Path:
        """The folder with NAME.log, NAME.log.1 …"""

    @abstractmethod
    def daemon(self) -> list[str]:
        """The command that runs it in the foreground."""

    @abstractmethod
    def command(self, verb: Verb, name: str | None = None) -> list[str]:
        """The command a person would type; without `name` it means all watchers."""

    def start(self) -> subprocess.Popen[bytes]:
        with (self.folder / "daemon.out").open("ab") as out:
            return subprocess.Popen(
                self.daemon(),
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def order(self, verb: Verb, name: str | None = None) -> subprocess.Popen[bytes]:
        """Start the command, its output to a file: nobody here is a terminal."""
        with (self.folder / "commands.out").open("ab") as out:
            return subprocess.Popen(
                self.command(verb, name),
                cwd=self.folder,
                env=self.env,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def answers(self) -> bool:
        """Whether the daemon serves commands."""
        asking = self.order("status")
        try:
            return asking.wait(timeout=15) in self.up_codes
        except subprocess.TimeoutExpired:
            asking.kill()
            asking.wait()
            return False

    up_codes: ClassVar[frozenset[int]] = frozenset({0, 3})  # of `status`: all is running; something is not

    def log_files(self, name: str) -> list[Path]:
        """The watcher's log files, oldest first."""
        pattern = re.compile(re.escape(name) + r"\.log(?:\.(\d+))?")
        paths = self.logs.iterdir() if self.logs.is_dir() else []
        found = [(int(match[1] or 0), path) for path in paths if (match := pattern.fullmatch(path.name))]
        return [path for _, path in sorted(found, reverse=True)]

    def last_words(self) -> str:
        """The end of what the daemon printed: why it did not work."""
        text = (self.folder / "daemon.out").read_text(errors="replace")
        return " | ".join(text.strip().splitlines()[-3:]) or "nothing"
