"""Files moved within the vault: never over anything, and all of them or, after a kill, all of them the next time.

What is to be moved is written down first, and struck out when it is done. Each file gets its new name as a second one
(link(2), which refuses a name that is taken) before it loses the old one. What `resume()` finds after a kill:

    old name alone            not begun: it is moved now
    both names, one file      killed in between: the old name goes
    new name alone            done
    both names, two files     someone else took the new name: another one is chosen

A file that is no longer the one that was written down, by inode and time, is left to the next look.
"""

import contextlib
import errno
import json
import os
import stat
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field, replace
from itertools import count
from pathlib import Path
from typing import Final

from orchestrator import files
from orchestrator.actions.chores.naming import numbered

# What link(2) says where the file system has no hard links, or where this file may not get one.
_NO_LINKS: Final = frozenset({errno.EPERM, errno.EACCES, errno.EMLINK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP})


@dataclass(frozen=True, slots=True)
class Move:
    """`source` and `target` are paths in the vault; inode and time of modification (ns) say which file is meant."""

    source: str
    target: str
    inode: int
    modified: int


@dataclass(slots=True)
class Moved:
    """The moves that are done, with the names that the files really got, and sentences about those that are not."""

    done: list[Move] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


class Moves:
    """Moves files in `vault`; `record` is where it writes down what it is about to do. One at a time per record."""

    def __init__(self, vault: Path, record: Path) -> None:
        self._vault = vault
        self._record = record

    def left(self) -> list[Move]:
        """What a killed run left to do; nothing when the record can't be believed. Raises OSError."""
        try:
            said = json.loads(files.read(self._record)[0])
            moves = [Move(**each) for each in said]
        except (FileNotFoundError, ValueError, TypeError, RecursionError):
            return []
        return moves if all(_is_below(path) for move in moves for path in (move.source, move.target)) else []

    def resume(self) -> Moved:
        """Bring to its end what a killed run began. Raises OSError."""
        files.remove_leftovers(self._record)
        return self._carry_out(self.left())

    def carry_out(self, moves: Sequence[Move]) -> Moved:
        """Move these files. Raises OSError when the record can't be written; nothing is moved then."""
        if not moves:
            return Moved()
        self._write_down(moves)
        return self._carry_out(moves)

    def _carry_out(self, moves: Sequence[Move]) -> Moved:
        moved = Moved()
        pending = list(moves)
        for number, move in enumerate(moves):

            def renamed(other: Move, number: int = number) -> None:
                pending[number] = other
                self._write_down(pending)

            try:
                done = self._move(move, renamed)
            except OSError as error:  # one file that can't be moved must not hold up the others
                moved.troubles.append(f"{move.source} can't be moved to {move.target}: {error.strerror}")
            else:
                moved.done += [done] if done else []
        for folder in {(self._vault / path).parent for move in moved.done for path in (move.target, move.source)}:
            with contextlib.suppress(FileNotFoundError):  # removed by someone since
                files.sync_folder(folder)
        self._record.unlink(missing_ok=True)
        return moved

    def _move(self, move: Move, renamed: Callable[[Move], None]) -> Move | None:
        """Move one file; None when it is gone or another one. `renamed` is told of another target before it is used."""
        source = self._vault / move.source
        files.check_inside(source.parent, self._vault)
        try:
            found = source.lstat()
        except FileNotFoundError:
            return None
        if _same(found, self._vault / move.target):  # killed in between; whoever wrote to it since wrote to both
            source.unlink()
            return move
        if not stat.S_ISREG(found.st_mode) or (found.st_ino, found.st_mtime_ns) != (move.inode, move.modified):
            return None
        wanted = Path(move.target).name
        for number in count(2):
            target = self._vault / move.target
            files.check_inside(target.parent, self._vault)
            files.make_folder(str(target.parent), within=str(self._vault))
            try:
                place(source, target)
            except FileExistsError:
                name = numbered(wanted, number, longest_name(target.parent))
                move = replace(move, target=str(Path(move.target).with_name(name)))
                renamed(move)
            else:
                return move
        raise AssertionError  # count() has no end

    def _write_down(self, moves: Sequence[Move]) -> None:
        # ASCII only: lone surrogates, the bytes of a name that is no UTF-8, come back as they were.
        files.replace(self._record, json.dumps([asdict(move) for move in moves]).encode("ascii"))


def found(vault: Path, file: Path, target: Path) -> Move:
    """The move of `file`, as it lies there now, to `target`. Raises OSError."""
    state = file.lstat()
    return Move(str(file.relative_to(vault)), str(target.relative_to(vault)), state.st_ino, state.st_mtime_ns)


def place(source: Path, target: Path) -> None:
    """Rename within one file system, but never over something: raises FileExistsError when `target` exists.

    Killed in between, both names are left, of one file. Without hard links it is checked first, then renamed.
    """
    try:
        target.hardlink_to(source)
    except OSError as error:
        if error.errno not in _NO_LINKS:
            raise
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        source.rename(target)
        return
    try:
        source.unlink()
    except OSError:  # a folder that may not be written: the file stays where it is, and only there
        target.unlink()
        raise


def longest_name(folder: Path) -> int:
    """In bytes; the nearest folder above counts where `folder` does not exist yet."""
    while not folder.is_dir():
        folder = folder.parent
    return os.pathconf(folder, "PC_NAME_MAX")


def _same(one: os.stat_result, other: Path) -> bool:
    try:
        return os.path.samestat(one, other.lstat())
    except (FileNotFoundError, NotADirectoryError):
        return False


def _is_below(path: object) -> bool:
    """Whether a path that was read is one in the vault."""
    return isinstance(path, str) and "\0" not in path and all(part not in {"", ".", ".."} for part in path.split("/"))
