"""Changes to the disk that are whole or have not happened, whatever kills the process or the machine."""

import errno
import os
from collections.abc import Callable
from pathlib import Path

# What link(2) answers where there are no hard links (FAT: EPERM; FUSE: ENOSYS) or this file may not get one
# (EPERM for other people's files under fs.protected_hardlinks).
NO_LINKS = frozenset({errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP})

CHUNK = 1 << 20


def sync_folder(folder: Path) -> None:
    """Make what was created, renamed or removed in `folder` survive a power loss."""
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno != errno.EINVAL:  # fsync(2): some file systems cannot do this for a folder
            raise
    finally:
        os.close(descriptor)


def write(path: Path, data: bytes) -> None:
    """Make `path` hold `data`, whole or not at all. A `.tmp` beside it may be left when killed."""
    temporary = path.with_name(path.name + ".tmp")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
    with open(descriptor, "wb") as file:  # noqa: PTH123  Path.open() takes no descriptor
        file.write(data)
        file.flush()
        os.fsync(descriptor)
    temporary.rename(path)


def place(source: Path, target: Path) -> None:
    """Rename within one file system, but never over something: raises FileExistsError when `target` exists.

    With a hard link and the removal of the old name, since rename(2) would replace whatever appeared there meanwhile.
    Killed in between, both names are left, of one file. Without hard links it is checked first, then renamed.
    """
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        source.rename(target)
    else:
        source.unlink()


def copy(source: Path, target: Path, progress: Callable[[], None]) -> None:
    """Copy a file's bytes, mode and times to the new file `target`, durably; `progress` is called between chunks."""
    reader = os.open(source, os.O_RDONLY | os.O_NOFOLLOW)
    with open(reader, "rb", buffering=0) as old, target.open("xb", buffering=0) as new:  # noqa: PTH123  a descriptor
        found = os.fstat(reader)
        while chunk := old.read(CHUNK):
            _write_all(new.fileno(), chunk)
            progress()
        os.fchmod(new.fileno(), found.st_mode & 0o777)
        os.utime(new.fileno(), ns=(found.st_atime_ns, found.st_mtime_ns))
        os.fsync(new.fileno())


def _write_all(descriptor: int, data: bytes) -> None:
    left = memoryview(data)
    while left:
        left = left[os.write(descriptor, left) :]
