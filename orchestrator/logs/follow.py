"""Reading a log that rotates: its last lines, and what comes after them. For a short-lived client; nothing is locked.

A log's older parts are `path.1` (the newest) and so on. A part that was set aside never grows again, and a line that
was begun in it is whole in its successor: that is how the daemon rotates (orchestrator.logs.file).
"""
# ruff: noqa: PTH116  paths are strings in orchestrator/places.py

import os
import time

TYPE_CHECKING = False  # type checkers take this name for true; importing typing would slow `aiempctl` down
if TYPE_CHECKING:
    from collections.abc import Callable, Generator

_BLOCK = 256 * 1024
_EVERYTHING = 1 << 62  # lines
_MOST_HELD = 32  # parts held open at once while catching up


def last_lines(path: str, count: int) -> bytes:
    """The last `count` lines of the log at `path`, older parts included; a last line without a newline counts.

    Nothing when there is no such log: then nothing was printed yet.
    """
    for _ in range(3):
        try:
            fd, _, lines = _open_at_end(path, count, whole=False)
        except FileNotFoundError:
            time.sleep(0.002)  # in the middle of a rotation the name is free for a moment
        else:
            os.close(fd)
            return lines
    return b""


def follow(
    path: str, lines: int = 0, *, pause: float = 0.1, on_gap: "Callable[[], None] | None" = None
) -> "Generator[bytes, None, None]":
    """The last `lines` lines of the log at `path`, then all that is added, for ever: blocks of whole lines.

    The beginning of a line that nothing was added to for `pause` seconds is a block too, and the rest of the line then
    the beginning of the next one. No line is left out or given twice when the log rotates meanwhile. When so many parts
    were filled since the last look that some may be deleted already, `on_gap` is called (never for a log without
    backups: it cannot be known there). A log that was emptied is read from its start; one that was deleted or is not
    there yet is waited for. Looks for news every `pause` seconds.
    """
    fd, position, cutter, quiet = -1, 0, _Cutter(), False
    parts: list[int] = []  # successors of the one at hand that exist already, oldest first
    seen: list[tuple[int, int]] = []  # what they were at the last look
    try:
        while fd < 0:
            try:
                fd, position, block = _open_at_end(path, lines, whole=True)
            except FileNotFoundError:
                lines = _EVERYTHING  # all of a log that is not there yet will be news
                time.sleep(pause)
                continue
            if block:
                yield block
        if not lines:  # a line that was begun already is shown with its rest
            cutter.hold = os.fstat(fd).st_size - position
        os.lseek(fd, position, os.SEEK_SET)
        while True:
            if data := os.read(fd, _BLOCK):
                position, quiet = position + len(data), False
                if block := cutter.take(data):
                    yield block
            elif parts:  # the one at hand was set aside and has been read to its end
                os.close(fd)
                fd, position = parts.pop(0), 0
                cutter.next_part()
            else:
                size = os.fstat(fd).st_size  # before looking at the name: the daemon shortens only what it has renamed
                if not _is_at(fd, path):
                    parts, known, gap = _successors(path, fd)
                    if not known:
                        looked, seen = seen, _identities(parts)
                        if looked != seen:  # perhaps in the middle of a rotation: look again
                            _close_all(parts)
                            parts = []
                        elif gap:
                            if cutter.clear():
                                yield b"\n"
                            if on_gap:
                                on_gap()
                elif size < position:
                    position = os.lseek(fd, 0, os.SEEK_SET)
                    if cutter.clear():
                        yield b"\n"
                    continue
                if not parts:
                    if quiet and (block := cutter.begun()):
                        yield block
                    quiet = True
                    time.sleep(pause)
    finally:
        for part in (fd, *parts):
            if part >= 0:
                os.close(part)


class _Cutter:
    """Blocks as they are read → blocks that end with a newline, or are a line's beginning that was asked for."""

    __slots__ = ("_begun", "_given", "_rest", "hold")

    def __init__(self) -> None:
        self.hold = 0  # bytes of the first line that are given only together with more of it
        self._rest = bytearray()  # a line's beginning
        self._begun = b""  # a line's beginning at the end of the part before; normally this part repeats it
        self._given = 0  # bytes of the line at hand that begun() has given

    def take(self, data: bytes) -> bytes:
        if self._begun:
            data = bytes(self._rest) + data
            self._rest.clear()
            if len(data) < len(self._begun) and self._begun.startswith(data):
                self._rest += data
                return b""
            if not data.startswith(self._begun):  # someone else renamed the log in the middle of a line
                data = self._begun + data
            self._begun = b""
        cut = data.rfind(b"\n") + 1
        if not cut:
            self._rest += data
            return b""
        block = (bytes(self._rest) + data[:cut])[self._given :]
        self._rest[:] = data[cut:]
        self._given = self.hold = 0
        return block

    def begun(self) -> bytes:
        """What there is of a line that has not ended yet, and was not given before."""
        block = bytes(self._rest[self._given :]) if len(self._rest) > self.hold else b""
        self._given += len(block)
        return block

    def next_part(self) -> None:
        if self._rest:
            self._begun = bytes(self._rest)
            self._rest.clear()

    def clear(self) -> bool:
        """Forget a line that will not be ended; whether its beginning was given."""
        given = self._given > 0
        self._rest.clear()
        self._begun, self._given, self.hold = b"", 0, 0
        return given


def _open_at_end(path: str, count: int, *, whole: bool) -> tuple[int, int, bytes]:
    """The log's descriptor, the offset up to which it was read, and the last `count` lines before that.

    With `whole` a last line without a newline is left for later, and is one of those counted.
    """
    while True:
        fd = _open(path)
        try:
            end, wanted = os.fstat(fd).st_size, count
            if whole and (begun := _lines_before(fd, end, 1).rpartition(b"\n")[2]):
                end, wanted = end - len(begun), max(0, count - 1)
            lines = _lines_before(fd, end, wanted)
            number = 1
            while (missing := wanted - _count(lines)) > 0:
                try:
                    older = _open(f"{path}.{number}")
                except FileNotFoundError:
                    break
                try:
                    block = _lines_before(older, os.fstat(older).st_size, missing)
                finally:
                    os.close(older)
                begun = block.rpartition(b"\n")[2]
                if begun and lines.startswith(begun):  # a rotation under way, or cut short by a crash
                    block = block[: -len(begun)]
                lines = block + lines
                number += 1
            if _is_at(fd, path):  # else the parts have moved meanwhile
                return fd, end, lines
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)


def _lines_before(fd: int, end: int, count: int) -> bytes:
    """The last `count` lines of a file's first `end` bytes, read from the end."""
    blocks: list[bytes] = []
    begin, newlines = end, 0
    while begin > 0 and newlines <= count:
        start = max(0, begin - _BLOCK)
        block = os.pread(fd, begin - start, start)
        newlines += block.count(b"\n")
        blocks.append(block)
        begin = start
    data = b"".join(reversed(blocks))
    at = len(data) - data.endswith(b"\n")
    for _ in range(count):
        at = data.rfind(b"\n", 0, at)
        if at < 0:
            return data
    return data[at + 1 :] if count > 0 else b""


def _count(lines: bytes) -> int:
    return lines.count(b"\n") + (not lines.endswith(b"\n") and lines != b"")


def _successors(path: str, fd: int) -> tuple[list[int], bool, bool]:
    """The parts that came after the one open as `fd`, oldest first; whether that one is among the log's parts; and
    whether some between it and those may be deleted already.

    Empty while the name is free. When the part itself is gone, those that were written to before it do not count. In
    the middle of a rotation parts are seen twice or not at all: one that is not found may be there a moment later.
    """
    mine = os.fstat(fd)
    newer: list[int] = []
    number, known, gap = 0, False, False
    try:
        while True:
            try:
                part = _open(f"{path}.{number}" if number else path)
            except FileNotFoundError:
                gap = number > 1
                break
            found = os.fstat(part)
            known = os.path.samestat(found, mine)
            if known or (number and found.st_mtime_ns < mine.st_mtime_ns):
                os.close(part)
                break
            if newer and os.path.samestat(found, os.fstat(newer[-1])):
                os.close(part)  # it has moved on while we looked
            else:
                newer.append(part)
            if len(newer) > _MOST_HELD:
                os.close(newer.pop(0))
            number += 1
    except BaseException:
        _close_all(newer)
        raise
    newer.reverse()
    return newer, known, gap


def _identities(fds: list[int]) -> list[tuple[int, int]]:
    return [(found.st_dev, found.st_ino) for found in map(os.fstat, fds)]


def _is_at(fd: int, path: str) -> bool:
    """Whether `path` is the file that is open as `fd`."""
    try:
        return os.path.samestat(os.stat(path), os.fstat(fd))
    except FileNotFoundError:
        return False


def _open(path: str) -> int:
    return os.open(path, os.O_RDONLY | os.O_CLOEXEC)


def _close_all(fds: list[int]) -> None:
    for fd in fds:
        os.close(fd)
