"""Long looks at the history: they hold up no claim, and only so much of it is ever in memory."""

import sqlite3
import threading
from pathlib import Path
from typing import Any

import anyio
import pytest
from recorded_runs import begin, end, opened, run

from orchestrator.schedule.runs import Outcome, Run, Statistics
from orchestrator.store import reading
from orchestrator.store.history import CUT
from orchestrator.store.runs import RunStore
from orchestrator.store.statistics import statistics

PATIENCE = 20.0  # seconds


async def finished(runs: RunStore, *those: Run) -> None:
    await runs.claim(those, ())
    for one in those:
        await runs.finish(one)


async def test_a_claim_does_not_wait_for_statistics(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    begun, may_end = threading.Event(), threading.Event()

    def slow(connection: sqlite3.Connection) -> list[Statistics]:
        begun.set()
        assert may_end.wait(PATIENCE)
        return statistics(connection)

    monkeypatch.setattr("orchestrator.store.runs.statistics", slow)
    found: list[Statistics] = []
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        await finished(runs, end(begin(run())))

        async def ask() -> None:
            found.extend(await runs.statistics())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask)
            with anyio.fail_after(PATIENCE / 2):
                while not begun.is_set():  # noqa: ASYNC110  a thread's event
                    await anyio.sleep(0.002)
                assert await runs.claim([run(slot=1)], ()) == [True]
                await finished(runs, end(begin(run(slot=2))))
            may_end.set()
    assert [each.task for each in found] == ["report"]


@pytest.mark.parametrize("trouble", [sqlite3.OperationalError("no"), OSError("no thread"), ValueError("a strange row")])
async def test_what_cannot_be_read_aside_is_read_as_everything_else(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, trouble: Exception
) -> None:
    def refuse(*_: Any) -> None:
        raise trouble

    async with opened(tmp_path / "aiemp.db") as (_, runs):
        one = end(begin(run()))
        await finished(runs, one)
        monkeypatch.setattr(reading, "aside", refuse)
        assert await runs.history(None, 10, None) == [one]
        assert [each.runs for each in await runs.statistics()] == [1]


async def test_where_who_reads_keeps_others_from_writing_nothing_is_read_aside(tmp_path: Path) -> None:
    path = tmp_path / "a?#%.db"
    connection = sqlite3.connect(path)
    connection.execute("CREATE TABLE t (x)")
    connection.commit()
    with pytest.raises(sqlite3.OperationalError, match="its journal is of the kind delete"):
        reading.aside(str(path), lambda _: None)
    connection.execute("PRAGMA journal_mode = WAL")
    assert reading.aside(str(path), lambda other: other.execute("SELECT count(*) FROM t").fetchone()) == (0,)
    with pytest.raises(sqlite3.OperationalError, match="readonly"):
        reading.aside(str(path), lambda other: other.execute("DELETE FROM t"))
    connection.close()


async def test_of_many_long_outputs_only_the_newest_are_whole(tmp_path: Path) -> None:
    those = [end(begin(run("ab"[n % 2], n)), output=str(n) * size) for n, size in enumerate([CUT, 5000, 3000, 3000])]
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        await finished(runs, *those)
        short = [f"{'1' * CUT} …", "0" * CUT]

        async def outputs(limit: int, at_most: int, task: str | None = None, outcome: str | None = None) -> list[str]:
            found = await runs.history(task, limit, outcome, outputs=at_most)
            whole = await runs.history(task, limit, outcome)
            assert [each.run_id for each in found] == [each.run_id for each in whole]
            return [each.output for each in found]

        assert await outputs(10, 6000) == ["3" * 3000, "2" * 3000, *short]
        assert await outputs(10, 5999) == ["3" * 3000, f"{'2' * CUT} …", *short]
        assert await outputs(3, 0) == [f"{'3' * CUT} …", f"{'2' * CUT} …", short[0]]
        assert await outputs(2, 3000, task="b") == ["3" * 3000, short[0]]
        assert await outputs(2, 3000, outcome=Outcome.SUCCESS.value) == ["3" * 3000, f"{'2' * CUT} …"]
        assert await outputs(0, 0) == []
