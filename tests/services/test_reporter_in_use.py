"""The Dashboard while other programs write it: nothing of theirs is lost, and nobody holds us up for ever."""

import os
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import BinaryIO

import anyio
import pytest
from dashboard_desk import OURS, Desk, write_while

from orchestrator import files
from orchestrator.vault.dashboard import START

linux = pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who has a file open")


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


def touched(desk: Desk, content: bytes) -> None:
    """Another program writes the file in place, at this moment of the test's clock."""
    with desk.file.open("r+b") as file:
        file.truncate()
        file.write(content)
    now = desk.clock.now().timestamp()
    os.utime(desk.file, (now, now))


async def test_what_was_written_just_now_may_be_half_written_and_is_left_for_a_second(desk: Desk) -> None:
    desk.file.write_bytes(OURS)
    async with desk.serving():
        await desk.pass_time(2)
        for half in (b"one", b"one, two", b"one, two, three\n"):
            touched(desk, half)
            desk.happen("paused" if half == b"one" else "running")
            await desk.pass_time(0.9)
            assert desk.file.read_bytes() == half
        copy = desk.copy.read_bytes()
        assert copy.startswith(OURS)  # half a file is no good copy
        await desk.until_shown("w0 | 🟢 running", 3)
        assert desk.file.read_bytes().startswith(b"one, two, three\n\n" + START)
        assert desk.problems.lines() == []


async def test_a_file_that_is_written_again_and_again_is_not_waited_for_for_ever(desk: Desk) -> None:
    desk.file.write_bytes(OURS)
    async with desk.serving():
        await desk.pass_time(2)
        touched(desk, OURS)
        desk.happen("paused")
        begun = desk.clock.t
        while START not in desk.file.read_bytes():
            touched(desk, OURS + b"x" * round(desk.clock.t * 10))
            await desk.pass_time(0.4)
        assert 9 <= desk.clock.t - begun <= 12
        assert "w0 | 🔴 paused" in desk.shown()


@linux
@pytest.mark.parametrize("opens", ["before we look", "just before we replace it"])
async def test_who_has_the_file_open_loses_nothing_of_what_is_still_to_come(
    desk: Desk, monkeypatch: pytest.MonkeyPatch, opens: str
) -> None:
    desk.file.write_bytes(OURS)
    async with desk.serving():
        await desk.pass_time(2)
        with ExitStack() as other:
            opened: list[BinaryIO] = []

            def open_it() -> None:
                if not opened:
                    opened.append(other.enter_context(desk.file.open("ab")))

            if opens == "before we look":
                open_it()
            else:
                write_while(monkeypatch, open_it)
            desk.happen("paused")
            await desk.pass_time(4)
            assert "paused" not in desk.shown()
            opened[0].write(b"\nthe rest\n")
        await desk.until_shown("w0 | 🔴 paused", 3)
        assert desk.shown().endswith("\nthe rest\n")


@linux
async def test_who_never_closes_the_file_holds_us_up_for_ten_seconds_and_the_last_word_for_one(desk: Desk) -> None:
    desk.file.write_bytes(OURS)
    with desk.file.open("ab"):
        async with desk.serving():
            assert await desk.until_shown("w0 | 🟢 running", 13) >= 9
    with desk.file.open("ab"):
        desk.states = ["stopped"]
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(desk.reporter.write_final)
            assert await desk.until_shown("w0 | ⚪ stopped", 3) >= 0.9


@linux
async def test_the_last_word_waits_half_of_what_it_is_allowed(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.file.write_bytes(OURS)
    monkeypatch.setattr(anyio, "current_time", lambda: 100.0)
    monkeypatch.setattr(anyio, "current_effective_deadline", lambda: 100.5)
    with desk.file.open("ab"):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(desk.reporter.write_final)
            assert await desk.until_shown("w0 | 🟢 running", 0.9) >= 0.2


async def test_our_own_last_write_is_nobody_elses(desk: Desk) -> None:
    desk.file.write_bytes(OURS)
    async with desk.serving():
        pass
    desk.states = ["stopped"]
    now = desk.file.stat().st_mtime_ns
    desk.clock.step(now / 1e9 - desk.clock.now().timestamp())
    with anyio.fail_after(10):  # nobody moves the clock that it would wait on
        await desk.reporter.write_final()
    assert "w0 | ⚪ stopped" in desk.shown()


async def test_on_a_file_system_that_cannot_tell_nobody_is_waited_for(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.file.write_bytes(OURS)
    async with desk.serving():
        monkeypatch.setattr(files, "open_for_writing", lambda _path: True)  # of whatever file: as NFS may
        desk.happen("paused")
        await desk.pass_time(1)
        assert "w0 | 🔴 paused" in desk.shown()
