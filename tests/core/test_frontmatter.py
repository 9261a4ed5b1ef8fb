"""Frontmatter is read as it stands or refused with its line; nothing is guessed."""

import os
from datetime import UTC, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.vault.frontmatter import LIMIT, Unreadable, moment, parse, read
from watchers import items

BERLIN = ZoneInfo("Europe/Berlin")


@pytest.mark.parametrize(
    ("note", "fields"),
    [
        (b"", None),
        (b"just text\n", None),
        (b"text\n---\na: b\n---\n", None),  # a rule and a heading, further down
        (b"----\na: b\n---\n", None),
        (b" ---\na: b\n---\n", None),
        (b"---\n---\n", {}),
        (b"---\n# nothing\n---", {}),
        (b"---\na: b\n---", {"a": "b"}),
        (b"---\na: b\n---\nbody: x: y\n---\n", {"a": "b"}),
        (b"\xef\xbb\xbf---\na: b\n---\n", {"a": "b"}),
        (b"---\r\na: b\r\nc: d\r\n---\r\n", {"a": "b", "c": "d"}),
        (b"---\ra: b\rc: d\r---\r", {"a": "b", "c": "d"}),
        (b"---  \na: b\n---\t\n", {"a": "b"}),
        ("---\na: Grüße 🗂\n---\n".encode(), {"a": "Grüße 🗂"}),
        (b"---\na:\nb: ~\nc: null\n---\n", {"a": None, "b": None, "c": None}),
        (b"---\na: true\nb: False\n---\n", {"a": True, "b": False}),
        (b"---\na: 0\nb: -12\nc: 1.5\nd: .5\ne: 2.5e3\n---\n", {"a": 0, "b": -12, "c": 1.5, "d": 0.5, "e": 2500.0}),
        # what YAML 1.1 would turn into booleans, sixties, octals, dates
        (b"---\non: yes\noff: no\ny: n\n---\n", {"on": "yes", "off": "no", "y": "n"}),
        (b"---\na: 12:30\nb: 007\nc: +49 30\nd: +4930\ne: 1_000\n---\n",
         {"a": "12:30", "b": "007", "c": "+49 30", "d": "+4930", "e": "1_000"}),
        (b"---\na: 2026-11-20\nb: 2026-13-45\nc: 2026-11-20T10:00:00Z\n---\n",
         {"a": "2026-11-20", "b": "2026-13-45", "c": "2026-11-20T10:00:00Z"}),
        (b"---\na: 5,000\nb: 1e5\nc: .inf\nd: 0x1f\n---\n", {"a": "5,000", "b": "1e5", "c": ".inf", "d": "0x1f"}),
        (b'---\na: "Re: x"\nb: \'[y]\'\nc: "one\\nstatus: approved"\n---\n',
         {"a": "Re: x", "b": "[y]", "c": "one\nstatus: approved"}),
        (b"---\na: [x, y]\nb:\n  - 1\n  - k: v\nc: {d: e}\n---\n",
         {"a": ["x", "y"], "b": [1, {"k": "v"}], "c": {"d": "e"}}),
        (b"---\na: |\n  one\n  b: two\n---\n", {"a": "one\nb: two"}),
        (b"---\nlink: [[Note]]\n---\n", {"link": [["Note"]]}),
        (b"---\n2026: a\n1.5: b\ntrue: c\n<<: {a: 1}\n---\n", {"2026": "a", "1.5": "b", "true": "c", "<<": {"a": 1}}),
        (b"---\na: " + b"9" * 200 + b"\n---\n", {"a": "9" * 200}),
    ],
)  # fmt: skip
def test_reads(note: bytes, fields: dict[str, object] | None) -> None:
    assert parse(note) == fields


@pytest.mark.parametrize(
    ("note", "line", "what"),
    [
        (b"---\na: b\n", 1, "never closed"),
        (b"---", 1, "never closed"),
        (b"---\na: b\nsubject: Re: x\n---\n", 3, "second colon"),
        (b"---\nsubject: [y] z\n---\n", 2, "into quotes"),
        (b"---\nfrom: @me\n---\n", 2, "into quotes"),
        (b"---\n\ta: b\n---\n", 2, "into quotes"),
        (b'---\na: "x\n---\n', 2, "into quotes"),
        (b"---\na: 1\nb: 2\na: 3\n---\n", 4, "'a' stands there twice"),
        (b"---\npayload: {to: x, to: y}\n---\n", 2, "'to' stands there twice"),
        (b"---\n[a]: b\n---\n", 2, "no word"),
        (b"---\na: &x 1\nb: *x\n---\n", 3, r"begins with \*"),
        (b"---\na: !!python/object/apply:os.system [ls]\n---\n", 2, "begins with !"),
        (b"---\na: !!bool x\n---\n", 2, "begins with !"),
        (b"---\na: !!timestamp x\n---\n", 2, "begins with !"),
        (b"---\n- a\n- b\n---\n", 2, "key: value"),
        (b"---\nonly words\n---\n", 2, "key: value"),
        (b"---\na: b\n...\nc: d\n---\n", 4, "document start"),
        (b"---\na: b\nc: \x01\n---\n", 3, r"U\+0001"),
        (b"---\na: b\0\n---\n", 2, r"U\+0000"),
        (b"---\na: b\nc: \xff\n---\n", 3, "UTF-8"),
        ("---\na: x\u2028status: approved\n---\n".encode(), 2, r"U\+2028"),
        ("---\na: x\u0085status: approved\n---\n".encode(), 2, r"U\+0085"),
        ("---\na: b\n---\n".encode("utf-16"), 1, "UTF-16"),
        (b"---\na: " + b"[" * 5000 + b"\n---\n", None, "nested too deeply"),
        (b"---\n" + b"a: b\n" * LIMIT, 1, "within 64 KiB"),
    ],
)
def test_refuses_with_the_line(note: bytes, line: int | None, what: str) -> None:
    with pytest.raises(Unreadable, match=what) as caught:
        parse(note)
    assert caught.value.line == line
    assert (f"line {line}: " in str(caught.value)) == (line is not None)


PIECES = st.sampled_from(
    [*"abn019:-?*&!|>%@`'\"[]{},#~ \t\n\r\\.", "---\n", ": ", "- ", "\n", "<<", "!!", "\u2028", "\0", "\x85", "🗂"]
)


@given(st.one_of(st.text(PIECES.filter(lambda piece: len(piece) == 1)), st.lists(PIECES, max_size=40).map("".join)))
def test_whatever_stands_there_is_read_or_refused(text: str) -> None:
    try:
        fields = parse(f"---\n{text}\n---\n".encode())
    except Unreadable:
        return
    assert fields is not None
    assert all(isinstance(key, str) for key in fields)


@given(st.binary(max_size=200))
def test_so_is_whatever_the_file_holds(note: bytes) -> None:
    try:
        parse(note)
    except Unreadable:
        assert note


def _storable(text: str) -> str:
    return text.encode("utf-8", "replace").decode()


@given(st.dictionaries(st.sampled_from(["type", "subject", "original_name"]), st.text() | st.integers(-(10**9), 10**9)))
def test_what_the_watchers_write_comes_back(fields: dict[str, str | int]) -> None:
    said = {key: _storable(value) if isinstance(value, str) else value for key, value in fields.items()}
    assert parse(items.frontmatter(said).encode()) == said


@pytest.mark.parametrize(
    ("value", "instant"),
    [
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00"),
        ("2026-11-20T10:00:00+01:00", "2026-11-20T09:00"),
        ("2026-11-20 10:00:00 +0100", "2026-11-20T09:00"),
        ("2026-11-20 10:00:00 Z", "2026-11-20T10:00"),
        ("2026-11-20t10:00:00z", "2026-11-20T10:00"),
        ("2026-11-20T10:00:00.123456789Z", "2026-11-20T10:00:00.123456"),
        ("2026-11-20T10:00", "2026-11-20T09:00"),  # naive: Berlin's
        (" 2026-07-20 10:00 ", "2026-07-20T08:00"),
        ("2026-11-20", "2026-11-19T23:00"),
    ],
)
def test_moments(value: str, instant: str) -> None:
    assert moment(value, BERLIN) == datetime.fromisoformat(instant).replace(tzinfo=UTC)


def test_a_whole_day_is_over_at_its_end() -> None:
    assert moment("2026-11-20", BERLIN, whole_day=True) == datetime(2026, 11, 20, 23, tzinfo=UTC)
    assert moment("2026-11-20T10:00Z", BERLIN, whole_day=True) == datetime(2026, 11, 20, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    "value", [None, 20261120, True, [], "", "soon", "20.11.2026", "2026-13-01", "10:00", "0001-01-01", "11/20/2026"]
)
def test_no_moments(value: object) -> None:
    assert moment(value, BERLIN) is None


@given(st.text())
def test_any_text_is_a_moment_or_none(value: str) -> None:
    found = moment(value, BERLIN, whole_day=True)
    assert found is None or found.tzinfo is UTC


def test_a_file_is_read_as_far_as_the_limit(tmp_path: Path) -> None:
    note = tmp_path / "a.md"
    note.write_bytes(b"---\na: b\n---\n" + b"x" * 10 * LIMIT)
    assert read(note) == {"a": "b"}


def test_only_regular_files_are_read_and_none_hangs(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "fifo.md")
    (tmp_path / "folder.md").mkdir()
    (tmp_path / "link.md").symlink_to("a.md")
    (tmp_path / "a.md").write_bytes(b"---\na: b\n---\n")
    for name in ("fifo.md", "folder.md", "link.md", "missing.md"):
        with pytest.raises(OSError, match=name):
            read(tmp_path / name)
