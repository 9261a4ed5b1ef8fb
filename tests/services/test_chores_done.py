"""done_archive: what was done long ago moves to its month, with what belongs to it, and never over anything."""

import errno
import json
import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from chore_site import NOW, after, context, moved, note, put, tree

from orchestrator import files
from orchestrator.actions.chores import moves
from orchestrator.actions.chores.context import Report
from orchestrator.actions.chores.done_archive import archive

OLD = {"completed": "2026-11-01T10:00:00Z"}


def run(vault: Path, now: datetime = NOW, *, dry_run: bool = False) -> Report:
    return archive(context(vault, now=now, dry_run=dry_run))


def names(folder: Path) -> list[str]:
    """Every file below, by its path."""
    return sorted(name for name, content in tree(folder).items() if content is not None)


@pytest.mark.parametrize(
    ("fields", "month"),
    [
        ({"completed": "2026-11-13T23:29:59Z"}, "2026-11"),
        ({"completed": "2026-11-13T23:30:00Z"}, None),  # seven days are not more than seven
        ({"processed": "2026-10-01"}, "2026-10"),
        ({"completed": "2026-11-20", "processed": "2026-10-01"}, None),
        ({"completed": "soon", "processed": "2026-10-01"}, "2026-10"),
        ({"completed": "2026-09-30T22:30:00Z"}, "2026-10"),  # in Berlin it was October already
        ({"completed": "2030-01-01"}, None),
    ],
)
def test_frontmatter_says_when(tmp_path: Path, fields: dict[str, str], month: str | None) -> None:
    put(tmp_path / "Done/a.md", note(**fields))
    done = run(tmp_path)
    assert done.error is None
    assert names(tmp_path / "Done") == ["a.md" if month is None else f"archive/{month}/a.md"]


def test_else_the_files_own_times_do_and_a_move_counts(tmp_path: Path) -> None:
    file = put(tmp_path / "In_Progress/a.txt")
    os.utime(file, (0, 0))
    (tmp_path / "Done").mkdir()
    file = file.rename(tmp_path / "Done/a.txt")  # mtime stays at 1970, ctime is now
    came = moved(file)
    assert "nothing has been in Done for more than 7 days" in run(tmp_path, after(file, 6.9)).output
    assert run(tmp_path, after(file, 7.1)).output.startswith("moved 1 file to Done/archive (")
    month = came.astimezone(context(tmp_path).zone).strftime("%Y-%m")
    assert names(tmp_path / "Done") == [f"archive/{month}/a.txt"]


def test_broken_frontmatter_leaves_the_files_own_times(tmp_path: Path) -> None:
    file = put(tmp_path / "Done/a.md", "---\ncompleted: 2000-01-01\nsubject: Re: x\n---\n")
    run(tmp_path, after(file, 6))
    assert names(tmp_path / "Done") == ["a.md"]
    run(tmp_path, after(file, 8))
    assert len(names(tmp_path / "Done/archive")) == 1


def test_times_beyond_all_years_are_no_crash(tmp_path: Path) -> None:
    file = put(tmp_path / "Done/a.txt")
    try:
        os.utime(file, (10**12, 10**12))
    except OverflowError:
        pytest.skip("no such times here")
    assert run(tmp_path).error is None
    assert file.exists()


def test_sub_folders_keep_their_paths_and_the_archive_is_left(tmp_path: Path) -> None:
    done = tmp_path / "Done"
    put(done / "a.md", note(**OLD))
    put(done / "mail/in/b.md", note(**OLD))
    put(done / "mail/archive/c.md", note(**OLD))
    put(done / "archive/2020-01/d.md", note(**OLD))
    put(done / "archive/e.md", note(**OLD))
    assert run(tmp_path).output == "moved 3 files to Done/archive (2026-11: 3)"
    assert names(done / "archive") == [
        "2020-01/d.md", "2026-11/a.md", "2026-11/mail/archive/c.md", "2026-11/mail/in/b.md", "e.md"
    ]  # fmt: skip
    assert (done / "mail/in").is_dir()
    assert run(tmp_path).output.startswith("nothing")


def test_an_archive_of_another_case_is_one_too(tmp_path: Path) -> None:
    put(tmp_path / "Done/Archive/a.md", note(**OLD))
    run(tmp_path)
    assert names(tmp_path / "Done") == ["Archive/a.md"]


def test_links_special_and_hidden_files_are_left(tmp_path: Path) -> None:
    done = tmp_path / "Done"
    put(done / ".hidden.md", note(**OLD))
    put(done / ".obsidian/x.md", note(**OLD))
    put(tmp_path / "Other/y.md", note(**OLD))
    (done / "link.md").symlink_to("../Other/y.md")
    (done / "folder").symlink_to("../Other")
    os.mkfifo(done / "fifo.md")
    before = tree(tmp_path)
    run(tmp_path, NOW + timedelta(days=10_000))
    assert {name: content for name, content in tree(tmp_path).items() if name != ".aiemp"} == before


def test_a_note_and_its_file_go_together_by_the_notes_date(tmp_path: Path) -> None:
    done = tmp_path / "Done"
    put(done / "a.pdf")
    put(done / "a.pdf.md", note(**OLD))
    put(done / "b.pdf")
    put(done / "FILE_b.pdf.md", note(**OLD, file='"b.pdf"'))
    put(done / "c.pdf")
    put(done / "c.pdf.md", note(completed="2026-11-20"))
    put(done / "FILE_x.md", note(**OLD, file='"../../secret"'))
    put(done / os.fsdecode(b"\xff.pdf"))
    put(done / "FILE_ff.md", note(**OLD, file=r'"\\xff.pdf"'))
    run(tmp_path)
    assert names(done) == sorted(
        ["c.pdf", "c.pdf.md"]
        + [f"archive/2026-11/{name}" for name in ("a.pdf", "a.pdf.md", "b.pdf", "FILE_b.pdf.md", "FILE_x.md")]
        + ["archive/2026-11/\\xff.pdf", "archive/2026-11/FILE_ff.md"]
    )


def test_names_that_are_taken_are_told_apart(tmp_path: Path) -> None:
    done = tmp_path / "Done"
    month = done / "archive/2026-11"
    put(month / "a.pdf", "first")
    put(month / "a (2).pdf.md", "second")
    put(month / "b.md", "first")
    put(done / "a.pdf", "third")
    put(done / "a.pdf.md", note(**OLD))
    put(done / "b.md", note(**OLD))
    run(tmp_path)
    assert names(month) == ["a (2).pdf.md", "a (3).pdf", "a (3).pdf.md", "a.pdf", "b (2).md", "b.md"]
    assert (month / "a.pdf").read_bytes() == b"first"
    assert (month / "a (3).pdf").read_bytes() == b"third"
    assert (month / "b.md").read_bytes() == b"first"


def test_a_name_taken_at_the_last_moment_is_not_written_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    put(tmp_path / "Done/a.md", note(**OLD))
    taken = [b"one", b"two"]
    place = moves.place

    def late(source: Path, target: Path) -> None:
        if taken:
            put(target, taken.pop())
        place(source, target)

    monkeypatch.setattr(moves, "place", late)
    assert run(tmp_path).error is None
    found = tree(tmp_path / "Done/archive/2026-11")
    assert sorted(found) == ["a (2).md", "a (3).md", "a.md"]
    assert {found["a.md"], found["a (2).md"]} == {b"one", b"two"}


def test_where_there_are_no_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def no_links(*_: object, **__: object) -> None:
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(os, "link", no_links)
    put(tmp_path / "Done/archive/2026-11/a.md", "first")
    put(tmp_path / "Done/a.md", note(**OLD))
    assert run(tmp_path).error is None
    assert names(tmp_path / "Done") == ["archive/2026-11/a (2).md", "archive/2026-11/a.md"]


def test_a_dry_run_changes_nothing_and_says_what_it_would_do(tmp_path: Path) -> None:
    put(tmp_path / "Done/a.md", note(**OLD))
    before = tree(tmp_path)
    assert run(tmp_path, dry_run=True).output == "would move Done/a.md to Done/archive/2026-11/a.md"
    assert tree(tmp_path) == before
    assert run(tmp_path / "Done", dry_run=True).output.startswith("nothing")


def test_what_a_killed_run_began_is_finished(tmp_path: Path) -> None:
    done = tmp_path / "Done"
    file = put(done / "new.txt")  # too new to be moved, so only the record can be the reason
    both = put(done / "both.txt")
    gone = put(done / "gone.txt")
    month = done / "archive/2026-11"
    month.mkdir(parents=True)
    planned = [moves.found(tmp_path, each, month / each.name) for each in (file, both, gone)]
    os.link(both, month / "both.txt")
    both.write_text("edited since")  # under both of its names
    gone.unlink()
    put(gone, "another file of that name")
    os.utime(gone, (1, 1))
    record = put(tmp_path / ".aiemp/done_archive.json", b"")
    moves.Moves(tmp_path, record)._write_down(planned)
    assert run(tmp_path, dry_run=True).output.startswith("would move Done/new.txt to Done/archive/2026-11/new.txt")
    assert run(tmp_path, now=datetime(2000, 1, 1, tzinfo=UTC)).output == "moved 2 files to Done/archive (2026-11: 2)"
    assert names(done) == ["archive/2026-11/both.txt", "archive/2026-11/new.txt", "gone.txt"]
    assert (month / "both.txt").read_text() == "edited since"
    assert not record.exists()


@pytest.mark.parametrize(
    "record",
    [b"", b"\xff", b"{}", b"[1]", b'[{"source": "x"}]', b"[" * 100_000]
    + [
        json.dumps([{"source": source, "target": target, "inode": 1, "modified": 1}]).encode()
        for source, target in [("../x", "y"), ("Done/a.md", "/etc/x"), ("Done/../../x", "y"), ("a", 1), ("", "a")]
    ],
)
def test_a_record_that_cannot_be_believed_is_not(tmp_path: Path, record: bytes) -> None:
    put(tmp_path / ".aiemp/done_archive.json", record)
    put(tmp_path / "Done/a.md", note(**OLD))
    assert run(tmp_path).error is None
    assert names(tmp_path) == ["Done/archive/2026-11/a.md"]


def test_nothing_leaves_the_vault(tmp_path: Path) -> None:
    vault, outside = tmp_path / "vault", tmp_path / "outside"
    outside.mkdir()
    put(vault / "Done/a.md", note(**OLD))
    (vault / "Done/archive").symlink_to(outside)
    done = run(vault)
    assert done.outcome == "failure"
    assert done.output == "moved nothing"
    assert "leads out of the vault" in str(done.error)
    assert list(outside.iterdir()) == []
    assert (vault / "Done/a.md").exists()


def test_a_vault_that_goes_away_meanwhile_is_not_made_anew(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    vault = tmp_path / "vault"
    mover = moves.Moves(vault, tmp_path / "record.json")
    planned = [moves.found(vault, put(vault / "Done/a.md"), vault / "Done/archive/2026-11/a.md")]
    check_inside = files.check_inside

    def look_and_lose(folder: Path, within: Path) -> None:
        check_inside(folder, within)
        if folder.name == "2026-11":
            vault.rename(tmp_path / "away")

    monkeypatch.setattr(files, "check_inside", look_and_lose)
    (trouble,) = mover.carry_out(planned).troubles
    assert "can't be moved" in trouble
    assert not vault.exists()


def test_a_done_folder_elsewhere_is_left(tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    vault.mkdir()
    put(tmp_path / "outside/a.md", note(**OLD))
    (vault / "Done").symlink_to(tmp_path / "outside")
    assert run(vault).outcome == "failure"
    assert names(tmp_path / "outside") == ["a.md"]


def test_one_that_cannot_be_moved_does_not_hold_up_the_others(tmp_path: Path) -> None:
    put(tmp_path / "Done/a.md", note(completed="2026-10-01"))
    put(tmp_path / "Done/b.md", note(**OLD))
    put(tmp_path / "Done/archive/2026-10", "a file in the way")
    done = run(tmp_path)
    assert done.outcome == "failure"
    assert done.output == "moved 1 file to Done/archive (2026-11: 1)"
    assert "Done/a.md can't be moved" in str(done.error)
    assert names(tmp_path / "Done") == ["a.md", "archive/2026-10", "archive/2026-11/b.md"]


def test_the_number_of_days_can_be_set(tmp_path: Path) -> None:
    file = put(tmp_path / "Done/a.txt")
    told = context(tmp_path, now=after(file, 2), environ={"DONE_KEEP_DAYS": "1"})
    assert archive(told).output.startswith("moved 1 file")
