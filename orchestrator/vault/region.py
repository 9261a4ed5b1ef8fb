"""The Dashboard on disk: read, spliced, replaced. Blocks: the reporter calls it in a worker thread."""

import contextlib
import errno
import os
import stat
from pathlib import Path
from typing import Final

from orchestrator import files
from orchestrator.places import Places
from orchestrator.vault.dashboard import LeftAlone, splice, users_part

_TRIES: Final = 5  # in a row, while another program writes the file between our reading and our replacing it


class Emptied(Exception):
    """The file is empty: as someone's first step in saving it (truncate, then write), or for good."""


def update(places: Places, table: bytes, *, empty_is_new: bool) -> None:
    """Put `table` into the region of the Dashboard; writes nothing when it is there already.

    An empty file raises Emptied until `empty_is_new`. Raises LeftAlone, OSError, and files.Changed when another
    program won every try; the Dashboard is then as it was.
    """
    for remaining in reversed(range(_TRIES)):
        try:
            return _try(places, table, empty_is_new=empty_is_new)
        except (files.Changed, FileExistsError):
            if not remaining:
                raise files.Changed(f"{places.dashboard} is being written by another program") from None
    raise AssertionError  # the last try returns or raises


def remove_leftovers(places: Places) -> None:
    """Remove what a daemon that was killed while it wrote the Dashboard left beside it."""
    with contextlib.suppress(OSError, LeftAlone):  # nothing but tidiness; update() tells what is wrong
        files.remove_leftovers(_target(places))


def _try(places: Places, table: bytes, *, empty_is_new: bool) -> None:
    path = _target(places)
    try:
        old, found = files.read(path)
    except FileNotFoundError:
        new = splice(b"", table)
        _keep_copy(places, new)
        files.create(path, new)
        return
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ELOOP, errno.ENXIO}:  # what open and read say of what is no plain file
            raise LeftAlone("it is no regular file", "move it away, and it is written new") from None
        raise
    if not old and not empty_is_new:
        raise Emptied
    new = splice(old, table)
    if new == old:
        return
    # Renaming needs no right to write the file itself; a person who took it away means it, from root too.
    if not found.st_mode & (stat.S_IWUSR | stat.S_IWGRP | stat.S_IWOTH) or not os.access(path, os.W_OK):
        raise LeftAlone("it is read-only", "make it writable (chmod u+w)")
    _keep_copy(places, new)
    files.replace(path, new, expect=old)


def _target(places: Places) -> Path:
    """The file that Dashboard.md is or, as a symlink, leads to; it need not exist."""
    path = Path(places.dashboard)
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if not target.is_relative_to(os.path.realpath(places.vault)):
        raise LeftAlone(f"it is a symlink that leads out of the vault, to {target}", "put a file in its place")
    return target


def _keep_copy(places: Places, new: bytes) -> None:
    """Keep the Dashboard as it is about to be, for a person to put back.

    Written only when the user's part of it differs, and never over a copy that has one when this one has none: it
    must outlast the Dashboard's being emptied.
    """
    copy = Path(places.last_dashboard)
    ours = users_part(new).strip()
    with contextlib.suppress(FileNotFoundError, LeftAlone):
        kept = users_part(files.read(copy)[0]).strip()
        if ours == kept or not ours:
            return
    files.replace(copy, new)
