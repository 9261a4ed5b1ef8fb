"""The command line and the environment that Claude Code is started with."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agents import claude
from orchestrator.config.model import AgentConfig

PLAIN = AgentConfig("claude")


def test_the_prompt_is_the_only_thing_behind_the_last_option() -> None:
    agent = AgentConfig(
        "claude",
        command=("nice", "claude"),
        allowed_tools=("Read", "Bash(git log:*)"),
        permission_mode="acceptEdits",
        max_turns=7,
    )
    assert claude.argv(agent, "--help me", budget_left=1.5) == (
        *("nice", "claude", "-p", "--output-format", "json", "--permission-mode", "acceptEdits"),
        *("--allowedTools", "Read,Bash(git log:*)", "--max-turns", "7", "--max-budget-usd", "1.5"),
        *("--", "--help me"),
    )


def test_what_is_not_limited_is_not_named() -> None:
    agent = AgentConfig("claude", allowed_tools=())
    made = claude.argv(agent, "hello", budget_left=None)
    assert made == ("claude", "-p", "--output-format", "json", "--permission-mode", "dontAsk", "--", "hello")


def test_a_prompt_on_stdin_leaves_no_trace() -> None:
    made = claude.argv(PLAIN, None, budget_left=None)
    assert "--" not in made
    assert made[-2:] == ("--allowedTools", "Read,Edit,Write,Glob,Grep")


@pytest.mark.parametrize(
    ("left", "written"),
    [
        (1.0, "1"),
        (0.4, "0.4"),
        (10.0, "10"),
        (100.0, "100"),
        (0.123456, "0.1234"),
        (1e-05, "0.0001"),
        (0.0, "0.0001"),
        (-3.0, "0.0001"),
        (0.0001, "0.0001"),
        (1e9, "1000000000"),
    ],
)
def test_a_budget_is_a_plain_decimal_greater_than_nothing(left: float, written: str) -> None:
    made = claude.argv(PLAIN, "hello", budget_left=left)
    assert made[made.index("--max-budget-usd") + 1] == written


@given(left=st.floats(-1, 1e6))
def test_no_budget_is_stretched(left: float) -> None:
    made = claude.argv(PLAIN, "hello", budget_left=left)
    written = made[made.index("--max-budget-usd") + 1]
    assert set(written) <= set("0123456789.")
    assert 0 < float(written) <= max(left, claude.LEAST_BUDGET_USD) + 1e-9


@given(prompt=st.text())
def test_whatever_the_prompt_is_it_is_the_last_word(prompt: str) -> None:
    made = claude.argv(PLAIN, prompt, budget_left=0.5)
    assert made[-2:] == ("--", prompt)
    assert claude.shown(made, prompt) == [*made[:-1], "…"]


def test_no_prompt_is_shown_and_all_else_is() -> None:
    assert claude.shown(("claude", "-p"), "-p or not") == ["claude", "-p"]
    assert claude.shown(("claude", "-p"), None) == ["claude", "-p"]
    assert claude.shown(("any", "any"), "any") == ["any", "…"]


def test_a_secret_in_the_command_is_not_shown() -> None:
    command = ("env", "API_KEY=sk-1", "X=1", "claude", "--auth-token", "t-1", "--token-file", "--x", "-p")
    assert claude.shown((*command, "hi"), "hi") == [
        *("env", "API_KEY=[redacted]", "X=1", "claude", "--auth-token", "[redacted]", "--token-file", "--x", "-p", "…")
    ]


def test_a_child_is_no_part_of_a_session_around_us() -> None:
    around = {
        "CLAUDECODE": "1",
        "CLAUDE_CODE_ENTRYPOINT": "cli",
        "CLAUDE_CODE_SESSION_ID": "x",
        "CLAUDE_CODE_SESSION_ACCESS_TOKEN": "x",
        "CLAUDE_CODE_CHILD_SESSION": "1",
        "CLAUDE_CODE_MESSAGING_SOCKET": "/run/x",
        "CLAUDE_CODE_SSE_PORT": "1",
        "CLAUDE_CODE_MAX_TURNS": "1",
        "CLAUDE_CODE_RETRY_WATCHDOG": "1",
        "CLAUDE_CODE_SIMPLE": "1",
        "CLAUDE_PID": "1",
        "AI_AGENT": "x",
    }
    of_the_user = {
        "PATH": "/bin",
        "DRY_RUN": "true",
        "ANTHROPIC_API_KEY": "k",
        "ANTHROPIC_BASE_URL": "http://gateway",
        "CLAUDE_CONFIG_DIR": "/c",
        "CLAUDE_CODE_OAUTH_TOKEN": "t",
        "CLAUDE_CODE_USE_BEDROCK": "1",
        "HTTPS_PROXY": "http://proxy",
    }
    made = claude.environment(around | of_the_user)
    assert made == of_the_user | {"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1", "DISABLE_AUTOUPDATER": "1"}


def test_what_the_user_has_set_stays() -> None:
    said = {"CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "0", "DISABLE_AUTOUPDATER": ""}
    assert claude.environment(said) == said
