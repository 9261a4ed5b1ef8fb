"""PURE. What the values of [agents.*] and [mcp.*] mean: agents and servers, or a problem for each mistake."""

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from orchestrator.config.check import Problem
from orchestrator.config.model import AgentConfig, AgentKind, McpServer
from orchestrator.config.wording import quoted

DEFAULT: Final = "claude"  # the agent of a prompt that names none; there without being configured

Said = Mapping[str, Mapping[str, Any]]

# The keys that not every kind has, and the kinds that they belong to.
_BELONGS: Final = {
    "command": (AgentKind.CLAUDE, AgentKind.COMMAND),
    "allowed_tools": (AgentKind.CLAUDE,),
    "permission_mode": (AgentKind.CLAUDE,),
    "max_turns": (AgentKind.CLAUDE,),
    "daily_budget_usd": (AgentKind.CLAUDE,),  # nobody else tells what a prompt has cost
    "base_url": (AgentKind.LETTA,),
    "agent_id": (AgentKind.LETTA,),
    "api_key_env": (AgentKind.LETTA,),
}
_BY_COMMAND: Final = ("command", "env")
_BY_URL: Final = ("url", "headers")


def read_agents(said: Said) -> tuple[dict[str, AgentConfig], list[Problem]]:
    """The agents by name, and all that is wrong with them. `said` are the values that are right."""
    problems = list[Problem]()
    found = {name: _agent(name, values, problems) for name, values in said.items()}
    return {**({} if DEFAULT in found else {DEFAULT: AgentConfig(DEFAULT)}), **found}, problems


def _agent(name: str, said: Mapping[str, Any], problems: list[Problem]) -> AgentConfig:
    kind = AgentKind(said.get("kind", AgentKind.CLAUDE))
    for key, kinds in _BELONGS.items():
        if key in said and kind not in kinds:
            belongs = " or ".join(quoted(each) for each in kinds)
            text = f"does not go with kind = {quoted(kind)}; it belongs to {belongs}"
            problems.append(Problem(("agents", name, key), text))
    if kind is AgentKind.COMMAND and "command" not in said:
        text = 'is missing; kind = "command" needs one, which gets the prompt as its last argument, like ["my-agent"]'
        problems.append(Problem(("agents", name, "command"), text))
    if "allowed_tools" in said:
        said = {**said, "allowed_tools": tuple(said["allowed_tools"])}
    return replace(AgentConfig(name, kind), **{key: value for key, value in said.items() if key != "kind"})


def read_servers(said: Said) -> tuple[dict[str, McpServer], list[Problem]]:
    """The MCP servers by name that are enabled, and all that is wrong with any."""
    problems, found = list[Problem](), dict[str, McpServer]()
    for name, values in said.items():
        by_command, by_url = "command" in values, "url" in values
        if by_command is by_url:
            text = "is reached by exactly one of command and url: write the one that it has"
            problems.append(Problem(("mcp", name), text))
            continue
        for key in _BY_URL if by_command else _BY_COMMAND:
            if key in values:
                text = f"does not go with {'command' if by_command else 'url'}; take it out"
                problems.append(Problem(("mcp", name, key), text))
        if values.get("enabled", True):
            made: dict[str, Any] = {key: values[key] for key in ("command", "url", "timeout") if key in values}
            made |= {key: tuple(sorted(values[key].items())) for key in ("env", "headers") if key in values}
            found[name] = replace(McpServer(name), **made)
    return found, problems
