"""One log file on disk: filled in bursts, rotated between lines, found again whatever others do to it."""
# Paths are strings, as in places.py: they come from there and go to the system with every burst.
# ruff: noqa: PTH104, PTH108, PTH120

import os
import stat
from contextlib import suppress
from typing import Final, Protocol

from orchestrator import files
from orchestrator.logs.rotation import step

# Not O_APPEND: splice(2) refuses it. O_NONBLOCK: whoever puts a FIFO in a log's place must not hang the capture thread.
_FLAGS: Final = os.O_RDWR | os.O_CLOEXEC | os.O_NOCTTY | os.O_NONBLOCK
_MODE: Final = 0o666  # the daemon's umask decides
_BLOCK: Final = 64 * 1024
# One system call moves at most this many bytes from a pipe: the child can neither print nor start until it is done.
_AT_ONCE: Final = 256 * 1024
TAIL: Final = 4096  # bytes of the latest output that are remembered


class Limits(Protocol):
    """What LogsConfig says: bytes a file may have, and how many older ones are kept beside it."""

    @property
    def max_bytes(self) -> int: ...
    @property
    def backups(self) -> int: ...


class Supply(Protocol):
    """Where the bytes for a log come from."""

    def waiting(self) -> int:
        """How many bytes there are."""
        ...

    def move(self, fd: int, offset: int | None, most: int) -> int:
        """Write up to `most` of them to a file at `offset` (None: it has no offsets) and return how many."""
        ...


class Bytes:
    """A supply in memory."""

    def __init__(self, data: bytes) -> None:
        self.rest = memoryview(data)

    def waiting(self) -> int:
        return len(self.rest)

    def move(self, fd: int, offset: int | None, most: int) -> int:
        count = os.write(fd, self.rest[:most]) if offset is None else os.pwrite(fd, self.rest[:most], offset)
        self.rest = self.rest[count:]
        return count


class LogFile:
    """A log at `path`, its older parts at `path.1` (the newest) up to `path.BACKUPS`.

    Open it, fill it, close it: between bursts it holds no descriptor, so it may be deleted, renamed, emptied or edited
    by anyone and is simply found or made anew. Every method raises OSError as the system does; what the supply has
    counted as moved is in the log then, and nothing else is.

    A line that was begun before a cut is copied to `path.next` first, which then takes the log's place; only after that
    is it taken off the old file's end. What a crash leaves undone there the next daemon finishes.
    """

    __slots__ = (
        "_fd",
        "_home",
        "_identity",
        "_line_start",
        "_recovered",
        "_regular",
        "_size",
        "path",
        "tail",
        "tail_cut",
    )

    def __init__(self, path: str, home: str | None = None) -> None:
        """`home`: a folder above the log's, normally the vault, that is never made; by default the one just above."""
        self.path = path
        self._home = os.path.dirname(os.path.dirname(path)) if home is None else home
        self.tail = b""  # the last that was written since forget_tail(), at most TAIL bytes
        self.tail_cut = False  # whether there was more before it
        self._fd = -1
        self._identity: tuple[int, int] | None = None  # device and inode of the file that size and line_start are about
        self._size = 0
        self._line_start = 0
        self._regular = True
        self._recovered = False

    @property
    def mid_line(self) -> bool:
        """Whether the log ends without a newline. Known while it is open."""
        return self._size > self._line_start

    def forget_tail(self) -> None:
        self.tail, self.tail_cut = b"", False

    def open(self, limits: Limits) -> None:
        """Open the log, making it and its folder where they are missing, but not its home (FileNotFoundError).

        When someone took the file away in the middle of a line whose beginning is in `tail`, that is written again, so
        that the line is whole in the new file.
        """
        if not self._recovered:
            self._recover()
        try:
            self._fd = _create(self.path)
        except FileNotFoundError:
            files.make_folder(os.path.dirname(self.path), within=self._home)
            self._fd = _create(self.path)
        self._look(limits)

    def close(self) -> None:
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def fill(self, supply: Supply, most: int, limits: Limits) -> int:
        """Append up to `most` bytes, until the supply has no more for now; rotate where needed. Returns how many."""
        total = 0
        while total < most:
            if not self._regular:  # such as a link to /dev/null: nothing there to rotate
                asked = most - total
                count = supply.move(self._fd, None, asked)
            else:
                if total:
                    self._look(limits)
                rotate, room, alone = step(self._size, self._line_start, limits.max_bytes)
                if rotate:
                    if not supply.waiting():
                        break
                    self._rotate(self._line_start, limits.backups)
                asked = min(most - total, room, _AT_ONCE)
                count = supply.move(self._fd, self._size, asked)
                if count:
                    self._learn(count)
                    if alone:
                        self._end_alone(count, limits.backups)
            total += count
            if count < asked:
                break
        return total

    def _look(self, limits: Limits) -> None:
        """See whether the open file is as this object left it; learn what it is like when it is not."""
        found = os.fstat(self._fd)
        if found.st_size == self._size and (found.st_dev, found.st_ino) == self._identity:
            return
        begun = self._size - self._line_start
        self._regular = stat.S_ISREG(found.st_mode)
        self._size = found.st_size if self._regular else 0
        try:
            self._line_start = _line_start(self._fd, 0, self._size)
            self._identity = (found.st_dev, found.st_ino)
            if 0 < begun <= len(self.tail) and self._regular and not self.mid_line:
                again = self.tail[-begun:]
                self.forget_tail()
                self.fill(Bytes(again), len(again), limits)
        except OSError:
            self.close()
            raise

    def _learn(self, count: int) -> None:
        """Take note of `count` bytes that were appended: the last newline, and the tail."""
        before, self._size = self._size, self._size + count
        base = self._size - min(count, TAIL)
        recent = os.pread(self._fd, TAIL, base)
        newline = recent.rfind(b"\n")
        if newline >= 0:
            self._line_start = base + newline + 1
        elif (start := _line_start(self._fd, before, base)) > before:
            self._line_start = start
        self.tail_cut = self.tail_cut or len(self.tail) + count > TAIL
        self.tail = recent if count >= TAIL else (self.tail + recent)[-TAIL:]

    def _end_alone(self, count: int, backups: int) -> None:
        """The file holds one line that is longer than the limit. What came after its newline moves to the next file."""
        offset = self._size - count
        while block := os.pread(self._fd, _BLOCK, offset):
            newline = block.find(b"\n")
            if newline >= 0:
                if offset + newline + 1 < self._size:
                    self._rotate(offset + newline + 1, backups)
                return
            offset += len(block)

    def _rotate(self, offset: int, backups: int) -> None:
        """Set the file aside as `.1` and go on in a new one that begins with what this one has from `offset` on."""
        target = os.path.realpath(self.path)  # through a link: it is the file that is full, not the link
        if offset == self._size:
            _set_aside(target, backups)
            fresh = _create(target)
            size = 0
        else:
            begun = f"{target}.next"
            fresh = os.open(begun, _FLAGS | os.O_CREAT | os.O_TRUNC, _MODE)
            try:
                size = _copy_rest(self._fd, offset, fresh)
                self._recovered = False  # until all is done: open() mends what an error leaves undone
                _set_aside(target, backups)
                os.rename(begun, target)
                os.ftruncate(self._fd, offset)
                self._recovered = True
            except OSError:
                os.close(fresh)
                raise
        os.close(self._fd)
        self._fd = fresh
        found = os.fstat(fresh)
        self._identity = (found.st_dev, found.st_ino)
        self._size, self._line_start = size, _line_start(fresh, 0, size)

    def _recover(self) -> None:
        """Finish a rotation that was cut short: the begun line is to be in the log and nowhere else."""
        target = os.path.realpath(self.path)
        begun = f"{target}.next"
        if os.path.lexists(begun):
            if os.path.lexists(target):
                os.unlink(begun)
            else:
                os.rename(begun, target)
        with suppress(OSError):  # such as that there is no older part
            _drop_copied_line(target, f"{target}.1")
        self._recovered = True


def _create(path: str) -> int:
    return os.open(path, _FLAGS | os.O_CREAT, _MODE)


def _line_start(fd: int, begin: int, end: int) -> int:
    """Offset behind the last newline in the file's bytes from `begin` to `end`; `begin` when there is none."""
    length = 1  # nearly always the last byte is a newline
    while end > begin:
        start = max(begin, end - length)
        newline = os.pread(fd, end - start, start).rfind(b"\n")
        if newline >= 0:
            return start + newline + 1
        end, length = start, _BLOCK
    return begin


def _copy_rest(source: int, offset: int, target: int) -> int:
    """Copy what `source` has from `offset` on to the empty file `target`, and return how many bytes that were."""
    copied = 0
    while block := os.pread(source, _BLOCK, offset + copied):
        copied += os.pwrite(target, block, copied)
    return copied


def _set_aside(path: str, backups: int) -> None:
    """Free `path`: it becomes `.1`, `.1` becomes `.2` … up to `backups`; what would come after that is deleted."""
    kept = 0
    while kept < backups and os.path.lexists(f"{path}.{kept + 1}"):
        kept += 1
    if backups and kept == backups:  # not left to rename(): ext4 would first send the replacing file to the disk
        os.unlink(f"{path}.{kept}")
        kept -= 1
    for number in range(kept, 0, -1):
        os.rename(f"{path}.{number}", f"{path}.{number + 1}")
    with suppress(FileNotFoundError):  # someone was faster
        if backups:
            os.rename(path, f"{path}.1")
        else:
            os.unlink(path)
    surplus = backups + 1  # there are some after `backups` was lowered
    with suppress(FileNotFoundError):
        while True:
            os.unlink(f"{path}.{surplus}")
            surplus += 1


def _drop_copied_line(log: str, older: str) -> None:
    """Shorten `older` by a last line without a newline, when `log` begins with the same bytes."""
    source = os.open(older, _FLAGS)
    try:
        size = os.fstat(source).st_size
        start = _line_start(source, 0, size)
        if start == size:
            return
        fd = os.open(log, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        try:
            offset = start
            while offset < size:
                block = os.pread(source, min(_BLOCK, size - offset), offset)
                if not block or os.pread(fd, len(block), offset - start) != block:
                    return
                offset += len(block)
        finally:
            os.close(fd)
        os.ftruncate(source, start)
    finally:
        os.close(source)
