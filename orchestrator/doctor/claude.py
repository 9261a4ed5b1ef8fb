"""PURE. What an installed Claude Code says of itself, judged: is it new enough to be asked, and is it logged in?"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from orchestrator.agents import getting
from orchestrator.config.model import AgentConfig
from orchestrator.doctor.finding import Finding, ok, problem, warning

INSTALL: Final = f"{getting.CLAUDE}, then log in: claude auth login"
LOGIN: Final = "log in as the daemon's user: claude auth login (or, where there is no browser: claude setup-token)"
# Before this version `claude auth` would have been taken for a prompt.
KNOWS_AUTH: Final = (2, 1, 41)
API_KEY: Final = "ANTHROPIC_API_KEY"
# Each of these variables is a login of its own (Claude Code's documentation, "Authentication precedence").
TOKENS: Final = (API_KEY, "ANTHROPIC_AUTH_TOKEN", "CLAUDE_CODE_OAUTH_TOKEN")
CLOUDS: Final = ("CLAUDE_CODE_USE_BEDROCK", "CLAUDE_CODE_USE_VERTEX", "CLAUDE_CODE_USE_FOUNDRY")

_VERSION: Final = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_METHODS: Final = {
    "claude.ai": "with a claude.ai subscription",
    "api_key": "with an API key",
    "api_key_helper": "with the key that its apiKeyHelper gives",
    "oauth_token": "with a token from the environment",
    "third_party": "through a cloud provider",
}


@dataclass(frozen=True, slots=True)
class Said:
    """What `claude auth status` has printed. `code` is None when it did not end in time."""

    code: int | None
    out: str


@dataclass(frozen=True, slots=True)
class Installed:
    """What was found out of one. `status` is None where it was not asked, `without_key` where there is no API key."""

    path: str
    version: str  # as printed
    environ: Mapping[str, str]  # the daemon's
    status: Said | None
    without_key: Said | None  # the same, had the daemon no API key
    credentials: bool  # whether there is a file of them


def version(printed: str) -> tuple[int, int, int] | None:
    """The version in what `claude --version` prints: `2.1.331 (Claude Code)`."""
    found = _VERSION.search(printed)
    return None if found is None else (int(found[1]), int(found[2]), int(found[3]))


def may_be_asked(printed: str) -> bool:
    """Whether `auth status` is surely a command to this one, and no prompt that costs money."""
    known = version(printed)
    return known is not None and "Claude Code" in printed and known >= KNOWS_AUTH


def judge(check: str, it: Installed, now: datetime) -> Iterator[Finding]:
    number = version(it.version)
    named = ".".join(map(str, number)) if number else "unknown version"
    yield ok(check, f"{it.path} is there ({named})")
    answer = None if it.status is None else _answer(it.status.out)
    if answer is None:
        yield from _guess(check, it, named)
    elif answer["loggedIn"]:
        method = str(answer.get("authMethod"))
        expired = _time(answer.get("loginExpiresAt"))
        if expired is not None and expired <= now:
            text = f"its login expired at {expired:%Y-%m-%d %H:%M} UTC: prompts will probably fail"
            yield warning(check, text, LOGIN)
        else:
            yield ok(check, f"logged in {_METHODS.get(method, f'({method})')}, as far as can be told without spending")
    else:
        yield problem(check, "it is not logged in: every prompt would fail", LOGIN)
    if it.environ.get(API_KEY) and it.without_key is not None:
        beside = _answer(it.without_key.out)
        if beside is not None and beside["loggedIn"]:
            text = f"{API_KEY} is set beside a login: prompts are paid for by that key, not by the subscription"
            yield warning(check, text, f"take {API_KEY} out of the daemon's environment, or leave it if that is meant")


def settings(check: str, agent: AgentConfig, *, as_root: bool) -> Iterator[Finding]:
    """What is configured for it that a person should know of."""
    table = f"[agents.{agent.name}]"
    if agent.permission_mode == "bypassPermissions" and as_root:
        text = 'permission_mode = "bypassPermissions", which claude refuses for root: every prompt would fail'
        yield problem(check, text, f'run the daemon as another user, and set permission_mode = "dontAsk" in {table}')
    elif agent.permission_mode == "bypassPermissions":
        text = (
            'permission_mode = "bypassPermissions": whatever it reads in a mail or a note may make it run any command'
        )
        yield warning(
            check, text, f'set permission_mode = "dontAsk" and list what it may use in allowed_tools in {table}'
        )
    elif not agent.allowed_tools:
        text = "allowed_tools is empty: it may change nothing, not even in the vault"
        yield warning(check, text, f'set allowed_tools = ["Read", "Edit", "Write", "Glob", "Grep"] in {table}')


def _answer(printed: str) -> dict[str, Any] | None:
    """The object that was printed; None when it tells of no login either way."""
    try:
        found = json.loads(printed)
    except (ValueError, RecursionError):
        return None
    return found if isinstance(found, dict) and isinstance(found.get("loggedIn"), bool) else None


def _time(written: object) -> datetime | None:
    try:
        found = datetime.fromisoformat(str(written))
        return found.astimezone(UTC) if found.tzinfo is not None else found.replace(tzinfo=UTC)
    except (ValueError, OverflowError):
        return None


def _guess(check: str, it: Installed, named: str) -> Iterator[Finding]:
    """From what lies around, where it can't be asked."""
    variable = next((name for name in (*CLOUDS, *TOKENS) if it.environ.get(name)), None)
    if variable is not None or it.credentials:
        by = f"{variable} is set" if variable else "it has a file of credentials"
        yield ok(check, f"it seems to be logged in: {by}")
        return
    why = "it did not say" if it.status is not None else f"{named} can't be asked without spending anything"
    yield warning(check, f"whether it is logged in is not known: {why}", f"claude update, then: {LOGIN}")
