"""Changed files, heard of from the real system and looked for, in a real vault."""

import errno
import os
import shutil
import sys
import threading
from collections.abc import Callable
from itertools import count
from pathlib import Path
from typing import Any

import pytest

from orchestrator.clock import SystemClock
from orchestrator.schedule import watching
from orchestrator.schedule.watching import FAULTS, Fault, Listening, Looking, Unheard, Watch
from orchestrator.vault.globs import OURS, Globs

MARK = "Inbox/mark*"
MANY = 200  # looks; each takes some seconds at most, and a test is ended before


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    vault = tmp_path / "above" / "vault"
    for folder in ("Needs_Action/deep", "Inbox", "Logs", ".aiemp"):
        (vault / folder).mkdir(parents=True)
    (vault / "Needs_Action" / "old.md").write_text("old")
    return vault


class Ear:
    """A watch over a vault that was there before."""

    def __init__(self, vault: Path, *patterns: str, looking: bool = False) -> None:
        environ = {"WATCHFILES_FORCE_POLLING": "1", "WATCHFILES_POLL_DELAY_MS": "20"} if looking else {}
        self.watch = Watch(str(vault), SystemClock(), environ)
        self.globs = Globs([*patterns, MARK], OURS)
        self._vault = vault
        self._stop = threading.Event()
        self._marks = count()
        assert self.look() == set()

    def look(self) -> set[str]:
        return self.watch.look(self.globs, self._stop)

    def after(self, act: Callable[[], Any]) -> set[str]:
        """What is heard of `act`: all of it has been once a file that was made later is heard of."""
        act()
        mark = self._vault / "Inbox" / f"mark{next(self._marks)}"
        mark.touch()
        heard = set[str]()
        for _ in range(MANY):
            heard |= self.look()
            if MARK in heard:
                return heard - {MARK}
        raise AssertionError("the mark is never heard of")

    def problem(self) -> str:
        return self.watch.problem or ""

    def until(self, pattern: str) -> None:
        for _ in range(MANY):
            if pattern in self.look():
                return
        raise AssertionError(f"{pattern} is never heard of")


@pytest.fixture(params=["listening", "looking"])
def listen(request: pytest.FixtureRequest, vault: Path) -> Callable[..., Ear]:
    def begin(*patterns: str) -> Ear:
        ear = Ear(vault, *patterns, looking=request.param == "looking")
        assert isinstance(ear.watch._way, Looking if request.param == "looking" else Listening)
        return ear

    return begin


Listen = Callable[..., Ear]
MD = "Needs_Action/**/*.md"


def test_what_is_a_change(listen: Listen, vault: Path) -> None:
    ear, folder = listen(MD), vault / "Needs_Action"
    assert ear.after(lambda: (folder / "new.md").write_text("x")) == {MD}
    assert ear.after(lambda: (folder / "new.md").write_text("xy")) == {MD}
    assert ear.after((folder / "deep" / "new.md").touch) == {MD}
    assert ear.after((vault / "Inbox" / "in.md").touch) == set()
    assert ear.after(lambda: (vault / "Inbox" / "in.md").rename(folder / "in.md")) == {MD}
    assert ear.after(lambda: (folder / "in.md").rename(folder / "renamed.md")) == {MD}


def test_what_is_no_change(listen: Listen, vault: Path) -> None:
    ear, folder = listen(MD), vault / "Needs_Action"
    assert ear.after((folder / "new.txt").touch) == set()
    assert ear.after((folder / ".new.md").touch) == set()
    assert ear.after((folder / "old.md").read_text) == set()
    assert ear.after(lambda: (folder / "link.md").symlink_to("old.md")) == set()
    assert ear.after(lambda: os.mkfifo(folder / "fifo.md")) == set()
    assert ear.after((folder / "folder.md").mkdir) == set()
    assert ear.after(lambda: (folder / "old.md").rename(vault / "old.md")) == set()
    assert ear.after((folder / "folder.md").rmdir) == set()


def test_our_own_doings_never_count(listen: Listen, vault: Path) -> None:
    ear, marked = listen("**/*.md", "**"), {"**"}  # as the mark is a file too
    assert ear.after(lambda: [(vault / name / "x.md").write_text("x") for name in ("Logs", ".aiemp")]) == {
        "**"
    }  # the mark
    assert ear.after((vault / "Needs_Action" / "Logs").mkdir) == marked
    assert ear.after((vault / "Needs_Action" / "Logs" / "x.md").touch) == {"**", "**/*.md"}


def test_new_folders_with_what_is_in_them(listen: Listen, vault: Path) -> None:
    ear, folder = listen(MD, "A/B/*.txt"), vault / "Needs_Action"

    def deep() -> None:
        (folder / "a" / "b").mkdir(parents=True)
        (folder / "a" / "b" / "c.md").touch()

    assert ear.after(deep) == {MD}
    assert ear.after((folder / "a" / "b" / "d.md").touch) == {MD}
    assert ear.after((folder / "a" / "empty").mkdir) == set()
    shutil.copytree(folder / "a", vault / "prepared")
    assert ear.after(lambda: (vault / "prepared").rename(folder / "moved")) == {MD}
    assert ear.after(lambda: (folder / "moved").rename(vault / "away")) == set()
    assert ear.after(lambda: (vault / "away" / "b" / "c.md").write_text("no more")) == set()
    assert ear.after((folder / ".hidden").mkdir) == set()
    assert ear.after((folder / ".hidden" / "x.md").touch) == set()


def test_a_patterns_folder_that_comes_goes_and_comes_again(listen: Listen, vault: Path) -> None:
    ear, pattern = listen("A/B/*.txt"), "A/B/*.txt"
    (vault / "A").mkdir()
    assert ear.after((vault / "A" / "B").mkdir) == set()
    assert ear.after((vault / "A" / "B" / "x.txt").touch) == {pattern}
    assert ear.after(lambda: shutil.rmtree(vault / "A" / "B")) == set()

    def again() -> None:
        (vault / "A" / "B").mkdir()
        (vault / "A" / "B" / "x.txt").touch()

    assert ear.after(again) == {pattern}

    def exchange() -> None:
        (vault / "A" / "B").rename(vault / "A" / "old")
        again()

    assert ear.after(exchange) == {pattern}
    assert ear.after((vault / "A" / "B" / "y.txt").touch) == {pattern}


def test_the_vault_itself_goes_and_comes_again(
    listen: Listen, vault: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "CHECK_MS", 300)
    ear = listen(MD)
    vault.rename(tmp_path / "away")
    for _ in range(3):
        ear.look()
    (tmp_path / "away").rename(vault)
    (vault / "Needs_Action" / "new.md").touch()
    ear.until(MD)
    assert ear.after((vault / "Needs_Action" / "other.md").touch) == {MD}


def test_a_folder_above_the_vault_is_exchanged(listen: Listen, vault: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this the system tells nobody."""
    monkeypatch.setattr(watching, "CHECK_MS", 300)
    ear, above = listen(MD), vault.parent
    shutil.copytree(above, above.with_name("copy"))
    above.rename(above.with_name("away"))
    above.with_name("copy").rename(above)
    ear.until(MD)
    assert ear.after((vault / "Needs_Action" / "other.md").touch) == {MD}


def test_links_are_not_entered_but_where_a_pattern_begins(listen: Listen, vault: Path, tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (vault / "Needs_Action" / "loop").symlink_to(vault)
    (vault / "Needs_Action" / "out").symlink_to(tmp_path / "elsewhere")
    (vault / "Linked").symlink_to(tmp_path / "elsewhere")
    ear = listen(MD, "Linked/*.md")
    assert ear.after((tmp_path / "elsewhere" / "a.md").touch) == {"Linked/*.md"}
    assert ear.after((vault / "a.md").touch) == set()


def test_other_patterns(listen: Listen, vault: Path) -> None:
    """What was there already is no change; what happens meanwhile is."""
    ear = listen("Inbox/*.md")
    (vault / "Inbox" / "a.md").touch()
    ear.globs = Globs(["Inbox/*.md", MD, MARK], OURS)
    ear.until("Inbox/*.md")
    assert ear.after((vault / "Needs_Action" / "a.md").touch) == {MD}
    ear.globs = Globs([MARK], OURS)
    ear.look()
    assert ear.after((vault / "Needs_Action" / "b.md").touch) == set()


def test_stop_ends_a_look(listen: Listen) -> None:
    ear = listen(MD)
    ear._stop.set()
    assert ear.look() == set()
    ear.watch.close()


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere every name is UTF-8")
def test_a_name_that_is_no_utf_8_costs_no_other_change(listen: Listen, vault: Path) -> None:
    folder = vault / "Needs_Action"
    ear = listen(MD)

    def act() -> None:
        (folder / os.fsdecode(b"\xff.txt")).touch()
        (folder / "new.md").touch()

    assert ear.after(act) == {MD}
    assert not ear.problem()
    assert ear.after((folder / "other.md").touch) == {MD}
    (folder / os.fsdecode(b"\xfe")).mkdir()
    if isinstance(ear.watch._way, Listening):  # a folder that can't be listened to
        for _ in range(FAULTS):
            ear.look()
        assert ear.problem() == "a folder's name is no UTF-8; rename it"


class Broken:
    """Stands in for watchfiles where the system refuses."""

    error: Exception = OSError('OS file watch limit reached. about ["/v"] (Error { kind: MaxFilesWatch })')

    def __init__(self, *_: object) -> None:
        raise self.error


LIMIT = "no more folders may be watched; raise the limit, sysctl fs.inotify.max_user_watches"


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (OSError('OS file watch limit reached. about ["/v"] (Error { kind: MaxFilesWatch, paths: ["/v"] })'), LIMIT),
        (OSError(errno.ENOSPC, "No space left on device"), LIMIT),
        (
            OSError("Error creating recommended watcher: Too many open files (os error 24)"),
            "fs.inotify.max_user_instances",
        ),
        (ValueError("something else"), "something else"),
    ],
)
def test_where_the_system_does_not_tell_we_look_and_ask_again(
    vault: Path, monkeypatch: pytest.MonkeyPatch, error: Exception, said: str
) -> None:
    real = watching._rust_notify()
    monkeypatch.setattr(Broken, "error", error, raising=False)
    monkeypatch.setattr(watching, "_rust_notify", lambda: (Broken, real[1]))
    monkeypatch.setattr(watching, "LOOK_EVERY", 0.02)
    ear = Ear(vault, MD)
    assert said in ear.problem()
    assert ear.after((vault / "Needs_Action" / "a.md").touch) == {MD}
    monkeypatch.setattr(watching, "_rust_notify", lambda: real)
    ear.watch._ask_again = 0
    assert ear.after((vault / "Needs_Action" / "b.md").touch) == {MD}
    assert type(ear.watch._way) is Listening
    assert not ear.problem()
    assert ear.after((vault / "Needs_Action" / "c.md").touch) == {MD}


def test_changes_while_nothing_was_heard_are_found(vault: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ear = Ear(vault, MD)

    def fail(*_: object) -> set[str]:
        raise Fault("lost")

    with monkeypatch.context() as patch:
        patch.setattr(Listening, "look", fail)
        ear.look()
        (vault / "Needs_Action" / "a.md").touch()
    assert ear.look() == {MD}
    assert ear.after((vault / "Needs_Action" / "b.md").touch) >= {MD}
    assert not ear.problem()


def test_faults_that_never_end(vault: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    ear = Ear(vault, MD)

    def fail(*_: object) -> set[str]:
        raise Fault("lost")

    monkeypatch.setattr(Listening, "look", fail)
    for _ in range(10):
        ear.look()
        if ear.problem():
            break
    assert ear.problem() == "lost; rename what is named so"
    assert isinstance(ear.watch._way, Looking)


def test_no_listening_any_more_in_the_middle(vault: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A new folder that is one too many."""
    ear = Ear(vault, MD)

    def fail(*_: object) -> set[str]:
        raise Unheard(LIMIT)

    monkeypatch.setattr(Listening, "_watch", fail)
    monkeypatch.setattr(watching, "LOOK_EVERY", 0.02)

    def act() -> None:
        (vault / "Needs_Action" / "new").mkdir()
        (vault / "Needs_Action" / "new" / "a.md").touch()

    assert ear.after(act) == {MD}
    assert ear.problem() == LIMIT
