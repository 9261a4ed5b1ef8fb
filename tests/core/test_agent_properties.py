"""Whatever Claude Code prints: no error, no success that is none, and a look at much is quick."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from time import process_time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agents.claude_answer import is_whole, read
from orchestrator.processes.death import Death
from orchestrator.schedule.runs import Outcome, Result

NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
DEATHS = st.none() | st.builds(
    Death, st.none() | st.integers(0, 255), st.none() | st.sampled_from(["SIGKILL", "SIGTERM"])
)
RESULT: dict[str, Any] = {
    "is_error": False,
    "num_turns": 2,
    "subtype": "success",
    "permission_denials": [{"tool_name": "Bash", "tool_input": {"list": [{"type": "result", "subtype": "success"}]}}],
    "usage": {"output_tokens": 4},
    "result": 'It is "done": ü 😀 \n{"type":"result","subtype":"success","is_error":false}\n[]}',
    "type": "result",
    "total_cost_usd": 0.5,
}
EVENTS: list[dict[str, Any]] = [
    {"type": "system", "subtype": "init", "mcp_servers": []},
    {"type": "assistant", "message": {"content": [{"input": {"text": '{"type":"result"}\n'}, "of": [RESULT]}]}},
    RESULT,
]


def heard(printed: bytes, death: Death | None = None, stderr: str = "") -> Result:
    return read(printed, stderr, death, now=NOW, zone=UTC)


def lines(*events: dict[str, Any]) -> bytes:
    return b"".join(json.dumps(each, ensure_ascii=False).encode() + b"\n" for each in events)


WHOLE = {
    "object": lines(RESULT),
    "escaped": json.dumps(RESULT).encode(),
    "pretty": json.dumps(RESULT, indent=2).encode(),
    "flat": json.dumps(RESULT, indent=0).encode(),
    "array": json.dumps(EVENTS).encode(),
    "pretty array": json.dumps(EVENTS, indent=2).encode(),
    "flat array": json.dumps(EVENTS, indent=0).encode(),
    "stream": lines(*EVENTS),
    "notices": b"one\n[two]\n{three}\n" + lines(RESULT),
}


@pytest.mark.parametrize("form", WHOLE)
def test_nothing_less_than_the_whole_is_a_success(form: str) -> None:
    printed = WHOLE[form]
    assert is_whole(printed)
    assert heard(printed, Death(1)).outcome is Outcome.SUCCESS
    for end in range(len(printed.rstrip())):
        assert not is_whole(printed[:end])
        made = heard(printed[:end], Death(0))
        assert (made.outcome, made.hold) == (Outcome.FAILURE, None)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)
KEYS = [
    *("type", "subtype", "is_error", "result", "errors", "total_cost_usd", "usage", "modelUsage", "num_turns"),
    *("permission_denials", "api_error_status", "api_error", "error", "duration_ms", "session_id", "stop_reason"),
    *("rate_limit_info", "is_api_error_message", "mcp_servers", "structured_output", "terminal_reason"),
]
ODD = st.builds(
    lambda kind, more: {"type": kind, **more},
    st.sampled_from(["result", "system", "assistant", "rate_limit_event"]),
    st.dictionaries(st.sampled_from(KEYS[1:]), JSON | st.sampled_from(["success", "init", "error_max_turns", True])),
)


def _is_possible(made: Result) -> bool:
    json.dumps(made.details, allow_nan=False)
    made.output.encode()
    (made.error or "").encode()
    return (
        made.outcome in (Outcome.SUCCESS, Outcome.FAILURE)
        and (made.error is None) == (made.outcome is Outcome.SUCCESS)
        and (made.error is None or len(made.error) < 1000)
        and (made.hold is None or (made.outcome is Outcome.FAILURE and not made.final))
        and (made.cost_usd is None or 0 <= made.cost_usd < float("inf"))
    )


@given(printed=st.binary(max_size=300), stderr=st.text(max_size=100), death=DEATHS)
def test_any_bytes(printed: bytes, stderr: str, death: Death | None) -> None:
    made = heard(printed, death, stderr)
    assert _is_possible(made)
    assert made.outcome is Outcome.FAILURE


@given(events=st.lists(ODD | JSON, max_size=4), form=st.sampled_from(["array", "lines", "pretty"]), death=DEATHS)
def test_any_json(events: list[Any], form: str, death: Death | None) -> None:
    if form == "lines":
        printed = b"".join(json.dumps(each).encode() + b"\n" for each in events)
    else:
        printed = json.dumps(events, indent=2 if form == "pretty" else None).encode()
    made = heard(printed, death)
    assert _is_possible(made)
    results = [each for each in events if isinstance(each, dict) and each.get("type") == "result"]
    assert is_whole(printed) == bool(results)
    said = bool(results) and results[-1].get("subtype") == "success" and results[-1].get("is_error", False) is False
    assert said or made.outcome is Outcome.FAILURE


@given(more=st.dictionaries(st.sampled_from(KEYS[3:]), JSON))
def test_a_success_with_odd_values(more: dict[str, Any]) -> None:
    made = heard(json.dumps(RESULT | more).encode())
    assert _is_possible(made)


@given(before=st.lists(st.text(max_size=20), max_size=3), after=st.lists(st.text(max_size=20), max_size=3))
def test_words_around_an_answer_change_nothing(before: list[str], after: list[str]) -> None:
    def words(each: list[str]) -> bytes:
        kept = (word.replace("\n", " ").replace("{", "(").replace("[", "(") for word in each)
        return "".join(f"{word}\n" for word in kept).encode()

    printed = words(before) + lines(RESULT) + words(after)
    assert is_whole(printed)
    assert heard(printed) == heard(lines(RESULT))


# --- much of it ---

MUCH = 20_000_000
PIECE = {"type": "assistant", "message": {"content": "lorem ipsum " * 80}}


def _growing() -> Iterator[bytes]:
    yield json.dumps(RESULT | {"result": "x" * MUCH}).encode()[:-40]
    yield lines(PIECE) * (MUCH // 1000)
    yield b"[" + lines(PIECE).replace(b"\n", b", ") * (MUCH // 1000)


def test_a_look_at_a_growing_answer_is_quick() -> None:
    for printed in _growing():
        began = process_time()
        assert not is_whole(printed)
        assert process_time() - began < 0.5  # 0.03 s where nobody else is at work


@pytest.mark.parametrize(
    "line", [b"[\n", b"[1,\n", b'{"a\n', b'{"a":\n', b"{\n", b"[debug] one\n", b'{"type":"result",\n']
)
def test_nonsense_without_end_comes_to_an_end(line: bytes) -> None:
    began = process_time()
    assert heard(line * 100_000, Death(0)).outcome is Outcome.FAILURE
    assert process_time() - began < 10


def test_brackets_without_end() -> None:
    for printed in (
        b"[" * 1_000_000,
        b'{"type":"result","a":' * 100_000,
        b'{"type":"result","n":' + b"9" * 10_000 + b"}",
    ):
        assert not is_whole(printed + b"}\n")
        assert heard(printed, Death(0)).outcome is Outcome.FAILURE


def test_a_huge_answer_is_read() -> None:
    made = heard(lines(PIECE) * 10_000 + lines(RESULT | {"result": "x" * 9_000_000 + "END"}))
    assert made.outcome is Outcome.SUCCESS
    assert "END\n\nDenied" in made.output
