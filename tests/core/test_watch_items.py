"""Names and notes: nothing that comes from outside can forge anything."""

import json
import unicodedata
from urllib.parse import unquote_to_bytes

import pytest
from hypothesis import given
from hypothesis import strategies as st

from watchers import items

any_name = st.binary(min_size=1, max_size=255).map(
    lambda name: name.replace(b"/", b"_").replace(b"\0", b"_").decode("utf-8", "surrogateescape")
)

HOSTILE = [
    "Re: x",
    "[y]",
    "{a: b}",
    "- item",
    "# tag",
    "&anchor *alias !tag",
    'quote " and \\ backslash',
    "it's",
    "line\nstatus: approved\n---\n",
    "carriage\r\nreturn",
    "next\x85line",
    "line\u2028separator\u2029",
    "\u202egnp.exe",
    "\ufeffbom",
    "nul\x01\x1b[31m",
    "\x7f",
    "\ufffe",
    "🎉",
    "👨‍👩‍👧",
    "null",
    "true",
    "2026-01-01",
    "~",
    "",
]


@pytest.mark.parametrize("value", HOSTILE)
def test_a_value_in_frontmatter_stays_one_string_on_one_line(value: str) -> None:
    line = items.quoted(value)
    assert json.loads(line) == value
    assert line[0] == line[-1] == '"'
    assert not any(unicodedata.category(c) in {"Cc", "Zl", "Zp", "Cs"} for c in line)


@given(st.text())
def test_any_text_comes_back_from_frontmatter(value: str) -> None:
    line = items.quoted(value)
    assert json.loads(line) == value.encode("utf-8", "replace").decode()
    assert len(line.splitlines()) == 1
    assert "\\ud8" not in line.replace("\\\\", "")  # no escaped surrogates, which strict parsers refuse


def test_frontmatter_quotes_every_text_but_our_own_words() -> None:
    fields: dict[str, str | int] = {"type": items.Word("file_drop"), "name": "pending", "size": 3}
    assert items.frontmatter(fields) == '---\ntype: file_drop\nname: "pending"\nsize: 3\n---\n'


@given(any_name, st.integers(1, 99999), st.integers(60, 255))
def test_a_notes_name_is_safe_and_fits(name: str, number: int, limit: int) -> None:
    note = items.note_name(name, number, limit)
    assert note.startswith("FILE_")
    assert note.endswith(".md")
    assert len(note.encode()) <= limit
    assert note.isprintable()
    assert not items.UNSAFE & set(note)


@given(any_name, st.integers(1, 99999), st.integers(60, 255))
def test_a_numbered_name_fits(name: str, number: int, limit: int) -> None:
    assert 0 < len(items.raw(items.numbered(name, number, limit))) <= limit


@given(any_name)
def test_different_numbers_give_different_names(name: str) -> None:
    assert len({items.numbered(name, number, 255) for number in range(1, 12)}) == 11
    assert len({items.note_name(name, number, 255) for number in range(1, 12)}) == 11


@pytest.mark.parametrize(
    ("name", "number", "becomes"),
    [
        ("report.pdf", 1, "report.pdf"),
        ("report.pdf", 2, "report (2).pdf"),
        ("report", 3, "report (3)"),
        ("archive.tar.gz", 2, "archive.tar (2).gz"),
        ("a.sentence that is no extension", 2, "a.sentence that is no extension (2)"),
        ("é" * 127 + "a", 2, "é" * 125 + " (2)"),
        ("x" * 251 + ".pdf", 10, "x" * 246 + " (10).pdf"),
    ],
)
def test_numbered(name: str, number: int, becomes: str) -> None:
    assert items.numbered(name, number, 255) == becomes


@pytest.mark.parametrize(
    ("name", "note", "link"),
    [
        ("report.pdf", "FILE_report.pdf.md", "[[report.pdf]]"),
        ("Bericht März.pdf", "FILE_Bericht März.pdf.md", "[[Bericht März.pdf]]"),
        ("note.md", "FILE_note.md.md", "[[note.md]]"),
        ("FILE_x.md", "FILE_FILE_x.md.md", "[[FILE_x.md]]"),
        ("🎉", "FILE_🎉.md", "[[🎉]]"),
        ("Re: x", "FILE_Re_ x.md", "[Re_ x](Re%3A%20x)"),
        ("a#b^c[d]|e", "FILE_a_b_c_d__e.md", "[a_b_c_d__e](a%23b%5Ec%5Bd%5D%7Ce)"),
        ("a\nb](x)", "FILE_a_b_(x).md", "[a_b_(x)](a%0Ab%5D%28x%29)"),
        ("trail. ", "FILE_trail.md", "[trail](trail.%20)"),
        ("..", "FILE__.md", "[_](..)"),
        ("..\\..\\x", "FILE__.._x.md", "[_.._x](..%5C..%5Cx)"),
        ("caf\udce9", "FILE_caf_.md", "[caf_](caf%E9)"),
    ],
)
def test_the_note_of_a_name(name: str, note: str, link: str) -> None:
    assert items.note_name(name, 1, 255) == note
    assert items.link(name) == link


@given(any_name)
def test_a_link_is_one_line_and_leads_to_the_file(name: str) -> None:
    link = items.link(name)
    assert link.isprintable()
    if link.startswith("[["):
        assert link == f"[[{name}]]"
    else:
        assert unquote_to_bytes(link.rpartition("](")[2].removesuffix(")")) == items.raw(name)


@given(any_name, any_name)
def test_a_note_has_our_keys_and_no_others(original: str, file: str) -> None:
    note = items.file_note(original_name=original, file=file, size=3, received="2026-11-20T23:30:00Z").decode()
    opening, *block, closing, empty, body, end = note.split("\n")
    assert (opening, closing, empty, end) == ("---", "---", "", "")
    assert [line.split(": ")[0] for line in block] == ["type", "original_name", "file", "size", "received", "status"]
    assert (block[0], block[-1]) == ("type: file_drop", "status: pending")
    assert json.loads(block[1].split(": ", 1)[1]) == items.text(original)
    assert body.startswith("A file was dropped into the Inbox: [")


def test_bytes_that_are_no_utf8_become_visible() -> None:
    assert items.text("caf\udce9") == "caf\\xe9"
