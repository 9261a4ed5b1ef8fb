"""What is read from the database, and a connection to read it apart from the one that everything is written through."""

import json
import sqlite3
from collections.abc import Callable
from contextlib import closing
from typing import Any, TypeVar

from orchestrator.store.read_only import uri

T = TypeVar("T")


def aside(path: str, apply: Callable[[sqlite3.Connection], T]) -> T:
    """What `apply` gives of the file as it is now, on a connection of its own. Blocks; raises sqlite3.Error."""
    with closing(sqlite3.connect(uri(path), uri=True, isolation_level=None)) as connection:
        (mode,) = connection.execute("PRAGMA journal_mode").fetchone()
        if mode != "wal":  # who reads would keep others from writing
            raise sqlite3.OperationalError(f"its journal is of the kind {mode}")
        connection.execute("BEGIN")
        return apply(connection)


def events(connection: sqlite3.Connection, limit: int) -> list[dict[str, Any]]:
    """The newest `limit` facts, oldest first."""
    rows = connection.execute("SELECT fact FROM events ORDER BY id DESC LIMIT ?", (limit,)).fetchall()
    return [json.loads(text) for (text,) in reversed(rows)]


def restarts(connection: sqlite3.Connection, name: str, limit: int) -> list[dict[str, Any]]:
    """The newest `limit` automatic restarts of a watcher, oldest first."""
    rows = connection.execute(
        "SELECT at, cause FROM restarts WHERE name = ? ORDER BY id DESC LIMIT ?", (name, limit)
    ).fetchall()
    return [{"at": at, "cause": cause} for at, cause in reversed(rows)]


def daemon(connection: sqlite3.Connection) -> dict[str, Any] | None:
    """What the latest daemon said about itself."""
    cursor = connection.execute("SELECT pid, boot_id, started_at, stopped_at, version FROM daemon")
    names = [column[0] for column in cursor.description]
    found = cursor.fetchone()
    return None if found is None else dict(zip(names, found, strict=True))
