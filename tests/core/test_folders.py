"""The vault's folders: made where they lack, counted for status."""

import os
from pathlib import Path

import pytest

from orchestrator.errors import UserError
from orchestrator.vault import folders

NONE = dict.fromkeys(["inbox", "needs_action", "plans", "pending_approval", "approved", "rejected", "done"], 0)


def test_makes_what_lacks_and_says_so(tmp_path: Path) -> None:
    (tmp_path / "Inbox").mkdir()
    assert folders.create(str(tmp_path)) == [name for name in folders.ALL if name != "Inbox"]
    assert folders.create(str(tmp_path)) == []
    assert all((tmp_path / name).is_dir() for name in folders.ALL)
    assert folders.counts(str(tmp_path)) == NONE


def test_a_file_in_a_folders_place_is_told(tmp_path: Path) -> None:
    (tmp_path / "Plans").write_text("mine")
    with pytest.raises(UserError, match="Plans is no folder"):
        folders.create(str(tmp_path))


def test_counts_notes_but_every_file_of_the_inbox(tmp_path: Path) -> None:
    folders.create(str(tmp_path))
    for name in ["Inbox/a.pdf", "Inbox/b.md", "Inbox/.hidden", "Done/a.md", "Done/b.MD", "Done/c.txt", "Done/.d.md"]:
        (tmp_path / name).touch()
    (tmp_path / "Needs_Action/mail").mkdir()
    (tmp_path / "Needs_Action/mail/a.md").touch()
    (tmp_path / "Needs_Action/.trash").mkdir()
    (tmp_path / "Needs_Action/.trash/b.md").touch()
    (tmp_path / "Needs_Action/folder.md").mkdir()
    (tmp_path / "Plans/loop").symlink_to(tmp_path)
    (tmp_path / "Plans/gone.md").symlink_to("nowhere")
    (tmp_path / "Plans" / os.fsdecode(b"\xff.md")).touch()
    os.mkfifo(tmp_path / "Inbox/pipe")
    assert folders.counts(str(tmp_path)) == {**NONE, "inbox": 2, "needs_action": 1, "plans": 1, "done": 2}


def test_a_missing_vault_counts_nothing(tmp_path: Path) -> None:
    assert folders.counts(str(tmp_path / "nowhere")) == NONE
    (tmp_path / "Inbox").touch()
    assert folders.counts(str(tmp_path)) == NONE
