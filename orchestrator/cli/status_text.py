"""Status as plain text: aligned columns without colour, for pipes, files and terminals that can do no more."""

from __future__ import annotations

from orchestrator.cli.text import columns, size
from orchestrator.readable import span, visible

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from typing import Any

HEADINGS = ["NAME", "STATE", "PID", "SINCE", "RESTARTS", "CPU", "MEMORY", "REASON"]
_NOTHING = "-"


def render(found: dict[str, Any], now: float, *, whole: bool) -> str:
    """The status object as text. `now`: seconds since 1970. `whole` is False when only some names were asked for."""
    supervisor = found["supervisor"]
    rows = [cells(each, now) for each in found["watchers"]]
    tables = [columns([HEADINGS, *rows])] if rows else [["no watchers"]] if whole or not found["tasks"] else []
    if found["tasks"]:
        tables.append(columns(tasks(found["tasks"], now)))
    if whole:
        tables += [columns(rows) for rows in others(found)]
        tables.insert(0, [supervisor_line(supervisor)])
        tables.append([vault_line(found["vault"]), *(f"problem: {line}" for line in problems(supervisor))])
    return "\n\n".join("\n".join(lines) for lines in tables)


def tasks(found: list[dict[str, Any]], now: float) -> list[list[str]]:
    """The tasks' headings and, below them, a row each."""
    from orchestrator.cli.task_text import IN_STATUS, TASK_HEADINGS, task_cells  # noqa: PLC0415  only where there are some

    return [TASK_HEADINGS[:IN_STATUS], *(task_cells(each, now)[:IN_STATUS] for each in found)]


def others(found: dict[str, Any]) -> list[list[list[str]]]:
    """Agents and MCP servers: for each that there are, headings and a row each."""
    if not found.get("agents") and not found.get("mcp"):
        return []
    from orchestrator.cli.agent_text import agent_rows, server_rows  # noqa: PLC0415  only where there are some

    return [rows for rows in (agent_rows(found.get("agents")), server_rows(found.get("mcp"))) if rows]


def supervisor_line(supervisor: dict[str, Any]) -> str:
    """`supervisor: running (pid 1, up 2h 5m, version 0.1.0, scheduler idle, dry run)`."""
    facts = []
    if supervisor.get("pid"):
        facts.append(f"pid {visible(supervisor['pid'])}")
    if isinstance(supervisor.get("uptime_seconds"), (int, float)):
        facts.append(f"up {span(supervisor['uptime_seconds'])}")
    facts += [f"{key} {visible(supervisor[key])}" for key in ("version", "scheduler") if supervisor.get(key)]
    if supervisor.get("dry_run"):
        facts.append("dry run")
    state = visible(supervisor.get("state"))
    if state == "not running":
        facts = ["these are the last known states of its watchers"]
    return f"supervisor: {state}" + (f" ({', '.join(facts)})" if facts else "")


def vault_line(vault: dict[str, Any]) -> str:
    """`vault: inbox 0, needs action 3, …`."""
    return "vault: " + ", ".join(f"{visible(key).replace('_', ' ')} {visible(count)}" for key, count in vault.items())


def problems(supervisor: dict[str, Any]) -> list[str]:
    found = supervisor.get("problems")
    return [visible(line) for line in found] if isinstance(found, list) else []


def cells(watcher: dict[str, Any], now: float) -> list[str]:
    """One watcher's row, in the order of HEADINGS."""
    cpu, rss = watcher.get("cpu_percent"), watcher.get("rss_bytes")
    return [
        visible(watcher.get("name")),
        _state(watcher),
        visible(watcher.get("pid") or _NOTHING),
        _since(watcher, now),
        visible(watcher.get("restarts", _NOTHING)),
        f"{cpu:.1f}%" if isinstance(cpu, (int, float)) else _NOTHING,
        size(rss) if isinstance(rss, (int, float)) else _NOTHING,
        visible(watcher.get("reason") or watcher.get("status_text") or ""),
    ]


def _state(watcher: dict[str, Any]) -> str:
    state = visible(watcher.get("state"))
    return f"{state} (not ready)" if state == "running" and watcher.get("ready") is False else state


def _since(watcher: dict[str, Any], now: float) -> str:
    """For how long the process has been up or, without one, its state has lasted: `2h 5m ago`."""
    seconds = watcher.get("uptime_seconds")
    if not isinstance(seconds, (int, float)):
        from datetime import datetime  # noqa: PLC0415  1.5 ms that a status of running watchers need not spend

        try:
            seconds = now - datetime.fromisoformat(str(watcher.get("since"))).timestamp()
        except (ValueError, OverflowError):
            return _NOTHING
    return f"{span(seconds)} ago"
