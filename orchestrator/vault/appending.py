"""Lines added to the end of a file, durably and with one write, so that several programs may add to it at once."""

import errno
import os
from pathlib import Path

from orchestrator import files


def append(path: Path, lines: bytes, *, within: Path) -> None:
    """Add `lines`, each with its newline, to `path`, which is made with its folders below `within` where it is missing.

    What a crash or a full disk left of a line before stays a line of its own. Raises OSError, also when a symlink
    leads out of `within`; a part of `lines` may then be there.
    """
    files.check_inside(path.parent, within)
    made = not path.exists()
    files.make_folder(str(path.parent), within=str(within))
    flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    fd = os.open(path, flags, 0o666)
    try:
        size = os.fstat(fd).st_size
        if size and os.pread(fd, 1, size - 1) != b"\n":
            lines = b"\n" + lines
        if os.write(fd, lines) < len(lines):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(path))
        os.fsync(fd)
    finally:
        os.close(fd)
    if made:
        files.sync_folder(path.parent)
