"""Agents and MCP servers in `aiempctl status`."""

from typing import Any

import pytest

from orchestrator.cli.agent_text import agent_rows, server_rows
from orchestrator.cli.status_text import render

AGENT = {
    "name": "claude", "kind": "claude", "state": "held", "reason": "usage limit", "since": None,
    "until": "2026-11-21T13:00:00Z", "cost_today_usd": 0.4, "cost_month_usd": 3.21, "daily_budget_usd": 0.0,
}  # fmt: skip
SERVER = {"name": "time", "state": "ok", "version": "1.2", "tools": 2, "latency_ms": 12.4, "error": None}
STATUS: dict[str, Any] = {
    "supervisor": {"state": "running"},
    "watchers": [],
    "tasks": [],
    "agents": [AGENT],
    "mcp": [SERVER],
    "vault": {"inbox": 1},
}


def test_an_agent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("orchestrator.cli.agent_text.local_time", lambda moment: f"<{moment}>")
    assert agent_rows([AGENT])[1] == [
        *("claude", "held", "$0.40", "$3.21", "-"),
        "until <2026-11-21T13:00:00Z>: usage limit",
    ]
    ready = {**AGENT, "state": "ready", "reason": None, "until": None, "daily_budget_usd": 5}
    assert agent_rows([ready])[1] == ["claude", "ready", "$0.40", "$3.21", "$5.00", ""]


def test_a_server() -> None:
    assert server_rows([SERVER])[1] == ["time", "ok", "1.2", "2", "12 ms", ""]
    failed = {"name": "x\x1b[2J", "state": "failed", "error": "no\nmore", "tools": None}
    assert server_rows([failed])[1] == ["x\\x1b[2J", "failed", "-", "-", "-", "no\\nmore"]


@pytest.mark.parametrize("found", [None, [], {}, "x", [1]])
def test_without_any_there_is_no_table(found: Any) -> None:
    assert agent_rows(found) == []
    assert server_rows(found) == []


def test_they_stand_in_the_whole_status_only() -> None:
    whole = render(STATUS, 0.0, whole=True)
    assert whole.index("AGENT ") < whole.index("MCP SERVER ") < whole.index("vault: ")
    assert "AGENT" not in render(STATUS, 0.0, whole=False)
    older = {key: value for key, value in STATUS.items() if key not in {"agents", "mcp"}}
    assert "AGENT" not in render(older, 0.0, whole=True)
