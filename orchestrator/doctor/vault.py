"""The vault as the daemon would find it: there, writable, complete, its database and Dashboard in order."""
# pathlib's exists() and is_dir() raise where a folder above is closed to this user; those of os.path say no:
# ruff: noqa: PTH110, PTH112, PTH118

import errno
import os
import sqlite3
import stat
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Final

from orchestrator import files
from orchestrator.doctor import storage
from orchestrator.doctor.finding import Finding, ok, problem, warning
from orchestrator.doctor.patient import Patient
from orchestrator.doctor.world import name_of
from orchestrator.places import Places
from orchestrator.store import read_only
from orchestrator.store.schema import MIGRATIONS
from orchestrator.vault import folders
from orchestrator.vault.dashboard import LeftAlone, users_part

_LOOK_THROUGH: Final = 10.0  # seconds for the database


def look(patient: Patient) -> Iterator[Finding]:
    """Whether the vault is there and may be written, and what it lacks."""
    vault = patient.places.vault
    init = f"aiemp init {patient.folder} --vault {vault}"
    if not os.path.isdir(vault):
        text = f"the vault {vault} does not exist or is no folder"
        yield problem("vault", text, f"correct `vault` in {patient.file}, or make it: {init}")
        return
    if not os.access(vault, os.W_OK | os.X_OK):
        yield problem("vault", f"{vault} can't be written by {name_of(os.geteuid())}", _how_to_own(vault))
    else:
        yield ok("vault", f"{vault} is there and can be written")
    missing = [name for name in folders.ALL if not os.path.isdir(os.path.join(vault, name))]
    if missing:
        yield warning("vault", f"{vault} lacks {', '.join(missing)}", f"{init} (it overwrites nothing)")
    yield from _state(patient.places, patient.world.uid)


def _state(places: Places, uid: int) -> Iterator[Finding]:
    try:
        found = os.lstat(places.state)
    except FileNotFoundError:
        return
    except OSError as error:
        yield problem("vault", f"{places.state} can't be looked at ({error.strerror})", _how_to_own(places.state))
        return
    if not stat.S_ISDIR(found.st_mode):
        yield problem("vault", f"{places.state} is no folder; aiemp keeps private files there", "move it away")
    elif found.st_uid != uid:
        text = f"{places.state} belongs to {name_of(found.st_uid)}, the daemon is {name_of(uid)}: it will not start"
        yield problem("vault", text, f"sudo chown -R {name_of(uid)} {places.state}, or run the daemon as its owner")
    elif stat.S_IMODE(found.st_mode) != 0o700:
        text = (
            f"{places.state} has the mode {stat.S_IMODE(found.st_mode):04o}: others may enter it until the next start"
        )
        yield warning("vault", text, f"chmod 700 {places.state}")


def _how_to_own(path: str) -> str:
    return f"sudo chown -R {name_of(os.geteuid())} {path}, and see that its disk is mounted read-write"


def disk(patient: Patient) -> Iterator[Finding]:
    vault = os.path.realpath(patient.places.vault)
    try:
        free = os.statvfs(vault)
    except OSError:  # not there: said already
        return
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        mounts = ""
    room = storage.Room(free.f_bavail * free.f_frsize, free.f_favail, free.f_files)
    yield from storage.judge(vault, room, storage.kind_of(vault, mounts))


def dashboard(patient: Patient) -> Iterator[Finding]:
    """Whether the Dashboard is one that would be left alone, by the rules of vault/region.py."""
    path = patient.places.dashboard
    try:
        trouble = _of_dashboard(Path(path), os.path.realpath(patient.places.vault))
    except LeftAlone as error:
        yield warning("dashboard", f"{path} is left alone: {error.reason}", error.remedy)
    else:
        yield trouble or ok("dashboard", f"{path} can be kept up to date")


def _of_dashboard(path: Path, vault: str) -> Finding | None:
    target = Path(os.path.realpath(path)) if path.is_symlink() else path
    if target != path and not target.is_relative_to(vault):
        raise LeftAlone(f"it is a symlink that leads out of the vault, to {target}", "put a file in its place")
    try:
        text, found = files.read(target)
    except FileNotFoundError:
        return None  # it is written new
    except OSError as error:
        if error.errno in {errno.EINVAL, errno.ELOOP, errno.ENXIO}:
            raise LeftAlone("it is no regular file", "move it away, and it is written new") from None
        return warning("dashboard", f"{path} can't be read ({error.strerror})", f"chmod u+rw {path}")
    if not found.st_mode & 0o222 or not os.access(target, os.W_OK):
        raise LeftAlone("it is read-only", f"chmod u+w {path}")
    users_part(text)
    return None


def database(patient: Patient) -> Iterator[Finding]:
    """Open it for reading only, and have SQLite look through it for a while."""
    path = patient.places.database
    if not os.path.exists(path):
        return
    try:
        with closing(read_only.connect(path)) as connection:
            finding = _look_through(path, connection)
    except sqlite3.Error as error:
        text = f"{path} can't be used ({error})"
        damaged = isinstance(error, sqlite3.DatabaseError) and not isinstance(error, sqlite3.OperationalError)
        yield _damaged(path, str(error)) if damaged else problem("database", text, _how_to_own(path))
    else:
        yield finding


def _look_through(path: str, connection: sqlite3.Connection) -> Finding:
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        text = f"{path} was written by a later version of aiemp: nothing would be remembered"
        return problem("database", text, "install that version again, or move the file away to begin anew")
    limit = threading.Timer(_LOOK_THROUGH, connection.interrupt)
    limit.start()
    try:
        said = [str(line) for (line,) in connection.execute("PRAGMA quick_check(3)")]
    except sqlite3.OperationalError as error:
        if "interrupted" not in str(error):
            raise
        return ok("database", f"{path} can be opened; too large to be looked through here")
    finally:
        limit.cancel()
        limit.join()  # or it might interrupt what is closed by then
    return ok("database", f"{path} is in order") if said == ["ok"] else _damaged(path, "; ".join(said))


def _damaged(path: str, why: str) -> Finding:
    remedy = (
        "nothing has to be done: the next start puts it aside and begins anew; a backup of it would keep the history"
    )
    return warning("database", f"{path} is damaged ({' '.join(why.split())[:200]})", remedy)
