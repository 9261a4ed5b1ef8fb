"""The database through the eyes of the daemon: what is remembered, in which order, and for how long."""

import json
import os
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio.lowlevel
import pytest

from orchestrator.events import SupervisorChanged, WatcherDied, WatcherRestarted
from orchestrator.store import last_known
from orchestrator.store.database import Database, KnownProcess
from orchestrator.store.writing import KEEP_EVENTS, KEEP_RESTARTS

NOW = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
PROCESS = KnownProcess(
    name="inbox", pid=4711, start_time=123456, boot_id="b00t", command="c0ffee", spec={"log": "x"}, wanted=True
)


class Problems:
    """What the database complained about and no longer complains about."""

    def __init__(self) -> None:
        self.lines: dict[str, str] = {}
        self.history: list[tuple[str, str | None]] = []
        self.threads: set[int] = set()

    def __call__(self, key: str, text: str | None) -> None:
        self.threads.add(threading.get_ident())
        self.history.append((key, text))
        if text is None:
            self.lines.pop(key, None)
        else:
            self.lines[key] = text


def opened(path: Path, problems: Callable[[str, str | None], None] | None = None) -> Database:
    return Database(str(path), now=lambda: NOW, on_problem=problems or Problems())


def restart(number: int, name: str = "inbox") -> WatcherRestarted:
    return WatcherRestarted(
        at=NOW + timedelta(seconds=number), name=name, cause=f"exit code 1 ({number})", restarts=number
    )


async def test_events_come_back_as_they_were_told_oldest_first(tmp_path: Path) -> None:
    facts = [
        SupervisorChanged(at=NOW, new="running", pid=7),
        WatcherDied(at=NOW, name="inbox", pid=8, code=None, signal="SIGKILL", uptime_seconds=1.5, expected=False),
        restart(1),
    ]
    async with opened(tmp_path / "aiemp.db") as database:
        for fact in facts:
            database.record(fact)
        assert await database.events() == [fact.as_json() for fact in facts]
        assert await database.events(limit=1) == [facts[-1].as_json()]
    async with opened(tmp_path / "aiemp.db") as database:
        assert await database.events() == [fact.as_json() for fact in facts]


async def test_each_watcher_keeps_restarts_of_its_own(tmp_path: Path) -> None:
    async with opened(tmp_path / "aiemp.db") as database:
        database.record(restart(0, name="quiet"))
        for number in range(KEEP_RESTARTS + 10):
            database.record(restart(number, name="noisy"))
        assert await database.restarts("quiet") == [{"at": "2026-11-20T23:30:00Z", "cause": "exit code 1 (0)"}]
        noisy = await database.restarts("noisy", limit=KEEP_RESTARTS * 2)
        assert [row["cause"] for row in noisy] == [f"exit code 1 ({n})" for n in range(10, KEEP_RESTARTS + 10)]
        assert [row["cause"] for row in await database.restarts("noisy", limit=2)] == [
            f"exit code 1 ({n})" for n in range(KEEP_RESTARTS + 8, KEEP_RESTARTS + 10)
        ]


async def test_ten_thousand_facts_at_once_are_all_kept_and_older_ones_make_room(tmp_path: Path) -> None:
    problems = Problems()
    async with opened(tmp_path / "aiemp.db", problems) as database:
        database.record(SupervisorChanged(at=NOW, new="starting", pid=1))
        assert await database.flush()
        with anyio.fail_after(20):
            for number in range(KEEP_EVENTS):
                database.record(restart(number))
            kept = await database.events(limit=KEEP_EVENTS * 2)
        assert [event["restarts"] for event in kept] == list(range(KEEP_EVENTS))
    assert problems.history == []


async def test_the_last_known_states_are_replaced_as_a_whole_and_keep_their_order(tmp_path: Path) -> None:
    path = tmp_path / "vault 100%#1?" / "aiemp.db"
    path.parent.mkdir()
    async with opened(path) as database:
        database.save_watchers([{"name": "b", "state": "running"}, {"name": "a", "state": "paused"}])
        assert await database.flush()
        assert last_known.watchers(str(path)) == [{"name": "b", "state": "running"}, {"name": "a", "state": "paused"}]
        database.save_watchers([{"name": "a", "state": "stopped"}])
    assert last_known.watchers(str(path)) == [{"name": "a", "state": "stopped"}]
    assert sorted(file.name for file in path.parent.iterdir()) == ["aiemp.db"]


async def test_tasks_have_last_known_states_too(tmp_path: Path) -> None:
    path = tmp_path / "aiemp.db"
    async with opened(path) as database:
        database.save_watchers([{"name": "inbox", "state": "running"}])
        database.save_tasks({7: {"name": "a", "state": "queued"}, 3: {"name": "b", "state": "idle"}})
        assert await database.flush()
        assert last_known.tasks(str(path)) == [{"name": "b", "state": "idle"}, {"name": "a", "state": "queued"}]
        database.save_tasks({7: {"name": "a", "state": "running"}, 8: {"name": "c"}})
        database.save_tasks({9: {"name": "b", "state": "idle"}, 8: {"name": "c", "state": "idle"}})
        assert await database.flush()
        states = [(task["name"], task["state"]) for task in last_known.tasks(str(path))]
        assert states == [("a", "running"), ("c", "idle"), ("b", "idle")]
        database.save_tasks({10: {"name": "d"}}, gone=["a", "c"])
        assert await database.flush()
        assert [task["name"] for task in last_known.tasks(str(path))] == ["b", "d"]
        database.forget_tasks()
        database.save_tasks({1: {"name": "e"}})
    assert last_known.tasks(str(path)) == [{"name": "e"}]
    assert last_known.watchers(str(path)) == [{"name": "inbox", "state": "running"}]


async def test_who_wants_to_know_is_told_of_every_file_that_is_opened(tmp_path: Path) -> None:
    path = tmp_path / "aiemp.db"
    opens: list[Path] = []
    database = opened(path)
    database.when_opened(lambda: opens.append(path))
    async with database:
        assert await database.flush()
        await anyio.lowlevel.checkpoint()
        assert len(opens) == 1
        path.unlink()
        assert await database.flush()  # finds it gone
        await anyio.lowlevel.checkpoint()
        assert len(opens) == 2


@pytest.mark.parametrize("content", [None, b"", b"not a database, whatever its name says"])
def test_nothing_is_known_without_a_readable_database(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "aiemp.db"
    if content is not None:
        path.write_bytes(content)
    assert last_known.watchers(str(path)) == last_known.tasks(str(path)) == []
    assert path.exists() is (content is not None)


async def test_a_process_is_known_to_the_next_daemon_until_it_is_forgotten(tmp_path: Path) -> None:
    async with opened(tmp_path / "aiemp.db") as database:
        database.save_process(KnownProcess(**{**_fields(PROCESS), "pid": 1}))
        database.save_process(PROCESS)
        database.save_process(KnownProcess(**{**_fields(PROCESS), "name": "mail", "wanted": False}))
        database.forget_process("mail")
    async with opened(tmp_path / "aiemp.db") as database:
        assert await database.processes() == [PROCESS]
        database.forget_process("inbox")
        assert await database.processes() == []


def _fields(process: KnownProcess) -> dict[str, Any]:
    return {key: getattr(process, key) for key in KnownProcess.__slots__}


async def test_a_daemon_learns_how_the_one_before_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "aiemp.db"
    row = {"pid": 1, "boot_id": "b", "started_at": "2026-11-20T23:30:00Z", "version": "0.1.0"}
    async with opened(path) as database:
        assert await database.started(pid=1, boot_id="b", version="0.1.0") is None
    async with opened(path) as database:
        assert await database.started(pid=1, boot_id="b", version="0.1.0") == {**row, "stopped_at": None}
        await database.stopped()
    async with opened(path) as database:
        previous = await database.started(pid=2, boot_id="b", version="0.1.0")
        assert previous == {**row, "stopped_at": "2026-11-20T23:30:00Z"}


async def test_only_the_owner_can_read_it(tmp_path: Path) -> None:
    path = tmp_path / "aiemp.db"
    path.touch(mode=0o644)
    async with opened(path) as database:
        assert await database.flush()
        modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in os.scandir(tmp_path)}
    assert modes == {"aiemp.db": 0o600, "aiemp.db-wal": 0o600, "aiemp.db-shm": 0o600}


async def test_readers_and_the_writer_do_not_wait_for_each_other(tmp_path: Path) -> None:
    path = tmp_path / "aiemp.db"
    async with opened(path) as database:
        database.save_watchers([{"name": "inbox", "state": "starting"}])
        assert await database.flush()
        reader = sqlite3.connect(path, isolation_level=None)
        reader.execute("BEGIN")
        before = reader.execute("SELECT count(*) FROM events").fetchone()
        with anyio.fail_after(4):  # less than SQLite's own patience with a lock
            for number in range(300):
                database.record(restart(number))
            assert await database.flush()
            seen = await anyio.to_thread.run_sync(last_known.watchers, str(path))
        assert seen == [{"name": "inbox", "state": "starting"}]
        assert reader.execute("SELECT count(*) FROM events").fetchone() == before == (0,)
        reader.close()


async def test_a_cancelled_question_disturbs_nobody(tmp_path: Path) -> None:
    async with opened(tmp_path / "aiemp.db") as database:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await database.events()
        database.record(restart(1))
        assert await database.events() == [restart(1).as_json()]


async def test_questions_after_the_end_get_an_answer(tmp_path: Path) -> None:
    async with opened(tmp_path / "aiemp.db") as database:
        database.record(restart(1))
    assert await database.events() == []
    assert await database.flush() is False
    await database.stopped()


def wake_ups(name: str) -> int:
    """How often this process's thread of that name was given a processor so far."""
    (thread,) = [thread for thread in threading.enumerate() if thread.name == name]
    lines = Path(f"/proc/self/task/{thread.native_id}/status").read_text().splitlines()
    return sum(int(line.split()[1]) for line in lines if "ctxt_switches" in line)


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="counting wake-ups needs Linux's /proc")
async def test_an_idle_database_sleeps(tmp_path: Path) -> None:
    async with opened(tmp_path / "aiemp.db") as database:
        assert await database.flush()
        before, count = -1, wake_ups("database")
        with anyio.fail_after(10):  # it gave the answer a moment before it went to sleep
            while before != count:
                await anyio.sleep(0.1)
                before, count = count, wake_ups("database")
        await anyio.sleep(1)  # the measured second, not a wait for something
        assert wake_ups("database") == before


WRITER = """
import asyncio, sys
from datetime import UTC, datetime
from orchestrator.events import WatcherRestarted
from orchestrator.store.database import Database, KnownProcess

async def main():
    def now():
        return datetime.now(UTC)
    async with Database(sys.argv[1], now=now, on_problem=print) as database:
        await database.started(pid=1, boot_id="b", version="0")
        database.save_process(KnownProcess(name="inbox", pid=4711, start_time=123456, boot_id="b00t", command="c0ffee",
                                           spec={"log": "x"}, wanted=True))
        assert await database.flush()
        number = 0
        while True:
            number += 1
            database.record(WatcherRestarted(at=now(), name="inbox", cause="x" * 500, restarts=number))
            if number % 50 == 0:
                await database.flush()
                print(number, flush=True)

asyncio.run(main())
"""


async def test_what_was_committed_survives_a_kill_in_the_middle_of_writing(tmp_path: Path) -> None:
    path = tmp_path / "aiemp.db"
    with subprocess.Popen([sys.executable, "-c", WRITER, str(path)], stdout=subprocess.PIPE, text=True) as child:  # noqa: ASYNC220  its output is read in a thread
        try:
            assert child.stdout is not None
            committed = 0
            with anyio.fail_after(20):
                while committed < 1000:
                    committed = int(await anyio.to_thread.run_sync(child.stdout.readline))
        finally:
            os.kill(child.pid, signal.SIGKILL)
    problems = Problems()
    async with opened(path, problems) as database:
        events = await database.events(limit=KEEP_EVENTS)
        assert [event["restarts"] for event in events] == list(range(1, len(events) + 1))
        assert len(events) >= committed
        assert await database.processes() == [PROCESS]
        previous = await database.started(pid=2, boot_id="b", version="0")
        assert previous is not None
        assert previous["stopped_at"] is None
    assert problems.history == []


def test_the_daemonless_reader_loads_neither_the_daemon_nor_anyio(tmp_path: Path) -> None:
    code = (
        "import json, sys; from orchestrator.store import last_known; last_known.watchers(sys.argv[1]);"
        "heavy = {'anyio', 'asyncio', 'dataclasses', 'pathlib'};"
        "print(json.dumps(sorted(heavy & set(sys.modules))))"
    )
    done = subprocess.run(
        [sys.executable, "-S", "-c", code, str(tmp_path / "aiemp.db")],
        capture_output=True,
        check=True,
        text=True,
        cwd=Path(__file__).parents[2],
    )
    assert json.loads(done.stdout) == []
