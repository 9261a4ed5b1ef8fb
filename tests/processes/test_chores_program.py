"""The chores as the daemon starts them: environment in, one line of JSON out."""

import contextlib
import fcntl
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import pytest
from watching import PATIENCE, clean_environment, running, wait_for

from orchestrator.actions import names
from orchestrator.actions.chores.__main__ import CHORES

WITHOUT_AGENT = set(CHORES) - names.NEEDS_AGENT


def chore(name: str, vault: Path, **env: str) -> subprocess.CompletedProcess[str]:
    told = {"AIEMP_VAULT": str(vault), "AIEMP_STATE_DIR": str(vault / ".aiemp"), "AIEMP_TIMEZONE": "Europe/Berlin"}
    return subprocess.run(
        [sys.executable, "-P", "-m", "orchestrator.actions.chores", name],
        env={**clean_environment(), **told, **env},
        cwd=vault if vault.is_dir() else vault.parent,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE * 2,
        check=False,
    )


def said(ended: subprocess.CompletedProcess[str]) -> dict[str, Any]:
    assert ended.returncode == 0, ended.stderr
    found = json.loads(ended.stdout.splitlines()[-1])
    assert set(found) - {"prompt"} == {"outcome", "output", "error"}
    assert isinstance(found, dict)
    return found


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    for folder in ("Inbox", "Needs_Action", "Done", "Pending_Approval"):
        (tmp_path / "vault" / folder).mkdir(parents=True)
    return tmp_path / "vault"


def put_prompt(vault: Path, name: str, text: str) -> None:
    (vault / "Prompts").mkdir(exist_ok=True)
    (vault / "Prompts" / f"{name}.md").write_text(f"---\ntask: x\n---\n\n{text}\n", encoding="utf-8")


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(exist_ok=True)
    fd = os.open(path, os.O_RDWR | os.O_CREAT)
    fcntl.flock(fd, fcntl.LOCK_EX)
    yield
    os.close(fd)


def test_every_chore_has_a_program_but_the_daemons_own() -> None:
    assert set(CHORES) == names.CHORES - {names.HEALTH_UPDATE} | names.NEEDS_AGENT
    assert not names.CHORES & names.NEEDS_AGENT


@pytest.mark.parametrize("name", sorted(WITHOUT_AGENT))
def test_says_what_came_of_it(vault: Path, name: str) -> None:
    found = said(chore(name, vault, DRY_RUN="false"))
    assert found["outcome"] == "success"
    assert found["error"] is None
    assert found["output"]
    assert "prompt" not in found


@pytest.mark.parametrize("name", sorted(names.NEEDS_AGENT))
def test_says_what_an_agent_is_to_be_told(vault: Path, name: str) -> None:
    text = "/skill 'Do' \"it\"\n\x1b[1m\u2028\N{GRINNING FACE} $HOME \\n é"
    put_prompt(vault, name, text)
    (vault / "Needs_Action/a.md").write_text("a note")
    found = said(chore(name, vault, DRY_RUN="false"))
    assert (found["outcome"], found["error"]) == ("success", None)
    assert found["output"]
    assert found["prompt"].startswith(f"{text}\n\n## Counted by aiemp just now\n")


@pytest.mark.parametrize("name", sorted(names.NEEDS_AGENT))
def test_without_its_text_no_agent_is_asked(vault: Path, name: str) -> None:
    (vault / "Needs_Action/a.md").write_text("a note")
    found = said(chore(name, vault))
    assert found == {
        "outcome": "failure",
        "output": "",
        "error": f"Prompts/{name}.md is missing; `aiemp init` writes a new one",
    }


def test_an_agent_is_not_asked_to_do_nothing(vault: Path) -> None:
    assert said(chore("morning_triage", vault)) == {
        "outcome": "skipped",
        "output": "",
        "error": "nothing in Needs_Action",
    }
    (vault / "Pending_Approval/linkedin.md").write_text("of now")
    found = said(chore("linkedin_post", vault))
    assert (found["outcome"], "prompt" in found) == ("skipped", False)
    assert "drafted today" in found["error"]


def test_the_longest_text_arrives_whole(vault: Path) -> None:
    (vault / "Needs_Action/a.md").write_text("a note")
    text = "é\x01" * ((1 << 20) // 3 - 100)
    put_prompt(vault, "morning_triage", text)
    assert said(chore("morning_triage", vault))["prompt"].startswith(f"{text}\n\n## ")


def test_the_day_is_the_zones(vault: Path) -> None:
    put_prompt(vault, "weekly_audit_prep", "Write it.")
    days = []
    for zone in ("Etc/GMT+12", "Pacific/Kiritimati"):  # 26 hours apart
        found = said(chore("weekly_audit_prep", vault, AIEMP_TIMEZONE=zone))
        days.append(date.fromisoformat(found["output"].removeprefix("wrote Briefings/")[:10]))
    assert days[1] - days[0] >= timedelta(days=1)
    assert {file.name for file in (vault / "Briefings").iterdir()} == {f"{day}_weekly_data.md" for day in days}


@pytest.mark.parametrize("name", sorted(WITHOUT_AGENT))
def test_a_dry_run_leaves_no_trace(vault: Path, name: str) -> None:
    (vault / "Inbox/bill.txt").write_text("42")
    (vault / "Done/a.md").write_text("---\ncompleted: 2020-01-01\n---\n")
    (vault / "Pending_Approval/b.md").write_text("---\ncreated: 2020-01-01\n---\n")
    before = {path: path.lstat().st_mtime_ns for path in vault.rglob("*")}
    found = said(chore(name, vault, DRY_RUN="true"))
    assert (found["outcome"], found["error"]) == ("success", None)
    assert {path: path.lstat().st_mtime_ns for path in vault.rglob("*")} == before


@pytest.mark.parametrize("name", sorted(names.NEEDS_AGENT))
def test_a_dry_run_before_a_prompt_leaves_no_trace(vault: Path, name: str) -> None:
    put_prompt(vault, name, "Do it.")
    (vault / "Needs_Action/a.md").write_text("a note")
    before = {path: path.lstat().st_mtime_ns for path in vault.rglob("*")}
    found = said(chore(name, vault, DRY_RUN="true"))
    assert found["outcome"] == ("skipped" if name == "weekly_audit_prep" else "success")
    assert {path: path.lstat().st_mtime_ns for path in vault.rglob("*")} == before


def test_what_lies_in_the_vault_is_not_imported(vault: Path) -> None:
    (vault / "yaml.py").write_text("raise SystemExit(3)")
    (vault / "json.py").write_text("raise SystemExit(3)")
    (vault / "Pending_Approval/a.md").write_text("---\ncreated: 2020-01-01\n---\n")
    assert said(chore("stale_approval_check", vault))["output"].startswith("Found 1 stale approvals: ")


def test_a_persons_mistakes_are_failures_with_a_sentence(vault: Path) -> None:
    found = said(chore("done_archive", vault.parent / "none"))
    assert found["outcome"] == "failure"
    assert "no vault at" in found["error"]
    assert "AIEMP_TIMEZONE" in said(chore("done_archive", vault, AIEMP_TIMEZONE="Berlin"))["error"]
    assert "DONE_KEEP_DAYS" in said(chore("done_archive", vault, DONE_KEEP_DAYS="x"))["error"]


def test_a_disk_that_refuses_is_a_failure(vault: Path) -> None:
    (vault / "Logs").write_text("a file in the way")
    (vault / "Pending_Approval/a.md").write_text("---\ncreated: 2020-01-01\n---\n")
    found = said(chore("stale_approval_check", vault))
    assert found["outcome"] == "failure"
    assert "Logs" in found["error"]


@pytest.mark.parametrize("name", ["health_update", "x"])
def test_other_names_are_wrong_usage(vault: Path, name: str) -> None:
    ended = chore(name, vault)
    assert ended.returncode == 2
    assert "usage:" in ended.stderr


def test_two_at_once_do_not_disturb_each_other(vault: Path) -> None:
    with locked(vault / ".aiemp/done_archive.lock"):
        found = said(chore("done_archive", vault))
        assert said(chore("daily_rollover", vault))["outcome"] == "success"
    assert found["outcome"] == "skipped"
    assert "another run" in found["error"]


def test_a_name_that_is_no_utf8_is_shown(vault: Path) -> None:
    Path(os.fsdecode(os.fsencode(vault / "Pending_Approval/a") + b"\xff\n.md")).write_text(
        "---\ncreated: 2020-01-01\n---"
    )
    found = said(chore("stale_approval_check", vault))
    assert r"Pending_Approval/a\udcff\n.md" in found["output"]


def test_iteration_picks_up_the_inbox(vault: Path) -> None:
    (vault / "Inbox/bill.txt").write_text("42")
    ended = chore("iteration", vault)
    found = said(ended)
    assert (found["outcome"], found["error"]) == ("success", None)
    assert found["output"].startswith("picked up the Inbox (1 file before, 0 after, 1 new note); ")
    assert (vault / "Needs_Action/bill.txt").read_text() == "42"
    assert "'bill.txt' moved to" in ended.stderr


def test_iteration_says_what_it_would_do(vault: Path) -> None:
    (vault / "Inbox/bill.txt").write_text("42")
    ended = chore("iteration", vault, DRY_RUN="true")
    assert said(ended)["output"].startswith("would pick up the Inbox (1 file before, ")
    assert "would move to" in ended.stderr
    assert (vault / "Inbox/bill.txt").exists()


def test_iteration_leaves_the_inbox_to_a_running_watcher(vault: Path) -> None:
    with running(vault):
        lock = vault / ".aiemp/filesystem.lock"
        wait_for(lambda: lock.exists() and lock.read_text(), "the watcher's lock")
        found = said(chore("iteration", vault))
    assert (found["outcome"], found["error"]) == ("success", None)
    assert found["output"].startswith("left the Inbox to its watcher, which is running; ")


def test_iteration_fails_when_the_inbox_cannot_be_picked_up(vault: Path) -> None:
    (vault / "Needs_Action").rmdir()
    (vault / "Needs_Action").write_text("a file in the way")
    found = said(chore("iteration", vault))
    assert found["outcome"] == "failure"
    assert "could not be picked up" in found["output"]
    assert "Needs_Action" in found["error"]
