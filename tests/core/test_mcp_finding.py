"""What is known of an MCP server, as it is told and read."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from orchestrator.mcp import finding
from orchestrator.mcp.finding import Finding, State

AT = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
FOUND = Finding("s", "stdio", State.OK, "1.0", 3, 1.5, AT)


def test_what_status_tells() -> None:
    assert FOUND.as_json() == {
        "name": "s",
        "transport": "stdio",
        "state": "ok",
        "version": "1.0",
        "tools": 3,
        "latency_ms": 1.5,
        "checked_at": "2026-11-20T23:30:00Z",
        "error": None,
    }
    assert Finding("s", "http", State.UNCHECKED).as_json()["checked_at"] is None


def test_what_a_check_prints_is_read() -> None:
    printed = finding.line(State.OK, version="1.0", tools=3, latency_ms=1.5, error=None)
    assert finding.read(printed, "s", "stdio", AT) == FOUND
    assert printed.count(b"\n") == 1


@pytest.mark.parametrize("printed", [b"", b"x", b"{}", b"[]", b"7", b'{"state": "fine"}', b"[" * 100_000, b"\xff"])
def test_what_is_none_is_none(printed: bytes) -> None:
    assert finding.read(printed, "s", "stdio", AT) is None


@pytest.mark.parametrize(
    ("other", "same"),
    [
        ({"latency_ms": 9.0}, True),
        ({"checked_at": None}, True),
        ({"tools": 4}, False),
        ({"version": "2"}, False),
        ({"state": State.FAILED}, False),
        ({"error": "x"}, False),
    ],
)
def test_what_is_news_to_a_person(other: dict[str, object], same: bool) -> None:  # noqa: FBT001
    assert FOUND.says_the_same(replace(FOUND, **other)) is same  # type: ignore[arg-type]
