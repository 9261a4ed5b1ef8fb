"""Help for the tests of watchers: run one for real, hear what it tells its supervisor, look at its vault."""

import contextlib
import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

PATIENCE = 15.0  # seconds; far more than anything here takes


def wait_for(condition: Callable[[], Any], what: str, seconds: float = PATIENCE) -> float:
    """Poll until `condition()` holds; returns after how many seconds."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, f"{what}: not within {seconds} s"
        time.sleep(0.005)
    return time.monotonic() - start


class Ear:
    """A supervisor's notify socket; `address` may be an abstract one, written with `@`."""

    def __init__(self, address: str) -> None:
        self.address = address
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind("\0" + address[1:] if address.startswith("@") else address)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._socket.close()

    def next(self, seconds: float = PATIENCE) -> list[str] | None:
        """The lines of the next message; None when there is none within `seconds`."""
        self._socket.settimeout(seconds)
        try:
            return self._socket.recv(65536).decode().split("\n")
        except TimeoutError:
            return None

    def until(self, line: str) -> list[str]:
        """Everything said up to and including the message with this line."""
        heard: list[str] = []
        deadline = time.monotonic() + PATIENCE
        while line not in heard:
            message = self.next(max(deadline - time.monotonic(), 0.001))
            assert message is not None, f"{line} was not said, only {heard}"
            heard += message
        return heard


@contextlib.contextmanager
def running(vault: Path, *arguments: str, module: str = "watchers.filesystem", **env: str) -> Iterator["Running"]:
    """A watcher that is running; it is killed at the end if it still lives. Its log is `vault/../watcher.log`."""
    log = vault.parent / "watcher.log"
    with log.open("ab") as stderr:
        process = subprocess.Popen(
            [sys.executable, "-m", module, *arguments],
            env={**clean_environment(), "AIEMP_VAULT": str(vault), **env},
            stdin=subprocess.DEVNULL,
            stderr=stderr,
        )
    try:
        yield Running(process, log)
    finally:
        process.kill()
        process.wait()


class Running:
    def __init__(self, process: subprocess.Popen[bytes], log: Path) -> None:
        self.process = process
        self._log = log

    def log(self) -> str:
        return self._log.read_text(errors="replace")

    def wait(self) -> int:
        return self.process.wait(PATIENCE)


def run(*arguments: str, module: str = "watchers.filesystem", **env: str) -> subprocess.CompletedProcess[str]:
    """Run a watcher to its end."""
    return subprocess.run(
        [sys.executable, "-m", module, *arguments],
        env={**clean_environment(), **env},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=PATIENCE * 2,
        check=False,
    )


def clean_environment() -> dict[str, str]:
    """Ours, without what a supervisor around these tests may have set."""
    ours = ("AIEMP_", "NOTIFY_", "WATCHDOG_", "WATCHFILES_", "DRY_RUN")
    return {name: value for name, value in os.environ.items() if not name.startswith(ours)}


def notes(vault: Path) -> dict[str, dict[str, Any]]:
    """Every note about a dropped file by its own name, its frontmatter read the way any YAML parser must read it."""
    found = {}
    folder = vault / "Needs_Action"
    for path in folder.glob("FILE_*.md") if folder.is_dir() else ():
        opening, *lines = path.read_text("utf-8").split("\n")
        if opening == "---" and lines[0] == "type: file_drop":
            block = lines[: lines.index("---")]
            found[path.name] = {key: _value(value) for key, value in (line.split(": ", 1) for line in block)}
    return found


def _value(value: str) -> Any:
    return value if value.isidentifier() else json.loads(value)


def files(folder: Path, about: dict[str, dict[str, Any]]) -> dict[str, bytes]:
    """Every other file, hidden ones too, by name."""
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name not in about and path.is_file()}
