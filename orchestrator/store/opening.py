"""Opens the database file: new, old, damaged or from a newer version."""

import errno
import os
import sqlite3
import stat
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from orchestrator.errors import UserError
from orchestrator.store.schema import MIGRATIONS

_DAMAGE: Final = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}
# What SQLITE_ERROR says when the tables are not ours, since our own SQL is tested. It says other things too that tell
# nothing about the file ("cannot start a transaction within a transaction").
_NOT_OURS: Final = ("no such ", "has no column", " columns but ", "already exists", "unsupported file format")

# ruff: noqa: S608  the queries are put together from constants
_BEGUN_COLUMNS: Final = "run_id, task, slot, trigger, phase, attempts, retries, started_at, retry_at, dry_run"
# What is read from a damaged database and written to the new one, each on its own. Without it watchers that are still
# alive after a killed daemon would be started twice, slots be run twice, and what a person disabled run again.
_SALVAGED: Final = (
    (
        "SELECT name, pid, start_time, boot_id, command, spec, wanted FROM processes",
        "INSERT OR IGNORE INTO processes VALUES (?, ?, ?, ?, ?, ?, ?)",
    ),
    (
        "SELECT name, handled_until, schedule, enabled, successes, ever_run FROM tasks",
        "INSERT OR IGNORE INTO tasks VALUES (?, ?, ?, ?, ?, ?)",
    ),
    ("SELECT key, value FROM settings", "INSERT OR IGNORE INTO settings VALUES (?, ?)"),
    (
        f"SELECT {_BEGUN_COLUMNS} FROM runs WHERE phase <> 'finished'",
        f"INSERT OR IGNORE INTO runs ({_BEGUN_COLUMNS}, output) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '')",
    ),
)


class NewerDatabase(UserError):
    """A later version of aiemp wrote the file; this one can only leave it alone."""


class Damaged(Exception):
    """There is something at the path that is no database of ours."""


def is_damage(error: Exception) -> bool:
    """Whether `error` means that the file is broken, not that it cannot be used just now (disk full, locked)."""
    code = getattr(error, "sqlite_errorcode", None)  # absent when Python's module itself complains
    if code is None:
        return isinstance(error, Damaged)
    strange = code & 0xFF == sqlite3.SQLITE_ERROR and any(words in str(error) for words in _NOT_OURS)
    return strange or code & 0xFF in _DAMAGE


def open_or_replace(path: str, now: datetime) -> tuple[sqlite3.Connection, str | None]:
    """A connection to the database at `path`, and a line for a person when a damaged one had to be set aside.

    Raises NewerDatabase when the file must be left alone, sqlite3.Error or OSError when it cannot be used just now.
    """
    try:
        return _open(path), None
    except (Damaged, sqlite3.Error) as error:
        if not is_damage(error):
            raise
        return replace(path, now, why=str(error))


def replace(path: str, now: datetime, why: str) -> tuple[sqlite3.Connection, str]:
    """Set the damaged database at `path` aside and begin a new one, with what matters most if it can be read."""
    aside = _set_aside(path, now)
    connection = _open(path)
    for read, write in _SALVAGED:
        connection.executemany(write, _salvaged(aside, read))
    return connection, (
        f"{path} was damaged ({why}) and a new one was begun; the old one is kept as {Path(aside).name}: "
        "delete it when you do not need its history"
    )


def _open(path: str) -> sqlite3.Connection:
    _make_private(path)
    connection = sqlite3.connect(path, isolation_level=None, timeout=5.0)
    try:
        _prepare(connection, path)
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: str) -> None:
    """Check the file, set the connection up and bring the tables up to date; writes nothing before the checks."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > len(MIGRATIONS):
        raise NewerDatabase(
            f"{path} was written by a newer aiemp (version {version} of its tables; this one knows {len(MIGRATIONS)}) "
            "and is left alone: nothing is remembered until you install that aiemp again or move the file away"
        )
    for what in _to_be_checked(connection):
        (verdict,) = connection.execute(f"PRAGMA quick_check({what})").fetchone()
        if verdict != "ok":
            raise Damaged(verdict)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    connection.execute("PRAGMA journal_size_limit = 1048576")
    connection.execute("PRAGMA cache_size = -512")  # KiB; the default, 2 MiB, is a tenth of the daemon's memory
    for step, script in enumerate(MIGRATIONS[version:], start=version + 1):
        connection.executescript(f"BEGIN IMMEDIATE; {script} PRAGMA user_version = {step}; COMMIT;")


def _to_be_checked(connection: sqlite3.Connection) -> list[str]:
    """Every table but the long history of runs: reading a gigabyte would hold up the daemon's start for seconds.

    Damage in it shows when the next run is written down.
    """
    if sqlite3.sqlite_version_info < (3, 33):  # it can only check all
        return ["1"]
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' AND name <> 'runs'").fetchall()
    return ['"' + name.replace('"', '""') + '"' for (name,) in names]


def _make_private(path: str) -> None:
    """See that a file is there which only its owner can read; SQLite gives -wal and -shm the same mode."""
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NONBLOCK, 0o600)
    except OSError as error:
        if error.errno in (errno.EISDIR, errno.ELOOP, errno.ENXIO) or (
            error.errno == errno.EACCES and os.path.lexists(path)
        ):
            raise Damaged(error.strerror) from error
        raise
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise Damaged("not a regular file")
        if os.fstat(descriptor).st_uid == os.geteuid():
            os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _set_aside(path: str, now: datetime) -> str:
    """Rename the database and its companions; these first, since SQLite would apply an old -wal to a new file."""
    wanted = f"{path}.damaged-{now.astimezone(UTC):%Y%m%d-%H%M%S}"
    aside, number = wanted, 1
    while os.path.lexists(aside):
        number += 1
        aside = f"{wanted}-{number}"
    for suffix in ("-wal", "-shm", ""):
        try:
            Path(path + suffix).rename(aside + suffix)
        except FileNotFoundError:
            continue
    return aside


def _salvaged(path: str, query: str) -> list[tuple[object, ...]]:
    connection = None
    try:
        connection = sqlite3.connect(path, isolation_level=None)
        return connection.execute(query).fetchall()
    except sqlite3.Error:
        return []
    finally:
        if connection is not None:
            connection.close()
