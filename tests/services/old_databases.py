"""Databases as earlier versions left them, and how the tests open them."""

import sqlite3
from datetime import UTC, datetime
from pathlib import Path

from orchestrator.schedule.runs import TaskState
from orchestrator.store.database import Database, KnownProcess

NOW = datetime(2026, 11, 20, 23, 30, 59, tzinfo=UTC)

# What version 0.1.0 wrote, as SQL of its own: MIGRATIONS may be tidied up, old files cannot.
VERSION_1 = """
CREATE TABLE events (id INTEGER PRIMARY KEY AUTOINCREMENT, at TEXT NOT NULL, kind TEXT NOT NULL, name TEXT,
                     fact TEXT NOT NULL);
CREATE TABLE restarts (id INTEGER PRIMARY KEY AUTOINCREMENT, name TEXT NOT NULL, at TEXT NOT NULL, cause TEXT NOT NULL);
CREATE INDEX restarts_by_name ON restarts (name, id);
CREATE TABLE watchers (name TEXT PRIMARY KEY, status TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE daemon (id INTEGER PRIMARY KEY CHECK (id = 1), pid INTEGER NOT NULL, boot_id TEXT NOT NULL,
                     started_at TEXT NOT NULL, stopped_at TEXT, version TEXT NOT NULL);
CREATE TABLE processes (name TEXT PRIMARY KEY, pid INTEGER NOT NULL, start_time INTEGER NOT NULL, boot_id TEXT NOT NULL,
                        command TEXT NOT NULL, spec TEXT NOT NULL, wanted INTEGER NOT NULL);
INSERT INTO events (at, kind, name, fact) VALUES ('2026-01-02T03:04:05Z', 'watcher.restarted', 'inbox',
    '{"at":"2026-01-02T03:04:05Z","kind":"watcher.restarted","name":"inbox","cause":"SIGKILL","restarts":1}');
INSERT INTO restarts (name, at, cause) VALUES ('inbox', '2026-01-02T03:04:05Z', 'SIGKILL');
INSERT INTO watchers VALUES ('inbox', '{"name":"inbox","state":"running"}', '2026-01-02T03:04:05Z');
INSERT INTO daemon VALUES (1, 12, 'b00t', '2026-01-02T03:04:00Z', NULL, '0.1.0');
INSERT INTO processes VALUES ('inbox', 34, 5678, 'b00t', 'c0ffee', '{}', 1);
PRAGMA user_version = 1;
"""
# Version 2, which brought the schedule, added these.
VERSION_2 = (
    VERSION_1
    + """
CREATE TABLE runs (id INTEGER PRIMARY KEY, run_id TEXT NOT NULL UNIQUE, task TEXT NOT NULL, slot INTEGER NOT NULL,
                   trigger TEXT NOT NULL, phase TEXT NOT NULL, attempts INTEGER NOT NULL, retries INTEGER NOT NULL,
                   started_at INTEGER, retry_at INTEGER, dry_run INTEGER NOT NULL, outcome TEXT, ended_at INTEGER,
                   duration REAL, cost_usd REAL, error TEXT, output TEXT NOT NULL);
CREATE UNIQUE INDEX runs_claimed ON runs (task, slot) WHERE trigger IN ('schedule', 'catch_up');
CREATE INDEX runs_unfinished ON runs (id) WHERE phase <> 'finished';
CREATE INDEX runs_by_task ON runs (task);
CREATE INDEX runs_by_outcome ON runs (outcome) WHERE outcome IS NOT NULL;
CREATE INDEX runs_by_end ON runs (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX runs_ended ON runs (task, duration, outcome, attempts, cost_usd, ended_at) WHERE ended_at IS NOT NULL;
CREATE TABLE tasks (name TEXT PRIMARY KEY, handled_until INTEGER NOT NULL, schedule TEXT NOT NULL, enabled INTEGER,
                    successes INTEGER NOT NULL, ever_run INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE task_statuses (name TEXT PRIMARY KEY, status TEXT NOT NULL, updated_at TEXT NOT NULL);
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
INSERT INTO runs VALUES (1, 'done', 'report', 1767323045000000, 'schedule', 'finished', 1, 3, 1767323045000000, NULL,
    0, 'success', 1767323046500000, 1.5, 0.25, NULL, 'well');
INSERT INTO runs VALUES (2, 'left', 'report', 1767323145000000, 'catch_up', 'retrying', 2, 3, 1767323145000000,
    1767323150000000, 1, NULL, NULL, NULL, NULL, 'exit code 1', '');
INSERT INTO tasks VALUES ('report', 1767323145000000, 'daily 03:04', 0, 7, 1);
INSERT INTO task_statuses VALUES ('report', '{"name":"report","state":"retrying"}', '2026-01-02T03:06:00Z');
INSERT INTO settings VALUES ('scheduler.paused', 'yes');
PRAGMA user_version = 2;
"""
)
# Version 3, which brought agents, added these.
VERSION_3 = (
    VERSION_2
    + """
ALTER TABLE runs ADD COLUMN details TEXT;
CREATE TABLE costs (id TEXT PRIMARY KEY, at INTEGER NOT NULL, agent TEXT NOT NULL, task TEXT NOT NULL,
                    cost_usd REAL NOT NULL) WITHOUT ROWID;
CREATE INDEX costs_by_time ON costs (at, agent, task, cost_usd);
INSERT INTO costs VALUES ('done 1', 1767323046500000, 'claude', 'report', 0.25);
PRAGMA user_version = 3;
"""
)
OLD_STATE = TaskState(
    "report", datetime(2026, 1, 2, 3, 5, 45, tzinfo=UTC), "daily 03:04", enabled=False, successes=7, ever_run=True
)
OLD_PROCESS = KnownProcess(
    name="inbox", pid=34, start_time=5678, boot_id="b00t", command="c0ffee", spec={}, wanted=True
)


class Problems(dict[str, str]):
    """The lines that `status` would show now, by key."""

    def __call__(self, key: str, text: str | None) -> None:
        if text is None:
            del self[key]
        else:
            self[key] = text


def opened(path: Path, problems: Problems) -> Database:
    return Database(str(path), now=lambda: NOW, on_problem=problems)


def old_file(path: Path, sql: str = VERSION_1) -> None:
    connection = sqlite3.connect(path)
    connection.executescript(sql)
    connection.close()
