"""Both programs as processes of their own, and a terminal to run one on."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

PATIENCE = 20.0  # seconds
ENVIRONMENT = {"PATH": os.environ["PATH"], "TZ": "UTC", "LC_ALL": "C.UTF-8", "PYTHONWARNINGS": "error"}


def command(program: str, *argv: str) -> list[str]:
    return [sys.executable, "-m", f"orchestrator.cli.{program}", *argv]


class Terminal:
    """A program on a terminal of its own."""

    def __init__(self, cwd: Path, program: str, *argv: str, columns: int = 80, **environ: str) -> None:
        self._master, slave = pty.openpty()
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        self.process = subprocess.Popen(
            command(program, *argv),
            cwd=cwd,
            env=ENVIRONMENT | {"TERM": "xterm-256color"} | environ,
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        os.close(slave)
        self.seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def until(self, done: Callable[[str], object]) -> str:
        """Read until `done` likes what was seen, or the program has closed the terminal."""
        deadline = time.monotonic() + PATIENCE
        while not done(self.seen):
            assert select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))[0], self.seen
            try:
                data = os.read(self._master, 65_536)
            except OSError:  # EIO: nobody holds the other side any more
                break
            self.seen += data.decode()
        return self.seen

    def finish(self) -> tuple[int, str]:
        self.until(lambda _: False)
        return self.process.wait(PATIENCE), self.seen


def plain(text: str) -> str:
    return re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", text)
