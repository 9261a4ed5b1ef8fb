"""PURE. How a prompt is handed to Claude Code: the arguments of its headless interface and the environment it gets."""

from collections.abc import Mapping, Sequence
from typing import Final

from orchestrator import redaction
from orchestrator.config.model import AgentConfig

IN_PLACE_OF_PROMPT: Final = "…"
LEAST_BUDGET_USD: Final = 0.0001  # it takes no budget of 0; with this one its first answer ends it

# What a surrounding session of Claude Code has set for its own children. A child of ours that took it over would
# believe to be one of them, and older versions refuse to start.
_OF_A_SESSION: Final = frozenset(
    {
        "AI_AGENT",
        "CLAUDECODE",
        "CLAUDE_CODE_ENTRYPOINT",
        "CLAUDE_CODE_EXECPATH",
        "CLAUDE_CODE_REMOTE",
        "CLAUDE_CODE_RESUME_INTERRUPTED_TURN",
        "CLAUDE_CODE_SAFE_MODE",
        "CLAUDE_CODE_SIMPLE",  # of --bare, which knows no login of a subscription
        "CLAUDE_CODE_SSE_PORT",
        "CLAUDE_EFFORT",
        "CLAUDE_PID",
        "CLAUDE_CODE_MAX_TURNS",  # the agent's max_turns is what counts
        "CLAUDE_CODE_RETRY_WATCHDOG",  # waits for the end of a usage limit, for days if need be, without a word
    }
)
_OF_A_SESSION_TOO: Final = ("CLAUDE_CODE_CHILD_", "CLAUDE_CODE_MESSAGING_", "CLAUDE_CODE_SESSION_")  # what these begin

# Set where nobody else has.
_OURS: Final = {
    # One never-ending command in the background holds back the result and the program for ever.
    "CLAUDE_CODE_DISABLE_BACKGROUND_TASKS": "1",
    # A program that replaces itself under a run is no program to rely on; people update it when they use it.
    "DISABLE_AUTOUPDATER": "1",
}


def argv(agent: AgentConfig, prompt: str | None, *, budget_left: float | None) -> tuple[str, ...]:
    """The whole command line; with None in place of the prompt it comes on stdin.

    `--allowedTools` takes all that follows up to the next option; the prompt stands behind `--`, where nothing is one.
    """
    words = [*agent.command, "-p", "--output-format", "json", "--permission-mode", agent.permission_mode]
    if agent.allowed_tools:
        words += ["--allowedTools", ",".join(agent.allowed_tools)]
    if agent.max_turns > 0:
        words += ["--max-turns", str(agent.max_turns)]
    if budget_left is not None:
        words += ["--max-budget-usd", _plain(max(budget_left, LEAST_BUDGET_USD))]
    if prompt is not None:
        words += ["--", prompt]
    return tuple(words)


def shown(argv: Sequence[str], prompt: str | None) -> list[str]:
    """The command line as it is recorded: … in place of the prompt, which is its last word if it is there at all.

    Without secrets that somebody has written into the command: `env API_KEY=…`, `--auth-token …`.
    """
    words = list[str]()
    for word in argv:
        name, equals, _ = word.partition("=")
        if equals and redaction.names_a_secret(name):
            words.append(f"{name}={redaction.MARK}")
        elif words and words[-1].startswith("-") and redaction.names_a_secret(words[-1]) and not word.startswith("-"):
            words.append(redaction.MARK)
        else:
            words.append(word)
    if prompt is not None and argv and argv[-1] == prompt:
        words[-1] = IN_PLACE_OF_PROMPT
    return words


def environment(environ: Mapping[str, str]) -> dict[str, str]:
    """What a child gets of `environ`: all but the traces of a surrounding session, and what it needs beside."""
    kept = {
        name: value
        for name, value in environ.items()
        if name not in _OF_A_SESSION and not name.startswith(_OF_A_SESSION_TOO)
    }
    return {**_OURS, **kept}


def _plain(amount: float) -> str:
    """Write an amount without an exponent, rounded down: what is left of a budget is not to be stretched."""
    text = f"{int(amount * 10_000) / 10_000:.4f}".rstrip("0")
    return text.removesuffix(".") or "0"
