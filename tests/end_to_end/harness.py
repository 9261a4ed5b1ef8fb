"""A real daemon on a temporary vault, driven by the real programs, as a user would."""

import contextlib
import json
import os
import pty
import select
import shutil
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Self, TypeVar

import pytest

from orchestrator.places import Places

PATIENCE = 60.0  # seconds; far above what anything here takes, for machines under load
PATIENT = pytest.mark.timeout(3 * PATIENCE)  # so that what was waited for in vain is told, not only that it took long
SCRIPTS = Path(sys.executable).parent
T = TypeVar("T")

SLEEPER = '[watchers.sleeper]\ncommand = ["sleep", "1000"]\nstart_seconds = "0s"\n'

# Waits in the shell, without a process beside it that a signal to the group would hit for long.
IDLE = "while :; do sleep 0.05; done"

_TELLS = """\
import os, socket, sys, time
from pathlib import Path


def tell(text):
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
        speaker.sendto(text.encode(), os.environ["NOTIFY_SOCKET"])


def wait_for(name):
    while not Path(name).exists():
        time.sleep(0.02)


"""

_sites: list["Site"] = []  # those in use: whose daemons' last words may explain why something did not come


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
            said = "\n".join(site.last_words() for site in _sites)
            raise AssertionError(f"waited {PATIENCE:g} s in vain for {what or look}; last seen: {seen!r}\n{said}")
        time.sleep(0.02)
    return seen


def alive(pid: int) -> bool:
    """Whether a process lives; a zombie does not."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] not in "ZX"
    except OSError:
        return False


def command_of(pid: int) -> list[str]:
    """Give a process's arguments, as the kernel has them."""
    return Path(f"/proc/{pid}/cmdline").read_text().split("\0")[:-1]


def environ_of(pid: int) -> dict[str, str]:
    """Give the environment that a process was started with, as the kernel has it."""
    pairs = Path(f"/proc/{pid}/environ").read_text().split("\0")
    return dict(pair.split("=", 1) for pair in pairs if pair)


def status_of(pid: int) -> dict[str, str]:
    """Give what /proc/PID/status says."""
    lines = Path(f"/proc/{pid}/status").read_text().splitlines()
    return dict(line.split(":\t", 1) for line in lines if ":\t" in line)


class Site:
    """A folder with a configuration and a vault, and the daemon that serves it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.config = folder / "supervisor.toml"
        self.vault = folder / "vault"
        ours = {"DRY_RUN", "NOTIFY_SOCKET", "AIEMP_CONFIG", "NO_COLOR", "COLUMNS", "LINES"}
        self.environ = {key: value for key, value in os.environ.items() if key not in ours}
        self.daemon: subprocess.Popen[bytes] | None = None
        _sites.append(self)

    def configure(self, text: str) -> None:
        self.config.write_text(f'[supervisor]\nvault = "vault"\n{text}')

    def script(self, name: str, text: str) -> str:
        """Write an executable shell script beside the configuration, and give the command for it."""
        path = self.folder / name
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return f"./{name}"

    def python(self, name: str, text: str) -> str:
        """Write a Python program that may `tell` its supervisor something, and give its `command` in TOML."""
        path = self.folder / f"{name}.py"
        path.write_text(_TELLS + text)
        return f'["python", "{path}"]'

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
            timeout=PATIENCE,
            check=False,
        )

    @contextlib.contextmanager
    def following(self, *words: str) -> Iterator[Path]:
        """Run an `aiempctl` that goes on until it is killed, and give the file that it prints into."""
        path = self.folder / f"printed{len(list(self.folder.glob('printed*')))}"
        with (
            path.open("wb") as printed,
            subprocess.Popen(
                [str(SCRIPTS / "aiempctl"), "-c", str(self.config), *words],
                cwd=self.folder,
                stdin=subprocess.DEVNULL,
                stdout=printed,
                stderr=subprocess.DEVNULL,
                env=self.environ,
            ) as process,
        ):
            try:
                yield path
            finally:
                process.kill()

    def launch(self, *options: str, text: str | None = None, **environ: str) -> subprocess.Popen[bytes]:
        """Start the daemon, and don't wait for it."""
        if text is not None:
            self.configure(text)
        self.vault.mkdir(exist_ok=True)
        return self.launch_as([str(SCRIPTS / "aiemp"), "run", "-c", str(self.config), *options], environ=environ)

    def launch_as(
        self,
        command: list[str],
        *,
        environ: Mapping[str, str] | None = None,
        stdin: int = subprocess.DEVNULL,
        umask: int = -1,
        pass_fds: tuple[int, ...] = (),
    ) -> subprocess.Popen[bytes]:
        """Start the daemon by a command of one's own, in a world of one's own, and don't wait for it."""
        with (self.folder / "stderr").open("ab") as log:
            self.daemon = subprocess.Popen(
                command,
                cwd=self.folder,
                env={**self.environ, **(environ or {})},
                stdin=stdin,
                stdout=log,
                stderr=log,
                start_new_session=True,
                umask=umask,
                pass_fds=pass_fds,
            )
        return self.daemon

    def start(self, *options: str, text: str | None = None, **environ: str) -> subprocess.Popen[bytes]:
        """Start the daemon and wait until it answers."""
        daemon = self.launch(*options, text=text, **environ)
        self.wait_until_up()
        return daemon

    def wait_until_up(self) -> None:
        state = self.vault / ".aiemp"

        def up() -> bool:
            assert self.daemon is None or self.daemon.poll() is None, self.last_words()
            # Looked for first, since it costs next to nothing beside a daemon that is just starting.
            listens = (state / "control.sock").exists() or (state / "control.path").exists()
            return listens and bool(self.status()["supervisor"]["state"] == "running")

        until(up, "the daemon")

    def stop(self) -> int:
        """Ask the daemon to stop, as systemd or Ctrl-C would, and give its exit code."""
        assert self.daemon is not None
        self.daemon.terminate()
        return self.daemon.wait(PATIENCE)

    def kill(self) -> None:
        """Kill the daemon, as a lack of memory would."""
        assert self.daemon is not None
        self.daemon.kill()
        self.daemon.wait()

    def last_words(self) -> str:
        """Give the end of what the daemon has said on stderr, to explain a failure."""
        path = self.folder / "stderr"
        said = path.read_text(errors="replace").splitlines() if path.exists() else []
        return "\n".join([f"the daemon of {self.folder} said last:", *said[-30:]])

    def status(self, *names: str) -> dict[str, Any]:
        answer = self.ctl("status", "--json", *names)
        assert answer.stdout, answer.stderr
        found: dict[str, Any] = json.loads(answer.stdout)
        return found

    def problems(self) -> str:
        """Give what `status` finds wrong, apart from the watchers, a line each."""
        return "\n".join(self.status()["supervisor"]["problems"])

    def pids(self) -> dict[str, int | None]:
        return {each["name"]: each["pid"] for each in self.status()["watchers"]}

    def states(self) -> dict[str, str]:
        return {each["name"]: each["state"] for each in self.status()["watchers"]}

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

    def wait_for_successor(self, name: str, pid: int) -> dict[str, Any]:
        """Wait until a watcher has another process than `pid`, and give its object."""

        def there() -> dict[str, Any] | None:
            found = self.watcher(name)
            return found if found["pid"] not in {None, pid} else None

        found = until(there, f"a successor of {name}'s PID {pid}")
        assert found is not None
        return found

    def facts(self) -> list[dict[str, Any]]:
        """Give all that happened lately, as `events --json` tells it."""
        return [json.loads(line) for line in self.ctl("events", "--json", "-n", "1000").stdout.splitlines()]

    def dashboard(self) -> str:
        try:
            return (self.vault / "Dashboard.md").read_text()
        except FileNotFoundError:
            return ""

    def log(self, name: str | None = None) -> str:
        try:
            return (self.vault / "Logs" / (f"watchers/{name}.log" if name else "aiemp.log")).read_text()
        except FileNotFoundError:  # not there yet, or just being rotated
            return ""

    def parts(self, name: str) -> list[Path]:
        """Give the files of a log below Logs/, the oldest first."""
        logs = self.vault / "Logs"
        older = sorted(logs.glob(f"{name}.log.*"), key=lambda path: -int(path.suffix[1:]))
        return [*older, logs / f"{name}.log"]

    def clean_up(self) -> None:
        """Leave no process behind, whatever the test did."""
        if self.daemon is not None and self.daemon.poll() is None:
            self.daemon.send_signal(signal.SIGCONT)
            self.daemon.terminate()
            try:
                self.daemon.wait(PATIENCE)
            except subprocess.TimeoutExpired:
                self.daemon.kill()
                self.daemon.wait()
        for pid in self.ours():
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        # A killed daemon's sockets: in a vault below pytest's folders their paths would be too long.
        shutil.rmtree(Places(str(self.vault)).fallback_sockets(), ignore_errors=True)
        if self in _sites:
            _sites.remove(self)

    def ours(self) -> Iterator[int]:
        """Every living process that carries this vault in its environment."""
        marker = f"AIEMP_VAULT={self.vault}".encode()
        for entry in Path("/proc").iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    if marker in (entry / "environ").read_bytes().split(b"\0") and alive(int(entry.name)):
                        yield int(entry.name)


class Terminal:
    """An `aiempctl` on a terminal of its own."""

    def __init__(self, site: Site, *words: str, columns: int = 120, **environ: str) -> None:
        self._master, slave = pty.openpty()
        termios.tcsetwinsize(slave, (24, columns))
        # Who runs the tests in the background may ignore SIGINT, which is inherited; a terminal's user does not.
        before = signal.signal(signal.SIGINT, signal.default_int_handler)
        self.process = subprocess.Popen(
            [str(SCRIPTS / "aiempctl"), "-c", str(site.config), *words],
            cwd=site.folder,
            env={**site.environ, "TERM": "xterm-256color", **environ},
            stdin=slave,
            stdout=slave,
            stderr=slave,
            start_new_session=True,
        )
        signal.signal(signal.SIGINT, before)
        os.close(slave)
        self.seen = ""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._master)

    def until(self, text: str) -> None:
        """Read until `text` was seen anew."""
        already, deadline = len(self.seen), time.monotonic() + PATIENCE
        while text not in self.seen[already:]:
            assert self._read(deadline), f"{text!r} never came; seen: {self.seen!r}"

    def finish(self) -> int:
        """Read to the end, and give the exit code."""
        deadline = time.monotonic() + PATIENCE
        while self._read(deadline):
            pass
        return self.process.wait(PATIENCE)

    def _read(self, deadline: float) -> bool:
        assert select.select([self._master], [], [], max(0.0, deadline - time.monotonic()))[0], self.seen
        try:
            data = os.read(self._master, 65_536)
        except OSError:  # EIO: nobody holds the other side any more
            return False
        self.seen += data.decode()
        return bool(data)
