"""PURE. Can prompts be sent to a Letta agent: where it is, with what key, to whom?"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from orchestrator.config.model import AgentConfig
from orchestrator.doctor.finding import Finding, ok, problem, warning
from orchestrator.reach import GET_CLIENT

HEALTH: Final = "/v1/health/"


@dataclass(frozen=True, slots=True)
class Reached:
    """What came of asking the server for its health: an HTTP status, or why there is none."""

    status: int | None
    error: str = ""


def judge(
    check: str, agent: AgentConfig, *, url: str, reached: Reached | None, key: bool, local: bool
) -> Iterator[Finding]:
    """`reached`: None without a client to ask with; `key`: the variable is set; `local`: it is on this machine."""
    table = f"[agents.{agent.name}]"
    change = f"correct base_url in {table}, or LETTA_BASE_URL"
    if reached is None:
        yield problem(check, "the HTTP client that Letta needs is not installed", GET_CLIENT)
    elif reached.status is None:
        yield problem(check, f"{url} can't be reached: {reached.error}", f"start the server there, or {change}")
    elif reached.status == 404:
        text = f"{url} answers, but has no {HEALTH}: it may be no Letta server with a REST interface"
        yield warning(check, text, change)
    elif reached.status == 407:
        text = f"{url} is behind a proxy that wants a login: no prompt will get there"
        yield problem(check, text, "give the daemon HTTPS_PROXY=http://USER:PASSWORD@…, or name the server in NO_PROXY")
    elif reached.status >= 500:
        yield warning(check, f"{url} answers with status {reached.status}", "look at that server's log")
    else:
        yield ok(check, f"{url} answers")
    if key:
        yield ok(check, f"{agent.api_key_env} is set")
    elif local:
        yield ok(check, f"{agent.api_key_env} is not set, which a server on this machine may do without")
    else:
        text = f"{agent.api_key_env} is not set in the daemon's environment: {url} will refuse every prompt"
        yield problem(
            check, text, f"set {agent.api_key_env} for the daemon, or name another variable: api_key_env in {table}"
        )
