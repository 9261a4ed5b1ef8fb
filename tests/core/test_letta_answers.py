"""Letta in words: the call that is made, what a server's answer comes to, and what is made of a child's file."""

import json
import re
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.agents.letta import UNKNOWN, read, request
from orchestrator.agents.letta_answer import LONGEST_WAIT, condense, retry_at
from orchestrator.agents.letta_stage import Stage
from orchestrator.config.model import AgentConfig, AgentKind
from orchestrator.processes.death import Death
from orchestrator.redaction import NOTHING, Redactor
from orchestrator.schedule.runs import Hold, HoldKind, Outcome, Result

NOW = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
DONE, KILLED = Death(code=0), Death(signal="SIGKILL")
COMPANION = AgentConfig("companion", AgentKind.LETTA)
AT_HOME = "http://localhost:8283"
KEYS = (
    *("messages", "message_type", "content", "text", "stop_reason", "usage", "step_count", "prompt_tokens"),
    *("error", "detail", "reasons", "type", "code", "message"),
)
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.just("assistant_message"),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
)


def ask(base_url: str | None = None, agent_id: str = "agent-1", **environ: str) -> dict[str, Any]:
    agent = AgentConfig("companion", AgentKind.LETTA, base_url=base_url)
    return request(agent, agent_id, "Good morning", environ, 900.0)


# --- the call ---


def test_the_call_is_all_that_the_child_needs_but_the_key() -> None:
    assert ask(LETTA_API_KEY="secret-of-mine") == {
        "stage": "to send",
        "server": AT_HOME,
        "url": f"{AT_HOME}/v1/agents/agent-1/messages",
        "agent_id": "agent-1",
        "key_from": "LETTA_API_KEY",
        "seconds": 900.0,
        "body": {"messages": [{"role": "user", "content": "Good morning"}], "streaming": False},
    }


@pytest.mark.parametrize(
    ("configured", "environ", "server"),
    [
        (None, None, AT_HOME),
        (None, "", AT_HOME),
        (None, " https://api.letta.com\n", "https://api.letta.com"),
        ("http://a:1", "https://api.letta.com", "http://a:1"),
        ("http://a/", None, "http://a"),
        ("http://a/v1/", None, "http://a"),
        ("http://a/letta/v1", None, "http://a/letta"),
        ("http://[::1]:8283", None, "http://[::1]:8283"),
    ],
)
def test_where_the_server_is(configured: str | None, environ: str | None, server: str) -> None:
    found = ask(configured) if environ is None else ask(configured, LETTA_BASE_URL=environ)
    assert (found["server"], found["url"]) == (server, f"{server}/v1/agents/agent-1/messages")


@pytest.mark.parametrize(
    ("how", "words"),
    [
        ({"LETTA_BASE_URL": "localhost:8283"}, "LETTA_BASE_URL is no server's address; write one like"),
        ({"LETTA_BASE_URL": "ftp://a"}, "LETTA_BASE_URL is no"),
        ({"base_url": "http://"}, "base_url of [agents.companion] is no server's address"),
        ({"base_url": "http://a?b"}, "is no server's address"),
        ({"base_url": "http://a b"}, "is no server's address"),
        (
            {"base_url": "http://me:pass@a/"},
            "has a user or a password in it; take it out and give the key in LETTA_",
        ),
        ({"agent_id": ""}, "'' is no agent's id"),
        ({"agent_id": ".."}, "'..' is no agent's id"),
        ({"agent_id": "a/../b"}, "is no agent's id"),
        ({"agent_id": "a b?"}, "is no agent's id"),
        ({"LETTA_API_KEY": "two words"}, "LETTA_API_KEY is no key"),
        ({"LETTA_API_KEY": "sk–dash"}, "copy it anew"),
        ({"LETTA_API_KEY": "a\nb"}, "copy it anew"),
    ],
)
def test_a_call_that_makes_no_sense_is_not_made(how: dict[str, str], words: str) -> None:
    with pytest.raises(ValueError, match=re.escape(words)) as error:
        ask(**how)
    assert not any(secret in str(error.value) for secret in ("me:pass", "two words", "sk–dash"))


# --- the server's answer, made small ---


def body(*messages: object, **more: object) -> bytes:
    return json.dumps({"messages": messages, **more}).encode()


def says(content: object) -> dict[str, object]:
    return {"message_type": "assistant_message", "content": content}


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (body(), {"form": "answer", "text": "", "stop_reason": None, "tokens": None, "turns": None}),
        (body(says("One."), {"message_type": "reasoning_message", "reasoning": "hm"}, says("Two.")), "One.\n\nTwo."),
        (body(says([{"type": "text", "text": "a"}, {"type": "text", "text": "b"}, {"type": "image"}, 7])), "ab"),
        (body(says(None), says({}), says(""), 7, None, {"message_type": ["x"]}), ""),
        (body(says("\ud800 \0 grün")), "? \0 grün"),
        (body(stop_reason={"stop_reason": "error"}), {"stop_reason": "error"}),
        (body(stop_reason="end_turn"), {"stop_reason": "end_turn"}),
        (body(stop_reason=[1]), {"stop_reason": None}),
        (
            body(usage={"prompt_tokens": 7, "completion_tokens": 0, "cached_input_tokens": None, "step_count": 3}),
            {"tokens": {"input": 7, "output": 0}, "turns": 3},
        ),
        (body(usage={"prompt_tokens": True, "completion_tokens": -1, "step_count": 1e9}), {"tokens": None}),
        (body(usage=[7]), {"tokens": None}),
        (b"", {"form": "empty"}),
        (b" \r\n", {"form": "empty"}),
        (b"{}", {"form": "other", "said": "{}"}),
        (b"[1,\n2]", {"form": "other", "said": "[1, 2]"}),
        (b"null", {"form": "other", "said": "null"}),
        (b"[" * 100_000, {"form": "other", "said": "[" * 500 + "…"}),
        (b"1" * 10_000, {"form": "other", "said": "1" * 500 + "…"}),
        (b"\xff\xfe{", {"form": "other", "said": "\ufffd\ufffd{"}),
        (b"<!doctype html><head><TITLE>\n 502 Bad\n gateway</title>", {"said": "502 Bad gateway"}),
        (b"<html>", {"said": "a page in HTML"}),
        (b'{"detail": "Agent not found"}', {"form": "error", "said": "Agent not found", "type": None, "reasons": []}),
        (b'{"detail": {"code": "PENDING", "message": "Wait"}}', {"said": "PENDING: Wait"}),
        (b'{"detail": [{"loc": 1}]}', {"said": '[{"loc": 1}]'}),
        (b'{"error": {"type": "llm_error", "message": "No", "detail": "No"}}', {"said": "No", "type": "llm_error"}),
        (
            b'{"error": "Rate limited", "reasons": ["exceeded-quota", 7]}',
            {"said": "Rate limited exceeded-quota 7", "reasons": ["exceeded-quota"]},
        ),
        (b'{"error": null, "detail": ""}', {"form": "other"}),
        (body(says("half"), {"message_type": "error_message", "message": "broke"}), {"form": "error", "text": "half"}),
    ],
)
def test_what_an_answer_comes_to(answer: bytes, expected: dict[str, Any] | str) -> None:
    found = condense(answer, NOTHING)
    if isinstance(expected, str):
        expected = {"form": "answer", "text": expected}
    assert {key: found.get(key) for key in expected} == expected


@given(DOCUMENTS)
def test_whatever_it_is_it_comes_to_something_that_can_be_stored(found: object) -> None:
    small = condense(json.dumps(found).encode(), NOTHING)
    assert small["form"] in {"answer", "empty", "error", "other"}
    json.dumps(small, ensure_ascii=False).encode()
    assert "\n" not in (small.get("said") or "")


def test_secrets_are_taken_out_before_anything_is_cut() -> None:
    redact = Redactor({"KEY": "0123456789"})
    assert condense(body(says("It is 0123456789.")), redact)["text"] == "It is [redacted]."
    assert condense(b"x" * 495 + b"0123456789", redact)["said"] == "x" * 495 + "[reda…"


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("0", None),
        ("-5", None),
        ("nan", None),
        ("1", 1),
        ("1.5", 1.5),
        ("90", 90),
        ("1e99", LONGEST_WAIT.total_seconds()),
        ("inf", LONGEST_WAIT.total_seconds()),
        ("Fri, 20 Nov 2026 23:31:00 GMT", 60),
        ("Fri, 20 Nov 2026 23:31:00 -0000", 60),
        ("Fri, 20 Nov 2026 23:29:00 GMT", None),
        ("Fri, 20 Nov 9999 23:29:00 GMT", LONGEST_WAIT.total_seconds()),
        ("Fri, 99 Nov 2026 23:29:00 GMT", None),
    ],
)
def test_when_to_come_again(header: str | None, seconds: float | None) -> None:
    assert retry_at(header, NOW) == (None if seconds is None else NOW + timedelta(seconds=seconds))


# --- the child's file ---


def stage(name: Stage, **more: object) -> bytes:
    known = {"server": AT_HOME, "agent_id": "agent-1", "key_from": "LETTA_API_KEY"}
    return json.dumps({"stage": name, **known, **more}).encode()


CALL = json.dumps(request(COMPANION, "agent-1", "Good\nmorning", {}, 900.0)).encode()
SENDING = CALL + b"\n" + stage(Stage.SENDING)
ANSWERING = SENDING + b"\n" + stage(Stage.ANSWERING, status=200)


@pytest.mark.parametrize(
    ("left", "outcome", "final", "delivered"),
    [
        (CALL, Outcome.FAILURE, False, "not sent"),
        (SENDING, Outcome.FAILURE, True, "unknown"),
        (ANSWERING, Outcome.SUCCESS, False, "delivered"),
        (SENDING + b"\n" + stage(Stage.ANSWERING, status=503), Outcome.FAILURE, False, "refused"),
        # cut off while it was written, or by who read it
        (b"", Outcome.FAILURE, True, "unknown"),
        (CALL[:50], Outcome.FAILURE, True, "unknown"),
        (CALL[50:], Outcome.FAILURE, True, "unknown"),
        (CALL + b'\n{"sta', Outcome.FAILURE, True, "unknown"),
        (SENDING + b'\n{"sta', Outcome.FAILURE, True, "unknown"),
        (stage(Stage.ANSWERED, status=200, form="answer")[:-5], Outcome.FAILURE, True, "unknown"),
        (b"null", Outcome.FAILURE, True, "unknown"),
        (b"[" * 100_000, Outcome.FAILURE, True, "unknown"),
        (b'"to send"', Outcome.FAILURE, True, "unknown"),
        # statuses that no server gives
        (stage(Stage.ANSWERED, status=101), Outcome.FAILURE, True, "unknown"),
        (stage(Stage.ANSWERED, status=999), Outcome.FAILURE, True, "unknown"),
    ],
)
def test_where_it_was_killed(left: bytes, outcome: Outcome, final: bool, delivered: str) -> None:  # noqa: FBT001
    for death in (KILLED, None):
        result = read(left, death, "")
        assert (result.outcome, result.final, (result.details or {})["delivery"]) == (outcome, final, delivered)
        assert (UNKNOWN in (result.error or "")) is (delivered == "unknown")


@pytest.mark.parametrize("length", range(0, len(ANSWERING), 7))
def test_no_piece_of_the_file_says_that_nothing_was_sent_but_the_whole_call(length: int) -> None:
    result = read(ANSWERING[:length], KILLED, "")
    told = (result.details or {})["delivery"]
    assert told == ("not sent" if length in {len(CALL), len(CALL) + 1} else "unknown")


def test_what_it_said_last_explains_its_end() -> None:
    result = read(CALL, Death(code=1), "Traceback\n  …\nImportError: no socks\n\n")
    assert result.error == "the message was not sent: its process ended: exit code 1: ImportError: no socks"
    assert read(CALL, None, "").error == "the message was not sent: its process was ended"


def answered(status: int, **more: object) -> Result:
    return read(stage(Stage.ANSWERED, status=status, **more), DONE, "")


@pytest.mark.parametrize(
    ("status", "more", "kind"),
    [
        (401, {}, HoldKind.LOGIN),
        (403, {"keyed": True}, HoldKind.LOGIN),
        (402, {}, HoldKind.CREDIT),
        (429, {"type": "llm_insufficient_credits"}, HoldKind.CREDIT),
        (429, {"reasons": ["x", "premium-usage-exceeded"], "until": NOW.isoformat()}, HoldKind.CREDIT),
        (429, {"until": NOW.isoformat()}, HoldKind.BUSY),
        (429, {"reasons": ["too-fast"]}, None),
        (500, {"until": NOW.isoformat()}, None),
        (503, {"type": "llm_insufficient_credits"}, None),
        (404, {}, None),
    ],
)
def test_which_answers_hold_the_agent(status: int, more: dict[str, Any], kind: HoldKind | None) -> None:
    result = answered(status, **more)
    assert result.outcome is Outcome.FAILURE
    assert (result.details or {})["delivery"] == "refused"
    if kind is None:
        assert result.hold is None
        assert result.final is (status == 404)
    else:
        until = NOW if "until" in more else None
        assert result.error is not None
        assert (result.hold, result.final) == (Hold(kind, result.error, until), status != 429)


@pytest.mark.parametrize(
    ("stop", "outcome"),
    [
        *((each, Outcome.SUCCESS) for each in ("end_turn", "max_steps", "tool_rule", "requires_approval", "new", None)),
        *((each, Outcome.FAILURE) for each in ("error", "llm_api_error", "invalid_llm_response", "invalid_tool_call")),
        *((each, Outcome.FAILURE) for each in ("no_tool_call", "max_tokens_exceeded", "insufficient_credits")),
        *((each, Outcome.FAILURE) for each in ("context_window_overflow_in_system_prompt", "cancelled")),
    ],
)
def test_what_was_delivered_is_success_unless_the_agent_could_not_work(stop: str | None, outcome: Outcome) -> None:
    result = answered(200, form="answer", text="So far.", stop_reason=stop)
    assert (result.outcome, result.final, result.hold) == (outcome, outcome is Outcome.FAILURE, None)
    assert result.output.startswith("So far.")
    assert (result.details or {}).get("stop_reason") == stop
    assert (result.error or f"({stop})").endswith(f"({stop})")


def test_details_hold_what_was_told() -> None:
    result = answered(200, form="answer", text="x", tokens={"input": 1}, turns=2, duration_seconds=1.5, said=None)
    assert result.details == {
        "session_id": "agent-1",
        "delivery": "delivered",
        "tokens": {"input": 1},
        "turns": 2,
        "duration_seconds": 1.5,
    }
