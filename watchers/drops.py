"""The way of one file from the Inbox into Needs_Action, with a note beside it: no kill loses or doubles anything.

Everything underway lies in Needs_Action under hidden names with one random ID, so that a restart needs no memory:

    .aiemp-drop-ID.json   the record: where the file comes from, the name it is to get, when it was received
    .aiemp-drop-ID.file   the file itself, taken from the Inbox and not yet shown
    .aiemp-drop-ID.note   the finished note, not yet shown

The steps; each is one system call's effect or is repeated without harm:

    1. write the record
    2. rename the file from the Inbox to .file           from here on nobody else touches it
    3. write .note                                        so .note exists only once the file was taken
    4. show the file: .file gets its name                 never over anything: see durable.place()
    5. show the note: .note gets its name                 a note never stands there before its file
    6. remove the record

What `resume()` finds after a kill therefore says how far it went:

    record alone              before 2 or after 5: nothing is open, the record goes
    record, .file             after 2: go on with 3
    record, .file, .note      after 3: go on with 3. If killed inside 4, .file and the shown file are one
                              file with two names: .file goes
    record, .note             after 4: go on with 5. If killed inside 5, .note has a second name, wherever someone has
                              moved it: .note goes

Where Inbox and Needs_Action are on different file systems, step 2 first renames the file within the Inbox to
`.aiemp-drop-ID.file`, copies that (`.copy`, renamed to .file once it is whole and durable) and removes it. Found after
a kill it is copied again, or removed if .file is there already.

Only one process at a time may do this in a vault; the kit's lock sees to it. Names are chosen free in Needs_Action for
both file and note; if someone else takes one before step 4 or 5, another is chosen.
"""

import errno
import json
import os
import stat
from collections.abc import Callable
from dataclasses import asdict, dataclass, replace
from itertools import count
from pathlib import Path
from typing import Final

from watchers import durable, items

PREFIX: Final = ".aiemp-drop-"


@dataclass(frozen=True, slots=True)
class Drop:
    """A file on its way. `source` and `target` are names in Inbox and Needs_Action, `received` is in RFC 3339."""

    id: str
    source: str
    target: str
    received: str


@dataclass(frozen=True, slots=True)
class Moved:
    """A file that has arrived: its old name, its new one, and its note's."""

    source: str
    file: str
    note: str


class Drops:
    """Moves files from one folder to another and writes a note about each. Both folders must exist, except to plan."""

    def __init__(self, inbox: Path, needs_action: Path, progress: Callable[[], None]) -> None:
        """`progress` is called again and again while a large file is copied."""
        self._inbox = inbox
        self._needs_action = needs_action
        self._progress = progress

    def plan(self, name: str) -> tuple[str, str]:
        """The names that the file `name` and its note would get now."""
        target = self._free_name(name)
        return target, items.note_name(target, 1, self._longest_name())

    def take(self, name: str, received: str) -> Moved | None:
        """Move one file of the Inbox and write its note. None when it is gone or no regular file any more.

        Raises OSError when the disk refuses; what was begun is then continued by `resume()`.
        """
        drop = Drop(os.urandom(8).hex(), name, self._free_name(name), received)
        self._write_record(drop)
        try:
            self._fetch(drop)
        except FileNotFoundError:
            self._hidden(drop, "json").unlink()
            return None
        return self._show(drop)

    def resume(self, received: str) -> tuple[list[Moved], list[OSError]]:
        """Bring to its end whatever was interrupted, and say what could not be.

        `received` is for a file whose record someone has removed.
        """
        moved, failed = [], []
        for id_ in sorted(_ids_in(self._needs_action) | _ids_in(self._inbox)):
            try:
                moved.append(self._resume(id_, received))
            except OSError as error:  # one file that cannot be moved must not hold up the others
                failed.append(error)
        return [one for one in moved if one], failed

    def _resume(self, id_: str, received: str) -> Moved | None:
        drop = self._read_record(id_) or Drop(id_, f"recovered-{id_}", f"recovered-{id_}", received)
        for leftover in ("json.tmp", "note.tmp", "copy"):
            self._hidden(drop, leftover).unlink(missing_ok=True)
        held, file, note = self._held(drop), self._hidden(drop, "file"), self._hidden(drop, "note")
        if os.path.lexists(held):
            if os.path.lexists(file):
                held.unlink()
            else:
                self._carry(drop)
        if os.path.lexists(file):
            return self._show(drop)
        if os.path.lexists(note):
            return self._show_note(drop)
        self._hidden(drop, "json").unlink(missing_ok=True)
        return None

    def _fetch(self, drop: Drop) -> None:
        """Step 2. After it the file lies in Needs_Action, hidden."""
        source = self._inbox / drop.source
        try:
            source.rename(self._hidden(drop, "file"))
        except OSError as error:
            if error.errno != errno.EXDEV:
                raise
            source.rename(self._held(drop))
            self._carry(drop)
        else:
            # Without these a power loss could keep the note and forget the move.
            durable.sync_folder(self._needs_action)
            durable.sync_folder(self._inbox)

    def _carry(self, drop: Drop) -> None:
        """Bring the held file over to the other file system. If it has no room there, it goes back to its place."""
        held, copy = self._held(drop), self._hidden(drop, "copy")
        try:
            if not stat.S_ISREG(held.lstat().st_mode):
                raise OSError(errno.EINVAL, "is no regular file any more", drop.source)  # noqa: TRY301  one way back for all
            durable.copy(held, copy, self._progress)
        except OSError:
            copy.unlink(missing_ok=True)
            self._put_back(drop, held)
            raise
        copy.rename(self._hidden(drop, "file"))
        durable.sync_folder(self._needs_action)
        held.unlink()
        durable.sync_folder(self._inbox)

    def _show(self, drop: Drop) -> Moved | None:
        """Steps 3 and 4, then the rest."""
        file = self._hidden(drop, "file")
        found = file.lstat()
        if not stat.S_ISREG(found.st_mode):  # replaced by a link or a folder just before it was taken
            self._put_back(drop, file)
            self._hidden(drop, "json").unlink(missing_ok=True)
            return None
        while True:
            note = items.file_note(
                original_name=drop.source, file=drop.target, size=found.st_size, received=drop.received
            )
            durable.write(self._hidden(drop, "note"), note)
            target = self._needs_action / drop.target
            try:
                durable.place(file, target)
            except FileExistsError:
                if _same(found, target):
                    file.unlink()
                else:
                    drop = self._renamed(drop, drop.source)
                    continue
            except OSError as error:
                # A name that the Inbox's file system allows, and this one (FAT, say) does not.
                if error.errno not in {errno.EINVAL, errno.EILSEQ} or items.safe(drop.target) == drop.target:
                    raise
                drop = self._renamed(drop, items.safe(drop.source))
                continue
            return self._show_note(drop)

    def _show_note(self, drop: Drop) -> Moved:
        """Steps 5 and 6."""
        note = self._hidden(drop, "note")
        name = items.note_name(drop.target, 1, self._longest_name())
        if note.lstat().st_nlink > 1:
            note.unlink()
        else:
            for number in count(1):
                name = items.note_name(drop.target, number, self._longest_name())
                try:
                    durable.place(note, self._needs_action / name)
                except FileExistsError:
                    continue
                break
        durable.sync_folder(self._needs_action)
        self._hidden(drop, "json").unlink(missing_ok=True)
        return Moved(drop.source, drop.target, name)

    def _renamed(self, drop: Drop, wanted: str) -> Drop:
        drop = replace(drop, target=self._free_name(wanted))
        self._write_record(drop)
        return drop

    def _put_back(self, drop: Drop, path: Path) -> None:
        limit = os.pathconf(self._inbox, "PC_NAME_MAX")
        for number in count(1):
            try:
                durable.place(path, self._inbox / items.numbered(drop.source, number, limit))
            except FileExistsError:
                continue
            return

    def _free_name(self, wanted: str) -> str:
        """The first of `wanted`, `wanted (2)`, … that is free in Needs_Action, for the file and for its note."""
        limit = self._longest_name()

        def taken(name: str) -> bool:
            return os.path.lexists(self._needs_action / name)

        names = (items.numbered(wanted, number, limit) for number in count(1))
        return next(name for name in names if not taken(name) and not taken(items.note_name(name, 1, limit)))

    def _longest_name(self) -> int:
        folder = self._needs_action if self._needs_action.is_dir() else self._needs_action.parent
        return os.pathconf(folder, "PC_NAME_MAX")  # 255, but 143 on eCryptfs

    def _hidden(self, drop: Drop, kind: str) -> Path:
        return self._needs_action / f"{PREFIX}{drop.id}.{kind}"

    def _held(self, drop: Drop) -> Path:
        return self._inbox / f"{PREFIX}{drop.id}.file"

    def _write_record(self, drop: Drop) -> None:
        # ASCII only: lone surrogates, the bytes of a name that is no UTF-8, come back as they were.
        durable.write(self._hidden(drop, "json"), json.dumps(asdict(drop)).encode("ascii"))

    def _read_record(self, id_: str) -> Drop | None:
        """None when there is none that can be believed: the folder is one that other programs write into as well."""
        try:
            drop = Drop(**json.loads((self._needs_action / f"{PREFIX}{id_}.json").read_bytes()))
        except (FileNotFoundError, ValueError, TypeError, RecursionError):
            return None
        sound = drop.id == id_ and _is_name(drop.source) and _is_name(drop.target) and isinstance(drop.received, str)
        return drop if sound else None


def _ids_in(folder: Path) -> set[str]:
    with os.scandir(folder) as entries:
        return {entry.name.removeprefix(PREFIX).split(".")[0] for entry in entries if entry.name.startswith(PREFIX)}


def _is_name(value: object) -> bool:
    """Whether `value` names something in a folder, not somewhere else."""
    return isinstance(value, str) and value not in {"", ".", ".."} and not {"/", "\0"} & set(value)


def _same(one: os.stat_result, other: Path) -> bool:
    try:
        return os.path.samestat(one, other.lstat())
    except FileNotFoundError:
        return False
