"""The database's tables, as the steps that lead to them.

A step that was ever released is never changed: add the next one.
"""

from typing import Final

# Step N turns `user_version` N-1 into N. Only SQL that SQLite 3.31 knows: Python 3.11 also runs on older systems.
MIGRATIONS: Final[tuple[str, ...]] = (
    """
    CREATE TABLE events (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        at TEXT NOT NULL,           -- RFC 3339, UTC
        kind TEXT NOT NULL,
        name TEXT,                  -- the watcher it is about
        fact TEXT NOT NULL          -- the whole fact, JSON
    );
    -- Not a view over `events`: one noisy watcher would push everyone else's restarts out of a bounded list.
    CREATE TABLE restarts (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        name TEXT NOT NULL,
        at TEXT NOT NULL,
        cause TEXT NOT NULL
    );
    CREATE INDEX restarts_by_name ON restarts (name, id);
    -- In the order of the configuration: rows are replaced all at once and read by rowid.
    CREATE TABLE watchers (
        name TEXT PRIMARY KEY,
        status TEXT NOT NULL,       -- the object of `status --json`
        updated_at TEXT NOT NULL
    );
    CREATE TABLE daemon (
        id INTEGER PRIMARY KEY CHECK (id = 1),
        pid INTEGER NOT NULL,
        boot_id TEXT NOT NULL,
        started_at TEXT NOT NULL,
        stopped_at TEXT,            -- NULL until an orderly stop
        version TEXT NOT NULL
    );
    CREATE TABLE processes (
        name TEXT PRIMARY KEY,
        pid INTEGER NOT NULL,
        start_time INTEGER NOT NULL,  -- clock ticks since boot: /proc/PID/stat, field 22
        boot_id TEXT NOT NULL,
        command TEXT NOT NULL,      -- a hash of what was started
        spec TEXT NOT NULL,         -- JSON
        wanted INTEGER NOT NULL
    );
    """,
)
