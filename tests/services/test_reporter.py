"""The Dashboard kept true: when it is written, and what becomes of it when that is not simple.

The clock is manual though the reporter writes in worker threads: `settle` waits until no thread is at work, and no
thread ever waits for the clock.
"""

import os
import stat
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import anyio.to_thread
import pytest
from manual_clock import ManualClock, at_rest

from orchestrator import files
from orchestrator.events import Bus, SupervisorChanged
from orchestrator.places import Places
from orchestrator.problems import Problems
from orchestrator.vault import reporter
from orchestrator.vault.dashboard import END, START
from orchestrator.vault.health import Row

OURS = b"mine\n\n"


class Desk:
    """A vault, its reporter, and the rows that the reporter is to show."""

    def __init__(self, vault: Path) -> None:
        self.vault = vault
        self.clock = ManualClock()
        self.bus = Bus()
        self.problems = Problems(self.bus, self.clock)
        self.places = Places(str(vault))
        (vault / ".aiemp").mkdir(mode=0o700)
        self.file = vault / "Dashboard.md"
        self.copy = Path(self.places.last_dashboard)
        self.states = ["running"]
        self.reporter = reporter.Reporter(
            self.places, self.rows, clock=self.clock, bus=self.bus, problems=self.problems, timezone="Europe/Berlin"
        )

    def rows(self) -> Sequence[Row]:
        told = "; ".join(self.problems.lines())
        return [Row("supervisor", "running", None, told), *(Row(f"w{n}", state) for n, state in enumerate(self.states))]

    def happen(self, *states: str) -> None:
        """Something happened, after which the watchers are in `states`."""
        self.states = list(states)
        self.bus.publish(SupervisorChanged(at=self.clock.now(), new="running", pid=1))

    @asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        async with anyio.create_task_group() as tasks:
            await tasks.start(self.reporter.serve)
            await settle()
            yield
            tasks.cancel_scope.cancel()

    async def pass_time(self, seconds: float) -> None:
        await self.clock.advance(seconds)
        await settle()

    def shown(self) -> str:
        return self.file.read_text()


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path)


async def settle() -> None:
    """Return when the reporter waits for the clock or for news, and no write is under way."""
    with anyio.fail_after(10):
        while True:
            await at_rest()
            if not anyio.to_thread.current_default_thread_limiter().borrowed_tokens:
                return
            await anyio.sleep(0.001)


def write_while(monkeypatch: pytest.MonkeyPatch, intrude: Callable[[], None]) -> None:
    """Let another program act between our reading the Dashboard and our replacing it."""
    replace = files.replace

    def replaced(path: str | Path, data: bytes, *, expect: bytes | None = None) -> None:
        if expect is not None:
            intrude()
        replace(path, data, expect=expect)

    monkeypatch.setattr(files, "replace", replaced)


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
    async with desk.serving():
        before = desk.file.stat()
        for _ in range(5):
            desk.happen("running")
            await desk.pass_time(61)
        assert desk.file.stat() == before


async def test_it_beats_every_quarter_of_an_hour(desk: Desk) -> None:
    async with desk.serving():
        assert "checked 00:30 on 2026-11-21" in desk.shown()
        await desk.pass_time(14 * 60 + 59)
        assert "checked 00:30" in desk.shown()
        await desk.pass_time(1)
        assert "checked 00:45" in desk.shown()
        await desk.pass_time(15 * 60)
        assert "checked 01:00" in desk.shown()


async def test_another_zone_shows_at_once(desk: Desk) -> None:
    async with desk.serving():
        desk.reporter.use_timezone("Asia/Tokyo")
        await desk.pass_time(1)
        assert "checked 08:30" in desk.shown()


async def test_the_last_word(desk: Desk) -> None:
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
        assert desk.shown().startswith(START.decode())
        desk.file.unlink()
        await desk.pass_time(2)
        desk.happen("paused")
        await settle()
        assert "w0 | 🔴 paused" in desk.shown()


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
        desk.vault.rename(away)
        desk.happen("paused")
        await desk.pass_time(1)
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
        assert "NUL" in desk.shown()
        await desk.pass_time(1)
        assert "NUL" not in desk.shown()
