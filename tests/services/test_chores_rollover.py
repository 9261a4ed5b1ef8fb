"""daily_rollover: old audit files and activity entries go to Logs/archive, nothing of the user's goes anywhere."""

import os
from datetime import date, timedelta
from pathlib import Path

import pytest
from chore_site import NOW, context, put, tree

from orchestrator import files
from orchestrator.actions.chores.rollover import day_of, roll
from orchestrator.vault.activity import END, START

MINE = b"# Mine\n\n- 2026-01-01 mine\n"
LOG = MINE + START + b"\n- 2026-11-20 today\n- 2026-11-13 a\n- 2026-10-31 b\n- 2026-11-14 kept\n" + END + b"\nend"
LEFT = MINE + START + b"\n- 2026-11-20 today\n- 2026-11-14 kept\n" + END + b"\nend"
NOTHING = "nothing is old enough to be archived"


@pytest.mark.parametrize(
    ("name", "day"),
    [
        ("2026-11-20.jsonl", date(2026, 11, 20)),
        ("2026-11-20.jsonl.1", None),
        ("2026-11-20", None),
        ("20261120.jsonl", None),
        ("2026-02-30.jsonl", None),
        ("notes.jsonl", None),
    ],
)
def test_what_is_an_audit_file(name: str, day: date | None) -> None:
    assert day_of(name) == day


def test_old_audit_files_are_archived(tmp_path: Path) -> None:
    audit = tmp_path / "Logs/audit"
    for name in ("2026-08-21", "2026-08-22", "2026-11-20"):
        put(audit / f"{name}.jsonl", name)
    for name in ("notes.md", "2020-01-01.txt", "sub/2020-01-01.jsonl", ".2020-01-01.jsonl"):
        put(audit / name)
    (audit / "2020-01-02.jsonl").symlink_to("notes.md")
    put(tmp_path / "Logs/archive/audit/2026-08/2026-08-21.jsonl", "there already")
    assert roll(context(tmp_path)).output == "archived 1 audit file"  # 91 days; 90 are not more than 90
    assert tree(tmp_path / "Logs/archive") == {
        "audit": None,
        "audit/2026-08": None,
        "audit/2026-08/2026-08-21.jsonl": b"there already",
        "audit/2026-08/2026-08-21 (2).jsonl": b"2026-08-21",
    }
    assert not (audit / "2026-08-21.jsonl").exists()
    assert len(tree(audit)) == 8
    assert roll(context(tmp_path)).output == NOTHING


def test_old_entries_leave_the_dashboard(tmp_path: Path) -> None:
    dashboard = put(tmp_path / "Dashboard.md", LOG)
    dashboard.chmod(0o640)
    put(tmp_path / "Logs/archive/activity/2026-10.md", b"- 2026-10-01 before")
    done = roll(context(tmp_path))  # in Berlin it is the 21st
    assert (done.output, done.error) == ("archived 2 activity entries", None)
    assert dashboard.read_bytes() == LEFT
    assert dashboard.stat().st_mode & 0o777 == 0o640
    assert tree(tmp_path / "Logs/archive/activity") == {
        "2026-10.md": b"- 2026-10-01 before\n- 2026-10-31 b\n",
        "2026-11.md": b"- 2026-11-13 a\n",
    }
    assert roll(context(tmp_path)).output == NOTHING
    assert dashboard.read_bytes() == LEFT


def test_days_can_be_set(tmp_path: Path) -> None:
    put(tmp_path / "Dashboard.md", LOG)
    put(tmp_path / "Logs/audit/2026-11-18.jsonl")
    environ = {"AUDIT_KEEP_DAYS": "2", "ACTIVITY_KEEP_DAYS": "21"}
    assert roll(context(tmp_path, environ=environ)).output == NOTHING
    now = NOW + timedelta(days=1)
    assert roll(context(tmp_path, now=now, environ=environ)).output == "archived 1 audit file and 1 activity entry"


def test_a_dry_run_changes_nothing(tmp_path: Path) -> None:
    put(tmp_path / "Dashboard.md", LOG)
    put(tmp_path / "Logs/audit/2026-01-01.jsonl")
    before = tree(tmp_path)
    done = roll(context(tmp_path, dry_run=True))
    assert done.output == "would archive 1 audit file and 2 activity entries"
    assert tree(tmp_path) == before


def test_an_empty_vault_has_nothing_to_do(tmp_path: Path) -> None:
    assert roll(context(tmp_path)).output == NOTHING
    put(tmp_path / "Dashboard.md", b"")
    assert roll(context(tmp_path)).output == NOTHING
    put(tmp_path / "Dashboard.md", b"\0 as after a crash")  # without a log it is not this chore's business
    assert roll(context(tmp_path)).error is None


def test_what_others_write_meanwhile_stays_and_nothing_is_archived_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    dashboard = put(tmp_path / "Dashboard.md", LOG)
    writes = iter([b"one more\n", b"two more\n"])

    def busy(path: Path, data: bytes, *, expect: bytes) -> None:
        dashboard.write_bytes(next(writes, b"") + dashboard.read_bytes())
        replace(path, data, expect=expect)

    replace = files.replace
    monkeypatch.setattr(files, "replace", busy)
    assert roll(context(tmp_path)).output == "archived 2 activity entries"
    assert dashboard.read_bytes() == b"two more\none more\n" + LEFT
    assert tree(tmp_path / "Logs/archive/activity")["2026-11.md"] == b"- 2026-11-13 a\n"


def test_an_entry_is_archived_before_it_leaves(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dashboard = put(tmp_path / "Dashboard.md", LOG)

    def never(path: Path, data: bytes, *, expect: bytes) -> None:
        assert (tmp_path / "Logs/archive/activity/2026-10.md").read_bytes() == b"- 2026-10-31 b\n"
        raise files.Changed(str(path))

    monkeypatch.setattr(files, "replace", never)
    done = roll(context(tmp_path))
    assert done.outcome == "failure"
    assert "another program" in str(done.error)
    assert dashboard.read_bytes() == LOG


@pytest.mark.parametrize(
    ("content", "error"),
    [
        (LOG + b"\n" + START, "not one start and one end"),
        (LOG + b"\n```", "never closed"),
        (LOG + b"\0", "NUL"),
    ],
)
def test_a_dashboard_in_doubt_is_left_alone_and_told(tmp_path: Path, content: bytes, error: str) -> None:
    dashboard = put(tmp_path / "Dashboard.md", content)
    put(tmp_path / "Logs/audit/2026-01-01.jsonl")
    done = roll(context(tmp_path))
    assert done.outcome == "failure"
    assert done.output == "archived 1 audit file"
    assert str(done.error).startswith("Dashboard.md was left alone: ")
    assert error in str(done.error)
    assert dashboard.read_bytes() == content


def test_what_is_read_only_or_no_file_is_left_alone(tmp_path: Path) -> None:
    dashboard = put(tmp_path / "Dashboard.md", LOG)
    dashboard.chmod(0o400)
    assert "read-only" in str(roll(context(tmp_path)).error)
    dashboard.unlink()
    dashboard.mkdir()
    assert roll(context(tmp_path)).outcome == "failure"
    dashboard.rmdir()
    os.mkfifo(dashboard)
    assert roll(context(tmp_path)).outcome == "failure"
    assert not (tmp_path / "Logs").exists()


def test_a_link_is_written_through_inside_the_vault_only(tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    real = put(vault / "Notes/Real.md", LOG)
    (vault / "Dashboard.md").symlink_to("Notes/Real.md")
    assert roll(context(vault)).output == "archived 2 activity entries"
    assert (vault / "Dashboard.md").is_symlink()
    assert real.read_bytes() == LEFT
    outside = put(tmp_path / "outside.md", LOG)
    (vault / "Dashboard.md").unlink()
    (vault / "Dashboard.md").symlink_to(outside)
    assert "leads out of the vault" in str(roll(context(vault)).error)
    assert outside.read_bytes() == LOG


def test_nothing_is_archived_outside_the_vault(tmp_path: Path) -> None:
    vault, outside = tmp_path / "vault", tmp_path / "outside"
    outside.mkdir()
    dashboard = put(vault / "Dashboard.md", LOG)
    (vault / "Logs").mkdir()
    (vault / "Logs/archive").symlink_to(outside)
    with pytest.raises(OSError, match="a symlink leads out of the vault there") as raised:
        roll(context(vault))
    assert raised.value.filename == str(vault / "Logs/archive/activity")
    assert dashboard.read_bytes() == LOG
    assert tree(outside) == {}
