"""How values look, and that nothing untrusted steers a terminal."""

import re
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cli.text import columns, local_time, log_line, rest_of_log_line, settled, size, took
from orchestrator.readable import span, visible


@pytest.fixture
def berlin(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setenv("TZ", "Europe/Berlin")
    time.tzset()
    yield
    monkeypatch.undo()
    time.tzset()


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain – ünïcode 日本 👩‍💻", "plain – ünïcode 日本 👩‍💻"),
        ("\x1b[2J\x1b]0;owned\x07", r"\x1b[2J\x1b]0;owned\x07"),
        ("a\nb\tc\rd", r"a\nb\tc\rd"),
        ("\x9b31m", r"\x9b31m"),
        ("abc\u202edcba\u2066", r"abc\u202edcba\u2066"),
        ("\ud800", r"\ud800"),
        (None, "None"),
        (12, "12"),
    ],
)
def test_control_characters_are_seen_not_obeyed(text: object, shown: str) -> None:
    assert visible(text) == shown


@given(st.text())
def test_visible_text_is_one_harmless_line(text: str) -> None:
    shown = visible(text)
    assert len(shown.splitlines()) <= 1
    assert not any(ord(c) < 32 or 0x7F <= ord(c) < 0xA0 for c in shown)


@pytest.mark.parametrize(
    ("line", "coloured", "plain"),
    [
        (b"hello\n", "hello", "hello"),
        (b"tab\there\r\n", "tab\there", "tab\there"),
        (b"\x1b[1;31mred\x1b[0m rest\n", "\x1b[1;31mred\x1b[0m rest\x1b[0m", "red rest"),
        (b"\x1b[38:2::1:2:3mx\n", "\x1b[38:2::1:2:3mx\x1b[0m", "x"),
        (b"\x1b[2Jx\x1b[31m\x1b]52;c;\x07\n", "\\x1b[2Jx\x1b[31m\\x1b]52;c;\\x07\x1b[0m", "\\x1b[2Jx\\x1b]52;c;\\x07"),
        (b"\xff\xfe\n", "��", "��"),
        (b"10%\r20%", r"10%\r20%", r"10%\r20%"),
    ],
)
def test_log_lines_keep_their_colours_and_nothing_else(line: bytes, coloured: str, plain: str) -> None:
    assert log_line(line, colour=True) == coloured
    assert log_line(line, colour=False) == plain


@given(st.binary())
def test_no_bytes_in_a_log_steer_a_terminal(line: bytes) -> None:
    shown = log_line(line, colour=False)
    assert not any((ord(c) < 32 and c != "\t") or 0x7F <= ord(c) < 0xA0 for c in shown)


SPLIT = st.lists(
    st.sampled_from(
        [b"a", b"\t", "ü".encode(), b"\xf0\x9f", b"\x98\x80", b"\x1b", b"[31", b"m", b"\x1b[0m", b"\r", b"\xff"]
    )
)


@given(SPLIT)
def test_a_line_in_pieces_is_shown_as_it_is_in_whole(pieces: list[bytes]) -> None:
    line = shown = b""
    plain = coloured = ""
    for piece in pieces:
        line += piece
        more = settled(line)
        assert more.startswith(shown)
        plain += rest_of_log_line(more, shown, colour=False)
        coloured += rest_of_log_line(more, shown, colour=True)
        assert plain == log_line(more, colour=False)
        assert "\x1b" not in coloured or coloured.endswith("\x1b[0m")  # no colour is left on while more is waited for
        shown = more
    assert plain + rest_of_log_line(line, shown, colour=False) == log_line(line, colour=False)
    coloured += rest_of_log_line(line, shown, colour=True)
    whole = log_line(line, colour=True)
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == re.sub(r"\x1b\[[0-9;]*m", "", whole)


@pytest.mark.parametrize(
    ("line", "now"),
    [
        (b"", b""),
        (b"Name? ", b"Name? "),
        (b"50%\r", b"50%"),
        (b"\xc3", b""),
        ("ü".encode(), "ü".encode()),
        (b"red \x1b[31", b"red "),
        (b"red \x1b[31m", b"red \x1b[31m"),
        (b"\xff", b"\xff"),
    ],
)
def test_what_may_still_become_something_else_is_not_shown_yet(line: bytes, now: bytes) -> None:
    assert settled(line) == now


def test_a_line_goes_on_in_its_colour() -> None:
    assert rest_of_log_line(b"\x1b[31mred", b"", colour=True) == "\x1b[31mred\x1b[0m"
    assert rest_of_log_line(b"\x1b[31mred too", b"\x1b[31mred", colour=True) == "\x1b[31m too\x1b[0m"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(-3, "0s"), (4.9, "4s"), (125, "2m 5s"), (10_800, "3h 0m"), (86_400 * 12 + 4 * 3600, "12d 4h")],
)
def test_spans(seconds: float, shown: str) -> None:
    assert span(seconds) == shown


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [(0.0, "0ms"), (0.3504, "350ms"), (1, "1.0s"), (4.26, "4.3s"), (59.94, "59.9s"), (59.96, "59s"), (125, "2m 5s")],
)
def test_how_long_things_took(seconds: float, shown: str) -> None:
    assert took(seconds) == shown


@pytest.mark.parametrize(
    ("count", "shown"),
    [
        (0, "0 B"),
        (512, "512 B"),
        (2048, "2.0 KiB"),
        (12_690_000, "12.1 MiB"),
        (300 * 2**20, "300 MiB"),
        (2**31, "2.0 GiB"),
    ],
)
def test_sizes(count: int, shown: str) -> None:
    assert size(count) == shown


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("moment", "shown"),
    [
        ("2026-11-21T02:40:12Z", "2026-11-21 03:40:12"),
        ("2026-07-01T00:00:00Z", "2026-07-01 02:00:00"),
        ("yesterday\x1b", r"yesterday\x1b"),
        (None, "None"),
        ("0001-01-01T00:00:00+23:59", "0001-01-01T00:00:00+23:59"),
    ],
)
def test_times_are_local(moment: object, shown: str) -> None:
    assert local_time(moment) == shown


def test_columns_are_aligned_and_nothing_trails() -> None:
    assert columns([["A", "BB", ""], ["long", "b", "c"], ["x", "", ""]]) == ["A     BB", "long  b   c", "x"]
