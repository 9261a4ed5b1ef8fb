"""What watchers and tasks were last known to do, for `aiempctl` without a daemon. Only reads; loads next to nothing."""

import json
import sqlite3
from typing import Any

from orchestrator.store import read_only


def watchers(path: str) -> list[dict[str, Any]]:
    """What the last daemon wrote about each watcher, in the configuration's order; [] when it cannot be read.

    `path` is the database. The objects are those of `status --json` at that time: their states are history.
    """
    return _statuses(path, "SELECT status FROM watchers ORDER BY rowid")


def tasks(path: str) -> list[dict[str, Any]]:
    """Give the same for each task: the objects of `tasks --json`."""
    return _statuses(path, "SELECT status FROM task_statuses ORDER BY rowid")


def _statuses(path: str, query: str) -> list[dict[str, Any]]:
    try:
        connection = read_only.connect(path)
        try:
            rows = connection.execute(query).fetchall()
        finally:
            connection.close()
        statuses = [json.loads(text) for (text,) in rows]
    except (sqlite3.Error, ValueError, TypeError):
        return []
    return [status for status in statuses if isinstance(status, dict)]
