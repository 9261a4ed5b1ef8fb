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
    # Instants are microseconds since 1970, UTC.
    """
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY,     -- in the order in which they were written down
        run_id TEXT NOT NULL UNIQUE,
        task TEXT NOT NULL,
        slot INTEGER NOT NULL,
        trigger TEXT NOT NULL,
        phase TEXT NOT NULL,
        attempts INTEGER NOT NULL,
        retries INTEGER NOT NULL,
        started_at INTEGER,
        retry_at INTEGER,
        dry_run INTEGER NOT NULL,
        outcome TEXT,
        ended_at INTEGER,           -- NULL until it is finished
        duration REAL,              -- seconds
        cost_usd REAL,
        error TEXT,
        output TEXT NOT NULL        -- last: what comes before a long text is read without it
    );
    -- The claim: no crash and no second daemon makes a slot run twice. People may ask for as many runs as they like.
    CREATE UNIQUE INDEX runs_claimed ON runs (task, slot) WHERE trigger IN ('schedule', 'catch_up');
    CREATE INDEX runs_unfinished ON runs (id) WHERE phase <> 'finished';
    CREATE INDEX runs_by_task ON runs (task);
    CREATE INDEX runs_by_outcome ON runs (outcome) WHERE outcome IS NOT NULL;
    CREATE INDEX runs_by_end ON runs (ended_at) WHERE ended_at IS NOT NULL;
    -- All that statistics and the newest run of each task have to know, without the texts.
    CREATE INDEX runs_ended ON runs (task, duration, outcome, attempts, cost_usd, ended_at) WHERE ended_at IS NOT NULL;
    CREATE TABLE tasks (
        name TEXT PRIMARY KEY,
        handled_until INTEGER NOT NULL,
        schedule TEXT NOT NULL,     -- a fingerprint
        enabled INTEGER,            -- what a person said; NULL: as configured
        successes INTEGER NOT NULL,
        ever_run INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE task_statuses (
        name TEXT PRIMARY KEY,
        status TEXT NOT NULL,       -- the object of `tasks --json`
        updated_at TEXT NOT NULL
    );
    CREATE TABLE settings (
        key TEXT PRIMARY KEY,
        value TEXT NOT NULL
    ) WITHOUT ROWID;
    """,
    # SQLite adds a column behind the others: `output` is no longer last, whatever is said of it above. Who asks for
    # `details` has what does not fit into a page of that long text read on the way.
    """
    ALTER TABLE runs ADD COLUMN details TEXT;  -- JSON: what an agent told beside its answer
    -- What attempts have cost, apart from their runs: those are forgotten after a while, and may span a midnight.
    CREATE TABLE costs (
        id TEXT PRIMARY KEY,        -- of the attempt
        at INTEGER NOT NULL,
        agent TEXT NOT NULL,
        task TEXT NOT NULL,
        cost_usd REAL NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX costs_by_time ON costs (at, agent, task, cost_usd);
    """,
)
