"""The Dashboard kept true: when it is written, and what becomes of it when that is not simple."""

import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest
from dashboard_desk import OURS, Desk, settle, write_while

from orchestrator.vault import reporter
from orchestrator.vault.dashboard import END, START
from orchestrator.vault.health import table


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def test_the_first_change_is_written_at_once_and_later_ones_once_a_second(desk: Desk) -> None:
    desk.file.write_bytes(OURS)
    async with desk.serving():
        assert "w0 | 🟢 running" in desk.shown()
        await desk.pass_time(30)
        desk.happen("paused")
        await settle()
        assert "w0 | 🔴 paused" in desk.shown()
        before = desk.shown()
        for state in ("starting", "running", "backoff"):
            desk.happen(state)
            await settle()
        await desk.pass_time(0.9)
        assert desk.shown() == before
        await desk.pass_time(0.2)
        assert "w0 | 🟡 backoff" in desk.shown()
    assert desk.file.read_bytes().startswith(OURS)
    assert desk.problems.lines() == []


async def test_nothing_is_written_when_nothing_changed(desk: Desk) -> None:
    desk.file.write_bytes(OURS)
    async with desk.serving():
        before = desk.file.stat()
        for _ in range(5):
            desk.happen("running")
            await desk.pass_time(61)
        assert desk.file.stat() == before


async def test_it_beats_every_quarter_of_an_hour(desk: Desk) -> None:
    desk.file.write_bytes(OURS)
    async with desk.serving():
        assert "checked 00:30 on 2026-11-21" in desk.shown()
        await desk.pass_time(14 * 60 + 59)
        assert "checked 00:30" in desk.shown()
        await desk.pass_time(1)
        assert "checked 00:45" in desk.shown()
        await desk.pass_time(15 * 60)
        assert "checked 01:00" in desk.shown()


async def test_another_zone_shows_at_once(desk: Desk) -> None:
    desk.file.write_bytes(OURS)
    async with desk.serving():
        desk.reporter.use_timezone("Asia/Tokyo")
        await desk.pass_time(1)
        assert "checked 08:30" in desk.shown()


async def test_the_table_is_put_together_off_the_event_loop(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    threads = set[int]()

    def noted(*args: Any) -> bytes:
        threads.add(threading.get_ident())
        return table(*args)

    monkeypatch.setattr(reporter, "table", noted)
    async with desk.serving():
        await desk.pass_time(reporter.GRACE)
        assert "w0 | 🟢 running" in desk.shown()
    assert threads
    assert threading.get_ident() not in threads


async def test_the_last_word(desk: Desk) -> None:
    desk.file.write_bytes(OURS)
    async with desk.serving():
        pass
    desk.states = ["stopped"]
    await desk.reporter.write_final()
    assert "w0 | ⚪ stopped" in desk.shown()


async def test_what_another_program_writes_meanwhile_is_kept(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    desk.file.write_bytes(OURS)
    words = iter([b"one", b"two", b"three"])

    def intrude() -> None:
        if word := next(words, None):
            desk.file.write_bytes(word + b"\n\n" + desk.file.read_bytes())

    write_while(monkeypatch, intrude)
    async with desk.serving():
        assert desk.file.read_bytes().startswith(b"three\n\ntwo\n\none\n\nmine\n\n" + START)
        assert desk.problems.lines() == []


async def test_a_program_that_never_stops_writing_is_told_and_outlasted(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.file.write_bytes(OURS)
    busy = True

    def intrude() -> None:
        if busy:
            desk.file.write_bytes(desk.file.read_bytes() + b"x")

    write_while(monkeypatch, intrude)
    async with desk.serving():
        (line,) = desk.problems.lines()
        assert "another program keeps writing it" in line
        busy = False
        await desk.pass_time(1)
        assert "w0 | 🟢 running" in desk.shown()
        assert desk.problems.lines() == []


async def test_a_missing_dashboard_is_written_new(desk: Desk) -> None:
    async with desk.serving():
        assert not desk.file.exists()
        await desk.pass_time(reporter.GRACE)
        assert desk.shown().startswith(START.decode())
        desk.file.unlink()
        await desk.pass_time(2)
        desk.happen("paused")
        await settle()
        await desk.pass_time(reporter.GRACE)
        assert "w0 | 🔴 paused" in desk.shown()


async def test_a_file_that_is_removed_and_written_anew_is_waited_for(desk: Desk) -> None:
    desk.file.write_bytes(OURS)
    async with desk.serving():
        await desk.pass_time(2)
        desk.file.unlink()  # an editor's first step in saving
        desk.happen("paused")
        await settle()
        desk.file.write_bytes(OURS)  # its second
        await desk.pass_time(reporter.GRACE)
        assert desk.file.read_bytes().startswith(OURS + START)
        assert desk.problems.lines() == []


async def test_an_empty_one_only_when_it_stays_empty(desk: Desk) -> None:
    desk.file.touch()
    async with desk.serving():
        assert desk.shown() == ""
        await desk.pass_time(reporter.GRACE)
        assert "w0 | 🟢 running" in desk.shown()

        await desk.pass_time(2)
        desk.file.write_bytes(b"")  # an editor's first step in saving
        desk.happen("paused")
        await settle()
        desk.file.write_bytes(OURS)  # its second
        await desk.pass_time(reporter.GRACE)
        assert desk.file.read_bytes().startswith(OURS + START)


async def test_the_last_good_copy_outlasts_the_dashboard(desk: Desk) -> None:
    desk.file.write_bytes(OURS)
    async with desk.serving():
        assert desk.copy.read_bytes() == desk.file.read_bytes()
        desk.file.write_bytes(b"")
        await desk.pass_time(2)
        desk.happen("paused")
        await settle()
        await desk.pass_time(reporter.GRACE)
        assert OURS not in desk.file.read_bytes()
        assert desk.copy.read_bytes().startswith(OURS)
        desk.file.write_bytes(b"\0" * 100)
        await desk.pass_time(2)
        desk.happen("running")
        await settle()
        assert desk.copy.read_bytes().startswith(OURS)
        assert ".aiemp/Dashboard.last.md" in desk.problems.lines()[0]


async def test_a_broken_copy_is_told_and_no_reason_to_write_nothing(desk: Desk) -> None:
    desk.file.write_bytes(OURS)
    desk.copy.mkdir()
    async with desk.serving():
        assert "w0 | 🟢 running" in desk.shown()
        (line,) = desk.problems.lines()
        assert f"{desk.copy} cannot be written (Is a directory); remove or rename that folder" in line
        await desk.pass_time(1)
        assert "no copy of the last good Dashboard is kept" in desk.shown()
        desk.copy.rmdir()
        desk.happen("paused")
        await desk.pass_time(1)
        assert desk.copy.read_bytes().startswith(OURS)
        assert desk.problems.lines() == []


async def test_a_state_folder_that_was_removed_comes_back_with_the_copy(desk: Desk) -> None:
    desk.file.write_bytes(OURS)
    desk.copy.parent.rmdir()
    async with desk.serving():
        assert desk.copy.read_bytes().startswith(OURS)
        assert desk.problems.lines() == []


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"a\0b", "NUL"),
        (b"\xff", "not valid UTF-8"),
        (START + b"\n", "markers"),
        (END + b"\n" + START + b"\n", "markers"),
    ],
)
async def test_what_must_be_left_alone_is_told_until_it_is_mended(desk: Desk, content: bytes, told: str) -> None:
    desk.file.write_bytes(content)
    async with desk.serving():
        (line,) = desk.problems.lines()
        assert str(desk.file) in line
        assert told in line
        assert desk.file.read_bytes() == content
        desk.file.write_bytes(OURS)
        await desk.pass_time(15 * 60)
        assert "w0 | 🟢 running" in desk.shown()
        assert desk.problems.lines() == []


@pytest.mark.parametrize("mode", [0o444, 0o400])
async def test_a_read_only_file_is_left_alone_by_root_too(desk: Desk, mode: int) -> None:
    desk.file.write_bytes(OURS)
    desk.file.chmod(mode)
    async with desk.serving():
        assert desk.file.read_bytes() == OURS
        assert "read-only" in desk.problems.lines()[0]
        desk.file.chmod(0o640)
        desk.happen("paused")
        await desk.pass_time(1)
        assert "w0 | 🔴 paused" in desk.shown()
        assert desk.problems.lines() == []
    assert stat.S_IMODE(desk.file.stat().st_mode) == 0o640


@pytest.mark.parametrize("kind", ["folder", "fifo", "loop"])
async def test_what_is_no_file_is_left_alone(desk: Desk, kind: str) -> None:
    match kind:
        case "folder":
            desk.file.mkdir()
        case "fifo":
            os.mkfifo(desk.file)
        case _:
            desk.file.symlink_to(desk.file)
    before = desk.file.lstat()
    async with desk.serving():
        assert "no regular file" in desk.problems.lines()[0]
    assert desk.file.lstat() == before


@pytest.mark.parametrize("exists", [True, False])
async def test_a_symlink_within_the_vault_is_written_through(desk: Desk, exists: bool) -> None:  # noqa: FBT001  a parameter
    (desk.vault / "Notes").mkdir()
    target = desk.vault / "Notes" / "D.md"
    if exists:
        target.write_bytes(OURS)
    desk.file.symlink_to("Notes/D.md")
    async with desk.serving():
        await desk.pass_time(reporter.GRACE)
        assert desk.file.is_symlink()
        assert "w0 | 🟢 running" in target.read_text()
        assert [entry.name for entry in target.parent.iterdir()] == ["D.md"]


async def test_a_symlink_out_of_the_vault_is_left_alone(tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    vault.mkdir()
    (tmp_path / "vault-other.md").write_bytes(OURS)
    desk = Desk(vault)
    desk.file.symlink_to("../vault-other.md")
    async with desk.serving():
        assert "leads out of the vault" in desk.problems.lines()[0]
    assert (tmp_path / "vault-other.md").read_bytes() == OURS


async def test_a_vault_reached_through_a_symlink_is_no_way_out(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "D.md").write_bytes(OURS)
    (tmp_path / "vault").symlink_to("real")
    desk = Desk(tmp_path / "vault")
    desk.file.symlink_to("D.md")
    async with desk.serving():
        assert desk.problems.lines() == []
    assert (tmp_path / "real" / "D.md").read_bytes().startswith(OURS + START)


async def test_a_vault_that_went_away_is_told_and_taken_up_again(desk: Desk) -> None:
    away = desk.vault.with_name(f"{desk.vault.name}-away")
    async with desk.serving():
        await desk.pass_time(1)
        desk.vault.rename(away)
        desk.happen("paused")
        await desk.pass_time(1)
        await desk.pass_time(reporter.GRACE)
        assert "put the vault's folder back" in desk.problems.lines()[0]
        away.rename(desk.vault)
        await desk.pass_time(15 * 60)
        assert "w0 | 🔴 paused" in desk.shown()
        assert desk.problems.lines() == []


async def test_what_a_killed_daemon_left_half_written_is_removed(desk: Desk) -> None:
    leftover = desk.vault / ".Dashboard.md.0123abcd.aiemp.tmp"
    leftover.touch()
    async with desk.serving():
        assert not leftover.exists()


async def test_a_table_that_told_of_the_dashboards_problem_is_corrected(desk: Desk) -> None:
    desk.file.write_bytes(b"\0")
    async with desk.serving():
        desk.file.unlink()
        await desk.pass_time(15 * 60)
        await desk.pass_time(reporter.GRACE)
        assert "NUL" in desk.shown()
        await desk.pass_time(1)
        assert "NUL" not in desk.shown()
