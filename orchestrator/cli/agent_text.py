"""Agents and MCP servers as rows of `aiempctl status`."""

from __future__ import annotations

from orchestrator.cli.task_text import NOTHING, dollars
from orchestrator.cli.text import local_time
from orchestrator.readable import visible

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from typing import Any


def agent_rows(agents: Any) -> list[list[str]]:
    """Headings and a row for each of the `agents` of status; nothing where there are none."""
    rows = [
        [
            visible(each.get("name")),
            visible(each.get("state")),
            dollars(each.get("cost_today_usd")),
            dollars(each.get("cost_month_usd")),
            dollars(each.get("daily_budget_usd")),
            _why(each),
        ]
        for each in _objects(agents)
    ]
    return [["AGENT", "STATE", "TODAY", "MONTH", "BUDGET", "DETAILS"], *rows] if rows else []


def server_rows(servers: Any) -> list[list[str]]:
    """Headings and a row for each of the `mcp` of status; nothing where there are none."""
    rows = [
        [
            visible(each.get("name")),
            visible(each.get("state")),
            visible(each.get("version") or NOTHING),
            NOTHING if each.get("tools") is None else visible(each["tools"]),
            f"{each['latency_ms']:.0f} ms" if isinstance(each.get("latency_ms"), (int, float)) else NOTHING,
            visible(each.get("error") or ""),
        ]
        for each in _objects(servers)
    ]
    return [["MCP SERVER", "STATE", "VERSION", "TOOLS", "LATENCY", "DETAILS"], *rows] if rows else []


def _objects(found: Any) -> list[dict[str, Any]]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _why(agent: dict[str, Any]) -> str:
    """`until 2026-11-26 13:00:00: usage limit`."""
    until = f"until {local_time(agent['until'])}" if agent.get("until") else ""
    return ": ".join(part for part in (until, visible(agent.get("reason") or "")) if part)
