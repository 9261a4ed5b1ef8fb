"""The Dashboard's activity log: old entries leave it, and not one other byte."""

from datetime import date

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.vault.activity import END, START, Entry, part
from orchestrator.vault.dashboard import LeftAlone

BEFORE = date(2026, 11, 13)
OLD, NEW = b"- 2026-11-12 old", b"- 2026-11-13 new"


def log(*lines: bytes, eol: bytes = b"\n") -> bytes:
    return eol.join([b"# Mine", OLD, START, *lines, END, OLD, b""])


@pytest.mark.parametrize(
    ("lines", "stay"),
    [
        ((), ()),
        ((OLD,), ()),
        ((NEW,), (NEW,)),
        ((NEW, OLD, NEW), (NEW, NEW)),
        ((OLD, OLD), ()),
        ((b"- 2026-11-12",), ()),
        ((b"- 2026-11-12T10:00 x", b"- 2026-11-12: y", b"- 1999-01-01x"), ()),
        # no entries: what belongs to one, what only looks like one, days that do not exist
        ((OLD, b"  - 2026-11-12 detail", b"  more", b""), (b"  - 2026-11-12 detail", b"  more", b"")),
        ((b"* 2026-11-12 x", b"2026-11-12", b"-2026-11-12", b"-  2026-11-12"),) * 2,
        ((b"- 2026-02-30 x", b"- 2026-11-123", b"- 12.11.2026", b"- [ ] 2026-11-12"),) * 2,
        ((b"```", OLD, b"```", OLD), (b"```", OLD, b"```")),
        ((b"~~~~", OLD, b"~~~", OLD, b"~~~~~"), (b"~~~~", OLD, b"~~~", OLD, b"~~~~~")),
        ((b"`x` ``` y", OLD), (b"`x` ``` y",)),
        ((b"> ```", OLD, b"> ```"),) * 2,
    ],
)
@pytest.mark.parametrize("eol", [b"\n", b"\r\n", b"\r"])
def test_old_entries_leave(lines: tuple[bytes, ...], stay: tuple[bytes, ...], eol: bytes) -> None:
    parted = part(log(*lines, eol=eol), BEFORE)
    assert parted.rest == log(*stay, eol=eol)
    assert len(parted.old) == len(lines) - len(stay)


def test_says_what_left_in_order() -> None:
    parted = part(log(b"- 2026-11-01 b", NEW, b"- 2025-01-01 a"), BEFORE)
    assert parted.old == (Entry(date(2026, 11, 1), b"- 2026-11-01 b"), Entry(date(2025, 1, 1), b"- 2025-01-01 a"))


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"# Mine\n" + OLD,
        b"```\n" + START + b"\n" + OLD + b"\n" + END + b"\n```\n",
        b"---\na: |\n" + START + b"\n" + OLD + b"\n" + END + b"\n---\n",
        b"\xef\xbb\xbf---\n" + START + b"\n" + OLD + b"\n" + END + b"\n---\n",
        b"text " + START + b"\n" + OLD + b"\n" + END + b" text\n",
        END + b"\n" + OLD + b"\n```\n",
    ],
)
def test_without_a_log_nothing_is_done(text: bytes) -> None:
    assert part(text, BEFORE) == (parted := part(text, date.min))
    assert (parted.rest, parted.old) == (text, ())


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (START + b"\n" + OLD, "start in line 1"),
        (END + b"\n" + OLD + b"\n" + START, "end in line 1, start in line 3"),
        (START + b"\n" + START + b"\n" + END, "start in line 1, start in line 2, end in line 3"),
        (log(OLD) * 2, "one start and one end"),
        (log(OLD, b"```"), "line 5 is never closed"),
        (b"```\n" + log(OLD), "line 1 is never closed"),
        (log(OLD, b"\0"), "NUL"),
        (log(OLD, b"\xff"), "UTF-8"),
        (log(OLD) + b"\n<!-- aiemp:health:end -->\n", "markers"),
    ],
)
def test_in_doubt_it_is_left_alone(text: bytes, reason: str) -> None:
    with pytest.raises(LeftAlone, match=reason):
        part(text, BEFORE)


LINES = [START, END, OLD, NEW, b"```", b"~~~", b"---", b"text", b"  " + OLD, b"> ```"]
PIECES = [*LINES, b"\xef\xbb\xbf", b"- ", b"\n", b"\r\n", b"\r", b" ", b"\n", b"\n" + OLD + b"\n"]


@given(st.lists(st.sampled_from(PIECES), max_size=30).map(b"".join))
def test_nothing_but_old_entries_between_the_markers_leaves(text: bytes) -> None:
    try:
        parted = part(text, BEFORE)
    except LeftAlone:
        return
    assert part(parted.rest, BEFORE).old == ()
    if not parted.old:
        assert parted.rest == text
        return
    start, end = text.index(START), text.rindex(END)
    assert parted.rest.startswith(text[:start])
    assert parted.rest.endswith(text[end:])
    removed = len(text) - len(parted.rest)
    lines = sum(len(entry.line) for entry in parted.old)
    assert lines + len(parted.old) <= removed <= lines + 2 * len(parted.old)
