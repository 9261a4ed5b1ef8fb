"""The Dashboard on disk: read, spliced, replaced. Blocks: the reporter calls it in a worker thread."""

import contextlib
import errno
import os
import stat
from functools import partial
from pathlib import Path
from typing import Final

from orchestrator import files
from orchestrator.errors import UserError
from orchestrator.places import Places, private_folder
from orchestrator.vault.dashboard import LeftAlone, splice, users_part

SETTLED: Final = 1.0  # seconds after which a file counts as completely written
_TRIES: Final = 5  # in a row, while another program writes the file between our reading and our replacing it


class Emptied(Exception):
    """The file is empty or gone: as someone's first step in saving it (truncate or remove, then write), or for good."""


class InUse(Exception):
    """Another program has the file open for writing, or has just written it and may go on.

    Replaced now, it would lose what is still to come: that would go into the old file, which has no name any more.
    """


class Region:
    """Our region of one vault's Dashboard, for one thread at a time."""

    def __init__(self, places: Places) -> None:
        self.copy_trouble: OSError | None = None  # why the last good Dashboard could not be kept
        self._places = places
        self._ours: tuple[int, int] | None = None  # what _look_of said of the file when we had written it

    def update(self, table: bytes, *, now: float, patient: bool, empty_is_new: bool) -> None:
        """Put `table` into the region of the Dashboard; writes nothing when it is there already.

        A missing or empty file raises Emptied until `empty_is_new`, one that is being written InUse while `patient`.
        `now` is the time of day, in seconds since the epoch. Raises LeftAlone, OSError, and files.Changed when another
        program won every try; the Dashboard is then as it was.
        """
        for remaining in reversed(range(_TRIES)):
            try:
                return self._try(table, now=now, patient=patient, empty_is_new=empty_is_new)
            except (files.Changed, FileExistsError):
                if not remaining:
                    raise files.Changed(f"{self._places.dashboard} is being written by another program") from None
        raise AssertionError  # the last try returns or raises

    def remove_leftovers(self) -> None:
        """Remove what a daemon that was killed while it wrote the Dashboard left beside it."""
        with contextlib.suppress(OSError, LeftAlone):  # nothing but tidiness; update() tells what is wrong
            files.remove_leftovers(_target(self._places))

    def _try(self, table: bytes, *, now: float, patient: bool, empty_is_new: bool) -> None:
        path = _target(self._places)
        try:
            old, found = files.read(path)
        except FileNotFoundError:
            if not empty_is_new:
                raise Emptied from None
            new = splice(b"", table)
            self._keep_copy(new)
            files.create(path, new)
            self._remember(path)
            return
        except OSError as error:
            if error.errno in {errno.EINVAL, errno.ELOOP, errno.ENXIO}:  # open's and read's for what is no plain file
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
        if patient:
            if _look_of(found) != self._ours and abs(now - found.st_mtime) < SETTLED:
                raise InUse
            self._refuse_open(path)  # before the copy too, which half a file must not become
        self._keep_copy(new)
        files.replace(path, new, expect=old, last=partial(self._refuse_open, path) if patient else lambda: None)
        self._remember(path)

    def _refuse_open(self, path: Path) -> None:
        # NFS and SMB may say so of every file; then they say it of the copy too, which nobody writes but us.
        if files.open_for_writing(path) and not files.open_for_writing(self._places.last_dashboard):
            raise InUse

    def _remember(self, path: Path) -> None:
        with contextlib.suppress(OSError):
            self._ours = _look_of(path.lstat())

    def _keep_copy(self, new: bytes) -> None:
        """Keep the Dashboard as it is about to be, for a person to put back.

        Written only when the user's part of it differs, and never over a copy that has one when this one has none: it
        must outlast the Dashboard's being emptied. That it cannot be kept is no reason not to write the Dashboard.
        """
        self.copy_trouble = None
        copy = Path(self._places.last_dashboard)
        ours = users_part(new).strip()
        try:
            kept = users_part(files.read(copy)[0]).strip()
        except (FileNotFoundError, LeftAlone):
            pass
        except OSError:
            if not ours:
                return
        else:
            if ours == kept or not ours:
                return
        try:
            with contextlib.suppress(UserError):  # someone else's .aiemp: what follows tells
                private_folder(self._places.state)
            files.replace(copy, new)
        except OSError as error:
            self.copy_trouble = error


def _target(places: Places) -> Path:
    """The file that Dashboard.md is or, as a symlink, leads to; it need not exist."""
    path = Path(places.dashboard)
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if not target.is_relative_to(os.path.realpath(places.vault)):
        raise LeftAlone(f"it is a symlink that leads out of the vault, to {target}", "put a file in its place")
    return target


def _look_of(found: os.stat_result) -> tuple[int, int]:
    """What changes when someone else writes the file."""
    return found.st_ino, found.st_mtime_ns
