"""What holds for the Dashboard's region whatever is in the file."""

import contextlib

from hypothesis import assume, example, given
from hypothesis import strategies as st

from orchestrator.vault.dashboard import END, START, LeftAlone, splice, users_part

MARKDOWN = (
    "text|# A|## System Health|### b|System Health|===|---|```|~~~|````|```py|- |> |1. |<!--|-->|<!-- x -->|***|a: b|🩺"
)
BLANKS = [b"\n", b"\r\n", b"\r", b"\n\n", b" ", b"    ", b"\t", b"\x0c", "\u2028".encode()]
ODD = [START, END, b"\xef\xbb\xbf", b"\0", b"\xff", b"| a | b |", b"|---|---|"]
PIECES = st.sampled_from([*(piece.encode() for piece in MARKDOWN.split("|")), *BLANKS, *ODD])
FILES = st.one_of(st.lists(PIECES, max_size=24).map(b"".join), st.binary(max_size=64), st.text().map(str.encode))
TABLES = st.lists(
    st.sampled_from([b"| a | b |", b"| --- | --- |", b"| inbox | running |"]), min_size=1, max_size=4
).map(lambda lines: b"\n".join(lines) + b"\n")


def spliced(old: bytes, table: bytes) -> bytes:
    """splice, for files that are not left alone."""
    with contextlib.suppress(LeftAlone):
        return splice(old, table)
    assume(False)  # noqa: FBT003  hypothesis's way to skip an example
    raise AssertionError


@given(FILES, TABLES)
@example(b"a\nb\r", b"| a |\n")  # an LF of ours after the CR makes one CRLF
@example(b"\n\r\n\r\r", b"| a |\n")
def test_a_second_time_changes_nothing(old: bytes, table: bytes) -> None:
    once = spliced(old, table)
    assert splice(once, table) == once


@given(FILES, TABLES, TABLES)
def test_only_the_last_table_counts(old: bytes, first: bytes, second: bytes) -> None:
    assert splice(spliced(old, first), second) == spliced(old, second)


@given(FILES, TABLES)
def test_every_byte_outside_survives(old: bytes, table: bytes) -> None:
    new = spliced(old, table)
    before, after = users_part(old), users_part(new)
    if before == after:
        return
    # The region is new: what came with it outside the markers is line endings, one blank line's before and its own.
    at = _first_difference(before, after)
    added = len(after) - len(before)
    added_bytes = [after[i : i + added] for i in range(at + 1) if after[:i] + after[i + added :] == before]
    assert any(not extra.strip(b"\r\n") and len(extra) <= 4 for extra in added_bytes)


@given(FILES, TABLES)
def test_the_table_is_in_it_once(old: bytes, table: bytes) -> None:
    new = spliced(old, table)
    assume(START not in users_part(old))
    region = new[new.index(START) : new.rindex(END)]
    assert region.replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n\n" + table + b"\n") == 1


@given(FILES, TABLES)
def test_final_newline_stays_missing(old: bytes, table: bytes) -> None:
    assume(old.removeprefix(b"\xef\xbb\xbf"))
    new = spliced(old, table)
    assert new.endswith((b"\n", b"\r")) == old.endswith((b"\n", b"\r"))


def _first_difference(a: bytes, b: bytes) -> int:
    return next((i for i, (x, y) in enumerate(zip(a, b, strict=False)) if x != y), min(len(a), len(b)))
