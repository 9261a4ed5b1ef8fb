"""Files written so that a crash, a full disk or another program's write leaves either the old or the new one, whole.

Each write goes to a temporary file in the same folder, which is flushed to the disk, takes the name in one step, and
whose folder is flushed too (rename(2), fsync(2)). All functions block: call them from a worker thread.
"""

import contextlib
import errno
import fcntl
import os
import signal
import stat
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

# A leading dot hides it from Obsidian, its sync and the watchers; the suffix is one that other sync programs skip.
_SUFFIX: Final = ".aiemp.tmp"
_NAME_MAX: Final = 255  # bytes in one file name on every file system a vault is likely to lie on
# What link(2) says where the file system has no hard links: FAT, exFAT, some network and FUSE file systems.
_NO_LINKS: Final = frozenset({errno.EPERM, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP, errno.EMLINK, errno.EACCES})


class Changed(Exception):
    """The file is no longer what it was when it was read: another program wrote it meanwhile. Nothing was written."""


def read(path: str | Path, *, limit: int | None = None) -> tuple[bytes, os.stat_result]:
    """The content and the state of a regular file that is not a symlink.

    Never hangs on a FIFO. Raises OSError; EINVAL when `path` is no regular file, EFBIG when it has more than `limit`
    bytes.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    found = os.fstat(fd)
    if not stat.S_ISREG(found.st_mode):
        os.close(fd)
        raise OSError(errno.EINVAL, "Not a regular file", str(path))
    if limit is not None and found.st_size > limit:
        os.close(fd)
        raise OSError(errno.EFBIG, f"Larger than {limit} bytes", str(path))
    with os.fdopen(fd, "rb") as file:
        return file.read(), found


def make_folder(path: str, *, within: str) -> None:
    """Make a folder, and those above it up to `within`, where they are missing; never `within` itself.

    Raises OSError; FileNotFoundError that names `within` when that is gone.
    """
    missing: list[str] = []
    folder = path
    while True:
        if folder == within or len(folder) <= len(within):
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), within)
        try:
            os.mkdir(folder)  # noqa: PTH102  strings come from the capture thread's hot path
        except FileExistsError:
            break
        except FileNotFoundError:
            missing.append(folder)
            folder = os.path.dirname(folder)  # noqa: PTH120
        else:
            break
    for each in reversed(missing):
        with contextlib.suppress(FileExistsError):
            os.mkdir(each)  # noqa: PTH102


def check_inside(folder: str | Path, within: str | Path) -> None:
    """Raise OSError (EXDEV) when a symlink on the way to `folder`, which need not exist, leads out of `within`."""
    if not Path(os.path.realpath(folder)).is_relative_to(os.path.realpath(within)):
        raise OSError(errno.EXDEV, "a symlink leads out of the vault there", str(folder))


def replace(
    path: str | Path,
    data: bytes,
    *,
    expect: bytes | None = None,
    mode: int = 0o666,
    keep: bool = True,
    last: Callable[[], None] = lambda: None,
) -> None:
    """Make `data` the content of `path`. `mode` is a new file's, less the umask.

    An existing file keeps its mode, its extended attributes (ACLs too) and, as far as this user may give files
    away, its owner; without `keep` it becomes like a new one. With `expect`, raises Changed unless the file holds
    exactly those bytes just before it is replaced. `last` is called just before that too, and may raise. Raises
    OSError. Whatever is raised, the file is then untouched and nothing is left beside it.
    """
    path = Path(path)
    try:
        old = path.lstat()
    except FileNotFoundError:
        if expect is not None:
            raise Changed(f"{path} is gone") from None
        old = None
    temporary, fd = _temporary(path, mode=0o600 if old is not None and keep else mode)
    with _removed_on_error(temporary):
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            if keep and old is not None and stat.S_ISREG(old.st_mode):
                _keep(path, old, fd)
            os.fsync(fd)
        if expect is not None:
            _check(path, expect)
        last()
        temporary.replace(path)
    sync_folder(path.parent)


def create(path: str | Path, data: bytes) -> None:
    """Make a new file that holds `data`; its mode is the umask's.

    Raises FileExistsError when anything lies there already, a dangling symlink too, and OSError; in both cases what
    lies there is untouched and nothing is left beside it.
    """
    path = Path(path)
    temporary, fd = _temporary(path, mode=0o666)
    with _removed_on_error(temporary):
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
        try:
            path.hardlink_to(temporary)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            _create_in_place(path, data)
        temporary.unlink()
    sync_folder(path.parent)


def open_for_writing(path: str | Path) -> bool:
    """Whether someone has the file open for writing; False where that cannot be told.

    Linux grants a read lease only on a file that nobody has open for writing (fcntl(2), F_SETLEASE: EAGAIN), and only
    to its owner. It is given back at once. Should someone open the file for writing just then, they wait for that, and
    we get a signal: one that does nothing by itself, since SIGIO would end us, and to ignore that one would be
    inherited by every child.
    """
    if sys.platform != "linux":
        return False
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False
    try:
        fcntl.fcntl(fd, fcntl.F_SETSIG, signal.SIGURG)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(fd, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(fd)
    return False


def sync_folder(folder: str | Path) -> None:
    """Make the names in `folder` durable."""
    fd = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(fd)
    except OSError as error:
        if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.EBADF}:  # some file systems can't flush a folder
            raise
    finally:
        os.close(fd)


def remove_leftovers(path: str | Path) -> None:
    """Remove temporary files that a killed process left beside `path`.

    Only for a file that nobody else writes through this module at the moment. Raises OSError.
    """
    path = Path(path)
    start = _stem(path)
    for entry in os.scandir(path.parent):
        if entry.name.startswith(start) and entry.name.endswith(_SUFFIX) and entry.is_file(follow_symlinks=False):
            Path(entry.path).unlink(missing_ok=True)


def _stem(path: Path) -> str:
    room = _NAME_MAX - len(".") - len(".01234567") - len(_SUFFIX)
    name = os.fsdecode(os.fsencode(path.name)[:room])
    return f".{name}."


def _temporary(path: Path, *, mode: int) -> tuple[Path, int]:
    temporary = path.with_name(f"{_stem(path)}{os.urandom(4).hex()}{_SUFFIX}")
    return temporary, os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, mode)


@contextlib.contextmanager
def _removed_on_error(path: Path) -> Iterator[None]:
    try:
        yield
    except BaseException:
        with contextlib.suppress(OSError):  # the first error is the one to tell
            path.unlink()
        raise


def _keep(path: Path, old: os.stat_result, fd: int) -> None:
    """Give the file behind `fd` what `old`, the state of `path`, says."""
    new = os.fstat(fd)
    if (new.st_uid, new.st_gid) != (old.st_uid, old.st_gid):
        try:
            os.fchown(fd, old.st_uid, old.st_gid)
        except PermissionError:  # only root gives files away; a group that this user is in can still be kept
            with contextlib.suppress(PermissionError):
                os.fchown(fd, -1, old.st_gid)
    os.fchmod(fd, stat.S_IMODE(old.st_mode))  # after fchown, which clears the set-user-ID bits
    if sys.platform == "linux":  # elsewhere Python has no way to read them
        with contextlib.suppress(OSError):  # a file system without them has nothing to keep
            for name in os.listxattr(path, follow_symlinks=False):
                with contextlib.suppress(OSError):  # security.* may not be ours to set
                    os.setxattr(fd, name, os.getxattr(path, name, follow_symlinks=False))


def _check(path: Path, expect: bytes) -> None:
    try:
        found, _ = read(path)
    except OSError as error:
        raise Changed(f"{path} can no longer be read: {error.strerror}") from error
    if found != expect:
        raise Changed(f"{path} was written by another program")


def _create_in_place(path: Path, data: bytes) -> None:
    """The second best way, without hard links: a crash in the middle can leave a part of `data`."""
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666)
    with _removed_on_error(path), os.fdopen(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)
