"""PURE. The health table of the Dashboard: status in, the same bytes out for the same status.

Nothing that changes by itself (processor, memory, uptime) is in it: every difference is a write to the user's vault.
"""

import re
import unicodedata
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any, Final

HEADERS: Final = ("Component", "Status", "Since", "Details")
CELL_MAX: Final = 500  # characters of text in one cell; a reason can quote several lines of a watcher's output

_LIGHTS: Final = {
    "running": "🟢",
    "starting": "🟡",
    "backoff": "🟡",
    "stopping": "🟡",
    "stopped": "⚪",
    "exited": "⚪",
    "paused": "🔴",
    "fatal": "🔴",
    "success": "🟢",
    "queued": "🟡",
    "retrying": "🟡",
    "failure": "🔴",
    "timeout": "🔴",
    "interrupted": "🟡",
    "missed": "🟡",
    "ready": "🟢",
    "held": "🟡",
    "spent": "🟡",
    "missing": "🔴",
    "ok": "🟢",
    "failed": "🔴",
    "login": "🟡",
    "checking": "🟡",
}
# What would become markup in Obsidian or GitHub inside a cell: a cell's border, emphasis, code, links, math, struck-out
# text, highlights, comments, tags. What is no markup where it stands, as the underscore inside a word, stays readable.
_MARKUP: Final = re.compile(r"[\\|*`\[$]|~(?!/)|==|%%|(?<![^\W_])_|_(?![^\W_])|(?<!\w)#(?=\w)")
_TURNS: Final = frozenset({"LRE", "RLE", "LRO", "RLO", "PDF", "LRI", "RLI", "FSI", "PDI"})
_HTML: Final = re.compile(r"<|&(?=#|\w+;)")


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `since` is aware; `details` is any text."""

    component: str
    status: str
    since: datetime | None = None
    details: str = ""
    upcoming: datetime | None = None  # when it fires next; the details end with that
    until: datetime | None = None  # when that is over; the details begin with that


def supervisor_row(supervisor: Mapping[str, Any], since: datetime | None) -> Row:
    """The row of the `supervisor` of `status --json`; `since` is when it started (it carries only an uptime)."""
    details = ["dry run"] if supervisor.get("dry_run") else []
    details += supervisor.get("problems", ())
    return Row("supervisor", str(supervisor["state"]), since, " · ".join(details))


def watcher_row(watcher: Mapping[str, Any]) -> Row:
    """The row of one of the `watchers` of `status --json`."""
    state = str(watcher["state"])
    details = []
    if reason := watcher.get("reason"):
        details.append(str(reason))
    if state in {"starting", "running"} and (said := watcher.get("status_text")):
        details.append(str(said))
    if restarts := watcher.get("restarts", 0):
        details.append("1 restart" if restarts == 1 else f"{restarts} restarts")
    told = reason or state in {"stopped", "stopping"}  # a reason names the ending; one that was asked for is no news
    if (restarts or state == "exited") and not told and (ending := _ending(watcher.get("last_exit"))):
        details.append(f"last ended with {ending}")
    since = watcher.get("since")
    return Row(str(watcher["name"]), state, datetime.fromisoformat(since) if since else None, " · ".join(details))


def task_row(task: Mapping[str, Any]) -> Row:
    """The row of one of the `tasks` of `status --json`: what it is at, else how its last run ended."""
    last: Mapping[str, Any] = task.get("last_run") or {}
    state = str(task["state"])
    status = str(last.get("outcome") or "idle") if state == "idle" else state
    details = []
    if blocked := task.get("blocked"):
        details.append(str(blocked))
    elif state == "queued" and (waits := task.get("status_text")):
        details.append(str(waits))
    if state == "idle" and (error := last.get("error")):
        details.append(str(error))
    since = last.get("started_at") or last.get("slot")
    upcoming = task.get("next_slot")
    return Row(
        str(task["name"]),
        status,
        datetime.fromisoformat(since) if since else None,
        " · ".join(details),
        datetime.fromisoformat(upcoming) if upcoming else None,
    )


def agent_row(agent: Mapping[str, Any]) -> Row:
    """The row of one of the `agents` of `status --json`: whether it takes prompts, and what they have cost."""
    details = []
    if reason := agent.get("reason"):
        details.append(str(reason))
    today, month = agent.get("cost_today_usd") or 0.0, agent.get("cost_month_usd") or 0.0
    if month:
        budget = agent.get("daily_budget_usd")
        of_budget = f" of ${budget:.2f}" if budget else ""
        details.append(f"${today:.2f}{of_budget} today, ${month:.2f} this month")
    since, until = (datetime.fromisoformat(at) if (at := agent.get(key)) else None for key in ("since", "until"))
    return Row(f"agent {agent['name']}", str(agent["state"]), since, " · ".join(details), until=until)


def server_row(server: Mapping[str, Any]) -> Row:
    """The row of one of the `mcp` of `status --json`."""
    details = []
    if error := server.get("error"):
        details.append(str(error))
    if version := server.get("version"):
        details.append(f"version {version}")
    if (tools := server.get("tools")) is not None:
        details.append("1 tool" if tools == 1 else f"{tools} tools")
    if (latency := server.get("latency_ms")) is not None:
        details.append(f"{latency:.0f} ms")
    return Row(f"MCP {server['name']}", str(server["state"]), None, " · ".join(details))


def table(rows: Sequence[Row], zone: tzinfo, checked: datetime) -> bytes:
    """The table in GitHub's Markdown, UTF-8 with LF line endings, its times in `zone`.

    The first row's Details end with `checked`, when all this was last known to be true: so a table that nobody
    keeps any more can be told from a fresh one.
    """
    lines = [_line(HEADERS), _line(["---"] * len(HEADERS))]
    for number, row in enumerate(rows):
        details = _cell(row.details)
        if row.until is not None:
            over = f"until {row.until.astimezone(zone):%Y-%m-%d %H:%M}"
            details = f"{over} · {details}" if details else over
        if row.upcoming is not None:
            upcoming = f"next {row.upcoming.astimezone(zone):%Y-%m-%d %H:%M}"
            details = f"{details} · {upcoming}" if details else upcoming
        if number == 0:
            seen = f"checked {checked.astimezone(zone):%H:%M on %Y-%m-%d}"
            details = f"{details} · {seen}" if details else seen
        since = "–" if row.since is None else f"{row.since.astimezone(zone):%Y-%m-%d %H:%M}"
        status = f"{_LIGHTS.get(row.status, '⚪')} {_cell(row.status)}" if row.status else "–"
        lines.append(_line([_cell(row.component), status, since, details]))
    return "".join(lines).encode()


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _cell(text: str) -> str:
    """`text` as it is to be read, in one cell: one line, nothing in it markup, cut at CELL_MAX."""
    visible = "".join(" " if unicodedata.category(c) in {"Cc", "Zl", "Zp"} else c for c in text if not _invisible(c))
    words = " ".join(visible.split())
    if len(words) > CELL_MAX:
        words = words[: CELL_MAX - 1] + "…"
    escaped = _MARKUP.sub(lambda found: "".join(f"\\{c}" for c in found[0]), words)
    return _HTML.sub(lambda found: "&lt;" if found[0] == "<" else "&amp;", escaped)


def _invisible(character: str) -> bool:
    """Lone surrogates, which UTF-8 cannot hold, and what turns the direction of the text around it."""
    return unicodedata.category(character) == "Cs" or unicodedata.bidirectional(character) in _TURNS


def _ending(last_exit: Mapping[str, Any] | None) -> str:
    if last_exit is None:
        return ""
    if signal := last_exit.get("signal"):
        return str(signal)
    code = last_exit.get("code")
    return "" if code is None else f"exit code {code}"
