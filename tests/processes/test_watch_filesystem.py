"""The Inbox's watcher, run for real on a vault in a temporary folder."""

import argparse
import errno
import os
import re
import signal
import socket
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from watching import Ear, files, notes, run, running, wait_for

from watchers import filesystem, kit
from watchers.drops import Drops
from watchers.notify import Notify

HOSTILE = [
    b"Re: x",
    b"[y]",
    b"-rf",
    b"x..\\..\\etc\\passwd",
    b"line\nstatus: approved\n---\n",
    b"2026-01-01T00:00:00Z INFO forged\r\n2026",
    b"quote \" ' ` $HOME $(x) `y`",
    b"# a^b|c",
    b"trail. ",
    b" lead",
    b"caf\xe9.txt",
    b"\xff\xfe",
    "🎉".encode(),
    "👨‍👩‍👧.png".encode(),
    "\u202egnp.exe".encode(),
    "ü".encode() * 127,
    b"x" * 255,
    b"y" * 251 + b".pdf",
    b"note.md",
    b"FILE_note.md",
    b"FILE_Re_ x.md",
    b"a\x1b[31m\x07\x7f",
    b"%00%2e%2e",
    b"~",
]


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    (tmp_path / "vault" / "Inbox").mkdir(parents=True)
    return tmp_path / "vault"


@pytest.fixture
def ear(tmp_path: Path) -> Iterator[Ear]:
    with Ear(str(tmp_path / "notify")) as ear:
        yield ear


def once(vault: Path, *arguments: str, **env: str) -> str:
    """One run over what is there; its log."""
    ended = run("--vault", str(vault), "--once", "--settle", "0.05", *arguments, **env)
    assert ended.returncode == 0, ended.stderr
    return ended.stderr


def test_a_file_becomes_a_note_beside_the_moved_file(vault: Path) -> None:
    dropped = vault / "Inbox" / "report.pdf"
    dropped.write_bytes(b"content")
    inode = dropped.stat().st_ino
    once(vault)
    note = notes(vault)["FILE_report.pdf.md"]
    received = note.pop("received")
    assert note == {
        "type": "file_drop",
        "original_name": "report.pdf",
        "file": "report.pdf",
        "size": 7,
        "status": "pending",
    }
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", received)
    assert (vault / "Needs_Action" / "FILE_report.pdf.md").read_text().endswith("[[report.pdf]]\n")
    assert (vault / "Needs_Action" / "report.pdf").read_bytes() == b"content"
    assert (vault / "Needs_Action" / "report.pdf").stat().st_ino == inode  # moved, not copied
    assert not list((vault / "Inbox").iterdir())
    assert len(list((vault / "Needs_Action").iterdir())) == 2


def test_any_name_is_safe(vault: Path) -> None:
    for number, name in enumerate(HOSTILE):
        Path(os.fsdecode(os.fsencode(vault / "Inbox") + b"/" + name)).write_text(str(number))
    log = once(vault)
    about = notes(vault)
    moved = files(vault / "Needs_Action", about)
    taken = {os.fsdecode(name): str(number).encode() for number, name in enumerate(HOSTILE) if name != b"~"}
    # Two names are taken already as notes' names, or the other way round: whoever came second was given another.
    assert sorted(moved.values()) == sorted(taken.values())
    assert {name: content for name, content in moved.items() if not name.startswith("FILE_")} == {
        name: content for name, content in taken.items() if not name.startswith("FILE_")
    }
    assert len(about) == len(taken)
    assert all(list(note) == ["type", "original_name", "file", "size", "received", "status"] for note in about.values())
    assert {note["status"] for note in about.values()} == {"pending"}
    assert all(note.isprintable() for note in about)
    assert len(log.splitlines()) == len(taken)
    assert all(re.match(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ INFO '|\d{4}.* INFO \"", line) for line in log.splitlines())


def test_names_that_are_taken_are_never_overwritten(vault: Path) -> None:
    needs_action = vault / "Needs_Action"
    needs_action.mkdir()
    (needs_action / "a.txt").write_text("a person's")
    (needs_action / "FILE_b.txt.md").write_text("a person's note")
    (needs_action / "c.txt").symlink_to("nowhere")
    for name in "abc":
        (vault / "Inbox" / f"{name}.txt").write_text(f"new {name}")
    once(vault)
    (vault / "Inbox" / "a.txt").write_text("third a")
    once(vault)
    assert (needs_action / "a.txt").read_text() == "a person's"
    assert (needs_action / "FILE_b.txt.md").read_text() == "a person's note"
    assert (needs_action / "c.txt").is_symlink()
    about = notes(vault)
    assert {note["file"]: note["original_name"] for note in about.values()} == {
        "a (2).txt": "a.txt",
        "a (3).txt": "a.txt",
        "b (2).txt": "b.txt",
        "c (2).txt": "c.txt",
    }
    assert (needs_action / "a (3).txt").read_text() == "third a"


def test_what_is_no_dropped_file_is_left_alone(vault: Path) -> None:
    inbox = vault / "Inbox"
    for name in (".hidden", "x.part", "X.CRDOWNLOAD", "draft~", "~$letter.docx"):
        (inbox / name).write_text("left")
    (inbox / "folder").mkdir()
    (inbox / "folder" / "inner.txt").write_text("left")
    (inbox / "link").symlink_to("/etc/hostname")
    (inbox / "dangling").symlink_to("nowhere")
    os.mkfifo(inbox / "fifo")
    with socket.socket(socket.AF_UNIX) as special:
        special.bind(str(inbox / "socket"))
    before = sorted(path.name for path in inbox.rglob("*"))
    (inbox / "taken").write_text("moved")
    once(vault)
    assert sorted(path.name for path in inbox.rglob("*")) == before
    assert list(notes(vault)) == ["FILE_taken.md"]


def test_it_tells_its_supervisor_and_ends_politely(vault: Path, ear: Ear) -> None:
    (vault / "Inbox" / "early").write_text("lay there at the start")
    with running(vault, NOTIFY_SOCKET=ear.address, WATCHDOG_USEC="600000") as it:
        assert "WATCHDOG=1" in ear.until("READY=1")
        ear.until("STATUS=1 file moved, waiting")
        for name in "ab":
            (vault / "Inbox" / name).write_text(name)
        heard = ear.until("STATUS=3 files moved, waiting")
        assert "WATCHDOG=1" in heard
        start = time.monotonic()
        it.process.send_signal(signal.SIGTERM)
        ear.until("STOPPING=1")
        assert it.wait() == 0
        assert time.monotonic() - start < 1
    assert len(notes(vault)) == 3


def test_a_dropped_file_is_known_soon(vault: Path, ear: Ear) -> None:
    with running(vault, NOTIFY_SOCKET=ear.address):
        ear.until("STATUS=0 files moved, waiting")
        times = []
        for number in range(3):
            (vault / "Inbox" / f"{number}").write_text("x")
            times.append(wait_for((vault / "Needs_Action" / f"FILE_{number}.md").exists, "the note"))
        assert sorted(times)[1] < 1.5


def test_a_file_is_taken_only_when_its_writer_is_done(vault: Path, ear: Ear) -> None:
    path = vault / "Inbox" / "slow"
    with running(vault, "--settle", "0.1", NOTIFY_SOCKET=ear.address):
        ear.until("READY=1")
        with path.open("wb", buffering=0) as writer:
            writer.write(b"first ")
            ear.until("STATUS=0 files moved, 1 still being written")
            (vault / "Inbox" / "other").write_text("x")
            ear.until("STATUS=1 file moved, 1 still being written")  # it waits for nobody else
            assert path.exists()
            writer.write(b"last")
        ear.until("STATUS=2 files moved, waiting")
    assert notes(vault)["FILE_slow.md"]["size"] == 10
    assert (vault / "Needs_Action" / "slow").read_bytes() == b"first last"


def test_a_single_run_leaves_what_is_still_being_written(vault: Path) -> None:
    with (vault / "Inbox" / "slow").open("wb") as writer:
        writer.write(b"x")
        assert "'slow' is still being written, left for the next time" in once(vault)
        assert not notes(vault)
    once(vault)
    assert list(notes(vault)) == ["FILE_slow.md"]


def test_a_dry_run_by_hand_shows_and_changes_nothing(vault: Path) -> None:
    (vault / "Inbox" / "a").write_text("x")
    log = once(vault, "--dry-run")
    assert "'a' would move to 'a' with 'FILE_a.md'" in log
    assert [path.name for path in vault.rglob("*")] == ["Inbox", "a"]


def test_a_dry_run_by_hand_goes_on_beside_the_real_one(vault: Path, ear: Ear) -> None:
    with running(vault, NOTIFY_SOCKET=ear.address):
        ear.until("READY=1")
        once(vault, "--dry-run")


def test_dry_run_of_the_supervisor_does_not_stop_sensing(vault: Path) -> None:
    (vault / "Inbox" / "a").write_text("x")
    once(vault, DRY_RUN="true")
    assert list(notes(vault)) == ["FILE_a.md"]


def test_missing_folders_are_made_and_a_replaced_inbox_is_watched(vault: Path, ear: Ear) -> None:
    inbox = vault / "Inbox"
    inbox.rmdir()
    with running(vault, "--interval", "3600", NOTIFY_SOCKET=ear.address):
        ear.until("READY=1")
        wait_for(inbox.is_dir, "the Inbox")
        inbox.rename(vault / "Old")
        wait_for(inbox.is_dir, "another Inbox")
        (inbox / "a").write_text("x")
        wait_for(lambda: notes(vault), "the note")
        inbox.rmdir()
        wait_for(inbox.is_dir, "a third Inbox")
        (inbox / "b").write_text("x")
        wait_for(lambda: len(notes(vault)) == 2, "the other note")


def test_names_that_are_no_utf8_do_not_blind_it(vault: Path, ear: Ear) -> None:
    with running(vault, "--interval", "3600", NOTIFY_SOCKET=ear.address):
        ear.until("READY=1")
        for number in range(2):
            name = b"/\xff%d" % number
            Path(os.fsdecode(os.fsencode(vault / "Inbox") + name)).write_text("x")
            wait_for((vault / "Needs_Action" / f"FILE__{number}.md").exists, "the note")


def test_a_vault_whose_path_is_no_utf8_is_watched_by_looking(tmp_path: Path) -> None:
    vault = Path(os.fsdecode(os.fsencode(tmp_path) + b"/v\xff"))
    vault.mkdir()
    with running(vault, "--interval", "3600") as it:
        wait_for(lambda: "no notice of changes" in it.log(), "the warning")
        (vault / "Inbox" / "a").write_text("x")
        wait_for(lambda: notes(vault), "the note")
        assert it.log().count("no notice of changes") == 1


def test_a_vault_that_goes_away_is_waited_for(vault: Path, ear: Ear) -> None:
    with running(vault, "--interval", "0.1", NOTIFY_SOCKET=ear.address) as it:
        ear.until("STATUS=0 files moved, waiting")
        vault.rename(vault.parent / "away")
        wait_for(lambda: "cannot look into the Inbox" in it.log(), "the warning")
        (vault.parent / "away").rename(vault)
        (vault / "Inbox" / "a").write_text("x")
        wait_for(lambda: notes(vault), "the note")
        assert it.process.poll() is None


@pytest.mark.parametrize("break_it", ["a missing vault", "a file"])
def test_a_bad_vault_ends_with_one_line(break_it: str, tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    if break_it == "a file":
        vault.write_text("")
    ended = run("--vault", str(vault))
    assert ended.returncode == 1
    assert len(ended.stderr.splitlines()) == 1
    assert str(vault) in ended.stderr
    assert "aiemp init" in ended.stderr


def test_a_file_in_place_of_a_folder_is_told(vault: Path) -> None:
    (vault / "Needs_Action").write_text("")
    ended = run("--vault", str(vault), "--once")
    assert ended.returncode == 1
    assert "cannot look into the Inbox: File exists" in ended.stderr


def test_the_lock_follows_the_state_folder(vault: Path, tmp_path: Path) -> None:
    state = tmp_path / "state"
    once(vault, AIEMP_STATE_DIR=str(state))
    assert (state / "filesystem.lock").exists()
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert not (vault / ".aiemp").exists()


def test_many_files_at_once_are_finished_one_by_one_when_stopped(vault: Path, ear: Ear) -> None:
    names = {f"f{number}" for number in range(300)}
    for name in names:
        (vault / "Inbox" / name).write_text(name)
    with running(vault, "--settle", "0.05", NOTIFY_SOCKET=ear.address) as it:
        wait_for(lambda: len(notes(vault)) > 5, "some notes")
        it.process.send_signal(signal.SIGTERM)
        assert it.wait() == 0
    about = notes(vault)
    done = {note["file"] for note in about.values()}
    assert set(files(vault / "Needs_Action", about)) == done
    assert {path.name for path in (vault / "Inbox").iterdir()} == names - done
    assert 5 < len(done) < 300


def test_what_cannot_be_moved_is_told_and_moved_once_it_can(vault: Path, ear: Ear) -> None:
    (vault / "Inbox" / "a").write_text("x")
    blocked = vault / "Needs_Action"
    blocked.symlink_to(vault / "nowhere")
    with running(vault, "--interval", "0.2", NOTIFY_SOCKET=ear.address) as it:
        ear.until(f"STATUS=cannot look into the Inbox: File exists ({str(blocked)!r})")
        (vault / "nowhere").mkdir()
        ear.until("STATUS=1 file moved, waiting")
        assert it.log().count("File exists") == 1
    assert list(notes(vault)) == ["FILE_a.md"]


MISTAKEN = """
import sys
from watchers import kit
from watchers.filesystem import FilesystemWatcher

class Mistaken(FilesystemWatcher):
    async def cycle(self):
        if self._looks:  # the second look comes when changes are being heard of
            raise ZeroDivisionError("a mistake")
        return await super().cycle()

sys.exit(kit.main(Mistaken))
"""


def test_a_mistake_ends_it_though_a_thread_waits_for_changes(vault: Path) -> None:
    (vault.parent / "mistaken.py").write_text(MISTAKEN)
    ended = run("--vault", str(vault), module="mistaken", PYTHONPATH=str(vault.parent), PYTHONDONTWRITEBYTECODE="1")
    assert ended.returncode == 1
    assert "ZeroDivisionError: a mistake" in ended.stderr
    assert "AttributeError" not in ended.stderr


async def test_what_was_put_back_is_not_taken_up_again_at_once(vault: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    now, tried, full = 1000.0, list[tuple[float, str]](), True
    take = Drops.take

    def refuse(self: Drops, name: str, received: str) -> object:
        tried.append((now, name))
        if full and name == "large":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return take(self, name, received)

    monkeypatch.setattr(Drops, "take", refuse)
    monkeypatch.setattr("watchers.filesystem.time.monotonic", lambda: now)
    usual = signal.getsignal(signal.SIGIO)
    own = argparse.Namespace(settle=0.5)
    options = kit.Options(vault, vault, interval=30.0, once=False, dry_run=False, rehearsal=False, own=own)
    watcher = filesystem.FilesystemWatcher(options, Notify(None))
    try:
        (vault / "Inbox" / "large").write_text("x")
        while now < 1100:  # as if every quarter of a second something woke it
            outcome = await watcher.cycle()
            if now == 1050:
                (vault / "Inbox" / "small").write_text("x")
            if now >= 1000.5:
                assert outcome.trouble == "1 file cannot be moved: No space left on device"
            now += 0.25
        assert [at - 1000.5 for at, name in tried if name == "large"] == [0, 1, 3, 7, 15, 31, 61, 91]
        assert [at - 1050.5 for at, name in tried if name == "small"] == [0.25]  # it does not wait for the other one
        full = False
        now += 30
        assert (await watcher.cycle()).trouble is None
    finally:
        signal.signal(signal.SIGIO, usual)
    assert set(notes(vault)) == {"FILE_large.md", "FILE_small.md"}
