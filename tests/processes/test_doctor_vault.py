"""The vault on a real disk: its rights, its files, its database, and other programs that sync it."""

import os
import sqlite3
import subprocess
from pathlib import Path

import pytest
from examining import Practice, told

from orchestrator.doctor import sync, vault
from orchestrator.store.schema import MIGRATIONS


@pytest.fixture
def practice(tmp_path: Path) -> Practice:
    return Practice(tmp_path)


def test_a_vault_in_order(practice: Practice) -> None:
    (practice.vault / ".aiemp").mkdir(mode=0o700)
    patient = practice.patient()
    for check in (vault.look, vault.dashboard, vault.database, sync.look):
        assert told(list(check(patient))) == ""


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_vault_that_cannot_be_written(practice: Practice) -> None:
    practice.vault.chmod(0o500)
    try:
        assert "can't be written by" in told(list(vault.look(practice.patient())))
    finally:
        practice.vault.chmod(0o700)


def test_a_state_folder_that_is_none(practice: Practice) -> None:
    (practice.vault / ".aiemp").symlink_to(practice.folder)
    assert ".aiemp is no folder" in told(list(vault.look(practice.patient())))


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
def test_a_state_folder_of_someone_else(practice: Practice) -> None:
    (practice.vault / ".aiemp").mkdir(mode=0o700)
    os.chown(practice.vault / ".aiemp", 65534, 65534)
    assert "it will not start" in told(list(vault.look(practice.patient())))


def dashboard(practice: Practice) -> str:
    return told(list(vault.dashboard(practice.patient())))


def test_a_dashboard_that_would_be_left_alone(practice: Practice) -> None:
    path = practice.vault / "Dashboard.md"
    path.write_text("<!-- aiemp:health:start -->\n")
    assert "its markers are not one start and one end" in dashboard(practice)
    path.write_text("# mine\n")
    assert dashboard(practice) == ""
    path.chmod(0o444)
    assert "is left alone: it is read-only -> chmod u+w" in dashboard(practice)
    path.unlink()
    assert dashboard(practice) == "", "it is written new"
    (practice.vault / "Notes.md").write_text("# mine\n")
    path.symlink_to("Notes.md")
    assert dashboard(practice) == ""
    path.unlink()
    path.symlink_to(practice.folder / "outside.md")
    assert "leads out of the vault" in dashboard(practice)
    path.unlink()
    os.mkfifo(path)
    assert "is no regular file" in dashboard(practice)


def database(practice: Practice) -> str:
    return told(list(vault.database(practice.patient())))


def test_the_database(practice: Practice) -> None:
    path = practice.vault / ".aiemp/aiemp.db"
    path.parent.mkdir(mode=0o700)
    assert database(practice) == "", "there is none yet"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE t (x)")
        connection.executemany("INSERT INTO t VALUES (?)", [("x" * 1000,) for _ in range(100)])
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS)}")
    connection.close()
    before = sorted(path.parent.iterdir())
    assert database(practice) == ""
    assert sorted(path.parent.iterdir()) == before, "it is only read"
    whole = path.read_bytes()
    path.write_bytes(whole[:8192] + b"\xff" * 4096 + whole[12288:])
    assert "warning database" in database(practice)
    path.write_bytes(b"no database at all" * 1000)
    assert "is damaged (file is not a database)" in database(practice)


def test_a_database_of_a_later_version(practice: Practice) -> None:
    path = practice.vault / ".aiemp/aiemp.db"
    path.parent.mkdir(mode=0o700)
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {len(MIGRATIONS) + 1}")
    connection.close()
    assert "problem database" in database(practice)


@pytest.mark.parametrize(
    ("folder", "service"),
    [
        ("Library/Mobile Documents/iCloud~md~obsidian/Documents", "iCloud"),
        ("Dropbox (Personal)", "Dropbox"),
        ("OneDrive - Acme", "OneDrive"),
        ("OneDrive", "OneDrive"),
        ("Google Drive/My Drive", "Google Drive"),
        ("GoogleDrive-amy@example.org", "Google Drive"),
        ("Nextcloud", "Nextcloud"),
        ("Documents", None),
        ("My Dropbox notes", None),
    ],
)
def test_who_syncs_a_folder(tmp_path: Path, folder: str, service: str | None) -> None:
    found = sync.service_of(str(tmp_path / folder / "vault"))
    assert (found and found[0]) == service


def synced(practice: Practice) -> str:
    return told(list(sync.look(practice.patient())))


@pytest.mark.parametrize("line", ["/.aiemp", ".aiemp", "(?d).aiemp", "(?d)(?i)/.aiemp/"])
def test_syncthing_until_it_leaves_our_folder_out(practice: Practice, line: str) -> None:
    (practice.vault / ".stfolder").mkdir()
    assert "Syncthing syncs the vault, .aiemp too" in synced(practice)
    assert f"echo /.aiemp >> {practice.vault}/.stignore" in synced(practice)
    (practice.vault / ".stignore").write_text(f"// mine\n{line}\n")
    assert synced(practice) == ""


def test_syncthing_above_the_vault(practice: Practice) -> None:
    (practice.folder / ".stfolder").mkdir()
    (practice.folder / ".stignore").write_text("/.aiemp\n")
    assert "Syncthing syncs" in synced(practice), "that one means another folder"
    (practice.folder / ".stignore").write_text("/vault/.aiemp\n")
    assert synced(practice) == ""


def test_what_sync_programs_have_left_is_named(practice: Practice) -> None:
    (practice.vault / ".aiemp").mkdir(mode=0o700)
    for name in ("Dashboard 2.md", ".aiemp/aiemp.sync-conflict-20261125-1-A.db", "Chapter 2.md"):
        (practice.vault / name).touch()
    found = synced(practice)
    assert f"{practice.vault}/Dashboard 2.md" in found
    assert "aiemp.sync-conflict-20261125-1-A.db" in found
    assert "Chapter" not in found


def test_a_vault_in_git(practice: Practice) -> None:
    subprocess.run(["git", "init", "-q", str(practice.vault)], check=True, timeout=30)
    (practice.vault / ".aiemp").mkdir(mode=0o700)
    found = synced(practice)
    assert ".aiemp is not ignored there" in found
    subprocess.run(found.partition(" -> ")[2], shell=True, check=True, timeout=30)  # noqa: S602  what a person would type
    assert synced(practice) == ""
