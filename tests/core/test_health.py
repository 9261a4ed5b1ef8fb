"""The health table: what a person reads, and that nothing in it can be more than text."""

from datetime import UTC, datetime, timedelta, timezone
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from orchestrator.vault.dashboard import END, START, splice
from orchestrator.vault.health import CELL_MAX, Row, agent_row, server_row, supervisor_row, table, task_row, watcher_row

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 21, 2, 40, 59, tzinfo=UTC)


def watcher(**given: Any) -> dict[str, Any]:
    """A watcher as in `status --json`."""
    return {
        "name": "inbox", "state": "running", "pid": 12, "uptime_seconds": 1.4, "since": "2026-11-20T23:30:00Z",
        "ready": True, "status_text": None, "restarts": 0, "restarts_in_window": 0, "last_exit": None, "reason": None,
        "cpu_percent": 0.1, "rss_bytes": 12345, "adopted": False, **given,
    }  # fmt: skip


def ended(code: int | None = None, signal: str | None = None) -> dict[str, Any]:
    """A `last_exit` as in `status --json`."""
    return {"code": code, "signal": signal, "at": "2026-11-20T23:29:00Z"}


def rendered(row: Row) -> list[str]:
    """The cells of `row` as a reader of the table sees them."""
    shown = MarkdownIt("commonmark").enable("table").parse(table([Row("first", "running"), row], UTC, NOW).decode())
    cells = [
        "".join(child.content if child.type == "text" else f"<{child.type}>" for child in token.children or [])
        for token in shown
        if token.type == "inline"
    ]
    assert len(cells) == 12
    return cells[8:]


def test_shows_times_in_the_configured_zone_and_when_it_was_checked() -> None:
    rows = [Row("supervisor", "running", NOW), Row("inbox", "paused", None, "too many restarts")]
    assert table(rows, BERLIN, NOW).decode() == (
        "| Component | Status | Since | Details |\n"
        "| --- | --- | --- | --- |\n"
        "| supervisor | 🟢 running | 2026-11-21 03:40 | checked 03:40 on 2026-11-21 |\n"
        "| inbox | 🔴 paused | – | too many restarts |\n"
    )


def test_a_row_may_have_no_status() -> None:
    assert rendered(Row("… and 2 more tasks: aiempctl tasks", "")) == [
        "… and 2 more tasks: aiempctl tasks",
        "–",
        "–",
        "",
    ]


@pytest.mark.parametrize(
    ("state", "light"),
    [
        ("running", "🟢"),
        ("starting", "🟡"),
        ("backoff", "🟡"),
        ("stopping", "🟡"),
        ("stopped", "⚪"),
        ("exited", "⚪"),
        ("paused", "🔴"),
        ("fatal", "🔴"),
    ],
)
def test_every_state_has_its_light_and_its_word(state: str, light: str) -> None:
    assert rendered(watcher_row(watcher(state=state)))[1] == f"{light} {state}"


@pytest.mark.parametrize(
    ("given", "details"),
    [
        ({}, ""),
        ({"status_text": "2 files"}, "2 files"),
        ({"status_text": "2 files", "state": "stopped"}, ""),
        ({"restarts": 1, "last_exit": ended(signal="SIGKILL")}, "1 restart · last ended with SIGKILL"),
        ({"restarts": 3, "last_exit": ended(code=1)}, "3 restarts · last ended with exit code 1"),
        ({"restarts": 3, "last_exit": ended()}, "3 restarts"),
        ({"state": "exited", "last_exit": ended(code=0)}, "last ended with exit code 0"),
        ({"state": "paused", "reason": "5 restarts in 10m", "restarts": 5}, "5 restarts in 10m · 5 restarts"),
        ({"state": "stopped", "restarts": 1, "last_exit": ended(code=0)}, "1 restart"),
        ({"state": "stopped", "last_exit": ended(signal="SIGTERM")}, ""),
    ],
)  # fmt: skip
def test_a_watchers_details(given: dict[str, Any], details: str) -> None:
    assert watcher_row(watcher(**given)).details == details


def test_nothing_that_changes_by_itself_is_in_a_watchers_row() -> None:
    later = watcher(pid=13, uptime_seconds=99.0, cpu_percent=50.0, rss_bytes=1, restarts_in_window=2, adopted=True)
    assert watcher_row(watcher()) == watcher_row(later)


def test_the_supervisors_row_tells_of_a_dry_run_and_of_problems() -> None:
    status = {"state": "running", "pid": 1, "uptime_seconds": 1.5, "dry_run": True, "problems": ["the disk is full"]}
    assert supervisor_row(status, NOW) == Row("supervisor", "running", NOW, "dry run · the disk is full")


@pytest.mark.parametrize(
    ("text", "seen"),
    [
        ("a|b\\|c\\", "a|b\\|c\\"),
        ("one\ntwo\r\nthree\tfour", "one two three four"),
        ("<!-- aiemp:health:end -->", "<!-- aiemp:health:end -->"),
        ("<b>&amp;&#124;</b>", "<b>&amp;&#124;</b>"),
        (
            "[[note]] ![x](y) `c` *i* **b** $m$ ~~s~~ ==h== %%c%%",
            "[[note]] ![x](y) `c` *i* **b** $m$ ~~s~~ ==h== %%c%%",
        ),
        ("__init__ my_mail_watcher _x_ a__b__", "__init__ my_mail_watcher _x_ a__b__"),
        ("\x00\x1b[31mred\x07\u2028next", "[31mred next"),
        ("user\u202eexe.md", "userexe.md"),
        ("lone \udcff surrogate", "lone surrogate"),
    ],
)
def test_a_cell_is_read_as_it_was_meant(text: str, seen: str) -> None:
    assert rendered(Row(text, "running", None, text))[0] == seen
    assert rendered(Row(text, "running", None, text))[3] == seen


def test_plain_names_and_reasons_stay_readable_in_the_source() -> None:
    text = "exit code 1: FileNotFoundError: [Errno 2] ~/my_vault/a-b.md, 12:30 (#3, 50%)"
    assert text.replace("[", "\\[").replace("#", "\\#") in table([Row("x", "running", None, text)], UTC, NOW).decode()


def test_a_long_text_is_cut() -> None:
    assert rendered(Row("x", "paused", None, "word " * 1000))[3] == ("word " * 1000)[: CELL_MAX - 1] + "…"


@given(
    st.lists(
        st.builds(Row, st.text(), st.text(), st.none() | st.datetimes(timezones=st.just(UTC)), st.text()), min_size=1
    )
)
def test_whatever_is_in_them_the_rows_stay_rows(rows: list[Row]) -> None:
    rows = [
        Row(r.component, r.status, r.since if r.since and 2 < r.since.year < 9998 else None, r.details) for r in rows
    ]
    text = table(rows, timezone(timedelta(hours=5)), NOW)
    assert text == table(rows, timezone(timedelta(hours=5)), NOW)
    assert START not in text
    assert END not in text
    assert splice(splice(b"# D\n", text), text) == splice(b"# D\n", text)
    shown = MarkdownIt("commonmark").enable("table").parse(text.decode())
    assert {token.type for token in shown if token.level == 0} == {"table_open", "table_close"}
    kinds = {child.type for token in shown for child in token.children or ()}
    assert kinds <= {"text", "text_special"}
    assert sum(token.type == "td_open" for token in shown) == 4 * len(rows)


def agent(**given: Any) -> dict[str, Any]:
    """An agent as in `status --json`."""
    return {
        "name": "claude", "kind": "claude", "state": "ready", "reason": None, "since": None, "until": None,
        "cost_today_usd": 0.0, "cost_month_usd": 0.0, "daily_budget_usd": 0.0, **given,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("given", "cells"),
    [
        ({}, ["agent claude", "🟢 ready", "–", ""]),
        ({"cost_month_usd": 3.2}, ["agent claude", "🟢 ready", "–", "$0.00 today, $3.20 this month"]),
        (
            {"cost_today_usd": 0.4, "cost_month_usd": 3.2, "daily_budget_usd": 1.0},
            ["agent claude", "🟢 ready", "–", "$0.40 of $1.00 today, $3.20 this month"],
        ),
        (
            {
                "state": "held",
                "reason": "usage limit",
                "since": "2026-11-21T02:00:00Z",
                "until": "2026-11-21T13:00:00.5Z",
                "cost_month_usd": 1,
            },
            [
                "agent claude",
                "🟡 held",
                "2026-11-21 02:00",
                "until 2026-11-21 13:00 · usage limit · $0.00 today, $1.00 this month",
            ],
        ),
        ({"state": "missing", "reason": "not here"}, ["agent claude", "🔴 missing", "–", "not here"]),
    ],
)
def test_agents(given: dict[str, Any], cells: list[str]) -> None:
    assert rendered(agent_row(agent(**given))) == cells


def server(**given: Any) -> dict[str, Any]:
    """An MCP server as in `status --json`."""
    return {"name": "time", "state": "ok", "version": "1.2", "tools": 2, "latency_ms": 12.4, "error": None, **given}


@pytest.mark.parametrize(
    ("given", "cells"),
    [
        ({}, ["MCP time", "🟢 ok", "–", "version 1.2 · 2 tools · 12 ms"]),
        ({"tools": 1, "version": None}, ["MCP time", "🟢 ok", "–", "1 tool · 12 ms"]),
        (
            {"state": "failed", "error": "ended with exit code 1", "version": None, "tools": None, "latency_ms": None},
            ["MCP time", "🔴 failed", "–", "ended with exit code 1"],
        ),
    ],
)
def test_mcp_servers(given: dict[str, Any], cells: list[str]) -> None:
    assert rendered(server_row(server(**given))) == cells


@pytest.mark.parametrize(
    ("given", "details"),
    [
        ({"state": "idle"}, ""),
        ({"state": "queued", "status_text": "waits until 13:00: usage limit"}, "waits until 13:00: usage limit"),
        ({"state": "running", "status_text": "half"}, ""),
        (
            {"state": "queued", "status_text": "waits", "blocked": "agent claude: not installed"},
            "agent claude: not installed",
        ),
        ({"state": "idle", "last_run": {"outcome": "failure", "error": "no", "slot": "2026-11-21T13:00:00Z"}}, "no"),
    ],
)
def test_what_a_task_waits_for(given: dict[str, Any], details: str) -> None:
    task = {"name": "t", "next_slot": None, "last_run": None, **given}
    assert rendered(task_row(task))[3] == details
