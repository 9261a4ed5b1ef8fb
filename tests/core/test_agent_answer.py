"""What came of a prompt, by what Claude Code printed and by how it died; the values are those of version 2.1.331."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from zoneinfo import ZoneInfo

import pytest

from orchestrator.agents.claude_answer import is_whole, read
from orchestrator.processes.death import Death
from orchestrator.schedule.runs import HoldKind, Outcome, Result

BERLIN = ZoneInfo("Europe/Berlin")
NOW = datetime(2026, 11, 25, 3, 0, tzinfo=UTC)
SUCCESS, FAILURE = Outcome.SUCCESS, Outcome.FAILURE

INIT = {
    "type": "system",
    "subtype": "init",
    "session_id": "05fa2037",
    "tools": ["Read"],
    "mcp_servers": [{"name": "time", "status": "connected"}, {"name": "mail", "status": "failed"}],
    "mcp_server_errors": [{"name": "typo", "error": "command is missing"}],
}
SAID = {"type": "assistant", "message": {"content": [{"type": "text", "text": 'the "type":"result" of it\n{}'}]}}
LIMIT_EVENT = {"type": "rate_limit_event", "rate_limit_info": {"status": "rejected", "resetsAt": 1795592805}}
LIMIT_TEXT = "You've hit your 5-hour limit · resets 7:46am (UTC)"


def answer(**more: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "duration_api_ms": 72,
        "stop_reason": "end_turn",
        "session_id": "66f8db0d",
        "total_cost_usd": 0.00088,
        "usage": {
            "input_tokens": 20,
            "cache_creation_input_tokens": 5,
            "cache_read_input_tokens": 7,
            "output_tokens": 40,
            "iterations": [],
        },
        "modelUsage": {"claude-opus-5-5": {"costUSD": 0.00088}},
        "permission_denials": [],
        "is_error": False,
        "num_turns": 2,
        "subtype": "success",
        "api_error_status": None,
        "result": "OK-DONE",
        "type": "result",
        "duration_ms": 257,
    }
    return made | more


def trouble(text: str, status: int | None = None, **more: Any) -> dict[str, Any]:
    told = {"is_error": True, "num_turns": 1, "stop_reason": "stop_sequence", "total_cost_usd": 0, "modelUsage": {}}
    return answer(**told, result=text, api_error_status=status, usage={"input_tokens": 0, "output_tokens": 0}) | more


def gave_up(subtype: str, *errors: str, **more: Any) -> dict[str, Any]:
    made = answer(subtype=subtype, is_error=True, errors=list(errors), num_turns=3) | more
    del made["result"]
    return made


def line(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode() + b"\n"


def heard(
    printed: bytes | Mapping[str, Any], code: int | None = 0, *, stderr: str = "", signal: str | None = None
) -> Result:
    data = printed if isinstance(printed, bytes) else line(printed)
    return read(data, stderr, Death(None if signal else code, signal), now=NOW, zone=BERLIN)


# --- the forms of an answer ---


@pytest.mark.parametrize(
    "printed",
    [
        line(answer()),
        line(answer()).rstrip(),
        line(answer()).replace(b"\n", b"\r\n"),
        b"\xef\xbb\xbf" + line(answer()),
        json.dumps(answer(), indent=2).encode(),
        json.dumps(answer(), indent=0).encode(),
        line([INIT, SAID, answer()]),
        json.dumps([INIT, SAID, answer()], indent=2).encode(),
        line(INIT) + line(SAID) + line(answer()),
        line(INIT) + b"\n\n" + line(SAID) + b"\n" + line(answer()) + b"\n\n",
        b"A new version is available\n[notice] {maybe}\n{not JSON}\n" + line(answer()),
        line(answer()) + b"Debugger attached.\n[bye]\n",
        b"notice\n" + json.dumps([INIT, answer()], indent=4).encode() + b"\nnotice",
        line(answer()) + line({"type": "system", "subtype": "status"}),
        line(answer()) + b'{"type":"assistant","message":{"con',
        line(answer(result="the first")) + line(answer()),
        line(SAID).rstrip() + line(answer()),
        b"\xff\xfe\n" + line(answer()),
        line(answer(of_another_version={"a": [1, 2.5, None, True]}, result_index=10**30)),
    ],
)
def test_an_answer_in_any_form(printed: bytes) -> None:
    assert is_whole(printed)
    made = heard(printed)
    assert (made.outcome, made.output, made.error, made.hold, made.final) == (SUCCESS, "OK-DONE", None, None, False)
    assert made.cost_usd == 0.00088


def test_all_that_is_told_of_it() -> None:
    assert heard(line([INIT, SAID, answer()])).details == {
        "session_id": "66f8db0d",
        "turns": 2,
        "duration_seconds": 0.257,
        "tokens": {"input": 20, "output": 40, "cache_read": 7, "cache_creation": 5},
        "subtype": "success",
        "stop_reason": "end_turn",
        "models": ["claude-opus-5-5"],
        "mcp": [{"name": "mail", "state": "failed"}, {"name": "typo", "state": "failed"}],
    }


@pytest.mark.parametrize("death", [Death(1), Death(143), Death(None, "SIGKILL"), Death(), None])
def test_however_it_dies_after_its_result(death: Death | None) -> None:
    assert read(line(answer()), "MCP server needs-auth", death, now=NOW, zone=BERLIN).outcome is SUCCESS
    failed = read(line(trouble("API Error: something")), "", death, now=NOW, zone=BERLIN)
    assert (failed.outcome, failed.error) == (FAILURE, "API Error: something")


def test_an_empty_result_is_a_success() -> None:
    for empty in ("", None):
        made = heard(answer(result=empty))
        assert (made.outcome, made.output) == (SUCCESS, "")


def test_what_is_no_text_is_shown_as_json() -> None:
    assert heard(answer(result=None, structured_output={"a": "ä"})).output == '{"a": "ä"}'
    assert heard(answer(result=["x"])).output == '["x"]'


@pytest.mark.parametrize(
    "more", [{"is_error": "false"}, {"is_error": None}, {"is_error": 0}, {"subtype": None}, {"subtype": "Success"}]
)
def test_no_success_that_is_not_said_to_be_one(more: dict[str, Any]) -> None:
    assert heard(answer(**more)).outcome is FAILURE


def test_a_success_with_denials_says_so() -> None:
    denials = [
        {"tool_name": "Write", "tool_use_id": "1", "tool_input": {"file_path": "/v/new.txt", "content": "x" * 999}},
        {"tool_name": "Bash", "tool_input": {"command": "git push \\\n  --force"}},
        {"tool_name": "mcp__mail__send", "tool_input": {"to": "a@b"}},
        {"tool_name": "Odd"},
    ]
    made = heard(answer(permission_denials=denials))
    assert made.outcome is SUCCESS
    text, _, block = made.output.partition("\n\n")
    assert text == "OK-DONE"
    assert block.splitlines() == [
        "Denied for want of permission, so not done (4); allowed_tools of the agent says what it may:",
        "- Write: /v/new.txt",
        "- Bash: git push \\ --force",
        '- mcp__mail__send: {"to": "a@b"}',
        "- Odd: null",
    ]
    assert made.details is not None
    listed = made.details["denials"]
    assert [each["tool"] for each in listed] == ["Write", "Bash", "mcp__mail__send", "Odd"]
    assert all(len(each["input"]) <= 200 for each in listed)


def test_many_denials_are_cut() -> None:
    many = [{"tool_name": "Bash", "tool_input": {"command": f"make {n}"}} for n in range(100)]
    made = heard(answer(permission_denials=many, result=""))
    assert len(made.output.splitlines()) == 22
    assert made.output.startswith("Denied for want of permission, so not done (100)")
    assert made.output.endswith("- … and 80 more")
    assert made.details is not None
    assert len(made.details["denials"]) == 20


# --- failures ---


@pytest.mark.parametrize(
    ("result", "said", "final"),
    [
        (
            gave_up("error_max_turns", "Reached maximum number of turns (2)"),
            "stopped after 2 turns, as max_turns",
            True,
        ),
        (gave_up("error_max_turns"), "stopped after 3 turns, as max_turns", True),
        (
            gave_up("error_max_budget_usd", "Reached maximum budget ($0.5)"),
            "stopped at its budget, as daily_budget",
            True,
        ),
        (
            gave_up("error_during_execution", "[ede] aborted", "x"),
            "it met an error while it worked: [ede] aborted; x",
            False,
        ),
        (gave_up("error_max_structured_output_retries"), "ended with error_max_structured_output_retries", False),
        (gave_up("error_during_execution", "prompt is too long"), "prompt is too long", True),
        (trouble("Prompt is too long", 400, terminal_reason="prompt_too_long"), "Prompt is too long", True),
        (trouble("There's an issue with the selected model (x).", 404), "issue with the selected model", True),
        (trouble("API Error: 400 messages: too many", 400), "API Error: 400 messages", True),
        (trouble("Usage credits needed", 429, api_error="long_context_credits_required"), "Usage credits needed", True),
        (
            trouble("API Error: response exceeded the maximum", api_error="max_output_tokens"),
            "exceeded the maximum",
            False,
        ),
        (trouble("safeguards flagged this message\n\nTry again", stop_reason="refusal"), "safeguards flagged", False),
        (trouble(""), "not why", False),
        (answer(is_error=True, subtype=None), "a result of no kind: OK-DONE", False),
        # it was at work when the line broke
        (trouble("API Error: Connection lost mid-response."), "Connection lost mid-response", False),
        (trouble("API Error: Connection dropped (ECONNRESET).", total_cost_usd=0.2), "Connection dropped", False),
        (trouble("API Error: 529 Overloaded.", 529, total_cost_usd=0.2), "529 Overloaded", False),
        # lies
        (answer(result="/login isn't available in this environment.", num_turns=0), "/login isn't available", True),
        (answer(result="Unknown slash command: triage", num_turns=0), "Unknown slash command: triage", True),
        (answer(result="Unknown skill: triage", usage={"output_tokens": 0}), "Unknown skill: triage", True),
    ],
)
def test_a_failure_in_a_persons_words(result: dict[str, Any], said: str, *, final: bool) -> None:
    for code in (0, 1):
        made = heard(result, code)
        assert made.outcome is FAILURE
        assert made.error is not None
        assert said in made.error
        assert (made.final, made.hold) == (final, None)
        assert made.cost_usd == result["total_cost_usd"]


@pytest.mark.parametrize(
    ("result", "kind", "until"),
    [
        (trouble(LIMIT_TEXT, 429, api_error="usage_limit_reached"), HoldKind.LIMIT, "07:46"),
        (trouble("Claude AI usage limit reached|1795592805"), HoldKind.LIMIT, "07:46:45"),
        (trouble("API Error: Rate limit reached", 429), HoldKind.LIMIT, None),
        (trouble(LIMIT_TEXT, 429, total_cost_usd=0.2, num_turns=30), HoldKind.LIMIT, "07:46"),
        (trouble("Not logged in · Please run /login"), HoldKind.LOGIN, None),
        (trouble("Failed to authenticate. API Error: 401 OAuth token has expired.", 401), HoldKind.LOGIN, None),
        (trouble("Credit balance is too low", 400, api_error_type="invalid_request_error"), HoldKind.CREDIT, None),
        (
            trouble("API Error: Connection refused (ECONNREFUSED)", api_error="connection_failed"),
            HoldKind.NETWORK,
            None,
        ),
        (trouble("API Error: 529 Overloaded.", 529, api_error_type="overloaded_error"), HoldKind.BUSY, None),
        (gave_up("error_during_execution", "API Error: 401 Invalid bearer token"), HoldKind.LOGIN, None),
        # its own words where no model has spoken, whatever it calls that
        (answer(result=LIMIT_TEXT, num_turns=0), HoldKind.LIMIT, "07:46"),
        (answer(result=LIMIT_TEXT, usage={"output_tokens": 0}), HoldKind.LIMIT, "07:46"),
    ],
)
def test_a_prompt_that_was_not_taken(result: dict[str, Any], kind: HoldKind, until: str | None) -> None:
    for code in (0, 1):
        made = heard(result, code)
        assert made.outcome is FAILURE
        assert made.hold is not None
        assert made.error == made.hold.why
        assert made.hold.kind is kind
        assert made.hold.until == (until and datetime.fromisoformat(f"2026-11-25T{until}").replace(tzinfo=UTC))
        assert not made.final


def test_an_event_names_the_end_of_a_limit_to_the_second() -> None:
    made = heard(line([INIT, LIMIT_EVENT, trouble(LIMIT_TEXT, 429)]), 1)
    assert made.hold is not None
    assert made.hold.until == datetime(2026, 11, 25, 7, 46, 45, tzinfo=UTC)


def test_an_event_of_a_failed_call_says_what_it_is() -> None:
    told = {"type": "assistant", "is_api_error_message": True, "error": "authentication_failed", "message": {}}
    made = heard(line(told) + line(trouble("It is not known why")), 1)
    assert made.hold is not None
    assert made.hold.kind is HoldKind.LOGIN


@pytest.mark.parametrize(
    "text",
    [
        LIMIT_TEXT,
        "I wrote the note about the usage limit reached|1795592805 yesterday.",
        "The log says: Not logged in · Please run /login",
        "API Error: 529 Overloaded. That is what the mail says.",
        "Unknown skill: cooking. I asked her for another.",
        "Credit balance is too low",
    ],
)
def test_an_answer_may_talk_about_troubles(text: str) -> None:
    made = heard(answer(result=text))
    assert (made.outcome, made.output, made.hold) == (SUCCESS, text, None)
    warned = {"type": "rate_limit_event", "rate_limit_info": {"status": "allowed_warning", "resetsAt": 1795592805}}
    assert heard(line([INIT, warned, answer(result=text)])).hold is None


# --- no result ---


@pytest.mark.parametrize(
    ("printed", "death", "stderr", "said", "final"),
    [
        (b"", Death(0), "", "printed nothing (exit code 0)", False),
        (b"", Death(1), "npm error: it fell over\n", "printed nothing (exit code 1): npm error: it fell over", False),
        (b"", Death(None, "SIGKILL"), "", "printed nothing (killed by SIGKILL)", False),
        (b"", Death(143), "", "printed nothing (exit code 143, as after SIGTERM)", False),
        (b"Execution error", Death(1), "", "did not answer with JSON: Execution error (exit code 1)", False),
        (b"\n\nOK-DONE\nmore\n", Death(0), "", "did not answer with JSON: OK-DONE (exit code 0)", False),
        (b"\xff\x00{[ not ]}\n", Death(0), "", "did not answer with JSON: ", False),
        (b'{"type": "other"}\n', Death(0), "", "ended without a result (exit code 0)", False),
        (b"[error] it", Death(1), "", "did not answer with JSON: [error] it (exit code 1)", False),
        (b"[]", Death(0), "", "ended without a result (exit code 0)", False),
        (line(INIT) + line(SAID), Death(None, "SIGSEGV"), "", "ended without a result (killed by SIGSEGV)", False),
        (line(INIT) + b"notice\n", Death(0), "", "ended without a result", False),
        (line(answer())[:100], Death(0), "", "its answer is cut off after 100 bytes (exit code 0)", False),
        (line([INIT, answer()])[:-2], Death(0), "", "its answer is cut off", False),
        (json.dumps([INIT, answer()], indent=0).encode()[:-2], Death(0), "", "its answer is cut off", False),
        (line(answer(result="x" * 300_000))[:65_536], Death(0), "", "is a pipe that is read late", False),
        (b"", Death(1), "error: unknown option '--max-budget-usd'\n", "run `claude update`", True),
        (
            b"",
            Death(1),
            "Error: Claude Code cannot be launched inside another Claude Code session.",
            "CLAUDECODE",
            True,
        ),
        (
            b"",
            Death(1),
            "error: option '--permission-mode <mode>' argument 'x' is invalid.",
            "argument 'x' is inv",
            True,
        ),
        (b"", Death(1), "--dangerously-skip-permissions cannot be used with root/sudo privileges", "with root", True),
        (b"Prompt is too long", Death(1), "", "did not answer with JSON: Prompt is too long", True),
    ],
)
def test_no_result(printed: bytes, death: Death, stderr: str, said: str, *, final: bool) -> None:
    assert not is_whole(printed)
    made = read(printed, stderr, death, now=NOW, zone=BERLIN)
    assert made.outcome is FAILURE
    assert made.error is not None
    assert said in made.error
    assert (made.final, made.hold, made.cost_usd) == (final, None, None)


@pytest.mark.parametrize(
    ("printed", "stderr", "kind"),
    [
        (b"You've hit your 5-hour limit \xc2\xb7 resets 7:46am (UTC)", "", HoldKind.LIMIT),
        (b"Not logged in \xc2\xb7 Please run /login\n", "", HoldKind.LOGIN),
        (b"", "Error: connect ECONNREFUSED 127.0.0.1:443\n", HoldKind.NETWORK),
        (b"Warning: no stdin data received in 3s\n", "Invalid API key \u00b7 Please run /login", HoldKind.LOGIN),
    ],
)
def test_a_complaint_in_place_of_a_result(printed: bytes, stderr: str, kind: HoldKind) -> None:
    made = heard(printed, 1, stderr=stderr)
    assert made.hold is not None
    assert made.hold.kind is kind
    assert made.error == made.hold.why


def test_a_text_in_place_of_a_result_is_no_complaint_when_it_is_long() -> None:
    made = heard(b"The usage limit of the road.\n" * 40, 0)
    assert made.hold is None
    assert made.outcome is FAILURE


def test_a_warning_on_stderr_is_no_complaint_of_a_program_that_ended_well() -> None:
    assert heard(b"what?", 0, stderr="retrying after ECONNRESET").hold is None


def test_a_lone_surrogate_goes_nowhere() -> None:
    denial = {"tool_name": "\ud800", "tool_input": {"command": "\ud800"}}
    for result in (answer(result="a\ud800b", permission_denials=[denial]), gave_up("\ud800", "\ud800")):
        made = heard(json.dumps(result | {"session_id": "\ud800", "modelUsage": {"\ud800": {}}}).encode())
        for text in (made.output, made.error or "", str(made.details)):
            text.encode()


@pytest.mark.parametrize("cost", [-1, "0.5", None, True, [1], {}, float("nan"), float("inf"), 10**400])
def test_a_cost_that_is_none(cost: Any) -> None:
    made = heard(answer(total_cost_usd=cost))
    assert (made.outcome, made.cost_usd) == (SUCCESS, None)
