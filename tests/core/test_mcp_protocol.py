"""Talks with MCP servers as data: what comes in, what is said to that, and what came of it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.mcp.protocol import LINES_MAX, MODERN_VERSION, NOISE_MAX, PAGES_MAX, TOOLS_MAX, Era, Message, Talk

INFO = {"name": "x", "version": "1.0"}
HELLO = {"protocolVersion": "2025-11-25", "serverInfo": INFO, "capabilities": {"tools": {}}}


def result(number: int, value: object) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "result": value}).encode()


def error(number: int | None, code: int, message: str = "no", data: object = None) -> bytes:
    said = {"code": code, "message": message, "data": data}
    return json.dumps({"jsonrpc": "2.0", "id": number, "error": said}).encode()


def talk(*heard: bytes, era: Era = Era.LEGACY) -> tuple[Talk, list[Message]]:
    """Have a talk in which the server says these things, one a second; give it and all that we have said."""
    made = Talk(era)
    said = [made.begin(0.0)]
    for second, data in enumerate(heard, 1):
        said += made.hear(data, float(second))
    return made, said


def test_a_whole_talk() -> None:
    made, said = talk(
        result(1, HELLO),
        result(2, {}),
        result(3, {"tools": [{}, {}], "nextCursor": "c"}),
        result(4, {"tools": [{}]}),
    )
    assert [(each["method"], each.get("id"), each.get("params")) for each in said[1:]] == [
        ("notifications/initialized", None, None),
        ("ping", 2, None),
        ("tools/list", 3, {}),
        ("tools/list", 4, {"cursor": "c"}),
    ]
    assert said[0]["params"]["protocolVersion"] == "2025-11-25"
    assert said[0]["params"]["capabilities"] == {}
    assert (made.over, made.error, made.version, made.tools, made.latency) == (True, None, "1.0", 3, 1.0)
    assert made.spoken == "2025-11-25"


def test_a_whole_modern_talk() -> None:
    told = {"io.modelcontextprotocol/serverInfo": INFO}
    about = {"supportedVersions": [MODERN_VERSION], "capabilities": {"tools": {}}, "_meta": told}
    made, said = talk(
        result(1, about), result(2, {"tools": [{}], "nextCursor": "c"}), result(3, {"tools": [{}]}), era=Era.MODERN
    )
    assert [each["method"] for each in said] == ["server/discover", "tools/list", "tools/list"]
    for each in said:
        assert each["params"]["_meta"]["io.modelcontextprotocol/protocolVersion"] == MODERN_VERSION
    assert said[2]["params"]["cursor"] == "c"
    assert (made.over, made.error, made.version, made.tools, made.latency) == (True, None, "1.0", 2, 1.0)


@pytest.mark.parametrize(
    ("heard", "why"),
    [
        ([error(1, -32602, "bad  params")], "it refuses initialize: bad params (-32602)"),
        ([error(None, -32700)], "it refuses initialize: no (-32700)"),
        ([b'{"id": 1, "error": "so"}'], "it refuses initialize: so"),
        ([result(1, "hi")], "its answer to initialize is no object"),
        ([result(1, {**HELLO, "protocolVersion": None})], "it speaks version None of the protocol"),
        ([result(1, HELLO), error(2, -32603)], "it refuses ping: no (-32603)"),
        ([result(1, HELLO), result(2, {}), error(3, -32601)], "it refuses tools/list: no (-32601)"),
        ([result(1, HELLO), result(2, {}), result(3, {})], "its answer to tools/list has no list of tools"),
        (
            [result(1, HELLO), result(2, {}), *(result(n, {"tools": [], "nextCursor": "c"}) for n in (3, 4))],
            "the pages of its tools/list go in a circle",
        ),
        (
            [result(1, HELLO), result(2, {}), result(3, {"tools": [], "nextCursor": 7})],
            "the pages of its tools/list go in a circle",
        ),
        (
            [
                result(1, HELLO),
                result(2, {}),
                *(result(n + 3, {"tools": [{}], "nextCursor": str(n)}) for n in range(PAGES_MAX)),
            ],
            "its list of tools has no end",
        ),
        (
            [result(1, HELLO), result(2, {}), result(3, {"tools": [1] * (TOOLS_MAX + 1), "nextCursor": "c"})],
            "its list of tools has no end",
        ),
        ([b"{}"] * (LINES_MAX + 1), "it talks without end, without answering initialize"),
        ([b"x" * (NOISE_MAX + 1)], "it talks without end, without answering initialize"),
    ],
)
def test_what_goes_wrong(heard: list[bytes], why: str) -> None:
    made, _ = talk(*heard)
    assert made.over
    assert (made.error or "").startswith(why)


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"hello",
        b"[]",
        b"[1, null]",
        b"null",
        b"{}",
        b"\xff",
        b"[" * 100_000,
        b"9" * 10_000,
        b'{"id": 1}',
        result(7, {}),
        b'{"id": "1", "result": {}}',
        b'{"id": 1.0, "result": {}}',
        b'{"id": true, "result": {}}',
        b'{"method": "notifications/message"}',
    ],
)
def test_what_is_not_waited_for_changes_nothing(data: bytes) -> None:
    made, said = talk(data, result(1, HELLO), data, result(2, {}), data, result(3, {"tools": []}))
    assert len(said) == 4
    assert (made.over, made.error, made.tools) == (True, None, 0)


def test_what_a_server_asks_is_answered_and_a_batch_is_taken_apart() -> None:
    asked = [{"id": 0, "method": "roots/list"}, {"id": "p", "method": "ping"}, json.loads(result(1, HELLO))]
    _, said = talk(json.dumps(asked).encode())
    assert [each.get("id") for each in said] == [1, 0, "p", None, 2]
    assert said[1]["error"]["code"] == -32601
    assert said[2]["result"] == {}


def test_each_answer_that_was_waited_for_makes_room_for_noise_again() -> None:
    noise = b"x" * (NOISE_MAX - 10)
    made, _ = talk(noise, result(1, HELLO), noise, result(2, {}), noise, result(3, {"tools": []}))
    assert (made.over, made.error) == (True, None)


@pytest.mark.parametrize(
    ("heard", "wants"),
    [
        (error(1, -32022), True),
        (error(None, -32022), True),
        (error(1, -32000, data={"supported": [MODERN_VERSION]}), True),
        (error(1, -32602, data={"supported": ["2025-06-18", MODERN_VERSION]}), False),
        (error(1, -32602, data={"supported": 7}), False),
    ],
)
def test_a_server_that_knows_only_the_new_way_is_recognized(heard: bytes, wants: bool) -> None:  # noqa: FBT001
    made, _ = talk(heard)
    assert made.over
    assert made.wants_modern is wants
    assert (made.error is None) is wants


def test_one_without_tools_or_a_method_ping_is_fine() -> None:
    made, said = talk(result(1, {**HELLO, "capabilities": {}, "serverInfo": None}), error(2, -32601))
    assert [each["method"] for each in said] == ["initialize", "notifications/initialized", "ping"]
    assert (made.over, made.error, made.version, made.tools) == (True, None, None, 0)


_values = st.recursive(
    st.none() | st.booleans() | st.integers(-3, 5) | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "id",
                    "result",
                    "error",
                    "method",
                    "protocolVersion",
                    "capabilities",
                    "tools",
                    "nextCursor",
                    "code",
                    "data",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@given(
    st.lists(_values | st.sampled_from([json.loads(result(n, HELLO)) for n in (1, 2, 3)]), max_size=8),
    st.sampled_from(Era),
)
def test_whatever_comes_it_stays_in_one_piece(heard: list[Any], era: Era) -> None:
    made, said = talk(*(json.dumps(each).encode() for each in heard), era=era)
    asked = [each["id"] for each in said if "method" in each and "id" in each]
    assert asked == list(range(1, len(asked) + 1))
    assert made.error is None or made.over
    json.dumps(said)
