"""Files without a name: whatever becomes of the daemon, nothing of them is left, and nobody else opens them."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Final

from orchestrator.processes.printed import OUTPUT_MAX, Tail
from orchestrator.redaction import Redactor

AT_ONCE: Final = 1024 * 1024  # bytes


def nameless_file(folder: str) -> int:
    """Make an empty file on `folder`'s disk, for what may be large; give its descriptor. Raises OSError."""
    path = os.path.join(folder, f"nameless-{os.urandom(8).hex()}")  # noqa: PTH118  places are strings
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    os.unlink(path)  # noqa: PTH108
    return fd


def file_in_memory() -> int:
    """Make an empty file for what is small, or must not come on a disk; give its descriptor. Raises OSError."""
    if sys.platform == "linux":
        return os.memfd_create("aiemp")
    else:  # noqa: RET505  the type checker knows only whole branches as another platform's
        import tempfile  # noqa: PLC0415  not needed on Linux

        with tempfile.TemporaryFile() as file:
            return os.dup(file.fileno())


@contextmanager
def closing(fd: int, content: bytes = b"") -> Iterator[int]:
    """Have `fd` hold `content`, to be read from its beginning, and closed at the end. Raises OSError."""
    try:
        write(fd, content)
        yield fd
    finally:
        os.close(fd)


def write(fd: int, content: bytes) -> None:
    """Put `content` at the file's beginning, without moving where its reader begins. Raises OSError."""
    at = 0
    while at < len(content):
        at += os.pwrite(fd, content[at : at + AT_ONCE], at)


def size(fd: int) -> int:
    return os.fstat(fd).st_size


def read(fd: int, limit: int) -> bytes:
    """Give the last `limit` bytes of the file. Raises OSError."""
    end = size(fd)
    at, pieces = max(0, end - limit), list[bytes]()
    while at < end and (piece := os.pread(fd, min(AT_ONCE, end - at), at)):
        pieces.append(piece)
        at += len(piece)
    return b"".join(pieces)


def empty(fd: int) -> None:
    """Free what the file holds, which for much takes a while, and would else happen when it is closed."""
    with suppress(OSError):
        os.ftruncate(fd, 0)


def end_of(fd: int, redact: Redactor) -> str:
    """Give the end of what was printed there, as it is kept. Raises OSError."""
    data = read(fd, OUTPUT_MAX + redact.longest)
    tail = Tail(OUTPUT_MAX, redact)
    tail.total = size(fd) - len(data)
    tail.add(data)
    return tail.text()
