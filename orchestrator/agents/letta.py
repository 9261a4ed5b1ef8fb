"""PURE. A message to an agent on a Letta server: the call that a child process makes, and what came of it."""

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from orchestrator.agents.letta_stage import Stage
from orchestrator.config.model import AgentConfig
from orchestrator.processes.death import Death
from orchestrator.schedule.runs import Hold, HoldKind, Outcome, Result

USUAL_PLACE: Final = "http://localhost:8283"
MODULE: Final = "orchestrator.agents.letta_child"  # gets the call as a file that is its stdin
UNKNOWN: Final = "whether the message was delivered is unknown, so it is not sent again"

# Why agents stop that have not done what they could. Others, unknown ones too, come with an answer.
_STOPPED_SHORT: Final = {
    "error": "it met an error",
    "llm_api_error": "the model's provider answered with an error",
    "invalid_llm_response": "the model's answer made no sense",
    "invalid_tool_call": "the model called a tool in a way that makes no sense",
    "no_tool_call": "the model called no tool where it had to",
    "max_tokens_exceeded": "the model's answer became too long",
    "context_window_overflow_in_system_prompt": "its memory no longer fits into the model's context",
    "insufficient_credits": "the account has no credit left",
    "cancelled": "somebody cancelled it",
}
_REMARKS: Final = {
    "max_steps": "(It stopped because it had made as many steps as it may.)",
    "requires_approval": "(It waits for an approval; until someone gives or denies it in Letta, it takes no message.)",
}
_NO_QUOTA: Final = ("usage-exceeded", "quota", "credit", "agents-limit")  # in the reasons of an error or in its type


def request(
    agent: AgentConfig, agent_id: str, prompt: str, environ: Mapping[str, str], timeout: float
) -> dict[str, Any]:
    """Make the call for the child. Raises ValueError with a sentence when it cannot make sense.

    The key is not in it: the child finds it in its own environment, under the same name.
    """
    if not re.fullmatch(r"[A-Za-z0-9._~:-]*[A-Za-z0-9_~:-][A-Za-z0-9._~:-]*", agent_id):
        raise ValueError(f'{agent_id!r} is no agent\'s id; give one like agent_id = "agent-…"')
    key = environ.get(agent.api_key_env, "").strip()
    if not key.isascii() or not key.isprintable() or " " in key:
        raise ValueError(f"{agent.api_key_env} is no key: it has spaces or characters that none has; copy it anew")
    server = _server(agent, environ)
    return {
        "stage": Stage.TO_SEND,
        "server": server,
        "url": f"{server}/v1/agents/{agent_id}/messages",
        "agent_id": agent_id,
        "key_from": agent.api_key_env,
        "seconds": timeout,
        "body": {"messages": [{"role": "user", "content": prompt}], "streaming": False},
    }


def _server(agent: AgentConfig, environ: Mapping[str, str]) -> str:
    named, where = agent.base_url, f"base_url of [agents.{agent.name}]"
    if named is None:
        named, where = environ.get("LETTA_BASE_URL", "").strip() or USUAL_PLACE, "LETTA_BASE_URL"
    if not re.fullmatch(r"https?://[^\s/?#]+(/[^\s?#]*)?", named):
        raise ValueError(f'{where} is no server\'s address; write one like "{USUAL_PLACE}"')
    if "@" in named.split("/")[2]:
        raise ValueError(f"{where} has a user or a password in it; take it out and give the key in {agent.api_key_env}")
    return named.rstrip("/").removesuffix("/v1").rstrip("/")


def read(answer: bytes, death: Death | None, stderr: str) -> Result:
    """Read the child's file as its process has left it; `death` and `stderr` explain where it came to no end.

    The file has to be given whole: what is cut counts as a message that may have been delivered.
    """
    call, last = _stages(answer)
    details = {"session_id": last.get("agent_id") or call.get("agent_id"), "delivery": "unknown"}
    details |= {key: last[key] for key in ("duration_seconds", "tokens", "stop_reason", "turns") if last.get(key)}
    ended = _how_it_ended(death, stderr)
    match last.get("stage"):
        case Stage.TO_SEND:
            return _failure(f"the message was not sent: {ended}", {**details, "delivery": "not sent"}, final=False)
        case Stage.FAILED if not last.get("sent"):
            return _unsent(last, {**details, "delivery": "not sent"})
        case Stage.ANSWERING if 200 <= last["status"] <= 599:
            return _answered({**last, "broken": ended}, details)
        case Stage.ANSWERED if 200 <= last["status"] <= 599:
            return _answered(last, details)
        case _:
            why = last.get("why", ended)
            where = f"look for it among the messages of {details['session_id']} at {last.get('server', 'the server')}"
            return _failure(f"{why}; {UNKNOWN}; {where}", details, final=True)


def _stages(answer: bytes) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """Give the first and the last thing that was written down; the last without a stage when that is not whole."""
    lines = [line for line in answer.split(b"\n") if line]
    first, last = (_object(line) for line in (lines[0], lines[-1])) if lines else ({}, {})
    return first, last or {key: value for key, value in first.items() if key != "stage"}


def _object(line: bytes) -> Mapping[str, Any]:
    try:
        found = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return found if isinstance(found, Mapping) else {}


def _how_it_ended(death: Death | None, stderr: str) -> str:
    words = [line.strip() for line in stderr.splitlines() if line.strip()][-1:]
    return ": ".join(["its process was ended" if death is None else f"its process ended: {death}", *words])


def _unsent(last: Mapping[str, Any], details: Mapping[str, Any]) -> Result:
    if not last.get("again"):
        return _failure(f"the message was not sent: {last['why']}", details, final=True)
    advice = "is it running there, and is base_url (or LETTA_BASE_URL) right?"
    return _failure(f"Letta at {last['server']} cannot be reached ({last['why']}); {advice}", details, final=False)


def _answered(last: Mapping[str, Any], details: Mapping[str, Any]) -> Result:
    status: int = last["status"]
    if status < 300:
        return _delivered(last, {**details, "delivery": "delivered"})
    details = {**details, "delivery": "refused"}
    server, said = last.get("server"), last.get("said")
    words = f"{status}: {said}" if said else str(status)
    if (hold := _hold(status, last, words)) is not None:
        # This message is refused; those to come had better wait. Only 429 says that it may be sent again.
        return Result(Outcome.FAILURE, error=hold.why, details=details, hold=hold, final=status != 429)
    why = f"Letta at {server} refused the message ({words})"
    if status < 400:
        why = f"{server} sends us elsewhere ({status}), to {last.get('location')}; correct base_url or LETTA_BASE_URL"
    elif status == 404:
        why += f"; correct agent_id, {details['session_id']}, or base_url"
    elif status >= 500:
        why = f"Letta at {server} could not take the message ({words})"
    return _failure(why, details, final=status < 500 and status != 429)


def _hold(status: int, last: Mapping[str, Any], words: str) -> Hold | None:
    """Tell whether an answer is about us, not about the message."""
    server, until = f"Letta at {last.get('server')}", last.get("until")
    again = datetime.fromisoformat(until) if until else None
    if status in {401, 403}:
        return Hold(HoldKind.LOGIN, _login(server, last, words))
    about = [*last.get("reasons", ()), last.get("type") or ""]
    if status == 402 or (status == 429 and any(word in each for each in about for word in _NO_QUOTA)):
        why = f"the account with {server} has no credit or quota left ({words}); add some, or wait for its next period"
        return Hold(HoldKind.CREDIT, why, again)
    if status == 429 and again is not None:
        return Hold(HoldKind.BUSY, f"{server} takes no more messages for now ({words})", again)
    return None


def _login(server: str, last: Mapping[str, Any], words: str) -> str:
    name = last.get("key_from")
    if last.get("type") == "llm_authentication":
        return f"{server} has no valid key for its model's provider ({words}); correct it there"
    if not last.get("keyed"):
        return f"{server} wants a key ({words}); set {name} in the daemon's environment and restart it"
    return f"{server} refuses the key ({words}); put a valid one into {name} in the daemon's environment and restart it"


def _delivered(last: Mapping[str, Any], details: Mapping[str, Any]) -> Result:
    """Success, unless it says that the agent could not work. Never again either way."""
    said, stop, output = last.get("said"), last.get("stop_reason"), last.get("text") or ""
    known = _STOPPED_SHORT.get(stop or "")
    if known is not None or last.get("form") == "error":
        why = "; ".join(filter(None, [known and f"{known} ({stop})", said]))
        why = f"the message was delivered, but the agent could not do its work: {why}"
        return Result(Outcome.FAILURE, output, why, details=details, final=True)
    if (broken := last.get("broken")) is not None:
        remark = f"(Delivered, but the answer was not read to its end: {broken})"
    elif last.get("form") == "other":
        remark = f"(Delivered, but the answer is none that Letta gives: {said})"
    else:
        remark = _REMARKS.get(stop or "", "")
    return Result(Outcome.SUCCESS, output="\n\n".join(filter(None, [output, remark])), details=details)


def _failure(why: str, details: Mapping[str, Any], *, final: bool) -> Result:
    return Result(Outcome.FAILURE, error=why, details=details, final=final)
