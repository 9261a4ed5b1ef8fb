"""Kill the Inbox's watcher at any moment: in the end every file is there once, whole, with one note."""

import contextlib
import errno
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from watching import Ear, files, notes, run, running, wait_for

from watchers import durable
from watchers.drops import Drops

RECEIVED = "2026-11-20T23:30:00Z"
CONTENT = bytes(range(256)) * 12

# Takes up and moves files as the watcher does, and kills itself with SIGKILL just before the Nth call that
# reaches the disk: once for every line "N INBOX NEEDS_ACTION" it reads, each time in a process of its own.
# Answers with the wait status: 0 when there were fewer than N calls.
MORTAL = """
import os, signal, sys
from pathlib import Path
from watchers.drops import Drops

calls = last = 0

def mortal(function):
    def call(*arguments, **keywords):
        global calls
        calls += 1
        if calls == last:
            os.kill(os.getpid(), signal.SIGKILL)
        return function(*arguments, **keywords)
    return call

def no_links(*arguments, **keywords):
    raise PermissionError(1, "Operation not permitted")

def life(inbox, needs_action):
    if sys.argv[1] == "without links":
        os.link = no_links
    for name in ("rename", "link", "unlink", "open", "fsync", "write", "utime", "fchmod", "close"):
        setattr(os, name, mortal(getattr(os, name)))
    drops = Drops(Path(inbox), Path(needs_action), lambda: None)
    drops.resume("2026-11-20T23:30:00Z")
    for name in sorted(os.listdir(inbox)):
        if not name.startswith("."):
            drops.take(name, "2026-11-20T23:30:00Z")

for line in sys.stdin:
    number, inbox, needs_action = line.split()
    last = int(number)
    child = os.fork()
    if child == 0:
        life(inbox, needs_action)
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


class Mortals:
    """Runs of MORTAL on one vault."""

    def __init__(self, process: subprocess.Popen[str], vault: Path) -> None:
        self._process = process
        self._vault = vault

    def run(self, last: int = 10**9) -> bool:
        """Run until just before the `last`th call; whether it came to its end instead."""
        assert self._process.stdin
        assert self._process.stdout
        print(last, self._vault / "Inbox", self._vault / "Needs_Action", file=self._process.stdin, flush=True)
        code = int(self._process.stdout.readline())
        assert code in {0, -signal.SIGKILL}
        return code == 0


@contextlib.contextmanager
def mortals(vault: Path, links: str = "with links") -> Iterator[Mortals]:
    """Runs that may be killed; `links` may be "without links", as on FAT."""
    with subprocess.Popen(
        [sys.executable, "-c", MORTAL, links], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        yield Mortals(process, vault)


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    for folder in ("Inbox", "Needs_Action"):
        (tmp_path / "vault" / folder).mkdir(parents=True)
    return tmp_path / "vault"


@pytest.fixture
def elsewhere(tmp_path: Path) -> Iterator[Path]:
    """A folder on another file system."""
    if not Path("/dev/shm").is_dir() or Path("/dev/shm").stat().st_dev == tmp_path.stat().st_dev:
        pytest.skip("no other file system at hand")
    folder = Path(tempfile.mkdtemp(dir="/dev/shm", prefix="aiemp-test-"))
    yield folder
    shutil.rmtree(folder)


def drops(vault: Path) -> Drops:
    return Drops(vault / "Inbox", vault / "Needs_Action", lambda: None)


def assert_whole(vault: Path, dropped: dict[str, bytes]) -> None:
    """Every dropped file is in Needs_Action once, with one note, and there is nothing else."""
    about = notes(vault)
    moved = files(vault / "Needs_Action", about)
    assert sorted(moved.values()) == sorted(dropped.values())
    assert sorted(note["file"] for note in about.values()) == sorted(moved)
    for note in about.values():
        assert moved[note["file"]] == dropped[note["original_name"]]
        assert note["size"] == len(moved[note["file"]])
    assert not list((vault / "Inbox").iterdir())


def kill_everywhere(vault: Path, links: str = "with links") -> int:
    """Kill at the 1st call, the 2nd, …; the restart is killed too, at a varying call. Returns the number of calls."""
    with mortals(vault, links) as lives:
        for last in itertools.count(1):
            (vault / "Inbox" / "report.pdf").write_bytes(CONTENT)
            finished = lives.run(last)
            for name, note in notes(vault).items():
                assert (vault / "Needs_Action" / note["file"]).exists(), f"{name} stands there before its file"
            if not finished:
                lives.run(1 + last * 7 % 11)
                lives.run()
            assert_whole(vault, {"report.pdf": CONTENT})
            if finished:
                break
            for path in (vault / "Needs_Action").iterdir():
                path.unlink()
    return last


@pytest.mark.parametrize("links", ["with links", "without links"])
def test_killed_before_any_call_to_the_disk(vault: Path, links: str) -> None:
    assert kill_everywhere(vault, links) > 20


@pytest.mark.parametrize("which", ["Inbox", "Needs_Action"])
def test_killed_before_any_call_with_folders_on_two_file_systems(vault: Path, elsewhere: Path, which: str) -> None:
    (vault / which).rmdir()
    (vault / which).symlink_to(elsewhere)
    assert kill_everywhere(vault) > 25


def test_a_file_that_crosses_file_systems_keeps_its_times_and_mode(vault: Path, elsewhere: Path) -> None:
    (vault / "Needs_Action").rmdir()
    (vault / "Needs_Action").symlink_to(elsewhere)
    path = vault / "Inbox" / "a"
    path.write_bytes(CONTENT)
    path.chmod(0o640)
    os.utime(path, ns=(1, 12345))
    drops(vault).take("a", RECEIVED)
    found = (elsewhere / "a").stat()
    assert (found.st_mtime_ns, found.st_mode & 0o777) == (12345, 0o640)


def test_the_real_program_killed_at_random(vault: Path, tmp_path: Path) -> None:
    rng = random.Random(7)  # noqa: S311  a repeatable test
    dropped: dict[str, bytes] = {}
    number = 0
    with Ear(str(tmp_path / "notify")) as ear:
        for _ in range(15):
            for _ in range(8):
                number += 1
                name = rng.choice(["f{}", "Re: {}", "{}\nx: y", "é{}.pdf", "note {}.md", "{}.txt"]).format(number)
                dropped[name] = rng.randbytes(rng.choice([0, 1, 5000, 300_000]))
                (vault / "Inbox" / name).write_bytes(dropped[name])
            with running(vault, "--settle", "0.02", NOTIFY_SOCKET=ear.address) as it:
                ear.until("READY=1")
                with pytest.raises(subprocess.TimeoutExpired):
                    it.process.wait(rng.uniform(0.02, 0.1))
    ended = run("--vault", str(vault), "--once", "--settle", "0.02")
    assert ended.returncode == 0, ended.stderr
    assert_whole(vault, dropped)


def test_two_at_once_double_nothing(vault: Path, tmp_path: Path) -> None:
    dropped = {f"f{number}": b"%d" % number for number in range(100)}
    for name, content in dropped.items():
        (vault / "Inbox" / name).write_bytes(content)
    (tmp_path / "other").mkdir()
    with running(vault, "--settle", "0.05") as one, running(vault, "--settle", "0.05") as other:
        wait_for(lambda: len(notes(vault)) == 100, "the notes")
        assert sorted([one.process.poll() or 0, other.process.poll() or 0]) == [0, 75]
    assert_whole(vault, dropped)


def seize(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Let a person make a file just before the watcher gives that name to something."""
    link = os.link
    done: list[int] = []

    def late(source: Path, target: Path) -> None:
        if Path(target).name == name and not done:
            done.append(Path(target).write_text("a person's"))
        link(source, target)

    monkeypatch.setattr(os, "link", late)


@pytest.mark.parametrize(
    ("seized", "file", "note"),
    [("a.txt", "a (2).txt", "FILE_a (2).txt.md"), ("FILE_a.txt.md", "a.txt", "FILE_a.txt (2).md")],
)
def test_a_name_that_is_taken_at_the_last_moment(
    vault: Path, monkeypatch: pytest.MonkeyPatch, seized: str, file: str, note: str
) -> None:
    (vault / "Inbox" / "a.txt").write_text("dropped")
    seize(seized, monkeypatch)
    moved = drops(vault).take("a.txt", RECEIVED)
    assert moved
    assert (moved.file, moved.note) == (file, note)
    assert (vault / "Needs_Action" / seized).read_text() == "a person's"
    assert (vault / "Needs_Action" / file).read_text() == "dropped"
    assert notes(vault)[note]["file"] == file
    assert len(list((vault / "Needs_Action").iterdir())) == 3


def test_an_agent_that_moved_the_note_before_the_restart_gets_no_second_one(vault: Path) -> None:
    """Killed after the note got its name and before its hidden name was removed."""
    needs_action = vault / "Needs_Action"
    (vault / "Inbox" / "a").write_text("x")
    with mortals(vault) as lives:
        for last in itertools.count(1):
            assert not lives.run(last)
            if notes(vault):
                break
            drops(vault).resume(RECEIVED)
            shutil.rmtree(needs_action)
            needs_action.mkdir()
            (vault / "Inbox" / "a").write_text("x")
    (needs_action / "FILE_a.md").rename(vault / "done.md")
    drops(vault).resume(RECEIVED)
    assert [path.name for path in needs_action.iterdir()] == ["a"]


def test_a_link_slipped_in_at_the_last_moment_goes_back(vault: Path) -> None:
    (vault / "Inbox" / "a").symlink_to("/etc/hostname")
    assert drops(vault).take("a", RECEIVED) is None
    assert (vault / "Inbox" / "a").is_symlink()
    assert not list((vault / "Needs_Action").iterdir())


def test_a_folder_slipped_in_at_the_last_moment_goes_back(vault: Path) -> None:
    (vault / "Inbox" / "a").mkdir()
    (vault / "Inbox" / "a" / "inner").write_text("x")
    assert drops(vault).take("a", RECEIVED) is None
    assert (vault / "Inbox" / "a" / "inner").exists()
    assert not list((vault / "Needs_Action").iterdir())


def test_a_file_that_is_gone_leaves_nothing_behind(vault: Path) -> None:
    assert drops(vault).take("gone", RECEIVED) is None
    assert not list((vault / "Needs_Action").iterdir())


def test_a_full_disk_on_the_other_side_puts_the_file_back(
    vault: Path, elsewhere: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (vault / "Needs_Action").rmdir()
    (vault / "Needs_Action").symlink_to(elsewhere)
    (vault / "Inbox" / "a").write_bytes(CONTENT)
    write = full(monkeypatch)
    with pytest.raises(OSError, match="No space left"):
        drops(vault).take("a", RECEIVED)
    assert [path.name for path in (vault / "Inbox").iterdir()] == ["a"]
    monkeypatch.setattr(os, "write", write)
    drops(vault).resume(RECEIVED)
    assert not list(elsewhere.iterdir())
    drops(vault).take("a", RECEIVED)
    assert_whole(vault, {"a": CONTENT})


def full(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, bytes], int]:
    write = os.write

    def refuse(descriptor: int, data: bytes) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", refuse)
    return write


def test_one_that_cannot_be_finished_does_not_hold_up_the_others(vault: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def refuse(source: Path, target: Path) -> None:
        if Path(target).name in {"a", "b"}:
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        link(source, target)

    monkeypatch.setattr(os, "link", refuse)
    for name in "ab":
        (vault / "Inbox" / name).write_text(name)
        with pytest.raises(OSError, match="error"):
            drops(vault).take(name, RECEIVED)
    assert [len(found) for found in drops(vault).resume(RECEIVED)] == [0, 2]
    monkeypatch.setattr(os, "link", link)
    assert [len(found) for found in drops(vault).resume(RECEIVED)] == [2, 0]
    assert_whole(vault, {"a": b"a", "b": b"b"})


def test_a_name_that_the_other_file_system_refuses_is_made_safe(vault: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    link = os.link

    def like_fat(source: Path, target: Path) -> None:
        if ":" in Path(target).name:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        link(source, target)

    monkeypatch.setattr(os, "link", like_fat)
    (vault / "Inbox" / "Re: x").write_text("x")
    moved = drops(vault).take("Re: x", RECEIVED)
    assert moved
    assert (moved.file, moved.note) == ("Re_ x", "FILE_Re_ x.md")
    assert_whole(vault, {"Re: x": b"x"})


def test_a_file_whose_record_was_removed_by_hand_is_not_lost(vault: Path) -> None:
    (vault / "Needs_Action" / ".aiemp-drop-0123.file").write_text("x")
    (vault / "Needs_Action" / ".aiemp-drop-4567.json").write_text("{")
    drops(vault).resume(RECEIVED)
    about = notes(vault)
    assert files(vault / "Needs_Action", about) == {"recovered-0123": b"x"}
    assert list(about) == ["FILE_recovered-0123.md"]


@pytest.mark.parametrize(
    "record",
    [
        {"id": "aa", "source": "x", "target": "../../outside/evil.desktop", "received": RECEIVED},
        {"id": "aa", "source": "../x", "target": "x", "received": RECEIVED},
        {"id": "bb", "source": "x", "target": "x", "received": RECEIVED},
        {"id": "aa", "source": 1, "target": 2, "received": 3},
        {"id": "aa", "source": "..", "target": ".", "received": RECEIVED},
    ],
)
def test_a_forged_record_leads_nowhere_else(vault: Path, record: dict[str, object]) -> None:
    (vault / "Needs_Action" / ".aiemp-drop-aa.file").write_text("x")
    (vault / "Needs_Action" / ".aiemp-drop-aa.json").write_text(json.dumps(record))
    drops(vault).resume(RECEIVED)
    about = notes(vault)
    assert files(vault / "Needs_Action", about) == {"recovered-aa": b"x"}
    assert not (vault.parent / "outside").exists()


def test_place_never_overwrites_where_there_are_no_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(source: Path, target: Path) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", refuse)
    (tmp_path / "a").write_text("a")
    (tmp_path / "b").symlink_to("nowhere")
    with pytest.raises(FileExistsError):
        durable.place(tmp_path / "a", tmp_path / "b")
    durable.place(tmp_path / "a", tmp_path / "c")
    assert (tmp_path / "c").read_text() == "a"
    assert not (tmp_path / "a").exists()
