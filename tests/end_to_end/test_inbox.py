"""The first watcher under the daemon: what is dropped into Inbox becomes a note in Needs_Action, exactly once."""

import os
import signal
from pathlib import Path

import pytest
from harness import PATIENT, Site, status_of, until

pytestmark = PATIENT

INBOX = """\
[watchers.inbox]
command = ["python", "-m", "watchers.filesystem", "--settle", "0.2"]
ready = "notify"
start_seconds = "0s"
watchdog = "30s"
"""


@pytest.fixture
def inbox(site: Site) -> Path:
    """The Inbox, and the watcher of it under a daemon."""
    site.start(text=INBOX)
    site.wait_for("inbox", "running")
    return site.vault / "Inbox"


def arrived(site: Site) -> list[str]:
    """What lies in Needs_Action, as `ls` would show it."""
    return sorted(path.name for path in (site.vault / "Needs_Action").iterdir() if not path.name.startswith("."))


def test_what_is_hidden_or_no_file_is_left_where_it_is(site: Site, inbox: Path) -> None:
    (site.folder / "secret.txt").write_text("elsewhere")
    (inbox / ".hidden").write_text("hidden")
    (inbox / "link.txt").symlink_to(site.folder / "secret.txt")
    (inbox / "dangling.txt").symlink_to("nowhere")
    os.mkfifo(inbox / "pipe.txt")
    (inbox / "folder.txt").mkdir()
    (inbox / "folder.txt/inside.txt").write_text("inside")

    def there() -> dict[str, int]:
        """The Inbox's entries, with what changes even when one is renamed and put back."""
        return {path.name: path.lstat().st_ctime_ns for path in inbox.iterdir()}

    before = there()
    for name in ("plain.txt", "last.txt"):  # one after the other: so the rest was looked at more than once
        (inbox / name).write_text(name)
        until((site.vault / f"Needs_Action/FILE_{name}.md").exists, "the note")
    assert arrived(site) == ["FILE_last.txt.md", "FILE_plain.txt.md", "last.txt", "plain.txt"]
    assert there() == before
    assert (inbox / "link.txt").readlink() == site.folder / "secret.txt"
    assert (site.folder / "secret.txt").read_text() == "elsewhere"
    assert site.status()["vault"]["needs_action"] == 2
    assert (site.watcher("inbox")["state"], site.watcher("inbox")["restarts"]) == ("running", 0)


def test_a_file_that_is_still_being_written_is_not_taken_early(site: Site, inbox: Path) -> None:
    with (inbox / "grows.txt").open("w") as grows:
        for number in range(3):
            grows.write(f"part {number}\n")
            grows.flush()
            (inbox / f"other{number}.txt").write_text("whole")  # it settles later, and is taken all the same
            note = site.vault / f"Needs_Action/FILE_other{number}.txt.md"
            until(note.exists, "the other file's note")
            assert (inbox / "grows.txt").exists()
            assert "grows.txt" not in arrived(site)
        grows.write("the end\n")
    note = site.vault / "Needs_Action/FILE_grows.txt.md"
    until(note.exists, "the note")
    assert (site.vault / "Needs_Action/grows.txt").read_text() == "part 0\npart 1\npart 2\nthe end\n"
    assert f"size: {len('part 0') * 3 + len('the end') + 4}" in note.read_text()
    assert not (inbox / "grows.txt").exists()


def test_a_kill_among_many_files_loses_and_doubles_nothing(site: Site, inbox: Path) -> None:
    names = [f"bill {number:03}.txt" for number in range(100)]
    folder = site.vault / "Needs_Action"
    pid = site.watcher("inbox")["pid"]
    for name in names:
        (inbox / name).write_text(f"content of {name}")

    def halfway() -> bool:
        """Stop it, and see whether a file has left the Inbox and has not arrived yet; else let it go on."""
        os.kill(pid, signal.SIGSTOP)
        until(lambda: status_of(pid)["State"].startswith("T"), "it to stop")
        if list(folder.glob(".aiemp-drop-*.file")) and list(folder.glob("FILE_*.md")):
            return True
        os.kill(pid, signal.SIGCONT)
        return False

    until(halfway, "a file on its way")
    os.kill(pid, signal.SIGKILL)
    site.wait_for_successor("inbox", pid)
    until(lambda: len(list(folder.glob("FILE_*.md"))) >= len(names) and not list(inbox.iterdir()), "the rest")
    until(lambda: not list(folder.glob(".*")), "an end of all that is underway")
    assert arrived(site) == sorted([*names, *(f"FILE_{name}.md" for name in names)])
    assert all((folder / name).read_text() == f"content of {name}" for name in names)
    assert site.watcher("inbox")["restarts"] == 1
