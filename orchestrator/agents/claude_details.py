"""PURE. What Claude Code tells of a run beside its answer: numbers, what was denied, which servers failed."""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

Event = Mapping[str, Any]

DENIALS_MAX: Final = 20
INPUT_MAX: Final = 200  # characters of a denied tool's input
NAME_MAX: Final = 200  # characters of a name or an id
NAMES_MAX: Final = 20

_TOKENS: Final = {
    "input": "input_tokens",
    "output": "output_tokens",
    "cache_read": "cache_read_input_tokens",
    "cache_creation": "cache_creation_input_tokens",
}
# What of a tool's input says most, where there is one of these.
_ON_WHAT: Final = ("file_path", "notebook_path", "path", "command", "url", "pattern", "query", "skill")


def of(events: Sequence[Event], result: Event) -> dict[str, Any]:
    """All that is known, as JSON knows it; what is missing or no such value is left out."""
    milliseconds = number(result.get("duration_ms"))
    found = {
        "session_id": _name(result.get("session_id")),
        "turns": count(result.get("num_turns")),
        "duration_seconds": None if milliseconds is None else round(milliseconds / 1000, 3),
        "tokens": _tokens(result.get("usage")),
        "denials": [{"tool": tool, "input": _input(said)} for tool, said in denials(result)[:DENIALS_MAX]],
        "subtype": _name(result.get("subtype")),
        "stop_reason": _name(result.get("stop_reason")),
        "models": _names(result.get("modelUsage")),
        "mcp": list(_servers(events))[:NAMES_MAX],
    }
    return {key: value for key, value in found.items() if value not in (None, [], {})}


def cost(result: Event) -> float | None:
    return number(result.get("total_cost_usd"))


def number(value: Any) -> float | None:
    """A number that can be an amount: finite and not negative."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        amount = float(value)
    except OverflowError:
        return None
    return amount if math.isfinite(amount) and amount >= 0 else None


def count(value: Any) -> int | None:
    return value if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 2**53 else None


def output_tokens(result: Event) -> int | None:
    return _tokens(result.get("usage")).get("output")


def denials(result: Event) -> list[tuple[str, Any]]:
    """What was denied: each tool and what it was to be called with."""
    listed = result.get("permission_denials")
    return [
        (_name(each.get("tool_name")) or "a tool", each.get("tool_input"))
        for each in (listed if isinstance(listed, list) else [])
        if isinstance(each, Mapping)
    ]


def denied(result: Event) -> str:
    """A block of lines for a person: which tools were denied, and on what; "" where none was."""
    found = denials(result)
    if not found:
        return ""
    lines = [f"- {tool}: {_on_what(said)}" for tool, said in found[:DENIALS_MAX]]
    more = len(found) - DENIALS_MAX
    return "\n".join(
        [
            f"Denied for want of permission, so not done ({len(found)}); allowed_tools of the agent says what it may:",
            *lines,
            *([f"- … and {more} more"] if more > 0 else []),
        ]
    )


def storable(text: str) -> str:
    """Without lone surrogates, which JSON can bring along and no database and no file takes."""
    return text.encode(errors="replace").decode()


def _on_what(said: Any) -> str:
    named = said if isinstance(said, Mapping) else {}
    on = next((named[key] for key in _ON_WHAT if isinstance(named.get(key), str)), None)
    return _line(on) if on is not None else _input(said)


def _input(said: Any) -> str:
    try:
        return _line(json.dumps(said, ensure_ascii=False))
    except (ValueError, RecursionError):
        return "…"


def _line(text: str) -> str:
    """On one line, and no longer than one can read."""
    text = storable(" ".join(text[: 4 * INPUT_MAX].split()))
    return text if len(text) <= INPUT_MAX else f"{text[: INPUT_MAX - 1]}…"


def _name(value: Any) -> str | None:
    return storable(value)[:NAME_MAX] if isinstance(value, str) and value else None


def _names(value: Any) -> list[str]:
    return [storable(each)[:NAME_MAX] for each in value][:NAMES_MAX] if isinstance(value, Mapping) else []


def _tokens(usage: Any) -> dict[str, int]:
    if not isinstance(usage, Mapping):
        return {}
    counts = {key: count(usage.get(name)) for key, name in _TOKENS.items()}
    return {key: value for key, value in counts.items() if value is not None}


def _servers(events: Sequence[Event]) -> Iterator[dict[str, str]]:
    """The MCP servers that the run had to do without, as its first event names them."""
    start = next((each for each in events if each.get("subtype") == "init"), {})
    for key, otherwise in (("mcp_servers", ""), ("mcp_server_errors", "failed")):
        listed = start.get(key)
        for each in listed if isinstance(listed, list) else []:
            if not isinstance(each, Mapping):
                continue
            name, state = _name(each.get("name")), _name(each.get("status")) or otherwise
            if name and state in {"failed", "needs-auth"}:
                yield {"name": name, "state": state}
