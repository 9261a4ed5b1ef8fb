"""Looking into a database from outside: one way for everybody, which leaves nothing behind and keeps nobody waiting."""

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from recorded_runs import opened, run

from orchestrator.actions.chores import week_history
from orchestrator.cli import next as coming
from orchestrator.schedule.runs import TaskState
from orchestrator.store import last_known, read_only

ROOT = Path(__file__).parents[2]


async def filled(path: Path) -> None:
    async with opened(path) as (_, runs):
        one = run()
        await runs.claim([one], [TaskState("report", one.slot, "manual")])


def tasks(path: str) -> list[str]:
    with closing(read_only.connect(path)) as connection:
        return [name for (name,) in connection.execute("SELECT name FROM tasks")]


@pytest.mark.parametrize("name", ["plain", "100%41", "what?", "a#b", "two words", "ü", "file:x"])
async def test_whatever_the_folder_is_called_the_file_is_found_and_nothing_is_made_beside_it(
    tmp_path: Path, name: str
) -> None:
    path = tmp_path / name / "aiemp.db"
    path.parent.mkdir()
    await filled(path)
    assert tasks(str(path)) == ["report"]
    assert os.listdir(path.parent) == ["aiemp.db"]  # noqa: PTH208


async def test_a_path_that_begins_with_two_slashes_names_no_other_machine(tmp_path: Path) -> None:
    path = tmp_path / "aiemp.db"
    await filled(path)
    assert tasks(f"/{path}") == ["report"]
    assert list(coming._memories(f"/{path}")) == ["report"]


async def test_on_a_read_only_disk_it_is_read(tmp_path: Path) -> None:
    path = tmp_path / "state" / "aiemp.db"
    path.parent.mkdir()
    await filled(path)
    path.chmod(0o400)
    path.parent.chmod(0o500)
    try:
        assert tasks(str(path)) == ["report"]
        assert last_known.tasks(str(path)) == []
    finally:
        path.parent.chmod(0o700)


async def test_what_a_daemon_has_just_written_is_seen(tmp_path: Path) -> None:
    path = tmp_path / "aiemp.db"
    async with opened(path) as (database, runs):
        one = run()
        await runs.claim([one], [TaskState("report", one.slot, "manual")])
        assert await database.flush()
        assert (tmp_path / "aiemp.db-wal").stat().st_size > 0
        assert tasks(str(path)) == list(coming._memories(str(path))) == ["report"]
        assert week_history.of_week(path, one.slot, one.slot).trouble is None


async def test_nothing_can_be_written_through_it(tmp_path: Path) -> None:
    path = tmp_path / "aiemp.db"
    await filled(path)
    with closing(read_only.connect(str(path))) as connection, pytest.raises(sqlite3.OperationalError):
        connection.execute("DELETE FROM tasks")


def test_what_is_not_there_is_not_made(tmp_path: Path) -> None:
    with pytest.raises(sqlite3.OperationalError):
        read_only.connect(str(tmp_path / "aiemp.db"))
    assert list(tmp_path.iterdir()) == []


def test_there_is_one_way_to_do_it() -> None:
    sources = [path for path in (ROOT / "orchestrator").rglob("*.py") if "immutable=1" in path.read_text("utf-8")]
    assert [path.name for path in sources] == ["read_only.py"]
