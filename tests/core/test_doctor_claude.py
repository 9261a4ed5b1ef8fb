"""What is made of what an installed Claude Code says of itself."""

import json
from datetime import UTC, datetime

import pytest

from orchestrator.config.model import AgentConfig
from orchestrator.doctor.claude import Installed, Said, judge, may_be_asked, settings, version
from orchestrator.doctor.finding import Finding, Level

NOW = datetime(2026, 11, 25, 12, tzinfo=UTC)
NEW = "2.1.331 (Claude Code)"
IN = Said(0, json.dumps({"loggedIn": True, "authMethod": "claude.ai", "loginExpiresAt": None}))
OUT = Said(1, json.dumps({"loggedIn": False, "authMethod": "none", "loginExpiresAt": None}))
BY_KEY = Said(0, json.dumps({"loggedIn": True, "authMethod": "api_key", "apiKeySource": "ANTHROPIC_API_KEY"}))


def said(
    status: Said | None = IN,
    *,
    printed: str = NEW,
    without_key: Said | None = None,
    credentials: bool = False,
    **environ: str,
) -> list[Finding]:
    it = Installed("/bin/claude", printed, environ, status, without_key, credentials)
    return list(judge("agent claude", it, NOW))


def worst(findings: list[Finding]) -> Level:
    order = list(Level)
    return max((finding.level for finding in findings), key=order.index)


@pytest.mark.parametrize(
    ("printed", "number", "asked"),
    [
        (NEW, (2, 1, 331), True),
        ("2.1.41 (Claude Code)\n", (2, 1, 41), True),
        ("2.1.40 (Claude Code)", (2, 1, 40), False),
        ("1.0.128 (Claude Code)", (1, 0, 128), False),
        ("10.0.0 (Claude Code)", (10, 0, 0), True),
        ("my wrapper 3.0.0", (3, 0, 0), False),
        ("", None, False),
        ("command not found", None, False),
    ],
)
def test_who_may_be_asked(printed: str, number: tuple[int, int, int] | None, asked: bool) -> None:  # noqa: FBT001
    assert version(printed) == number
    assert may_be_asked(printed) is asked


def expiring(at: str) -> Said:
    return Said(0, json.dumps({"loggedIn": True, "authMethod": "claude.ai", "loginExpiresAt": at}))


@pytest.mark.parametrize(
    ("findings", "level", "words"),
    [
        (said(IN), Level.OK, "claude.ai subscription"),
        (said(OUT), Level.PROBLEM, "not logged in"),
        (said(BY_KEY), Level.OK, "an API key"),
        (said(Said(0, '{"loggedIn": true, "authMethod": "something new"}')), Level.OK, "something new"),
        (said(expiring("2026-11-25T11:59:00.000Z")), Level.WARNING, "expired at 2026-11-25 11:59"),
        (said(expiring("2026-11-25T12:01:00.000Z")), Level.OK, "logged in"),
        (said(Said(0, "Welcome!")), Level.WARNING, "it did not say"),
        (said(Said(0, '["loggedIn"]')), Level.WARNING, "it did not say"),
        (said(Said(0, '{"loggedIn": "yes"}')), Level.WARNING, "it did not say"),
        (said(Said(None, "")), Level.WARNING, "it did not say"),
        (said(None, printed="1.0.0 (Claude Code)"), Level.WARNING, "1.0.0 can't be asked"),
        (said(None, printed="1.0.0 (Claude Code)", credentials=True), Level.OK, "file of credentials"),
        (said(None, printed="1.0.0", ANTHROPIC_AUTH_TOKEN="x"), Level.OK, "ANTHROPIC_AUTH_TOKEN is set"),  # noqa: S106
        (said(None, printed="1.0.0", CLAUDE_CODE_USE_BEDROCK="1"), Level.OK, "CLAUDE_CODE_USE_BEDROCK is set"),
    ],
)
def test_logged_in_or_not(findings: list[Finding], level: Level, words: str) -> None:
    assert worst(findings) is level
    assert any(words in finding.message for finding in findings)
    assert all((finding.remedy is None) is (finding.level is Level.OK) for finding in findings)


@pytest.mark.parametrize(
    ("without_key", "level"), [(IN, Level.WARNING), (OUT, Level.OK), (Said(None, ""), Level.OK), (None, Level.OK)]
)
def test_a_key_beside_a_login_costs_extra(without_key: Said | None, level: Level) -> None:
    findings = said(BY_KEY, without_key=without_key, ANTHROPIC_API_KEY="sk-secret-value")
    assert worst(findings) is level
    assert "sk-secret-value" not in str(findings)


@pytest.mark.parametrize(
    ("agent", "as_root", "level"),
    [
        (AgentConfig("claude"), True, None),
        (AgentConfig("claude", permission_mode="bypassPermissions"), False, Level.WARNING),
        (AgentConfig("claude", permission_mode="bypassPermissions"), True, Level.PROBLEM),
        (AgentConfig("claude", allowed_tools=()), False, Level.WARNING),
    ],
)
def test_what_is_configured_for_it(agent: AgentConfig, as_root: bool, level: Level | None) -> None:  # noqa: FBT001
    assert [finding.level for finding in settings("agent claude", agent, as_root=as_root)] == [level] * bool(level)
