"""How facts become rows, and how rows become durable."""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from datetime import datetime
from typing import Any, Final

from orchestrator.clock import rfc3339
from orchestrator.events import Fact, WatcherRestarted
from orchestrator.store.pending import Dropped

KEEP_EVENTS: Final = 10_000
KEEP_RESTARTS: Final = 200  # of each watcher


@contextmanager
def transaction(connection: sqlite3.Connection, *, durable: bool = False) -> Iterator[None]:
    """BEGIN … COMMIT, or ROLLBACK when the block raises. `durable`: what is committed survives a power cut."""
    if durable:
        connection.execute("PRAGMA synchronous = FULL")
    try:
        connection.execute("BEGIN IMMEDIATE")
        yield
        connection.execute("COMMIT")
    finally:
        if connection.in_transaction:  # some errors, a full disk among them, may have rolled back already
            with suppress(sqlite3.Error):
                connection.execute("ROLLBACK")
        if durable:
            connection.execute("PRAGMA synchronous = NORMAL")


def insert_facts(connection: sqlite3.Connection, facts: Sequence[Fact], dropped: Dropped | None) -> None:
    """Add rows for `facts` and a note about those that were dropped, and remove the oldest rows beyond the limits."""
    rows = [(rfc3339(fact.at), fact.kind, getattr(fact, "name", None), as_text(fact.as_json())) for fact in facts]
    if dropped:
        at, kind = rfc3339(dropped.until), "store.dropped"
        note = {"at": at, "kind": kind, "count": dropped.count, "since": rfc3339(dropped.since)}
        rows.append((at, kind, None, as_text(note)))
    if rows:
        connection.executemany("INSERT INTO events (at, kind, name, fact) VALUES (?, ?, ?, ?)", rows)
        connection.execute("DELETE FROM events WHERE id <= (SELECT max(id) FROM events) - ?", (KEEP_EVENTS,))
    restarts = [(fact.name, rfc3339(fact.at), fact.cause) for fact in facts if isinstance(fact, WatcherRestarted)]
    connection.executemany("INSERT INTO restarts (name, at, cause) VALUES (?, ?, ?)", restarts)
    for name in {name for name, _, _ in restarts}:
        connection.execute(
            "DELETE FROM restarts WHERE name = ? AND id <= "
            "(SELECT id FROM restarts WHERE name = ? ORDER BY id DESC LIMIT 1 OFFSET ?)",
            (name, name, KEEP_RESTARTS),
        )


def replace_watchers(connection: sqlite3.Connection, statuses: Sequence[Mapping[str, Any]], now: datetime) -> None:
    """Make these, each of which has a `name`, all that is known of watchers."""
    at = rfc3339(now)
    connection.execute("DELETE FROM watchers")
    connection.executemany(
        "INSERT INTO watchers (name, status, updated_at) VALUES (?, ?, ?)",
        ((status["name"], as_text(status), at) for status in statuses),
    )


def save_task(
    connection: sqlite3.Connection, *, name: str, row: tuple[int, Mapping[str, Any], datetime] | None
) -> None:
    """Remember what is known of a task: the number that puts it in order, its status, and when; None: forget it."""
    if row is None:
        connection.execute("DELETE FROM task_statuses WHERE name = ?", (name,))
        return
    number, status, now = row
    connection.execute(
        "REPLACE INTO task_statuses (rowid, name, status, updated_at) VALUES (?, ?, ?, ?)",
        (number, name, as_text(status), rfc3339(now)),
    )


def forget_tasks(connection: sqlite3.Connection) -> None:
    connection.execute("DELETE FROM task_statuses")


def as_text(value: Any) -> str:
    """`value` as compact JSON; what JSON has no form for becomes its text."""
    return json.dumps(value, separators=(",", ":"), default=str)
