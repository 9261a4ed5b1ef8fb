"""Kill a chore at any moment: in the end every file is there once, with what belongs to it, and no entry is lost."""

import contextlib
import itertools
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

# Does a chore as on a day 30 days from now, and kills itself with SIGKILL just before the Nth call that reaches the
# disk: once for every line "N VAULT" it reads, each time in a process of its own. Answers with the wait status: 0 when
# there were fewer than N calls.
MORTAL = """
import os, signal, sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo
from orchestrator.actions.chores.__main__ import CHORES
from orchestrator.actions.chores.context import Context

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

def life(vault):
    if sys.argv[2] == "without links":
        os.link = no_links
    now = datetime.now(UTC) + timedelta(days=30)
    context = Context(vault, vault / ".aiemp", ZoneInfo("Europe/Berlin"), now, False, "mine", "run", {})
    for name in ("rename", "replace", "link", "unlink", "mkdir", "open", "fsync", "write", "close"):
        setattr(os, name, mortal(getattr(os, name)))
    report = CHORES[sys.argv[1]](context)
    assert report.error is None, report

for line in sys.stdin:
    number, vault = line.split()
    last = int(number)
    child = os.fork()
    if child == 0:
        life(Path(vault))
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""

Run = Callable[[Path, int], bool]
FOREVER = 10**9


@contextlib.contextmanager
def mortals(chore: str, links: str = "with links") -> Iterator[Run]:
    """Runs until just before a call; whether it came to its end instead. `links` may be "without links", as on FAT."""
    with subprocess.Popen(
        [sys.executable, "-c", MORTAL, chore, links], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:

        def run(vault: Path, last: int) -> bool:
            assert process.stdin
            assert process.stdout
            print(last, vault, file=process.stdin, flush=True)
            code = int(process.stdout.readline())
            assert code in {0, -signal.SIGKILL}
            return code == 0

        yield run


def put(path: Path, content: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)


def contents(folder: Path) -> dict[str, str]:
    return {str(path.relative_to(folder)): path.read_text() for path in folder.rglob("*") if path.is_file()}


FILES = {
    "Done/a.pdf": "A",
    "Done/a.pdf.md": "---\ncompleted: 2020-01-02\n---\nA's note",
    "Done/mail/b.md": "---\nprocessed: 2020-02-02\n---\nB",
    "Done/c.txt": "C",
    "Done/archive/2020-01/a.pdf": "A of before",
}


def done_vault(folder: Path) -> Path:
    (folder / ".aiemp").mkdir(parents=True)
    for name, content in FILES.items():
        put(folder / name, content)
    return folder


def check_done(vault: Path) -> None:
    found = contents(vault / "Done")
    assert Counter(found.values()) == Counter(FILES.values()), found
    assert found["archive/2020-01/a.pdf"] == "A of before"
    assert found["archive/2020-01/a (2).pdf"] == "A"
    assert found["archive/2020-01/a (2).pdf.md"] == FILES["Done/a.pdf.md"]
    assert found["archive/2020-02/mail/b.md"] == FILES["Done/mail/b.md"]
    (today,) = (name for name, content in found.items() if content == "C")
    assert today.startswith("archive/2")
    assert not list((vault / ".aiemp").iterdir())


@pytest.mark.parametrize("links", ["with links", "without links"])
def test_done_archive_killed_before_any_call(tmp_path: Path, links: str) -> None:
    with mortals("done_archive", links) as run:
        for last in itertools.count(1):
            vault = done_vault(tmp_path / str(last))
            ended = run(vault, last)
            assert set(contents(vault / "Done").values()) == set(FILES.values()), "lost in between"
            assert run(vault, FOREVER)
            check_done(vault)
            if ended:
                assert last > 20, "nothing was killed"
                return


def test_done_archive_killed_again_and_again(tmp_path: Path) -> None:
    """Each life is a little longer than the one before, until one comes to its end."""
    with mortals("done_archive") as run:
        for step in (1, 2, 3, 5, 7):
            vault = done_vault(tmp_path / str(step))
            for last in itertools.count(step, step):
                if run(vault, last):
                    break
            check_done(vault)


ENTRIES = ["- 2020-01-01 a", "- 2020-01-02 b", "- 2020-02-01 c"]
BEFORE = "mine\n<!-- aiemp:activity:start -->\n" + "\n".join(ENTRIES) + "\n- later\n<!-- aiemp:activity:end -->\n"
AFTER = "mine\n<!-- aiemp:activity:start -->\n- later\n<!-- aiemp:activity:end -->\n"


def test_daily_rollover_killed_before_any_call(tmp_path: Path) -> None:
    with mortals("daily_rollover") as run:
        for last in itertools.count(1):
            vault = tmp_path / str(last)
            (vault / ".aiemp").mkdir(parents=True)
            put(vault / "Dashboard.md", BEFORE)
            put(vault / "Logs/audit/2020-01-01.jsonl", "old")
            put(vault / "Logs/archive/audit/2020-01/2020-01-01.jsonl", "older")
            ended = run(vault, last)
            assert (vault / "Dashboard.md").read_text() in {BEFORE, AFTER}
            lines = archived(vault)
            assert (vault / "Dashboard.md").read_text() == BEFORE or lines == set(ENTRIES)
            assert run(vault, FOREVER)
            assert (vault / "Dashboard.md").read_text() == AFTER
            assert archived(vault) == set(ENTRIES)
            assert contents(vault / "Logs/archive/audit") == {
                "2020-01/2020-01-01.jsonl": "older",
                "2020-01/2020-01-01 (2).jsonl": "old",
            }
            assert not list((vault / "Logs/audit").iterdir())
            if ended:
                assert last > 20, "nothing was killed"
                return


def archived(vault: Path) -> set[str]:
    folder = vault / "Logs/archive/activity"
    return {line for text in contents(folder).values() for line in text.splitlines()} if folder.exists() else set()


def test_stale_approval_check_killed_before_any_call(tmp_path: Path) -> None:
    note = "---\ncreated: 2020-01-01\n---\n"
    with mortals("stale_approval_check") as run:
        for last in itertools.count(1):
            vault = tmp_path / str(last)
            (vault / ".aiemp").mkdir(parents=True)
            put(vault / "Pending_Approval/a.md", note)
            ended = run(vault, last)
            assert run(vault, FOREVER)
            assert contents(vault / "Pending_Approval") == {"a.md": note}
            (log,) = (vault / "Logs/audit").iterdir()
            assert log.read_text().count("\n") == 1
            if ended:
                assert last > 3, "nothing was killed"
                return
