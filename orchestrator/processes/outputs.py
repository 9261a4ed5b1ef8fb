"""The pipes that runs print into: read in the event loop as soon as something is there, and never waited for."""

import os
import selectors
from typing import Final

import anyio

from orchestrator.processes.printed import Tail
from orchestrator.redaction import Redactor

AT_ONCE: Final = 64 * 1024  # bytes read from one pipe before the others get their turn
IN_PIPE_MAX: Final = 1024 * 1024  # bytes that a pipe can hold (/proc/sys/fs/pipe-max-size)


class Stream:
    """One pipe: `writer` is for the child, the rest for us."""

    __slots__ = ("reader", "tail", "writer")

    def __init__(self, keep: int, redact: Redactor) -> None:
        self.tail = Tail(keep, redact)
        self.reader, self.writer = os.pipe()
        os.set_blocking(self.reader, False)

    def close_writer(self) -> None:
        if self.writer >= 0:
            os.close(self.writer)
            self.writer = -1


class Outputs:
    """All pipes of all runs in one set, read by one task."""

    def __init__(self, redact: Redactor) -> None:
        self._redact = redact
        self._selector = selectors.DefaultSelector()

    def open(self, keep: int) -> Stream:
        """Make a pipe of whose bytes the last `keep` are kept. Raises OSError."""
        stream = Stream(keep, self._redact)
        try:
            self._selector.register(stream.reader, selectors.EVENT_READ, stream)
        except OSError:
            os.close(stream.reader)
            stream.close_writer()
            raise
        return stream

    def close(self, stream: Stream) -> None:
        """Read what lies there now, and nothing that somebody who still has the pipe open may yet write."""
        for _ in range(IN_PIPE_MAX // AT_ONCE):
            if stream.reader < 0 or not self._read(stream):
                break
        self._forget(stream)
        stream.close_writer()

    async def wait(self) -> None:
        """Return when there is something to read."""
        await anyio.wait_readable(self._selector.fileno())

    def read(self) -> None:
        """Read once from every pipe that something lies in."""
        for key, _ in self._selector.select(0):
            self._read(key.data)

    def close_all(self) -> None:
        for key in list(self._selector.get_map().values()):
            self.close(key.data)
        self._selector.close()

    def _read(self, stream: Stream) -> bool:
        """Whether something was there."""
        try:
            data = os.read(stream.reader, AT_ONCE)
        except BlockingIOError:
            return False
        if not data:
            self._forget(stream)  # an end of file stays readable for ever
        stream.tail.add(data)
        return bool(data)

    def _forget(self, stream: Stream) -> None:
        if stream.reader >= 0:
            self._selector.unregister(stream.reader)
            os.close(stream.reader)
            stream.reader = -1
