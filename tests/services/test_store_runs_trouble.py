"""Runs and a database that cannot be used, is damaged, or loses its daemon: nothing runs unclaimed or is forgotten."""

import os
import signal
import sqlite3
import subprocess
import sys
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from recorded_runs import NOW, STATE, Time, begin, end, opened, run

from orchestrator.schedule.runs import Outcome, Run, TaskState, Trigger
from orchestrator.store import database as store
from orchestrator.store.database import Database, Unavailable
from orchestrator.store.runs import RunStore


async def test_nothing_is_claimed_where_nothing_can_be_written(tmp_path: Path) -> None:
    problems: list[str] = []
    path = tmp_path / "missing" / "aiemp.db"
    async with Database(str(path), now=Time(), on_problem=lambda key, _: problems.append(key)) as database:
        runs = RunStore(database)
        with pytest.raises(Unavailable):
            await runs.claim([run()], [STATE])
        with anyio.fail_after(10):
            await runs.finish(end(begin(run())))
            assert not await runs.waiting(begin(run()))
            await runs.save_states([STATE])
            await runs.release(["nothing"])
        with pytest.raises(Unavailable):  # or else what a person has disabled would be run
            await runs.states()
        assert await runs.unfinished() == await runs.history(None, 10, None) == []
        assert await runs.statistics() == []
        assert await runs.last_runs() == {}
        with pytest.raises(Unavailable):  # or else a pause would be overlooked, and that for good
            await runs.setting("scheduler.paused")
        assert await runs.prune(NOW) == 0
    with pytest.raises(Unavailable):
        await runs.claim([run()], [])
    await runs.finish(end(begin(run())))
    assert set(problems) == {store.UNWRITABLE}


async def test_a_newer_versions_database_is_no_place_for_claims(tmp_path: Path) -> None:
    path = tmp_path / "aiemp.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.close()
    async with Database(str(path), now=Time(), on_problem=lambda *_: None) as database:
        runs = RunStore(database)
        with pytest.raises(Unavailable):
            await runs.claim([run()], [])
        await runs.finish(end(begin(run())))
        assert not await runs.waiting(begin(run()))
        assert await runs.history(None, 10, None) == []


async def test_who_waits_is_told_whether_that_is_on_the_disk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "RETRY", 0.05)
    path = tmp_path / "state" / "aiemp.db"
    async with Database(str(path), now=Time(), on_problem=lambda *_: None) as database:
        runs, one = RunStore(database), begin(run())
        assert not await runs.waiting(one)
        path.parent.mkdir()
        with anyio.fail_after(10):
            while not await runs.waiting(one):  # noqa: ASYNC110  the condition is what the next daemon would find
                await anyio.sleep(0.01)
        assert await runs.unfinished() == [one]


async def test_a_state_whose_claim_failed_is_not_written_later(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "RETRY", 0.05)
    path = tmp_path / "state" / "aiemp.db"
    async with Database(str(path), now=Time(), on_problem=lambda *_: None) as database:
        runs = RunStore(database)
        earlier = replace(STATE, handled_until=NOW - timedelta(days=1))
        runs.save_state(earlier)
        with pytest.raises(Unavailable):
            await runs.claim([run()], [STATE, TaskState("new", NOW, "")])
        path.parent.mkdir()
        with anyio.fail_after(10):
            while not await runs.states():  # noqa: ASYNC110  the condition is what the next daemon would find
                await anyio.sleep(0.01)
        assert await runs.states() == {"report": earlier}


async def test_a_damaged_history_is_replaced_and_told_of_what_still_holds(tmp_path: Path) -> None:
    path, problems = tmp_path / "aiemp.db", list[str]()
    async with Database(str(path), now=Time(), on_problem=lambda key, _: problems.append(key)) as database:
        runs = RunStore(database)
        running = run()
        await runs.claim([running], [STATE])
        runs.begun(begin(running))
        runs.put_setting("scheduler.paused", "yes")
        assert await database.flush()
        other = sqlite3.connect(path)
        other.execute("DROP TABLE runs")
        other.close()
        with pytest.raises(Unavailable):
            await runs.claim([run(slot=1)], [])
        assert problems == [store.DAMAGED]
        assert await runs.states() == {"report": STATE}
        assert await runs.unfinished() == [running]
        assert await runs.setting("scheduler.paused") == "yes"
        assert await runs.claim([run(), run(slot=1)], []) == [False, True]
        await runs.finish(end(running))
        assert await runs.run(running.run_id) == running


# A limit on the size of files is the one full disk that a test can have without being root.
FULL_DISK = """
import asyncio, resource, sys
from datetime import UTC, datetime, timedelta
import anyio
from orchestrator.schedule.runs import Outcome, Phase, Run, TaskState, Trigger
from orchestrator.store import database as store
from orchestrator.store.runs import RunStore

NOW = datetime(2026, 11, 20, tzinfo=UTC)

def run(number):
    return Run(f"r{number}", "t", NOW + timedelta(seconds=number), Trigger.SCHEDULE)

async def main():
    store.RETRY = 0.05
    problems = {}
    def report(key, text):
        problems[key] = text
    async with store.Database(sys.argv[1], now=lambda: datetime.now(UTC), on_problem=report) as database:
        runs = RunStore(database)
        those = [run(number) for number in range(10)]
        assert all(await runs.claim(those, [TaskState("t", NOW, "")]))
        hard = resource.getrlimit(resource.RLIMIT_FSIZE)[1]
        resource.setrlimit(resource.RLIMIT_FSIZE, (128 * 1024, hard))
        for one in those:
            one.phase, one.outcome, one.output = Phase.FINISHED, Outcome.SUCCESS, "x" * 65536
            await runs.finish(one)
        assert "cannot be written" in problems["database"], problems
        try:
            await runs.claim([run(10)], [TaskState("t", NOW + timedelta(seconds=10), "")])
        except store.Unavailable:
            pass
        else:
            raise AssertionError("claimed on a full disk")
        runs.save_state(TaskState("other", NOW, ""))
        resource.setrlimit(resource.RLIMIT_FSIZE, (hard, hard))
        with anyio.fail_after(10):
            while problems["database"] is not None:
                await anyio.sleep(0.01)
        history = await runs.history(None, 20, "success")
        assert [one.run_id for one in history] == [f"r{number}" for number in range(9, -1, -1)], history
        assert await runs.states() == {"t": TaskState("t", NOW, ""), "other": TaskState("other", NOW, "")}
        assert await runs.claim([run(10)], []) == [True]
        assert list(problems) == ["database"], problems

asyncio.run(main())
"""


def test_a_full_disk_stops_claims_and_loses_no_outcome(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(tmp_path / "aiemp.db")],
        check=False,
        timeout=50,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr


# Claims and outcomes are in the database before anything else is done: every printed line is about one of them.
SCHEDULER = """
import asyncio, sys
from datetime import UTC, datetime, timedelta
from orchestrator.schedule.runs import Outcome, Phase, Run, TaskState, Trigger
from orchestrator.store.database import Database
from orchestrator.store.runs import RunStore

START = datetime(2026, 11, 20, tzinfo=UTC)

async def main():
    async with Database(sys.argv[1], now=lambda: datetime.now(UTC), on_problem=print) as database:
        runs = RunStore(database)
        number = 0
        while True:
            number += 1
            slot = START + timedelta(seconds=number)
            run = Run(f"r{number}", "t", slot, Trigger.SCHEDULE)
            assert await runs.claim([run], [TaskState("t", slot, "")]) == [True]
            print("claimed", number, flush=True)
            run.phase, run.attempts, run.started_at = Phase.RUNNING, 1, slot
            runs.begun(run)
            run.phase, run.outcome = Phase.FINISHED, Outcome.SUCCESS
            await runs.finish(run)
            print("finished", number, flush=True)

asyncio.run(main())
"""


async def test_a_kill_loses_no_claim_and_no_outcome(tmp_path: Path) -> None:
    path = tmp_path / "aiemp.db"
    with subprocess.Popen([sys.executable, "-c", SCHEDULER, str(path)], stdout=subprocess.PIPE, text=True) as child:  # noqa: ASYNC220  its output is read in a thread
        try:
            assert child.stdout is not None
            said = {"claimed": 0, "finished": 0}
            with anyio.fail_after(20):
                while said["finished"] < 100:
                    word, number = (await anyio.to_thread.run_sync(child.stdout.readline)).split()
                    said[word] = int(number)
        finally:
            os.kill(child.pid, signal.SIGKILL)
        for line in child.stdout:
            if line.endswith("\n"):
                word, number = line.split()
                said[word] = int(number)
    async with opened(path) as (_, runs):
        history = {one.run_id: one for one in await runs.history(None, 10_000, None)}
        left = await runs.unfinished()
        assert len(left) <= 1
        for done in range(1, said["finished"] + 1):
            assert history[f"r{done}"].outcome is Outcome.SUCCESS
        claimed = len(history.keys() | {one.run_id for one in left})
        assert claimed >= said["claimed"]
        state = (await runs.states())["t"]
        assert state.handled_until == datetime(2026, 11, 20, tzinfo=UTC) + timedelta(seconds=claimed)
        again = Run("again", "t", state.handled_until, Trigger.CATCH_UP)
        assert await runs.claim([again], []) == [False]
