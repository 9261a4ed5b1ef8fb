"""A watcher's pipe: a FIFO with a name where the file system has such things, else a plain pipe.

The daemon and the child each open the FIFO for reading and writing (Linux allows it, fifo(7); macOS too). So neither
end ever sees the other one gone: no end of file here, and for the child no SIGPIPE when the daemon is killed. Its
output waits in the kernel until the next daemon opens the same name. With a plain pipe a child does not survive that.
"""
# Paths are strings, as in places.py, where they come from.
# ruff: noqa: PTH108

import array
import errno
import fcntl
import os
import stat
import sys
import termios
from contextlib import suppress
from typing import Final

GROWN: Final = 1024 * 1024  # bytes; what an unprivileged user may ask for (/proc/sys/fs/pipe-max-size)
USUAL: Final = 64 * 1024
_EXHAUSTED: Final = (errno.EMFILE, errno.ENFILE, errno.ENOMEM)


class Pipe:
    """One pipe that the daemon reads without ever waiting for the child."""

    __slots__ = ("_held", "_path", "_spare", "_splices", "fd")

    def __init__(self, path: str) -> None:
        """Open the FIFO at `path`, making it first where needed; a plain pipe where that is impossible.

        Raises OSError when not even a pipe can be had (EMFILE, ENFILE, ENOMEM).
        """
        self._held = b""  # read, but not written to a file yet
        self._spare = -1
        self._splices = sys.platform == "linux"
        self._path: str | None = path
        fd = _open_fifo(path)
        if fd is None:
            self._path = None
            fd, self._spare = os.pipe()
            os.set_blocking(fd, False)
        self.fd = fd

    @property
    def named(self) -> bool:
        return self._path is not None

    def writer(self) -> int | None:
        """A new blocking descriptor for a child, close-on-exec; None when someone took the FIFO away or replaced it."""
        if self._path is None:
            return os.dup(self._spare)
        try:
            fd = os.open(self._path, os.O_RDWR | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError as error:
            if error.errno in _EXHAUSTED:
                raise
            return None
        if os.path.samestat(os.fstat(fd), os.fstat(self.fd)):
            return fd
        os.close(fd)
        return None

    def waiting(self) -> int:
        """Bytes that were printed and not yet moved to a file."""
        count = array.array("i", [0])
        fcntl.ioctl(self.fd, termios.FIONREAD, count)
        return len(self._held) + count[0]

    def move(self, fd: int, offset: int | None, most: int) -> int:
        """Write up to `most` of the waiting bytes to a file, at `offset` if that is not None; 0 when there are none.

        On Linux one system call takes them out of the pipe and puts them into the file, so that whoever kills the
        daemon loses nothing and doubles nothing. Elsewhere what was read and could not be written yet is kept.
        """
        if sys.platform == "linux" and self._splices and offset is not None and not self._held:
            try:
                return os.splice(self.fd, fd, most, offset_dst=offset, flags=os.SPLICE_F_NONBLOCK)
            except BlockingIOError:
                return 0
            except OSError as error:
                if error.errno != errno.EINVAL:
                    raise
                self._splices = False  # that file system cannot
        if not self._held:
            try:
                self._held = os.read(self.fd, USUAL)
            except BlockingIOError:
                return 0
        data = memoryview(self._held)[:most]
        count = os.write(fd, data) if offset is None else os.pwrite(fd, data, offset)
        self._held = self._held[count:]
        return count

    def resize(self, size: int) -> bool:
        """Ask the kernel to hold `size` bytes; False when it will not (the user's limit, data in the way, no Linux)."""
        if sys.platform == "linux":
            with suppress(OSError):
                fcntl.fcntl(self.fd, fcntl.F_SETPIPE_SZ, size)
                return True
        return False

    def remove(self) -> None:
        """Take the name away. Whoever has the pipe open keeps it."""
        if self._path is not None:
            with suppress(FileNotFoundError):
                os.unlink(self._path)

    def close(self) -> None:
        os.close(self.fd)
        self.fd = -1
        if self._spare >= 0:
            os.close(self._spare)
            self._spare = -1


def _open_fifo(path: str) -> int | None:
    """A non-blocking descriptor of the FIFO at `path`, made where it is missing; None where there can be none.

    What else lies there is removed: the folder is the daemon's own.
    """
    try:
        try:
            found = os.lstat(path)
        except FileNotFoundError:
            os.mkfifo(path, 0o600)
        else:
            if not stat.S_ISFIFO(found.st_mode) or found.st_uid != os.getuid():
                os.unlink(path)
                os.mkfifo(path, 0o600)
        return os.open(path, os.O_RDWR | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOFOLLOW)
    except OSError as error:
        if error.errno in _EXHAUSTED:
            raise
        return None
