"""Streams of server-sent events, cut wherever they may be."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.mcp import sse
from orchestrator.mcp.sse import Events, TooMuch

STREAM = (
    b"\xef\xbb\xbf: a comment\r\n\r\nid: 1\ndata:\n\nevent: endpoint\ndata: /x\n\n"
    b"data: {\r\ndata:  1\r\ndata:}\r\n\r\nretry: 5\nevent: other\n\ndata\n\ndata: cr\r\rdata: end\n\ndata: unfinished"
)
FOUND = [("endpoint", b"/x"), ("message", b"{\n 1\n}"), ("message", b"cr"), ("message", b"end")]


def test_a_stream_in_one_piece() -> None:
    assert Events().feed(STREAM) == FOUND


@given(st.lists(st.integers(0, len(STREAM)), max_size=20))
def test_a_stream_in_any_pieces(cuts: list[int]) -> None:
    at = [0, *sorted(cuts), len(STREAM)]
    events = Events()
    found = [event for begin, end in pairwise(at) for event in events.feed(STREAM[begin:end])]
    assert found == FOUND


def test_byte_for_byte() -> None:
    events = Events()
    assert [event for byte in STREAM for event in events.feed(bytes([byte]))] == FOUND


def test_an_event_without_end_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sse, "EVENT_MAX", 1000)
    events = Events()
    for _ in range(100):
        events.feed(b"data: " + b"x" * 100 + b"\n\n")
    for _ in range(9):
        events.feed(b"data: " + b"x" * 100 + b"\n")
    with pytest.raises(TooMuch):
        events.feed(b"data: " + b"x" * 100 + b"\n")
