"""Real processes: start one in a session of its own, hear of its death at once, signal its whole group.

Deaths are heard through pidfds in one epoll instance (Linux), or through kqueue (macOS, BSD): no thread, no SIGCHLD
handler, and nothing here relies on being the parent except for learning the exit status.
"""

import errno
import os
import select
import signal
import subprocess
import sys
from collections.abc import Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import anyio

from orchestrator.processes import procfs
from orchestrator.processes.death import Death

# What a spawn can fail with for want of something that others may give back: worth another try later.
TRANSIENT = frozenset({errno.EAGAIN, errno.ENOMEM, errno.EMFILE, errno.ENFILE, errno.ETXTBSY, errno.EINTR})


class SpawnTrouble(Exception):
    """A process could not be started. `transient`: trying again later may work."""

    def __init__(self, why: str, *, transient: bool) -> None:
        super().__init__(why)
        self.transient = transient


@dataclass(frozen=True, slots=True)
class Program:
    """All that the kernel needs to start a process. Everything is final: nothing is expanded or searched any more."""

    executable: str
    argv: tuple[str, ...]
    directory: str
    environ: Mapping[str, str]


def spawn(program: Program, output: int, stderr: int | None = None, stdin: int | None = None) -> int:
    """Start `program` with stdout and stderr into the descriptor `output`, stdin from /dev/null; give its PID.

    Other descriptors for `stderr` and `stdin` where they are given. Its own session and process group, descriptors 0-2
    only, default signal dispositions. Raises SpawnTrouble.
    """
    try:
        child = subprocess.Popen(
            program.argv,
            executable=program.executable,
            cwd=program.directory,
            env=program.environ,
            stdin=subprocess.DEVNULL if stdin is None else stdin,
            stdout=output,
            stderr=output if stderr is None else stderr,
            start_new_session=True,
        )
    except OSError as error:
        raise SpawnTrouble(_in_words(error, program), transient=error.errno in TRANSIENT) from error
    except ValueError as error:  # a NUL, or text that this locale can't encode
        raise SpawnTrouble(f"its command or environment cannot be passed on: {error}", transient=False) from error
    # The process is waited for by `Processes`. Popen must not do so too (its destructor and every later Popen
    # would call waitpid and take the exit status away), so it is told that there is nothing to wait for.
    child.returncode = 0
    return child.pid


def _in_words(error: OSError, program: Program) -> str:
    """What a person has to know about a failed exec; the kernel's ENOENT may mean four different files."""
    if error.errno in TRANSIENT:
        return f"the machine is short of something: {error.strerror}"
    if not Path(program.directory).is_dir():
        return f"directory {program.directory} does not exist or is no folder; correct `directory`"
    if not os.access(program.directory, os.X_OK):
        return f"directory {program.directory} may not be entered by this user"
    path = Path(program.executable)
    if error.errno == errno.ENOEXEC:
        return f"{path} is no program: its first line does not name an interpreter (like #!/bin/sh)"
    if error.errno == errno.ENOENT:
        interpreter = _interpreter(path)
        if interpreter and not Path(interpreter).exists():
            return f"{path} wants the interpreter {interpreter} in its first line, which does not exist"
        return f"command {path} does not exist"
    if error.errno == errno.EACCES:
        if path.is_dir():
            return f"command {path} is a folder"
        if path.is_file() and not os.access(path, os.X_OK):
            return f"{path} is not executable; chmod +x it, or name its interpreter in `command`"
    return f"{path}: {error.strerror}"


def _interpreter(path: Path) -> str | None:
    try:
        with path.open("rb") as file:
            first = file.readline(256)
    except OSError:
        return None
    words = first[2:].split() if first.startswith(b"#!") else []
    return os.fsdecode(words[0]) if words else None


if sys.platform == "linux":

    class _Watch:
        """Which processes have ended: their pidfds (pidfd_open(2)) in one epoll set."""

        def __init__(self) -> None:
            self._epoll = select.epoll()
            self._pids: dict[int, int] = {}  # pidfd → PID

        def fileno(self) -> int:
            return self._epoll.fileno()

        def add(self, pid: int) -> None:
            pidfd = os.pidfd_open(pid)
            try:
                self._epoll.register(pidfd, select.EPOLLIN)
            except OSError:
                os.close(pidfd)
                raise
            self._pids[pidfd] = pid

        def remove(self, pid: int) -> None:
            for pidfd in [pidfd for pidfd, watched in self._pids.items() if watched == pid]:
                del self._pids[pidfd]
                os.close(pidfd)

        def take(self) -> list[tuple[int, Death]]:
            """Reap who has ended since, each once."""
            ended = []
            for pidfd, _ in self._epoll.poll(0):
                ended.append((self._pids.pop(pidfd), _reap(pidfd)))
                os.close(pidfd)  # takes it out of the epoll set too
            return ended

        def close(self) -> None:
            self._epoll.close()
            for pidfd in self._pids:
                os.close(pidfd)

    def _reap(pidfd: int) -> Death:
        """Take the exit status of a process that has ended.

        By its pidfd, not its PID: that of an adopted one, which its parent has reaped, may be our next child's by now,
        and to wait for that one would hold up everything.
        """
        try:
            found = os.waitid(os.P_PIDFD, pidfd, os.WEXITED)
        except ChildProcessError:
            return Death()  # adopted: its exit status went to its parent
        if found is None:  # only without a wait, which this is not
            return Death()
        if found.si_code == os.CLD_EXITED:
            return Death(code=found.si_status)
        return Death(signal=signal_name(found.si_status))

else:

    class _Watch:
        """Which processes have ended: kqueue's EVFILT_PROC (kqueue(2))."""

        def __init__(self) -> None:
            self._kqueue = select.kqueue()
            self._early: list[int] = []

        def fileno(self) -> int:
            return self._kqueue.fileno()

        def add(self, pid: int) -> None:
            event = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_ADD, select.KQ_NOTE_EXIT)
            try:
                self._kqueue.control([event], 0)
            except ProcessLookupError:
                self._early.append(pid)  # kqueue does not know the dead that were not reaped yet
                wake = select.kevent(pid, select.KQ_FILTER_TIMER, select.KQ_EV_ADD | select.KQ_EV_ONESHOT, data=1)
                self._kqueue.control([wake], 0)

        def remove(self, pid: int) -> None:
            event = select.kevent(pid, select.KQ_FILTER_PROC, select.KQ_EV_DELETE)
            with suppress(OSError):  # it has ended already, which deletes the event
                self._kqueue.control([event], 0)
            self._early = [early for early in self._early if early != pid]

        def take(self) -> list[tuple[int, Death]]:
            """Reap who has ended since, each once."""
            early, self._early = self._early, []
            events = self._kqueue.control(None, 1024, 0)
            ended = early + [event.ident for event in events if event.filter == select.KQ_FILTER_PROC]
            return [(pid, _reap(pid)) for pid in ended]

        def close(self) -> None:
            self._kqueue.close()

    def _reap(pid: int) -> Death:
        """Take the exit status of a process that has ended. Its PID is not reused before that, if it is our child."""
        try:
            _, status = os.waitpid(pid, 0)
        except ChildProcessError:
            return Death()  # adopted: its exit status went to its parent
        code = os.waitstatus_to_exitcode(status)
        return Death(code=code) if code >= 0 else Death(signal=signal_name(-code))


class Processes:
    """The processes that are waited for, by PID: own children and adopted ones alike."""

    def __init__(self) -> None:
        self._watch = _Watch()

    def close(self) -> None:
        """Wait for nobody any more. The processes go on living."""
        self._watch.close()

    def spawn(self, program: Program, output: int, stderr: int | None = None, stdin: int | None = None) -> int:
        """Start `program` and hear of its death from now on. Raises SpawnTrouble, and then no process is left."""
        pid = spawn(program, output, stderr, stdin)
        try:
            self._watch.add(pid)
        except OSError as error:  # no descriptor left for its pidfd: a process that cannot be watched must not be
            os.killpg(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
            raise SpawnTrouble(f"the machine is short of something: {error.strerror}", transient=True) from error
        return pid

    def adopt(self, pid: int) -> None:
        """Hear of the death of a process that someone else started. Raises OSError when it is gone already."""
        self._watch.add(pid)

    def disown(self, pid: int) -> None:
        """Take back `adopt`."""
        self._watch.remove(pid)

    async def wait(self) -> None:
        """Return when some watched process has ended."""
        await anyio.wait_readable(self._watch.fileno())

    def ended(self) -> list[tuple[int, Death]]:
        """Reap every watched process that has ended. Never blocks."""
        return self._watch.take()


def signal_name(number: int) -> str:
    """SIGKILL for 9; SIGRTMIN+3 and the like, which have no name in Python, as a number."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def signal_group(pid: int, number: int) -> None:
    """Send a signal to every process of the group that `pid` leads or led. Nobody there: nothing happens."""
    try:
        os.killpg(pid, number)
        if number not in (signal.SIGKILL, signal.SIGCONT, signal.SIGSTOP, signal.SIGTSTP):
            os.killpg(pid, signal.SIGCONT)  # a stopped process could not obey; systemd.kill(5) does the same
    except ProcessLookupError:
        pass
    except PermissionError:
        pass  # only another user's processes are left in the group (set-user-ID programs)


def living_groups(pids: Iterable[int]) -> set[int]:
    """Which of these process groups have members that live; the dead whom nobody has reaped (zombies) do not count."""
    there = {pid for pid in pids if _group_exists(pid)}
    if not there or sys.platform != "linux":
        return there
    try:
        return there & procfs.living_groups()  # one look at everybody, however many are asked about
    except OSError:  # no descriptor left to look: better once more later than a forgotten process
        return there


def _group_exists(pgid: int) -> bool:
    try:
        os.killpg(pgid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
