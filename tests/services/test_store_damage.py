"""Databases as disks, crashes, people and other versions leave them; and disks that take nothing more."""

import os
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import anyio
import pytest
from old_databases import NOW, OLD_PROCESS, OLD_STATE, VERSION_1, VERSION_2, Problems, old_file, opened

from orchestrator.events import SupervisorChanged
from orchestrator.schedule.runs import Phase, Run, Trigger
from orchestrator.store import database as store
from orchestrator.store.runs import RunStore

ASIDE = "aiemp.db.damaged-20261120-233059"
FACT = SupervisorChanged(at=NOW, new="running", pid=1)


def garbage(path: Path) -> None:
    path.write_bytes(b"\x00\xff garbage" * 1000)


def truncated_in_the_first_page(path: Path) -> None:
    old_file(path)
    os.truncate(path, 3000)


def truncated_later(path: Path) -> None:
    old_file(path)
    os.truncate(path, 3 * 4096)


def overwritten_pages(path: Path) -> None:
    old_file(path)
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(os.urandom(2 * 4096))


def a_folder(path: Path) -> None:
    path.mkdir()
    (path / "something.txt").write_text("of the user's")


def a_fifo(path: Path) -> None:
    os.mkfifo(path)


def a_link_to_itself(path: Path) -> None:
    path.symlink_to(path)


def somebody_elses_tables(path: Path) -> None:
    old_file(path, "CREATE TABLE events (what TEXT); INSERT INTO events VALUES ('kept');")


def tables_of_the_right_version_that_are_not_ours(path: Path) -> None:
    old_file(path, "CREATE TABLE other (what TEXT); PRAGMA user_version = 1;")


@pytest.mark.parametrize(
    "damage",
    [
        garbage,
        truncated_in_the_first_page,
        truncated_later,
        overwritten_pages,
        a_folder,
        a_fifo,
        a_link_to_itself,
        somebody_elses_tables,
        tables_of_the_right_version_that_are_not_ours,
    ],
)
async def test_a_damaged_database_is_set_aside_with_word_of_it(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    path, problems = tmp_path / "aiemp.db", Problems()
    damage(path)
    before = path.lstat()
    async with opened(path, problems) as database:
        database.record(FACT)
        assert await database.events() == [FACT.as_json()]
    assert list(problems) == [store.DAMAGED]
    assert ASIDE in problems[store.DAMAGED]
    assert (tmp_path / ASIDE).lstat().st_ino == before.st_ino
    async with opened(path, again := Problems()) as database:
        assert await database.events() == [FACT.as_json()]
    assert again == {}


def a_crashed_database_with_its_main_file_overwritten(path: Path) -> None:
    old_file(path)
    writer = sqlite3.connect(path)
    writer.execute("PRAGMA journal_mode = WAL")
    writer.execute("INSERT INTO restarts (name, at, cause) VALUES ('inbox', 'x', 'in the WAL')")
    writer.commit()
    companions = {name: Path(f"{path}{name}").read_bytes() for name in ("-wal", "-shm")}
    writer.close()
    for name, content in companions.items():
        Path(f"{path}{name}").write_bytes(content)
    path.write_bytes(b"garbage" * 2000)


async def test_an_old_wal_does_not_get_into_the_new_database(tmp_path: Path) -> None:
    path, problems = tmp_path / "aiemp.db", Problems()
    a_crashed_database_with_its_main_file_overwritten(path)
    async with opened(path, problems) as database:
        assert await database.restarts("inbox") == []
    assert list(problems) == [store.DAMAGED]


async def test_processes_are_saved_from_a_damaged_database_if_they_can_be_read(tmp_path: Path) -> None:
    path, problems = tmp_path / "aiemp.db", Problems()
    old_file(path)
    connection = sqlite3.connect(path)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    async with opened(path, problems) as database:
        assert await database.processes() == [OLD_PROCESS]
        assert await database.events() == []
    assert list(problems) == [store.DAMAGED]


async def test_of_the_schedule_what_must_not_be_forgotten_is_saved_from_a_damaged_database(tmp_path: Path) -> None:
    path, problems = tmp_path / "aiemp.db", Problems()
    old_file(path, VERSION_2)
    connection = sqlite3.connect(path)
    (page,) = connection.execute("SELECT rootpage FROM sqlite_master WHERE name = 'events'").fetchone()
    connection.close()
    with path.open("r+b") as file:
        file.seek((page - 1) * 4096)
        file.write(b"\xff" * 4096)
    async with opened(path, problems) as database:
        runs = RunStore(database)
        assert await runs.states() == {"report": OLD_STATE}
        assert await runs.setting("scheduler.paused") == "yes"
        assert [(run.run_id, run.phase, run.attempts) for run in await runs.unfinished()] == [
            ("left", Phase.RETRYING, 2)
        ]
        assert len(await runs.history(None, 10, None)) == 1
        assert await database.processes() == [OLD_PROCESS]
    assert list(problems) == [store.DAMAGED]


async def test_a_row_that_no_version_of_aiemp_wrote_is_no_end_of_the_database(tmp_path: Path) -> None:
    path, problems = tmp_path / "aiemp.db", Problems()
    old_file(path, VERSION_2)
    connection = sqlite3.connect(path)
    connection.executescript("UPDATE runs SET trigger = 'whim'; UPDATE tasks SET handled_until = 9e18;")
    connection.close()
    async with opened(path, problems) as database:
        runs = RunStore(database)
        assert await runs.history(None, 10, None) == []
        assert await runs.states() == {}
        assert await runs.claim([Run("x", "other", NOW, Trigger.SCHEDULE)], []) == [True]
    assert problems == {}


async def test_two_damaged_databases_within_a_second_are_both_kept(tmp_path: Path) -> None:
    path = tmp_path / "aiemp.db"
    for _ in range(2):
        path.write_bytes(b"garbage" * 2000)
        async with opened(path, Problems()):
            pass
    assert {file.name for file in os.scandir(tmp_path)} == {"aiemp.db", ASIDE, f"{ASIDE}-2"}


async def test_an_empty_file_is_a_new_database(tmp_path: Path) -> None:
    path, problems = tmp_path / "aiemp.db", Problems()
    path.touch()
    async with opened(path, problems) as database:
        database.record(FACT)
        assert await database.events() == [FACT.as_json()]
    assert problems == {}


async def test_a_database_from_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    path, problems = tmp_path / "aiemp.db", Problems()
    old_file(path, VERSION_1 + "CREATE TABLE runs (id TEXT); PRAGMA user_version = 99;")
    before = path.read_bytes()
    async with opened(path, problems) as database:
        database.record(FACT)
        database.save_process(OLD_PROCESS)
        assert await database.flush() is False
        assert await database.events() == []
        assert await database.processes() == []
        assert await database.started(pid=1, boot_id="b", version="0") is None
        await database.stopped()
    assert list(problems) == [store.NEWER]
    assert "newer" in problems[store.NEWER]
    assert path.read_bytes() == before


async def test_a_database_broken_while_in_use_is_replaced_and_told_what_still_holds(tmp_path: Path) -> None:
    path, problems = tmp_path / "aiemp.db", Problems()
    async with opened(path, problems) as database:
        await database.started(pid=1, boot_id="b", version="0")
        database.save_process(OLD_PROCESS)
        database.save_watchers([{"name": "inbox", "state": "running"}])
        assert await database.flush()
        other = sqlite3.connect(path)
        other.execute("DROP TABLE events")
        other.close()
        database.record(FACT)
        with anyio.fail_after(10):
            assert await database.flush()
        assert await database.events() == [FACT.as_json()]
        assert await database.processes() == [OLD_PROCESS]
        previous = await database.started(pid=2, boot_id="b", version="0")
        assert previous is not None
        assert previous["pid"] == 1
    assert list(problems) == [store.DAMAGED]
    assert (tmp_path / ASIDE).exists()


async def test_a_missing_folder_is_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "RETRY", 0.05)
    path, problems = tmp_path / "state" / "aiemp.db", Problems()
    async with opened(path, problems) as database:
        database.record(FACT)
        assert await database.flush() is False
        assert await database.events() == []
        assert list(problems) == [store.UNWRITABLE]
        path.parent.mkdir()
        with anyio.fail_after(10):
            while store.UNWRITABLE in problems:  # noqa: ASYNC110  the condition is what status would show
                await anyio.sleep(0.01)
        assert await database.events() == [FACT.as_json()]


# A limit on the size of files is the one full disk that a test can have without being root.
FULL_DISK = """
import asyncio, resource, sys
from datetime import UTC, datetime
import anyio
from orchestrator.events import SupervisorChanged
from orchestrator.store import database as store

async def main():
    store.RETRY = 0.05
    problems = {}
    def report(key, text):
        problems[key] = text
    async with store.Database(sys.argv[1], now=lambda: datetime.now(UTC), on_problem=report) as database:
        assert await database.flush()
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (64 * 1024, hard))
        for number in range(3000):
            database.record(SupervisorChanged(at=datetime.now(UTC), new="running", pid=number))
        assert await database.flush() is False
        await anyio.lowlevel.checkpoint()
        assert "cannot be written" in problems["database"], problems
        assert len(await database.events(5000)) < 3000  # and reading goes on
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        with anyio.fail_after(10):
            while problems["database"] is not None:
                await anyio.sleep(0.01)
        assert [event["pid"] for event in await database.events(5000)] == list(range(3000))
        assert list(problems) == ["database"], problems

asyncio.run(main())
"""


def test_a_full_disk_is_reported_and_everything_written_when_there_is_space_again(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "aiemp.db")],
        check=False,
        timeout=50,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


async def test_an_orderly_stop_does_not_wait_for_a_disk_that_takes_nothing(tmp_path: Path) -> None:
    problems = Problems()
    with anyio.fail_after(5):
        async with opened(tmp_path / "missing" / "aiemp.db", problems) as database:
            database.record(FACT)
            await database.stopped()
    assert list(problems) == [store.UNWRITABLE]


async def test_a_bug_in_a_write_is_reported_and_raised_at_the_end(tmp_path: Path) -> None:
    problems = Problems()
    database = await opened(tmp_path / "aiemp.db", problems).__aenter__()
    database.save_watchers([{"state": "running"}])  # no name
    with anyio.fail_after(10):
        assert await database.flush() is False
        assert await database.events() == []
        with pytest.raises(KeyError, match="name"):
            await database.__aexit__(None, None, None)
    assert list(problems) == [store.UNWRITABLE]
