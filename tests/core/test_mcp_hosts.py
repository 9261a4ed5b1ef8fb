"""Which hosts of URLs are this very machine: agents and MCP servers there are reached without a proxy."""

import pytest

from orchestrator.reach import is_this_machine

HERE = """
    localhost LocalHost. letta.localhost 127.0.0.1 127.0.0.2 127.1 ::1 [::1] 0:0:0:0:0:0:0:1 ::ffff:127.0.0.1 0.0.0.0 ::
"""
ELSEWHERE = """
    api.letta.com localhost.example.org notlocalhost 127.example.org 127 128.0.0.1 10.0.0.1 ::ffff:10.0.0.1 ::2
"""


@pytest.mark.parametrize("host", HERE.split())
def test_this_machine(host: str) -> None:
    assert is_this_machine(host)


@pytest.mark.parametrize("host", [None, "", *ELSEWHERE.split()])
def test_another_one(host: str | None) -> None:
    assert not is_this_machine(host)
