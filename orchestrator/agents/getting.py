"""PURE. How to get an agent's program that is missing: a run, `status` and `doctor` say it alike."""

from typing import Final

from orchestrator.config.model import AgentConfig, AgentKind

CLAUDE: Final = "install Claude Code as the daemon's user: curl -fsSL https://claude.ai/install.sh | bash"


def how(agent: AgentConfig) -> str:
    """What a person can do, as the end of a sentence."""
    get = CLAUDE if agent.kind is AgentKind.CLAUDE else "install it"
    return f"{get}, or write its full path into command of [agents.{agent.name}]"


def not_on_path(agent: AgentConfig) -> str:
    """Say that the PATH does not have its command, and what to do."""
    return f"command {agent.command[0]!r} is not on the PATH; {how(agent)}"
