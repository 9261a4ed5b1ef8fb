"""A database file that somebody puts away or replaces while it is in use, and transactions that get stuck."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest
from old_databases import NOW, OLD_PROCESS, OLD_STATE, VERSION_2, Problems, old_file, opened

from orchestrator.events import SupervisorChanged
from orchestrator.schedule.runs import Run, Trigger
from orchestrator.store import database as store
from orchestrator.store import last_known
from orchestrator.store.runs import RunStore

FACT = SupervisorChanged(at=NOW, new="running", pid=1)


def removed(path: Path) -> None:
    path.unlink()


def removed_with_all_that_belongs_to_it(path: Path) -> None:
    for each in path.parent.glob(f"{path.name}*"):
        each.unlink()


def removed_with_its_folder(path: Path) -> None:
    shutil.rmtree(path.parent)


def put_away(path: Path) -> None:
    path.rename(path.with_name("backup.db"))


def replaced_by_an_older_one(path: Path) -> None:
    old_file(path.with_name("older.db"), VERSION_2)
    path.with_name("older.db").rename(path)


HOW = [removed, removed_with_all_that_belongs_to_it, removed_with_its_folder, put_away, replaced_by_an_older_one]


@pytest.mark.parametrize("how", HOW)
async def test_a_file_that_is_put_away_is_noticed_and_a_new_one_told_what_holds(
    tmp_path: Path, how: Callable[[Path], None]
) -> None:
    path, problems = tmp_path / ".aiemp" / "aiemp.db", Problems()
    path.parent.mkdir()
    async with opened(path, problems) as database:
        await database.started(pid=1, boot_id="b", version="0")
        database.record(replace(FACT, new="starting"))
        database.save_process(OLD_PROCESS)
        database.save_watchers([{"name": "inbox", "state": "running"}])
        assert await database.flush()
        how(path)
        database.record(FACT)
        assert await database.flush()
        assert last_known.watchers(str(path)) == [{"name": "inbox", "state": "running"}]
        assert (await database.events())[-1] == FACT.as_json()  # nothing of the batch that found it is lost
        assert await database.processes() == [OLD_PROCESS]
        before = await database.started(pid=2, boot_id="b", version="0")
        assert before is not None
        assert before["pid"] == 1
        await database.stopped()
    async with opened(path, problems) as database:
        assert await database.processes() == [OLD_PROCESS]
        assert (await database.events())[-1] == FACT.as_json()
    assert problems == {}
    for each in path.parent.iterdir():
        assert each.name in {"aiemp.db", "backup.db"}
        connection = sqlite3.connect(each)
        assert connection.execute("PRAGMA integrity_check").fetchone() == ("ok",)
        kept = [text for (text,) in connection.execute("SELECT fact FROM events ORDER BY id LIMIT 1")]
        connection.close()
        if how is put_away and each.name == "backup.db":
            assert kept == ['{"at":"2026-11-20T23:30:59Z","kind":"supervisor.state","new":"starting","pid":1}']
        if how is replaced_by_an_older_one:
            assert "watcher.restarted" in kept[0]


@pytest.mark.parametrize("how", HOW)
async def test_a_claim_is_durable_in_the_file_that_the_next_daemon_opens(
    tmp_path: Path, how: Callable[[Path], None]
) -> None:
    path, problems = tmp_path / ".aiemp" / "aiemp.db", Problems()
    path.parent.mkdir()
    run = Run("x", "report", NOW, Trigger.SCHEDULE)
    async with opened(path, problems) as database:
        runs = RunStore(database)
        assert await database.flush()
        how(path)
        assert await runs.claim([run], [OLD_STATE]) == [True]
    async with opened(path, problems) as database:
        assert "x" in [each.run_id for each in await RunStore(database).unfinished()]
        assert await RunStore(database).states() == {OLD_STATE.name: OLD_STATE}
    assert problems == {}


async def test_a_vault_that_goes_away_is_no_reason_to_make_one_and_is_taken_up_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(store, "RETRY", 0.05)
    path, problems = tmp_path / "vault" / ".aiemp" / "aiemp.db", Problems()
    path.parent.mkdir(parents=True)
    async with opened(path, problems) as database:
        database.save_process(OLD_PROCESS)
        assert await database.flush()
        (tmp_path / "vault").rename(tmp_path / "away")
        database.record(FACT)
        assert await database.flush() is False
        await anyio.lowlevel.checkpoint()
        assert list(problems) == [store.UNWRITABLE]
        assert not (tmp_path / "vault").exists()
        (tmp_path / "away").rename(tmp_path / "vault")
        with anyio.fail_after(10):
            while store.UNWRITABLE in problems:  # noqa: ASYNC110  the condition is what status would show
                await anyio.sleep(0.01)
        assert FACT.as_json() in await database.events()
        assert await database.processes() == [OLD_PROCESS]


@pytest.mark.parametrize("within", ["a batch", "an answer"])
async def test_a_transaction_that_cannot_even_be_rolled_back_is_no_damage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, within: str
) -> None:
    monkeypatch.setattr(store, "RETRY", 0.05)
    path, problems, first = tmp_path / "aiemp.db", Problems(), True

    def deny(action: int, what: str | None, *_others: str | None) -> int:
        return sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_TRANSACTION and what == "ROLLBACK" else sqlite3.SQLITE_OK

    def stick(connection: sqlite3.Connection) -> None:
        nonlocal first
        if first:
            first = False
            connection.set_authorizer(deny)
            raise sqlite3.OperationalError("disk I/O error")

    async with opened(path, problems) as database:
        database.save_process(OLD_PROCESS)
        assert await database.flush()
        if within == "a batch":
            database.put("stuck", stick)
            assert await database.flush() is False
        else:
            with pytest.raises(store.Unavailable):
                await database.write(stick)
        database.record(FACT)
        with anyio.fail_after(10):
            while not await database.flush():  # noqa: ASYNC110  it is tried again after a time
                await anyio.sleep(0.01)
        assert FACT.as_json() in await database.events()
        assert await database.processes() == [OLD_PROCESS]
    assert store.DAMAGED not in problems
    assert os.listdir(tmp_path) == ["aiemp.db"]  # noqa: PTH208
