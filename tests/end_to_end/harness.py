"""A real daemon on a temporary vault, driven by the real programs, as a user would."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, TypeVar

PATIENCE = 20.0  # seconds; far above what anything here takes, for machines under load
SCRIPTS = Path(sys.executable).parent
T = TypeVar("T")

SLEEPER = '[watchers.sleeper]\ncommand = ["sleep", "1000"]\nstart_seconds = "0s"\n'


def two(extra: str = "", command: str = "1000") -> str:
    """Configure two sleepers, `same` and `other`; what is given changes the latter."""
    return (
        f'[watchers.same]\ncommand = ["sleep", "1000"]\nstart_seconds = "0s"\n'
        f'[watchers.other]\ncommand = ["sleep", "{command}"]\nstart_seconds = "0s"\n{extra}'
    )


def until(look: Callable[[], T], what: str = "") -> T:
    """Look again and again until there is something true to see."""
    deadline = time.monotonic() + PATIENCE
    while not (seen := look()):
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {PATIENCE} s in vain for {what or look}; last seen: {seen!r}")
        time.sleep(0.02)
    return seen


def alive(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


class Site:
    """A folder with a configuration and a vault, and the daemon that serves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "supervisor.toml"
        self.vault = folder / "vault"
        self.environ = {key: value for key, value in os.environ.items() if key not in {"DRY_RUN", "NOTIFY_SOCKET"}}
        self.daemon: subprocess.Popen[bytes] | None = None

    def configure(self, text: str) -> None:
        self.config.write_text(f'[supervisor]\nvault = "vault"\n{text}')

    def aiemp(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return self._run("aiemp", *words, environ=environ)

    def ctl(self, *words: str, **environ: str) -> subprocess.CompletedProcess[str]:
        return self._run("aiempctl", "-c", str(self.config), *words, environ=environ)

    def _run(self, program: str, *words: str, environ: Mapping[str, str]) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [str(SCRIPTS / program), *words],
            cwd=self.folder,
            env={**self.environ, **environ},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def start(self, *options: str, text: str | None = None, **environ: str) -> subprocess.Popen[bytes]:
        """Start the daemon and wait until it answers."""
        if text is not None:
            self.configure(text)
        self.vault.mkdir(exist_ok=True)
        log = (self.folder / "stderr").open("ab")
        with log:
            self.daemon = subprocess.Popen(
                [str(SCRIPTS / "aiemp"), "run", "-c", str(self.config), *options],
                cwd=self.folder,
                env={**self.environ, **environ},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        until(lambda: self.status()["supervisor"]["state"] == "running", "the daemon")
        return self.daemon

    def stop(self) -> int:
        """Ask the daemon to stop, as systemd or Ctrl-C would, and give its exit code."""
        assert self.daemon is not None
        self.daemon.terminate()
        return self.daemon.wait(PATIENCE)

    def status(self, *names: str) -> dict[str, Any]:
        answer = self.ctl("status", "--json", *names)
        found: dict[str, Any] = json.loads(answer.stdout)
        return found

    def pids(self) -> dict[str, int | None]:
        return {each["name"]: each["pid"] for each in self.status()["watchers"]}

    def watcher(self, name: str) -> dict[str, Any]:
        found: dict[str, Any] = self.status(name)["watchers"][0]
        return found

    def wait_for(self, name: str, state: str) -> dict[str, Any]:
        """Wait until a watcher is in `state`, and give its object."""

        def there() -> dict[str, Any] | None:
            found = self.watcher(name)
            return found if found["state"] == state else None

        found = until(there, f"{name} to be {state}")
        assert found is not None
        return found

    def dashboard(self) -> str:
        try:
            return (self.vault / "Dashboard.md").read_text()
        except FileNotFoundError:
            return ""

    def log(self, name: str | None = None) -> str:
        path = self.vault / "Logs" / (f"watchers/{name}.log" if name else "aiemp.log")
        return path.read_text() if path.exists() else ""

    def clean_up(self) -> None:
        """Leave no process behind, whatever the test did."""
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.terminate()
            try:
                self.daemon.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
        for pid in self.ours():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)

    def ours(self) -> Iterator[int]:
        """Every living process that carries this vault in its environment."""
        marker = f"AIEMP_VAULT={self.vault}".encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if marker in (entry / "environ").read_bytes().split(b"\0") and alive(int(entry.name)):
                        yield int(entry.name)
