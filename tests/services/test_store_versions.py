"""Databases of every version that was ever released open with everything in them."""

import sqlite3
from pathlib import Path

from old_databases import NOW, OLD_PROCESS, OLD_STATE, VERSION_1, VERSION_2, VERSION_3, Problems, old_file, opened

from orchestrator.events import SupervisorChanged
from orchestrator.schedule.runs import Outcome, Phase, Run, Trigger
from orchestrator.store import last_known
from orchestrator.store.runs import RunStore
from orchestrator.store.schema import MIGRATIONS

FACT = SupervisorChanged(at=NOW, new="running", pid=1)


async def test_a_file_of_version_1_opens_with_everything_in_it(tmp_path: Path) -> None:
    path, problems = tmp_path / "aiemp.db", Problems()
    old_file(path)
    async with opened(path, problems) as database:
        assert [event["cause"] for event in await database.events()] == ["SIGKILL"]
        assert await database.restarts("inbox") == [{"at": "2026-01-02T03:04:05Z", "cause": "SIGKILL"}]
        assert await database.processes() == [OLD_PROCESS]
        previous = await database.started(pid=13, boot_id="b00t", version="0.1.0")
        assert previous == {
            "pid": 12,
            "boot_id": "b00t",
            "started_at": "2026-01-02T03:04:00Z",
            "stopped_at": None,
            "version": "0.1.0",
        }
        database.record(FACT)
        assert await database.flush()
    assert problems == {}
    assert version(path) == len(MIGRATIONS)


async def test_a_file_of_version_1_takes_what_the_schedule_remembers(tmp_path: Path) -> None:
    path, problems = tmp_path / "aiemp.db", Problems()
    old_file(path)
    assert last_known.tasks(str(path)) == []
    run = Run("r", "report", NOW, Trigger.SCHEDULE)
    async with opened(path, problems) as database:
        runs = RunStore(database)
        assert await runs.unfinished() == await runs.history(None, 10, None) == []
        assert await runs.claim([run], [OLD_STATE]) == [True]
        assert await runs.unfinished() == [run]
        assert await database.restarts("inbox") == [{"at": "2026-01-02T03:04:05Z", "cause": "SIGKILL"}]
    assert problems == {}


async def test_a_file_of_version_2_opens_with_everything_in_it(tmp_path: Path) -> None:
    path, problems = tmp_path / "aiemp.db", Problems()
    old_file(path, VERSION_2)
    assert last_known.tasks(str(path)) == [{"name": "report", "state": "retrying"}]
    async with opened(path, problems) as database:
        runs = RunStore(database)
        assert await runs.states() == {"report": OLD_STATE}
        assert await runs.setting("scheduler.paused") == "yes"
        (left,) = await runs.unfinished()
        assert (left.run_id, left.phase, left.attempts, left.error) == ("left", Phase.RETRYING, 2, "exit code 1")
        assert left.dry_run
        (_, done) = await runs.history("report", 10, None)
        assert (done.outcome, done.duration, done.cost_usd, done.output) == (Outcome.SUCCESS, 1.5, 0.25, "well")
        assert await runs.claim([Run("x", "report", done.slot, Trigger.SCHEDULE)], []) == [False]
        assert await database.processes() == [OLD_PROCESS]
    assert problems == {}


def test_what_the_tests_call_a_version_is_what_its_steps_make(tmp_path: Path) -> None:
    made = sqlite3.connect(":memory:")
    versions = VERSION_1, VERSION_2, VERSION_3
    for number, (step, written) in enumerate(zip(MIGRATIONS, versions, strict=True), start=1):
        made.executescript(step)
        old_file(path := tmp_path / f"{number}.db", written)
        there = sqlite3.connect(path)
        assert _shape(made) == _shape(there)
        there.close()
    made.close()


def _shape(connection: sqlite3.Connection) -> list[tuple[str, str, object]]:
    """Tables with their columns, and indexes as they are written apart from comments and white space."""
    found = connection.execute(
        "SELECT type, name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_%' ORDER BY name"
    ).fetchall()
    return [
        (kind, name, " ".join(sql.split()) if kind == "index" else _columns(connection, name))
        for kind, name, sql in found
    ]


def _columns(connection: sqlite3.Connection, table: str) -> list[tuple[object, ...]]:
    return connection.execute("SELECT * FROM pragma_table_xinfo(?)", (table,)).fetchall()


def version(path: Path) -> int:
    connection = sqlite3.connect(path)
    try:
        (number,) = connection.execute("PRAGMA user_version").fetchone()
    finally:
        connection.close()
    assert isinstance(number, int)
    return number
