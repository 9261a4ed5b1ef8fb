"""What watchers print, from their pipes into rotated files: one thread for all, so that no disk stops the loop."""

import errno
import logging
import os
import selectors
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from typing import Final

from orchestrator.errors import UserError
from orchestrator.logs.file import Limits
from orchestrator.logs.pipes import GROWN, USUAL, Pipe
from orchestrator.logs.source import OwnLines, PipeSource, Source
from orchestrator.places import Places, private_subfolder
from orchestrator.turns import EndOfTurn

log = logging.getLogger(__name__)

# A user's pipes may hold 64 MiB in all (pipe-user-pages-soft); beyond that new ones get 8 KiB. So only a few grow.
_MOST_GROWN: Final = 16

_WAITS: Final = "the output waits"
_ADVICE: Final = {
    errno.ENOSPC: "make room on the disk",
    errno.EDQUOT: "the disk quota is used up: make room",
    errno.EFBIG: "the file size limit is reached (ulimit -f)",
    errno.EISDIR: "remove or rename that folder",
    errno.ENOTDIR: "remove or rename what is no folder there",
    errno.EEXIST: "remove or rename what is no folder there",
    errno.EACCES: "give this user the right to write there",
    errno.EPERM: "give this user the right to write there",
    errno.EROFS: "the file system is mounted read-only",
    errno.EMFILE: "raise the limit of open files (ulimit -n)",
    errno.ENFILE: "raise the system's limit of open files",
}


class Capture:
    """The capture thread and its pipes. start() comes first; no method blocks, close() excepted.

    Call them from one thread, the event loop's; add_line(), and what own_log() gives, from any.

    `on_problem(key, text)` is called on the capture thread when a log cannot be written, and with None once it can
    again. What could not be written waits, mostly in its pipe, whose watcher then blocks when it is full; no other log
    is affected.
    """

    def __init__(self, places: Places, limits: Limits, on_problem: Callable[[str, str | None], None]) -> None:
        self._places = places
        self._limits = limits
        self._on_problem = on_problem
        self._sources: dict[str, PipeSource] = {}
        self._daemon_log = OwnLines("log", places.daemon_log, places.vault)
        self._own: tuple[OwnLines, ...] = (self._daemon_log,)
        self._troubled: set[Source] = set()
        self._grown: set[PipeSource] = set()
        self._selector = selectors.DefaultSelector()
        self._wake_read, self._wake_write = os.pipe()
        os.set_blocking(self._wake_read, False)
        os.set_blocking(self._wake_write, False)
        self._lock = threading.Lock()  # for the next three
        self._calls: list[Callable[[], None]] = []
        self._woken = False
        self._closed = False
        self._plain_pipe_reported = False
        # On the event loop's thread, waking is put off to the turn's end: each wake hands over the interpreter lock,
        # which would make a burst of starts twice as long.
        self._soon = EndOfTurn(self._wake_now)
        # A daemon thread: a disk that hangs for ever must not keep the program from ending.
        self._thread = threading.Thread(target=self._run, name="capture", daemon=True)

    def start(self) -> None:
        private_subfolder(self._places.pipes)
        self._selector.register(self._wake_read, selectors.EVENT_READ, None)
        self._thread.start()

    def close(self, timeout: float = 5.0) -> None:
        """Write what is in the pipes and the lines that were added, and end the thread; wait at most `timeout` seconds.

        The FIFOs stay: processes that live on keep writing into them, and the next daemon reads it.
        """
        if self._thread.is_alive() and not self._closed:
            self._call(self._finish)
            self._wake_now()  # the event loop's turn, if this is it, may not end before the thread does
            self._thread.join(timeout)

    # Watchers

    def open(self, name: str) -> None:
        """Begin to read `name`'s pipe; an earlier daemon's child may have something in it. Again: does nothing.

        Raises OSError when there is no descriptor left.
        """
        if name not in self._sources:
            self._add(name, ())

    def writer(self, name: str) -> int:
        """A new descriptor for a child's stdout and stderr, blocking and close-on-exec; the caller closes it."""
        fd = self._sources[name].pipe.writer()
        while fd is None:  # someone removed the FIFO: what the old one still holds is written first, then the new one's
            self._call(partial(self._retire, self._sources.pop(name)))
            with suppress(OSError, UserError):  # without the folder the next one is a plain pipe
                private_subfolder(self._places.pipes)
            fd = self._add(name, (0,)).pipe.writer()
        return fd

    def boundary(self, name: str) -> None:
        """One process has ended, another is about to start: call it in between, just before the next one is spawned.

        If the output so far lacks its final newline, that is added in front of the next output. From here on
        last_lines() tells of the next process.
        """
        self._sources[name].boundary()

    def settle(self, name: str) -> Future[None]:
        """Done when all that is in the pipe now is in the log; also when the log can't be written, or is forgotten."""
        source = self._sources[name]
        done = source.settle()
        if done is None:
            done = Future()
            self._call(partial(source.settle_now, done))
        return done

    def last_lines(self, name: str, count: int) -> list[str]:
        """The last lines that the current process printed, at most `count` and 4 KiB, safe to show."""
        return self._sources[name].last_lines(count)

    def forget(self, name: str) -> None:
        """Stop reading `name`'s output once its pipe is empty, and remove the pipe. Its log stays."""
        source = self._sources.pop(name, None)
        if source is not None:
            source.pipe.remove()
            self._call(partial(self._retire, source))

    def set_limits(self, limits: Limits) -> None:
        self._limits = limits

    # The daemon's own logs

    def add_line(self, line: bytes) -> bool:
        """Write a line, ending in a newline, to the daemon's log; False when too many wait for a full disk already.

        After close() it is written at once, on the caller's thread.
        """
        return self._add_line(self._daemon_log, line)

    def own_log(self, key: str, path: str) -> Callable[[bytes], bool]:
        """What add_line() is for the daemon's log, for one more. `key` names its problem; a watcher's is `log:NAME`."""
        log = OwnLines(key, path, self._places.vault)
        self._own += (log,)
        return partial(self._add_line, log)

    def _add_line(self, log: OwnLines, line: bytes) -> bool:
        taken = log.add(line)
        with self._lock:
            closed = self._closed
        if not closed:
            self._wake()
        elif taken:
            with suppress(OSError):  # the daemon is about to end; there is nobody left to retry for
                log.pump(self._limits)
        return taken

    # Both sides

    def _add(self, name: str, boundaries: tuple[int, ...]) -> PipeSource:
        pipe = Pipe(self._places.pipe(name))
        source = PipeSource(f"log:{name}", self._places.watcher_log(name), pipe, boundaries, self._places.vault)
        self._sources[name] = source
        self._call(partial(self._begin, source))
        return source

    def _call(self, action: Callable[[], None]) -> None:
        with self._lock:
            self._calls.append(action)
        self._wake()

    def _wake(self) -> None:
        self._soon.ask()

    def _wake_now(self) -> None:
        with self._lock:
            if self._woken or self._closed:
                return
            self._woken = True
            os.write(self._wake_write, b"\0")  # under the lock, or _finish() could have closed it meanwhile

    # On the thread

    def _run(self) -> None:
        try:
            while not self._closed:
                self._turn()
        except Exception:
            self._report("capture", "what watchers print is no longer written, after a bug in aiemp: restart it")
            raise  # to threading.excepthook, which shows it

    def _turn(self) -> None:
        """Serve whoever has something to write. Blocks until someone has: an idle daemon does not wake."""
        for key, _ in self._selector.select(self._until_retry()):
            if key.data is None:
                self._woken_up()
                if self._closed:
                    return
            elif key.data.pipe.fd >= 0:  # not closed by one of the calls of this round
                self._pump(key.data)
        if self._troubled:
            now = time.monotonic()
            for source in [s for s in self._troubled if s.retry_at is not None and s.retry_at <= now]:
                self._pump(source)

    def _until_retry(self) -> float | None:
        """Seconds until something has to be tried again; None when nothing has."""
        due = [source.retry_at for source in self._troubled if source.retry_at is not None]
        return max(0.0, min(due) - time.monotonic()) if due else None

    def _woken_up(self) -> None:
        os.read(self._wake_read, 64)
        with self._lock:
            self._woken = False
            calls, self._calls = self._calls, []
        for call in calls:
            call()
        for own in self._own:
            if own.waiting and own not in self._troubled:
                self._pump(own)

    def _begin(self, source: PipeSource) -> None:
        self._selector.register(source.pipe.fd, selectors.EVENT_READ, source)
        if not source.pipe.named and not self._plain_pipe_reported:
            self._plain_pipe_reported = True
            log.warning(
                "no named pipe can be made in %s: watchers will not outlive a killed daemon there; "
                "a vault on a local Unix file system has them",
                self._places.pipes,
            )

    def _pump(self, source: Source) -> None:
        try:
            source.pump(self._limits)
        except OSError as error:
            self._hold(source, error)
            return
        if source in self._troubled:
            self._release(source)
        if isinstance(source, PipeSource):
            self._fit(source)

    def _hold(self, source: Source, error: OSError) -> None:
        """Leave the output where it is and try again later, more and more rarely."""
        if source not in self._troubled:
            self._troubled.add(source)
            if isinstance(source, PipeSource):
                self._selector.unregister(source.pipe.fd)
        source.troubled(time.monotonic())
        if isinstance(error, FileNotFoundError) and error.filename == self._places.vault:
            self._complain(source, "vault", f"the vault {self._places.vault} is gone: put it back; until then {_WAITS}")
            return
        what = os.strerror(error.errno) if error.errno else str(error)
        advice = _ADVICE.get(error.errno or 0, "see what is wrong there")
        where = error.filename if isinstance(error.filename, str) else source.log.path
        self._complain(source, source.key, f"{where} cannot be written ({what}): {advice}; until then {_WAITS}")

    def _complain(self, source: Source, key: str, text: str) -> None:
        """Report a source's problem, of which it has one at a time; several may share one."""
        if source.reported != key:
            self._no_longer(source)
            source.reported = key
        self._report(key, text)

    def _no_longer(self, source: Source) -> None:
        key, source.reported = source.reported, None
        if key is not None and all(each.reported != key for each in self._troubled):
            self._report(key, None)

    def _report(self, key: str, text: str | None) -> None:
        try:
            self._on_problem(key, text)
        except Exception:  # the boundary: a bug of the listener, or its end, must not stop the capture
            log.exception("reporting a problem failed")

    def _release(self, source: Source) -> None:
        self._troubled.discard(source)
        source.well()
        if isinstance(source, PipeSource) and source.pipe.fd >= 0:
            self._selector.register(source.pipe.fd, selectors.EVENT_READ, source)
        self._no_longer(source)

    def _fit(self, source: PipeSource) -> None:
        """A larger pipe for a flood: fewer and larger reads; and back to the usual size when it is over."""
        if source in self._grown:
            if source.turn < USUAL // 2 and source.pipe.resize(USUAL):
                self._grown.discard(source)
        elif source.turn >= USUAL and len(self._grown) < _MOST_GROWN and source.pipe.resize(GROWN):
            self._grown.add(source)

    def _retire(self, source: PipeSource) -> None:
        """Write what is left in the pipe, if that is possible at all, and close it."""
        registered = source not in self._troubled
        try:
            source.drain(self._limits)
        except OSError as error:
            words = "%d bytes of output are lost: %s cannot be written (%s)"
            log.error(words, source.pipe.waiting(), source.log.path, error)  # noqa: TRY400  no bug, so no stack trace
        if registered:
            self._selector.unregister(source.pipe.fd)
        else:
            self._troubled.discard(source)
            self._no_longer(source)
        self._grown.discard(source)
        source.close()

    def _finish(self) -> None:
        for source in tuple(self._sources.values()):
            self._retire(source)
        self._selector.close()
        with self._lock:
            self._closed = True
            os.close(self._wake_read)
            os.close(self._wake_write)
        for own in self._own:
            if own.waiting:
                with suppress(OSError):
                    own.pump(self._limits)
