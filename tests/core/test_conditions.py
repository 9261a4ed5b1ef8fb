"""Whether files are there that `only_if_any` asks for."""

import os
from pathlib import Path

import pytest

from orchestrator.schedule.conditions import any_exists
from orchestrator.vault import walk
from orchestrator.vault.globs import Globs


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    for file in ("Inbox/a.txt", "Needs_Action/deep/down/b.md", "Needs_Action/.hidden/c.md", "top.md"):
        (tmp_path / file).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / file).touch()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere" / "d.pdf").touch()
    (tmp_path / "Inbox" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "Inbox" / "loop").symlink_to(tmp_path)
    (tmp_path / "Inbox" / "file.pdf").symlink_to(tmp_path / "elsewhere" / "d.pdf")
    (tmp_path / "Linked").symlink_to(tmp_path / "elsewhere")
    os.mkfifo(tmp_path / "Inbox" / "fifo.pdf")
    (tmp_path / "Inbox" / "folder.pdf").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("patterns", "there"),
    [
        (["Inbox/*"], True),
        (["Inbox/*.md"], False),
        (["Inbox/*.md", "*.md"], True),
        (["Needs_Action/*.md"], False),
        (["Needs_Action/**/*.md"], True),
        (["Needs_Action/.hidden/*"], True),
        (["Needs_Action/*/c.md"], False),
        (["Inbox/**/*.pdf"], False),  # a FIFO, a link, a folder, and links to folders
        (["Linked/*.pdf"], True),  # named outright
        (["**/*.pdf"], True),
        (["Inbox/a.txt"], True),
        (["Inbox/a.txt/b"], False),
        (["Gone/**"], False),
        (["x" * 300 + "/*"], False),
        ([], False),
    ],
)
def test_which_files_count(vault: Path, patterns: list[str], there: bool) -> None:  # noqa: FBT001  a table's column
    assert any_exists(str(vault), patterns) is there


def test_no_vault(tmp_path: Path) -> None:
    assert not any_exists(str(tmp_path / "gone"), ["**"])


def test_only_folders_that_can_hold_something_are_looked_into(vault: Path) -> None:
    def looked_into(*patterns: str) -> set[str]:
        return {folder for folder, _ in walk.folders(str(vault), Globs(patterns, frozenset({"elsewhere"})))}

    assert looked_into("Inbox/*") == {"Inbox"}
    assert looked_into("Needs_Action/*/*/x", "Needs_Action/deep/y") == {
        *("Needs_Action", "Needs_Action/deep", "Needs_Action/deep/down")
    }
    assert looked_into("**") == {
        *("", "Inbox", "Inbox/folder.pdf", "Needs_Action", "Needs_Action/deep", "Needs_Action/deep/down")
    }
