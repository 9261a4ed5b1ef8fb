"""stale_approval_check: names and flags what waits too long, and never touches it."""

import json
import os
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from chore_site import BERLIN, NOW, context, note, put, tree

from orchestrator.actions.chores.context import LISTED
from orchestrator.actions.chores.stale_approvals import Finding, check, judge
from orchestrator.errors import UserError
from orchestrator.vault import audit

DAY = timedelta(hours=24)


@pytest.mark.parametrize(
    ("fields", "finding"),
    [
        ({"created": "2026-11-20T23:30:00Z"}, None),
        ({"created": "2026-11-19T23:30:00Z"}, None),  # for exactly 24 hours
        ({"created": "2026-11-19T23:29:59Z"}, "waits since 2026-11-20 00:29, 1d 0h"),
        ({"created": "2026-11-20 00:29:59"}, "waits since 2026-11-20 00:29, 1d 0h"),  # naive: Berlin's
        ({"created": "2026-11-20 00:30:00"}, None),
        ({"created": "2026-11-19"}, "waits since 2026-11-19 00:00, 2d 0h"),
        ({"created": "2026-11-20T23:00:00Z", "expires": "2026-11-20T23:30:00Z"}, "expired on 2026-11-21 00:30"),
        ({"created": "2026-11-20T23:00:00Z", "expires": "2026-11-20T23:30:01Z"}, None),
        ({"created": "2026-11-20T23:00:00Z", "expires": "2026-11-21"}, None),  # good until that day is over
        ({"created": "2026-11-20T23:00:00Z", "expires": "2026-11-20"}, "expired on 2026-11-21 00:00"),
        ({"created": "2026-11-01", "expires": "2026-12-01"}, "waits since 2026-11-01 00:00, 20d 0h"),
        ({"created": "2026-11-01", "expires": "never"}, "waits since 2026-11-01 00:00, 20d 0h; its `expires` is no ISO date"),  # noqa: E501
        ({"expires": "2026-11-01"}, "expired on 2026-11-02 00:00; it has no `created`"),
        ({"status": "approved", "created": "2026-11-01"}, "waits since 2026-11-01 00:00, 20d 0h"),  # no consent
    ],
)  # fmt: skip
def test_what_is_stale(fields: dict[str, Any], finding: str | None) -> None:
    assert judge(fields, NOW, BERLIN, DAY) == (None if finding is None else Finding(finding, stale=True))


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        (None, "it has no frontmatter"),
        ({}, "it has no `created`"),
        ({"created": None}, "it has no `created`"),
        ({"created": "yesterday"}, "its `created` is no ISO date"),
        ({"created": 20261101}, "its `created` is no ISO date"),
        ({"created": "2027-01-01"}, "its `created` lies in the future"),
        ({"created": "2026-11-20T23:00:00Z", "expires": "soon"}, "its `expires` is no ISO date"),
        ({"expires": "2027-01-01"}, "it has no `created`"),
    ],
)
def test_what_cannot_be_told(fields: dict[str, Any] | None, why: str) -> None:
    assert judge(fields, NOW, BERLIN, DAY) == Finding(why, stale=False)


def acts(vault: Path, day: str = "2026-11-20") -> list[dict[str, Any]]:
    return [json.loads(line) for line in (vault / f"Logs/audit/{day}.jsonl").read_bytes().splitlines()]


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    pending = tmp_path / "Pending_Approval"
    put(pending / "new.md", note(created="2026-11-20T20:00:00Z"))
    put(pending / "old.md", note(created="2026-11-18T20:00:00Z"))
    put(pending / "mail/sub/gone.MD", note(created="2026-11-20T20:00:00Z", expires="2026-11-20T21:00:00Z"))
    put(pending / "broken.md", "---\nsubject: Re: x\n---\n")
    put(pending / "attachment.pdf")
    put(pending / ".hidden.md", note(created="2000-01-01"))
    put(tmp_path / "elsewhere.md", note(created="2000-01-01"))
    (pending / "link.md").symlink_to("../elsewhere.md")
    os.utime(pending / "new.md", (0, 0))
    return tmp_path


def test_names_what_is_stale_and_what_needs_a_look(vault: Path) -> None:
    done = check(context(vault))
    assert (done.outcome, done.error) == ("success", None)
    assert done.output == (
        "Found 2 stale approvals: Pending_Approval/mail/sub/gone.MD (expired on 2026-11-20 22:00); "
        "Pending_Approval/old.md (waits since 2026-11-18 21:00, 2d 3h). 1 note needs a look: "
        "Pending_Approval/broken.md (line 2: a second colon in one line; put the value into quotes)"
    )


def test_changes_no_note(vault: Path) -> None:
    before = tree(vault / "Pending_Approval")
    times = {path: path.lstat().st_mtime_ns for path in (vault / "Pending_Approval").rglob("*")}
    check(context(vault))
    assert tree(vault / "Pending_Approval") == before
    assert {path: path.lstat().st_mtime_ns for path in times} == times


def test_flags_each_note_once_a_day_in_the_audit_log(vault: Path) -> None:
    for _ in range(3):
        check(context(vault))
    first, second = acts(vault)
    assert first == {
        "timestamp": "2026-11-20T23:30:00Z",
        "action_type": "stale_approval",
        "actor": "mine",
        "target": "Pending_Approval/mail/sub/gone.MD",
        "parameters": {"reason": "expired on 2026-11-20 22:00", "run_id": "0123456789ab"},
        "approval_status": "pending",
        "approved_by": None,
        "result": "flagged",
    }
    assert second["target"] == "Pending_Approval/old.md"
    put(vault / "Pending_Approval/late.md", note(created="2026-11-01"))
    check(context(vault))
    assert [act["target"] for act in acts(vault)][2:] == ["Pending_Approval/late.md"]
    check(context(vault, now=NOW + timedelta(hours=1)))
    assert len(acts(vault, "2026-11-21")) == 3


def test_nothing_is_flagged_outside_the_vault(vault: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    outside = tmp_path_factory.mktemp("outside")
    (vault / "Logs").symlink_to(outside)
    with pytest.raises(OSError, match="a symlink leads out of the vault there"):
        check(context(vault))
    assert tree(outside) == {}


def test_a_vault_that_is_gone_is_not_made_anew(tmp_path: Path) -> None:
    act = audit.Act("x", "y", "z", {}, None, None, "executed")
    with pytest.raises(FileNotFoundError) as raised:
        audit.record(tmp_path / "gone", NOW, [act])
    assert raised.value.filename == str(tmp_path / "gone")
    assert tree(tmp_path) == {}


def test_bad_lines_in_the_audit_log_lose_no_other(vault: Path) -> None:
    log = put(
        vault / "Logs/audit/2026-11-20.jsonl", b'\xff{\n[]\n{"action_type": "stale_approval", "target": []}\n{"half'
    )
    check(context(vault))
    lines = log.read_bytes().splitlines()
    assert lines[3] == b'{"half'
    assert [json.loads(line)["result"] for line in lines[4:]] == ["flagged", "flagged"]


def test_a_dry_run_changes_nothing(vault: Path) -> None:
    before = tree(vault)
    done = check(context(vault, dry_run=True))
    assert "Found 2 stale approvals" in done.output
    assert tree(vault) == before


def test_an_empty_or_missing_folder_has_none(tmp_path: Path) -> None:
    assert check(context(tmp_path)).output == "Found 0 stale approvals"
    assert set(tree(tmp_path)) == {".aiemp"}


def test_the_limit_can_be_set(vault: Path) -> None:
    assert "Found 3 stale" in check(context(vault, environ={"HITL_EXPIRY_HOURS": "2.5"})).output
    assert "Found 1 stale" in check(context(vault, environ={"HITL_EXPIRY_HOURS": "72"})).output
    for wrong in ("soon", "0", "-1", "nan", "1e300"):
        with pytest.raises(UserError, match=f"HITL_EXPIRY_HOURS is '{wrong}'"):
            check(context(vault, environ={"HITL_EXPIRY_HOURS": wrong}))


def test_a_long_list_is_cut_and_hostile_names_stay_in_their_line(tmp_path: Path) -> None:
    for number in range(LISTED + 5):
        put(tmp_path / f"Pending_Approval/{number:02}.md", note(created="2026-11-01"))
    assert check(context(tmp_path)).output.endswith("; and 5 more")
    put(tmp_path / 'Pending_Approval/00\n{"result": "executed"}.md', note(created="2026-11-01"))
    put(tmp_path / os.fsdecode(b"Pending_Approval/00\xff.md"), note(created="2026-11-01"))
    check(context(tmp_path))
    assert {act["result"] for act in acts(tmp_path)} == {"flagged"}
    assert len(acts(tmp_path)) == LISTED + 7


@pytest.mark.skipif(os.getuid() == 0, reason="root may read everything")
def test_what_may_not_be_read_is_told(vault: Path) -> None:
    (vault / "Pending_Approval/old.md").chmod(0)
    (vault / "Pending_Approval/mail").chmod(0)
    done = check(context(vault))
    (vault / "Pending_Approval/mail").chmod(0o700)
    assert "it can't be read: Permission denied" in done.output
    assert done.outcome == "failure"
    assert "Pending_Approval/mail can't be looked into" in str(done.error)
