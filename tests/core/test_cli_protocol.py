"""The control protocol's grammar."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.control import protocol
from orchestrator.control.protocol import RpcError
from orchestrator.schedule.runs import Outcome

NAMES = st.lists(st.text(min_size=1), min_size=1)
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=8,
)


@given(ident=st.integers(), names=NAMES)
def test_what_is_written_is_read_back_and_stays_one_line(ident: int, names: list[str]) -> None:
    line = protocol.request(ident, "status", {"names": names})
    assert line.count(b"\n") == 1
    assert line.endswith(b"\n")
    message = protocol.decode(line)
    assert protocol.ident_of(message) == ident
    assert protocol.called(message) == ("status", {"names": names})


@given(line=st.binary())
def test_no_bytes_break_the_reader(line: bytes) -> None:
    try:
        message = protocol.decode(line)
    except RpcError as problem:
        message = {"jsonrpc": "2.0", "code": problem.code}
    assert message["jsonrpc"] == "2.0"
    assert message.get("code") in {None, protocol.PARSE_ERROR, protocol.INVALID_REQUEST}


@given(method=st.sampled_from([*protocol.METHODS, "nothing"]) | JSON, params=JSON, ident=JSON)
def test_no_request_breaks_the_check(method: Any, params: Any, ident: Any) -> None:
    message = {"jsonrpc": "2.0", "id": ident, "method": method, "params": params}
    try:
        name, complete = protocol.called(message)
    except RpcError as problem:
        answer = protocol.decode(protocol.error(protocol.ident_of(message), problem))
        refusals = {protocol.INVALID_REQUEST, protocol.METHOD_NOT_FOUND, protocol.INVALID_PARAMS}
    else:
        answer, refusals = {}, set()
        assert complete.keys() == protocol.METHODS[name].keys()
    assert not answer or answer["error"]["code"] in refusals


@pytest.mark.parametrize(
    ("method", "params", "complete"),
    [
        ("status", {}, {"names": None}),
        ("stop", {"names": ["a*"], "timeout": 2.5}, {"names": ["a*"], "timeout": 2.5}),
        ("start", {"names": ["all"]}, {"names": ["all"], "timeout": None}),
        ("tail", {"name": "a", "lines": 0}, {"name": "a", "lines": 0}),
        ("events", {}, {"limit": 50, "follow": False}),
        ("reload", {"plan": True}, {"plan": True}),
        ("shutdown", {}, {}),
        ("tasks", {}, {"names": None, "due": False}),
        ("task_get", {"name": "a"}, {"name": "a"}),
        ("run", {"task": "a"}, {"task": "a", "dry_run": False, "wait": True}),
        ("cancel", {"target": "3f2a9c01d4e7"}, {"target": "3f2a9c01d4e7"}),
        ("enable", {"names": ["a*"]}, {"names": ["a*"]}),
        ("add", {"name": "a", "settings": {}}, {"name": "a", "settings": {}, "replace": False}),
        ("history", {}, {"task": None, "limit": 20, "outcome": None}),
        ("history", {"outcome": "missed", "limit": 0}, {"task": None, "limit": 0, "outcome": "missed"}),
        ("stats", {}, {}),
        ("scheduler", {"action": "pause"}, {"action": "pause"}),
    ],
)
def test_good_calls_get_their_defaults(method: str, params: dict[str, Any], complete: dict[str, Any]) -> None:
    assert protocol.called({"method": method, "params": params}) == (method, complete)


@pytest.mark.parametrize(
    ("method", "params", "code", "said"),
    [
        ("launch", {}, protocol.METHOD_NOT_FOUND, "there is no method 'launch'; there are status, start"),
        (7, {}, protocol.INVALID_REQUEST, "names its"),
        ("status", [], protocol.INVALID_PARAMS, "object of named parameters"),
        ("status", {"names": []}, protocol.INVALID_PARAMS, "1 to 1000"),
        ("status", {"names": ["x" * 257]}, protocol.INVALID_PARAMS, "1 to 1000"),
        ("start", {}, protocol.INVALID_PARAMS, "'names' of start is a list"),
        ("start", {"names": ["a"], "timeout": -1}, protocol.INVALID_PARAMS, "number of seconds"),
        ("start", {"names": ["a"], "timeout": True}, protocol.INVALID_PARAMS, "number of seconds"),
        (
            "start",
            {"names": ["a"], "force": 1},
            protocol.INVALID_PARAMS,
            "no parameter 'force'; it takes names, timeout",
        ),
        ("shutdown", {"now": 1}, protocol.INVALID_PARAMS, "it takes none"),
        ("tail", {"name": "a", "lines": 1_000_001}, protocol.INVALID_PARAMS, "number of lines"),
        ("tail", {"name": "a", "lines": True}, protocol.INVALID_PARAMS, "number of lines"),
        ("signal", {"names": ["a"]}, protocol.INVALID_PARAMS, "'signal' of signal"),
        ("reload", {"plan": 1}, protocol.INVALID_PARAMS, "true or false"),
        ("tasks", {"names": []}, protocol.INVALID_PARAMS, "names or globs"),
        ("tasks", {"due": None}, protocol.INVALID_PARAMS, "true or false"),
        ("run", {"task": ["a"]}, protocol.INVALID_PARAMS, "a task's name"),
        ("cancel", {}, protocol.INVALID_PARAMS, "a run's id or a task's name"),
        ("disable", {"names": "a"}, protocol.INVALID_PARAMS, "names or globs"),
        ("add", {"name": "a"}, protocol.INVALID_PARAMS, "an object with the keys of a task's table"),
        ("add", {"name": "a", "settings": []}, protocol.INVALID_PARAMS, "an object"),
        ("history", {"task": ""}, protocol.INVALID_PARAMS, "a task's name, or null"),
        ("history", {"outcome": "fine"}, protocol.INVALID_PARAMS, "one of success, failure, "),
        ("history", {"outcome": ["success"]}, protocol.INVALID_PARAMS, "one of success, failure, "),
        ("scheduler", {"action": "stop"}, protocol.INVALID_PARAMS, "pause or resume"),
    ],
)
def test_bad_calls_are_told_what_is_allowed(method: Any, params: Any, code: int, said: str) -> None:
    with pytest.raises(RpcError) as raised:
        protocol.called({"method": method, "params": params})
    assert raised.value.code == code
    assert said in raised.value.message


def test_the_outcomes_are_those_of_runs() -> None:
    assert tuple(Outcome) == protocol.OUTCOMES


@pytest.mark.parametrize("ident", [True, 1.5, [], {}])
def test_a_strange_id_is_refused_and_answered_without_one(ident: Any) -> None:
    message = {"id": ident, "method": "status"}
    assert protocol.ident_of(message) is None
    with pytest.raises(RpcError, match="id"):
        protocol.called(message)


def test_errors_carry_their_data() -> None:
    sent = protocol.error("a", RpcError(protocol.UNKNOWN_NAME, "no", {"unknown": ["x"]}))
    body = {"code": -32001, "message": "no", "data": {"unknown": ["x"]}}
    assert json.loads(sent) == {"jsonrpc": "2.0", "id": "a", "error": body}
