"""One daemon with its watchers in a folder of its own, from start to the last process gone."""

import os
import select
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp

from benchmarks.adapters import SUPERVISORS, Supervisor, Watcher
from benchmarks.environments import Program, clean_environment
from benchmarks.reports import Report, Reports, TimedOut, wait_until


@dataclass(frozen=True, slots=True)
class Lab:
    """What every session needs."""

    folder: Path
    child: Path


class Session:
    """A configured supervisor; times are time.monotonic_ns()."""

    def __init__(self, supervisor: Supervisor, reports: Reports, count: int) -> None:
        self.supervisor = supervisor
        self.reports = reports
        self.count = count
        self._daemon: subprocess.Popen[bytes] | None = None

    @property
    def daemon(self) -> subprocess.Popen[bytes]:
        if self._daemon is None:
            raise RuntimeError("the session was not booted")
        return self._daemon

    def boot(self) -> tuple[int, list[Report]]:
        """Start the daemon; returns when that was asked for and the first start of every watcher."""
        asked = time.monotonic_ns()
        daemon = self._daemon = self.supervisor.start()

        def all_started() -> list[Report] | None:
            found = self.reports.started()
            if daemon.poll() is not None:
                raise TimedOut(f"the daemon ended with {daemon.returncode} after {len(found)} first instructions")
            return found if len(found) >= self.count else None

        return asked, wait_until(all_started, f"{self.count} first instructions", seconds=60)

    def settle(self, seconds: float = 1.0) -> None:
        """Wait until commands are served and what follows a start has calmed down (supervisord's loop ticks in 1 s)."""
        wait_until(self.supervisor.answers, "the daemon to answer `status`", seconds=60, pause=0.1)
        time.sleep(seconds)

    def pids(self) -> list[int]:
        """The watchers' processes that are alive."""
        newest = {report.index: report.pid for report in self.reports.started()}
        return [pid for pid in newest.values() if Path(f"/proc/{pid}").exists()]

    def close(self) -> None:
        if self._daemon is not None and self._daemon.poll() is None:
            self._daemon.send_signal(signal.SIGTERM)
            try:
                self._daemon.wait(timeout=1)  # what it leaves behind, sweep() finds
            except subprocess.TimeoutExpired:
                self._daemon.kill()
                self._daemon.wait()


def child_command(lab: Lab, reports: Path, index: int, *flood: str) -> tuple[str, ...]:
    return (str(lab.child), str(reports), str(index), *flood)


@contextmanager
def session(
    lab: Lab, program: Program, count: int, floods: Sequence[int] = (), *, boot: bool = True
) -> Iterator[Session]:
    """A session with `count` quiet watchers and one that floods for each of `floods` (bytes; 0: without end).

    The flooding ones have the last indices. Whatever happens, no process of it is left behind.
    """
    folder = Path(mkdtemp(prefix=f"{program.name}-", dir=lab.folder))
    reports = Reports(folder / "reports")
    watchers = [Watcher(f"w{index:03}", child_command(lab, reports.path, index)) for index in range(count)]
    for index, size in enumerate(floods, start=count):
        watchers.append(Watcher(f"w{index:03}", child_command(lab, reports.path, index, "flood", str(size))))
    supervisor = SUPERVISORS[program.name](program.bin, folder, clean_environment())
    supervisor.configure(watchers)
    running = Session(supervisor, reports, len(watchers))
    try:
        if boot:
            running.boot()
            running.settle()
        yield running
    except TimedOut as error:
        raise TimedOut(f"{error}; the daemon's last words: {supervisor.last_words()}") from error
    finally:
        try:
            running.close()
        finally:
            sweep(folder)
            reports.close()
            shutil.rmtree(folder, ignore_errors=True)


def sweep(folder: Path) -> None:
    """Kill every process whose command line names `folder`, a temporary one that only this run knows."""
    needle = os.fsencode(folder)
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            if needle in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)


def open_processes(pids: Sequence[int]) -> list[int]:
    """A pidfd for each, opened before anything is ended, so that no number can mean another process by then."""
    return [os.pidfd_open(pid) for pid in pids]


def wait_gone(pidfds: Sequence[int], seconds: float = 60) -> int:
    """Wait until all have ended, close the descriptors, return when the last one did.

    Waits for one after the other: that wakes the harness a few times instead of once a death.
    """
    deadline = time.monotonic() + seconds
    try:
        for pidfd in pidfds:
            poll = select.poll()
            poll.register(pidfd, select.POLLIN)
            if not poll.poll(max(0.0, deadline - time.monotonic()) * 1000):
                raise TimedOut(f"waited {seconds:g} s in vain for processes to end")
        return time.monotonic_ns()
    finally:
        for pidfd in pidfds:
            os.close(pidfd)


def wait_ended(process: subprocess.Popen[bytes], seconds: float = 60) -> int:
    """Wait until the process has ended, and return when; its returncode is set.

    Popen.wait(timeout) would look at ever longer intervals, of up to 50 ms.
    """
    try:
        ended = wait_gone(open_processes([process.pid]), seconds)
    except TimedOut:
        process.kill()
        raise
    finally:
        process.wait()
    return ended
