"""Where a log's bytes come from: a watcher's pipe, or lines of the daemon's own. The capture thread serves them all."""

import threading
from collections import deque
from concurrent.futures import Future
from typing import Final

from orchestrator.logs.file import Bytes, Limits, LogFile
from orchestrator.logs.pipes import Pipe
from orchestrator.logs.readable import lines_of

# A turn takes at most about this many bytes from one source, so that a flood leaves the others their turn.
TURN: Final = 1024 * 1024
_OWN_MAX: Final = 1024 * 1024  # bytes of one of the daemon's own logs that may wait for the disk
_PATIENCE: Final = 0.002  # seconds that boundary() may wait for a move to end
_FIRST_PAUSE: Final = 0.05
_LONGEST_PAUSE: Final = 5.0


class Source:
    """A log, and something that is to be written to it. `key` names its problem. Used by the capture thread only."""

    __slots__ = ("_pause", "key", "log", "reported", "retry_at")

    def __init__(self, key: str, path: str, home: str | None = None) -> None:
        """`home`: see LogFile."""
        self.key = key
        self.log = LogFile(path, home)
        self.reported: str | None = None  # the key under which its problem is reported
        self.retry_at: float | None = None  # monotonic seconds; None while all is well
        self._pause = _FIRST_PAUSE

    def pump(self, limits: Limits) -> None:
        """Write some of what waits to the log. Raises OSError when that is impossible; nothing is lost then."""
        raise NotImplementedError

    def troubled(self, now: float) -> None:
        """The log could not be written at `now` (monotonic seconds): each time in a row, wait twice as long."""
        self.retry_at = now + self._pause
        self._pause = min(2 * self._pause, _LONGEST_PAUSE)

    def well(self) -> None:
        self.retry_at, self._pause = None, _FIRST_PAUSE


class PipeSource(Source):
    """A watcher's output. Positions in it are bytes since its pipe was opened; newlines that are added do not count.

    Two locks: `_moving` makes taking bytes out of the pipe and counting them one step, and lasts as long as a write to
    the disk may; `_lock` guards the rest for an instant.
    """

    __slots__ = ("_boundaries", "_late", "_lock", "_moved", "_moving", "_noted", "_waiters", "pipe", "turn")

    def __init__(
        self, key: str, path: str, pipe: Pipe, boundaries: tuple[int, ...] = (), home: str | None = None
    ) -> None:
        super().__init__(key, path, home)
        self.pipe = pipe
        self.turn = 0  # bytes that the latest pump() moved
        self._moved = 0  # bytes that are in the log
        self._noted = 0  # … and that last_lines() knows of too: what was moved until the last turn's end
        self._boundaries = boundaries  # where one process's output ends and the next one's begins; not reached yet
        self._late = False  # a boundary is to be set as soon as the move at hand is over
        self._waiters: tuple[tuple[int, Future[None]], ...] = ()
        self._moving = threading.Lock()
        self._lock = threading.Lock()

    # From the event loop

    def boundary(self) -> None:
        if not self._moving.acquire(timeout=_PATIENCE):
            # The disk is stalling. The end of that write is the best there is: it can be too late by what the next
            # process prints until then, and matters only when the last line lacks its newline.
            self._late = True
            if not self._moving.acquire(blocking=False):
                return
        try:
            self._set_boundary()
        finally:
            self._moving.release()

    def settle(self) -> Future[None] | None:
        """None when a move is under way: then ask settle_now() on the capture thread."""
        if not self._moving.acquire(blocking=False):
            return None
        try:
            done: Future[None] = Future()
            self.settle_now(done)
            return done
        finally:
            self._moving.release()

    def last_lines(self, count: int) -> list[str]:
        with self._lock:
            if self._boundaries and self._boundaries[0] <= self._moved:
                return []  # the current process has printed nothing
            tail, cut = self.log.tail, self.log.tail_cut
        return lines_of(tail, count, cut=cut)

    # On the capture thread

    def settle_now(self, done: "Future[None]") -> None:
        """Finish `done` when all that is in the pipe now is in the log and noted, or cannot be written there."""
        position = self._moved + self.pipe.waiting() if self.pipe.fd >= 0 else 0
        with self._lock:
            if position > self._noted and self.retry_at is None:
                self._waiters += ((position, done),)
                return
        _finish(done)

    def pump(self, limits: Limits) -> None:
        self.turn = 0
        self.log.open(limits)
        try:
            while self.turn < TURN:
                if self._at_boundary() and self.pipe.waiting():
                    self._begin_process(limits)
                asked = TURN - self.turn
                count = self.log.fill(self, asked, limits)
                self.turn += count
                if count < asked and not (self._at_boundary() and self.pipe.waiting()):
                    break
        finally:
            self.log.close()
            self._let_go()

    def drain(self, limits: Limits) -> None:
        """Write all that is in the pipe now, however much that is, but nothing that comes later."""
        goal, before = self._moved + self.pipe.waiting(), -1
        while before < self._moved < goal:  # no progress: the child has read its own output
            before = self._moved
            self.pump(limits)

    # As the log's supply: what the process at hand printed

    def waiting(self) -> int:
        with self._moving:
            return self._until_boundary(self.pipe.waiting())

    def move(self, fd: int, offset: int | None, most: int) -> int:
        with self._moving:
            # Looked at under the lock: what lies behind a boundary cannot be in the pipe before the boundary is known.
            most = self._until_boundary(most)
            count = self.pipe.move(fd, offset, most) if most else 0
            self._moved += count
            if self._late:
                self._set_boundary()
        return count

    def _until_boundary(self, count: int) -> int:
        return min(count, self._boundaries[0] - self._moved) if self._boundaries else count

    def _at_boundary(self) -> bool:
        return bool(self._boundaries) and self._boundaries[0] == self._moved

    def troubled(self, now: float) -> None:
        with self._lock:
            super().troubled(now)
        self._let_go(everyone=True)

    def close(self) -> None:
        """Give up the pipe. Who still waits in settle() is let go."""
        with self._moving:
            self.pipe.close()
        self._let_go(everyone=True)

    def _set_boundary(self) -> None:
        self._late = False
        position = self._moved + self.pipe.waiting()
        with self._lock:
            if self._boundaries[-1:] != (position,):
                self._boundaries += (position,)

    def _begin_process(self, limits: Limits) -> None:
        """All of one process's output is in the log, and there is some of the next one's."""
        if self.log.mid_line:
            self.log.fill(Bytes(b"\n"), 1, limits)
        with self._lock:
            self._boundaries = self._boundaries[1:]
            self.log.forget_tail()

    def _let_go(self, *, everyone: bool = False) -> None:
        with self._lock:
            self._noted = self._moved
            if not self._waiters:
                return
            due = [done for position, done in self._waiters if everyone or position <= self._moved]
            self._waiters = tuple(w for w in self._waiters if not (everyone or w[0] <= self._moved))
        for done in due:
            _finish(done)


class OwnLines(Source):
    """A log of the daemon's own: lines that any thread adds, whole and ending in a newline.

    What a crash or a person left of a line in the file gets its newline first, so that it spoils no other.
    """

    __slots__ = ("_begun", "_lines", "_lock", "_rest", "_turn", "_waiting")

    def __init__(self, key: str, path: str, home: str | None = None) -> None:
        super().__init__(key, path, home)
        self._lines: deque[bytes] = deque()
        self._rest = Bytes(b"")
        self._begun = False  # whether the log ends with the beginning of what is in _rest
        self._waiting = 0  # bytes of both
        self._lock = threading.Lock()
        self._turn = threading.Lock()  # after the capture thread's end any thread may pump

    def add(self, line: bytes) -> bool:
        """Add a line; False, and the line is not taken, when too much waits for the disk already."""
        with self._lock:
            if self._waiting + len(line) > _OWN_MAX:
                return False
            self._waiting += len(line)
            self._lines.append(line)
        return True

    @property
    def waiting(self) -> bool:
        return self._waiting > 0

    def pump(self, limits: Limits) -> None:
        with self._turn:
            self.log.open(limits)
            try:
                with self._lock:
                    self._rest = Bytes(bytes(self._rest.rest) + b"".join(self._lines))
                    self._lines.clear()
                if self.log.mid_line and not self._begun:
                    self.log.fill(Bytes(b"\n"), 1, limits)
                before = self._rest.waiting()
                try:
                    while self._rest.waiting():
                        self.log.fill(self._rest, self._rest.waiting(), limits)
                finally:
                    written = before - self._rest.waiting()
                    if written:
                        self._begun = self.log.mid_line
                    with self._lock:
                        self._waiting -= written
            finally:
                self.log.close()


def _finish(done: "Future[None]") -> None:
    if done.set_running_or_notify_cancel():  # who waited may have lost interest
        done.set_result(None)
