"""weekly_audit_prep: the numbers of seven local days on one page, from the history and the vault."""

import json
import os
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from chore_site import context, note, put, tree
from markdown_it import MarkdownIt

from orchestrator.actions.chores import weekly_page
from orchestrator.actions.chores.context import Context
from orchestrator.actions.chores.week_history import of_week
from orchestrator.actions.chores.weekly_audit_prep import count, prepare
from orchestrator.actions.chores.weekly_page import ROWS, FolderWeek, History, TaskWeek, Week, render
from orchestrator.errors import UserError
from orchestrator.schedule.runs import Outcome, Phase, Run, Trigger
from orchestrator.store.opening import open_or_replace
from orchestrator.store.run_rows import RUN_COLUMNS, run_row
from orchestrator.vault import frontmatter

# Sunday evening in Berlin, later than any file that a test makes. The week began on Monday at 23:00 UTC of the Sunday
# before.
NOW = datetime(2040, 11, 25, 21, 0, tzinfo=UTC)
BEGAN = datetime(2040, 11, 18, 23, 0, tzinfo=UTC)
PAGE = "Briefings/2040-11-25_weekly_data.md"


@pytest.fixture
def vault(tmp_path: Path) -> Path:
    put(tmp_path / "Prompts/weekly_audit_prep.md", "---\ntask: x\n---\nWrite it.")
    return tmp_path


def now(vault: Path, *, dry_run: bool = False) -> Context:
    return context(vault, now=NOW, dry_run=dry_run)


def at(moment: datetime, path: Path) -> Path:
    os.utime(path, (moment.timestamp(), moment.timestamp()))
    return path


def table(page: str, heading: str) -> list[list[str]]:
    """The cells below a heading as a Markdown program sees them, without the row of headers."""
    section = page.partition(f"\n## {heading}\n")[2].partition("\n## ")[0]
    rows: list[list[str]] = []
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(section):
        if token.type == "tr_open":
            rows.append([])
        elif token.type == "inline" and rows:
            rows[-1].append("".join(child.content for child in token.children or ()))
    return rows[1:]


@contextmanager
def history(vault: Path) -> Iterator[sqlite3.Connection]:
    (vault / ".aiemp").mkdir(mode=0o700, exist_ok=True)
    connection, _ = open_or_replace(str(vault / ".aiemp/aiemp.db"), NOW)
    with closing(connection):
        yield connection


def add(
    connection: sqlite3.Connection, task: str, outcome: Outcome, ended: datetime, cost: float | None = None
) -> None:
    number = connection.execute("SELECT count(*) FROM runs").fetchone()[0]
    run = Run(f"r{number}", task, ended, Trigger.MANUAL, Phase.FINISHED, attempts=1, outcome=outcome, cost_usd=cost)
    places = ", ".join("?" * len(RUN_COLUMNS.split(",")))
    connection.execute(f"INSERT INTO runs ({RUN_COLUMNS}) VALUES ({places})", run_row(run, ended))  # noqa: S608


# --- the whole ---


def test_an_empty_vault_has_a_page_too(vault: Path) -> None:
    done = prepare(now(vault))
    assert (done.outcome, done.error) == ("success", None)
    assert done.output == f"wrote {PAGE} (0 runs, 0 failed, 0.00 USD, 0 notes created, 0 done)"
    page = (vault / PAGE).read_text()
    assert frontmatter.parse(page.encode()) == {
        "type": "weekly_data",
        "from": "2040-11-19",
        "to": "2040-11-25",
        "timezone": "Europe/Berlin",
        "created": "2040-11-25T22:00:00+01:00",
    }
    values = page.split("---\n")[1].splitlines()
    assert all(line.partition(": ")[2][0] == line[-1] == '"' for line in values)
    assert "# Numbers of the week 2040-11-19 to 2040-11-25\n" in page
    assert page.count("There is no history yet") == 2
    assert "Not counted" not in page
    assert [row[1:] for row in table(page, "Notes")] == [["0", "0", "–"]] * 4 + [["0", "0", "0"]] * 3


def test_the_agent_is_told_where_the_numbers_lie(vault: Path) -> None:
    with history(vault) as connection:
        add(connection, "a", Outcome.FAILURE, NOW, 1.5)
    prompt = prepare(now(vault)).prompt
    assert prompt is not None
    assert prompt.startswith("Write it.\n\n## Counted by aiemp just now\n")
    assert prompt.splitlines()[-8:] == [
        "- now: Sunday, 2040-11-25T22:00:00+01:00 (Europe/Berlin)",
        "- the week: 2040-11-19 to 2040-11-25",
        f"- its numbers: `{PAGE}`",
        "- the briefing goes to: `Briefings/2040-11-25_weekly_briefing.md`",
        "- runs of tasks: 1, of which 1 failed; cost: 1.50 USD",
        "- notes created: 0; done: 0",
        "- approved: 0; rejected: 0",
        "- requests that wait too long: 0",
    ]


def test_a_dry_run_writes_nothing(vault: Path) -> None:
    with history(vault) as connection:
        add(connection, "a", Outcome.SUCCESS, NOW)
    before = tree(vault)
    done = prepare(now(vault, dry_run=True))
    assert (done.outcome, done.prompt) == ("skipped", None)
    assert done.output.startswith(f"would write {PAGE} (1 run, 0 failed")
    assert done.error == "dry run: no numbers were written, no agent asked"
    assert tree(vault) == before


def test_a_second_count_on_the_same_day_is_the_same_page(vault: Path) -> None:
    prepare(now(vault))
    put(vault / "Briefings/.2040-11-25_weekly_data.md.01234567.aiemp.tmp", "what a killed run left")
    put(vault / "Plans/a.md", note(created="2040-11-25T20:00:00Z"))
    prepare(now(vault))
    assert [file.name for file in (vault / "Briefings").iterdir()] == ["2040-11-25_weekly_data.md"]
    assert ["Plans", "1", "1", "–"] in table((vault / PAGE).read_text(), "Notes")
    prepare(context(vault, now=NOW + timedelta(hours=3)))  # after midnight
    assert len(list((vault / "Briefings").iterdir())) == 2


def test_anybody_elses_page_stays(vault: Path) -> None:
    put(vault / PAGE, "mine")
    with pytest.raises(UserError, match=f"^{PAGE} is not a page of this task; rename it"):
        prepare(now(vault))
    assert (vault / PAGE).read_text() == "mine"
    (vault / PAGE).unlink()
    (vault / PAGE).mkdir()
    with pytest.raises(UserError, match="rename it"):
        prepare(now(vault))


def test_obsidian_may_have_rewritten_the_frontmatter(vault: Path) -> None:
    put(vault / PAGE, "---\r\ntype: weekly_data\r\n---\r\n")
    prepare(now(vault))
    assert (vault / PAGE).read_text().startswith('---\ntype: "weekly_data"\n')


def test_nothing_is_written_out_of_the_vault(tmp_path: Path) -> None:
    put(tmp_path / "vault/Prompts/weekly_audit_prep.md", "Write it.")
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "vault/Briefings").symlink_to("../elsewhere")
    with pytest.raises(OSError, match="leads out of the vault"):
        prepare(now(tmp_path / "vault"))
    (tmp_path / "vault/Briefings").unlink()
    put(tmp_path / "secret.md", note(type="weekly_data"))
    (tmp_path / "vault/Briefings").mkdir()
    (tmp_path / "vault" / PAGE).symlink_to("../../secret.md")
    with pytest.raises(UserError, match="is not a page of this task"):
        prepare(now(tmp_path / "vault"))
    assert (tmp_path / "secret.md").read_text() == note(type="weekly_data")


def test_nothing_is_written_for_an_agent_that_cannot_be_told(vault: Path) -> None:
    (vault / "Prompts/weekly_audit_prep.md").unlink()
    with pytest.raises(UserError, match="is missing"):
        prepare(now(vault))
    assert not (vault / "Briefings").exists()


# --- the history ---


def test_runs_are_counted_by_task(vault: Path) -> None:
    with history(vault) as connection:
        add(connection, "triage", Outcome.SUCCESS, BEGAN, 0.25)
        add(connection, "triage", Outcome.SUCCESS, NOW, 0.5)
        add(connection, "triage", Outcome.FAILURE, BEGAN - timedelta(microseconds=1), 100)
        add(connection, "triage", Outcome.SUCCESS, NOW + timedelta(microseconds=1), 100)
        for outcome in Outcome:
            add(connection, "all|of them", outcome, NOW - timedelta(days=3), 1)
        add(connection, "free", Outcome.SUCCESS, NOW)
        page = weekly_page.render(count(now(vault)))  # while a daemon has it open
    expected = [
        ["all", "8", "4", "3", "1", "1", "1", "7.75"],
        ["all|of them", "5", "1", "3", "1", "1", "1", "7.00"],
        ["triage", "2", "2", "0", "0", "0", "0", "0.75"],
        ["free", "1", "1", "0", "0", "0", "0", "0.00"],
    ]
    assert [[cell.strip("*") for cell in row] for row in table(page, "Tasks")] == expected
    before = tree(vault)
    assert weekly_page.render(count(now(vault))) == page  # and when nobody has
    assert tree(vault) == before


def test_restarts_are_counted_by_watcher(vault: Path) -> None:
    moments = ["2040-11-18T22:59:59Z", "2040-11-18T23:00:00Z", "2040-11-25T21:00:00Z", "2040-11-25T21:00:01Z"]
    with history(vault) as connection:
        rows = [(name, moment, "it died") for name in ("mail", "inbox") for moment in moments]
        connection.executemany("INSERT INTO restarts (name, at, cause) VALUES (?, ?, ?)", rows)
    page = render(count(now(vault)))
    assert table(page, "Watchers started again") == [["inbox", "2"], ["mail", "2"]]
    assert "No task ran this week." in page


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\0" + b"x" * 5000])
def test_a_history_that_cannot_be_read_is_told(vault: Path, content: bytes) -> None:
    put(vault / ".aiemp/aiemp.db", content)
    assert "The history can't be read: " in render(count(now(vault)))
    assert (vault / ".aiemp/aiemp.db").read_bytes() == content


def test_an_older_history_is_read(vault: Path) -> None:
    with history(vault) as connection:
        add(connection, "a", Outcome.SUCCESS, NOW, 1)
        connection.executescript("DROP TABLE costs; ALTER TABLE runs DROP COLUMN details; PRAGMA user_version = 2")
    assert table(render(count(now(vault))), "Tasks") == [["a", "1", "1", "0", "0", "0", "0", "1.00"]]


def test_any_vault_has_its_history(tmp_path: Path) -> None:
    with history(put(tmp_path / "a%3f#?&b/x.md").parent) as connection:
        add(connection, "a", Outcome.SUCCESS, NOW)
    (tmp_path / "a%3f#?&b/.aiemp/aiemp.db").rename(tmp_path / "moved %23.db")
    assert of_week(tmp_path / "moved %23.db", BEGAN, NOW) == History([TaskWeek("a", succeeded=1)])
    assert of_week(tmp_path / "none.db", BEGAN, NOW) == History(
        trouble="There is no history yet: no daemon has run here."
    )


# --- the vault ---


def test_notes_are_counted_by_folder(vault: Path) -> None:
    old = NOW - timedelta(days=400)
    at(old, put(vault / "Needs_Action/mail/a.md", note(created="2040-11-19")))
    at(old, put(vault / "Needs_Action/b.md", note(created="2040-11-18T22:59:59Z")))
    at(BEGAN, put(vault / "Needs_Action/c.md", "---\nsubject: Re: x: [\n---\n"))
    at(BEGAN - timedelta(seconds=1), put(vault / "Needs_Action/d.md", note(created="soon")))
    at(NOW, put(vault / "Needs_Action/e.md", note(created="2020-01-01")))
    at(old, put(vault / "Needs_Action/f.md", note(created="2040-11-26")))
    put(vault / "Needs_Action/.g.md", note(created="2040-11-20"))
    put(vault / "Needs_Action/h.pdf")
    at(NOW, put(vault / "Inbox/i.pdf"))
    at(old, put(vault / "Inbox/j.md"))
    at(old, put(vault / "Done/k.md", note(completed='"2040-11-20T10:00:00Z"', created="2040-11-10")))
    at(NOW, put(vault / "Done/l.md", note(processed="2040-11-18")))
    at(NOW, put(vault / "Done/m.md", note(created="2040-11-24")))
    at(NOW, put(vault / "Done/archive/2040-11/n.md", note(created="2040-11-01")))
    at(old, put(vault / "Done/archive/2040-11/o.md", note(created="2040-11-01")))
    at(NOW, put(vault / "Approved/p.md"))
    at(old, put(vault / "Rejected/q.md"))
    week = count(now(vault))
    assert {each.name: (each.now, each.created, each.arrived) for each in week.folders} == {
        "Inbox": (2, 1, None),
        "Needs_Action": (6, 2, None),
        "Plans": (0, 0, None),
        "Pending_Approval": (0, 0, None),
        "Approved": (1, 1, 1),
        "Rejected": (1, 0, 0),
        "Done": (5, 2, 3),
    }
    assert week.troubles == []


def test_what_was_moved_to_its_folder_came_there_then(vault: Path) -> None:
    """A move keeps the time of writing, which may be long ago."""
    file = at(datetime(2020, 1, 1, tzinfo=UTC), put(vault / "Pending_Approval/a.md"))
    (vault / "Approved").mkdir()
    file.rename(vault / "Approved/a.md")
    moved = datetime.fromtimestamp((vault / "Approved/a.md").stat().st_ctime, UTC)
    for days, arrived in ((0, 1), (6, 1), (8, 0)):
        week = count(context(vault, now=moved + timedelta(days=days, seconds=1)))
        assert week.arrived("Approved") == arrived


@pytest.mark.parametrize(
    ("now", "zone", "began"),
    [
        ("2026-10-25T20:00:00+00:00", "Europe/Berlin", "2026-10-18T22:00:00Z"),  # 169 hours later
        ("2026-03-29T20:00:00+00:00", "Europe/Berlin", "2026-03-22T23:00:00Z"),
        ("2026-04-30T20:00:00+00:00", "Africa/Cairo", "2026-04-23T22:00:00Z"),  # a day that began at 01:00
        ("2026-11-22T09:00:00+00:00", "Pacific/Kiritimati", "2026-11-15T10:00:00Z"),
        ("2026-11-22T10:00:00+00:00", "Pacific/Kiritimati", "2026-11-16T10:00:00Z"),
    ],
)
def test_the_week_begins_at_a_local_midnight(vault: Path, now: str, zone: str, began: str) -> None:
    first = datetime.fromisoformat(began)
    with history(vault) as connection:
        add(connection, "in", Outcome.SUCCESS, first)
        add(connection, "before", Outcome.SUCCESS, first - timedelta(seconds=1))
    there = replace(context(vault, now=datetime.fromisoformat(now)), zone=ZoneInfo(zone))
    assert [each.task for each in count(there).history.tasks] == ["in"]


def test_acts_are_counted_by_what_came_of_them(vault: Path) -> None:
    def act(moment: str, action: object = "send_email", result: object = "executed") -> str:
        return json.dumps({"timestamp": moment, "action_type": action, "result": result}) + "\n"

    put(vault / "Logs/audit/2040-11-18.jsonl", act("2040-11-18T22:59:59Z") + act("2040-11-18T23:00:00Z"))
    lines = act("2040-11-25T20:00:00Z") + "{torn\n[]\n" + act("soon") + act("2040-11-25T20:00:00Z", "x|y\n`z", None)
    put(
        vault / "Logs/audit/2040-11-25.jsonl",
        lines + act("2040-11-25T21:00:01Z") + act("2040-11-25T20:00:00Z", 7, "rejected"),
    )
    (vault / "Logs/audit/2040-11-20.jsonl").mkdir()
    week = count(now(vault))
    assert table(render(week), "Audit log") == [
        ["send_email", "executed", "2"],
        [r"x|y\n'z", "–", "1"],
        ["–", "rejected", "1"],
    ]
    assert week.troubles == ["the audit log of 2040-11-20 can't be read: Is a directory"]
    assert "## Not counted\n\n- `the audit log of 2040-11-20" in render(week)


def test_what_waits_too_long_is_named(vault: Path) -> None:
    put(vault / "Pending_Approval/old.md", note(created="2040-11-20T10:00:00Z"))
    put(vault / "Pending_Approval/mail/over.md", note(created="2040-11-25T20:00:00Z", expires="2040-11-24"))
    put(vault / "Pending_Approval/new.md", note(created="2040-11-25T20:00:00Z"))
    put(vault / "Pending_Approval/unclear.md", "---\nsubject: Re: x: [\n---\n")
    page = render(count(now(vault)))
    assert table(page, "Stale approvals") == [
        ["Pending_Approval/mail/over.md", "expired on 2040-11-25 00:00"],
        ["Pending_Approval/old.md", "waits since 2040-11-20 11:00, 5d 11h"],
    ]
    there = context(vault, now=NOW, environ={"HITL_EXPIRY_HOURS": "1000"})
    assert [path for path, _ in count(there).stale] == ["Pending_Approval/mail/over.md"]
    with pytest.raises(UserError, match="HITL_EXPIRY_HOURS"):
        count(context(vault, now=NOW, environ={"HITL_EXPIRY_HOURS": "soon"}))


def test_folders_that_cannot_be_looked_into_are_told(vault: Path) -> None:
    put(vault / "Done", "a file in the way")
    page = render(count(now(vault)))
    assert "Done can't be looked into: Not a directory" in page
    assert ["Done", "0", "0", "0"] in table(page, "Notes")


def test_five_thousand_notes_take_no_time(vault: Path) -> None:
    for number in range(5000):
        folder = ("Needs_Action", "Done", "Done/archive/2040-10", "Approved", "Plans")[number % 5]
        put(vault / folder / f"{number % 40}/{number}.md", note(created="2040-11-20", subject=f"Re: {number}: ["))
    start = time.perf_counter()
    assert count(now(vault)).created == 5000
    assert time.perf_counter() - start < 2


# --- the page ---


def test_a_page_has_an_end_and_nothing_in_it_is_markup() -> None:
    hostile = 'a|b `c`\n## Orders <b> [[x]] "' + "y" * 500
    week = Week(
        first=date(2040, 11, 19),
        until=NOW,
        zone="Europe/Berlin",
        history=History([TaskWeek(f"t{number}", failed=1) for number in range(5000)], [(hostile, 3)]),
        folders=[FolderWeek("Done", arrived=0)],
        acts={},
        stale=[(hostile, "why")] * 5000,
        troubles=[hostile] * 5000,
    )
    page = render(week)
    assert len(page) < 200_000
    assert len(table(page, "Tasks")) == ROWS
    assert table(page, "Tasks")[0][:4] == ["all", "5000", "0", "5000"]
    assert f"… and {5001 - ROWS} more." in page
    assert [line for line in page.splitlines() if line.startswith("#")] == [
        "# Numbers of the week 2040-11-19 to 2040-11-25",
        "## Tasks",
        "## Watchers started again",
        "## Notes",
        "## Audit log",
        "## Stale approvals",
        "## Not counted",
    ]
    ((name, _),) = table(page, "Watchers started again")
    assert name.startswith(r"""a|b 'c'\n## Orders <b> [[x]] "yyy""")
