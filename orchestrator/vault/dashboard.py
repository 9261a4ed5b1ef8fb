"""PURE. Where aiemp's region lies in a Dashboard, and the Dashboard with a new table in it: bytes in, bytes out.

The rules are the contract's ("The Dashboard's region"); what a heading, a fence and a comment are is CommonMark's.
Every byte outside the region is the user's and comes out as it went in.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final, NamedTuple

START: Final = b"<!-- aiemp:health:start -->"
END: Final = b"<!-- aiemp:health:end -->"
HEADING: Final = b"## System Health"

_BOM: Final = b"\xef\xbb\xbf"
_EOL: Final = re.compile(rb"\r\n|\n|\r")
_MARKER: Final = re.compile(rb" {0,3}(%s|%s)[ \t]*" % (re.escape(START), re.escape(END)))
_FRONTMATTER: Final = re.compile(rb"---[ \t]*")
# A fence may open on the line of a list item: its code then ends with the item at the latest.
_FENCE: Final = re.compile(rb"((?: {0,3}(?:[-*+]|\d{1,9}[.)])[ \t]++)*+) {0,3}(`{3,}+(?=[^`]*$)|~{3,})")
_ATX: Final = re.compile(rb" {0,3}(#{1,6})(?:[ \t].*)?")
_SETEXT: Final = re.compile(rb" {0,3}(=+|-+)[ \t]*")
_RULE: Final = re.compile(rb" {0,3}(?:(?:\*[ \t]*){3,}|(?:-[ \t]*){3,}|(?:_[ \t]*){3,})")
_TABLE: Final = re.compile(rb" {0,3}(?=.*\|)\|?[ \t]*:?-+:?(?:[ \t]*\|[ \t]*:?-+:?)*[ \t]*(?:\|[ \t]*)?")
_CONTAINER: Final = re.compile(rb" {0,3}(?:>|<|\||(?:[-*+]|\d{1,9}[.)])(?:[ \t]|$))")  # quote, HTML, table, list
_INDENTED: Final = re.compile(rb" {0,3}\t| {4}")

# Emoji that Unicode counts among letters or digits are told by the variation selector or the keycap behind them.
_EMOJI: Final = re.compile(
    ":[a-z0-9_+-]+:"
    "|.\N{VARIATION SELECTOR-16}?\N{COMBINING ENCLOSING KEYCAP}"
    "|.\N{VARIATION SELECTOR-16}"
    "|\N{INFORMATION SOURCE}"
)


class LeftAlone(Exception):
    """The file must not be touched. `reason` says what is wrong with it, `remedy` what a person can do."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy


class _Heading(NamedTuple):
    start: int  # offsets of its first byte and of the first one after its line ending
    end: int
    level: int
    text: str  # the lines as they stand, with their # or underline


class _Marker(NamedTuple):
    start: int
    end: int
    line: int  # counted from 1
    opens: bool


class _Fence(NamedTuple):
    start: int
    line: int
    run: bytes  # what opened it: "```" or more, "~~~" or more
    indent: int  # of the list item that it opened in, in bytes; 0: in none


@dataclass(slots=True)
class _Outline:
    """What in a Dashboard matters to us."""

    markers: list[_Marker] = field(default_factory=list)
    headings: list[_Heading] = field(default_factory=list)
    unclosed: _Fence | None = None
    hidden_marker: bool = False  # one lies in the unclosed fence


def splice(old: bytes, table: bytes) -> bytes:
    """`old` with `table` (LF line endings) as the content of its region, which is made where there is none.

    Raises LeftAlone when the file is one that the contract says to leave alone.
    """
    if START in table or END in table:
        raise ValueError("a table with a marker in it would cut the region short")
    region = _region(old)
    if region is None:
        return _insert(old, table)
    start, end = region
    eol = _line_ending(old[:start] + old[end:], fallback=old)
    heading = _first_line(old[start + len(START) : end - len(END)]) == HEADING  # ours; stays gone once a person cut it
    return old[:start] + _render(table, eol, heading=heading) + old[end:]


def users_part(text: bytes) -> bytes:
    """What of `text` is the user's: all but the region. Raises LeftAlone as `splice` does."""
    region = _region(text)
    return text if region is None else text[: region[0]] + text[region[1] :]


def _region(text: bytes) -> tuple[int, int] | None:
    """Offsets of the start marker's first byte and of the first one after the end marker."""
    _refuse_binary(text)
    outline = _outline(text)
    if outline.unclosed is not None and outline.hidden_marker:
        # A fence that someone is just typing above the region: a second region now would stay for ever.
        raise LeftAlone(
            f"the code block that begins in line {outline.unclosed.line} is never closed and hides the region",
            f"close it with {outline.unclosed.run.decode()}",
        )
    match [(marker.opens, marker) for marker in outline.markers]:
        case []:
            return None
        case [(True, start), (False, end)]:
            return start.start, end.end
        case _:
            lines = ", ".join(
                f"{'start' if marker.opens else 'end'} in line {marker.line}" for marker in outline.markers
            )
            raise LeftAlone(
                f"its markers are not one start and one end after it ({lines})",
                f"leave one line {START.decode()} and below it one line {END.decode()}, or none",
            )


def _refuse_binary(text: bytes) -> None:
    if b"\0" in text:
        raise LeftAlone(
            "it has NUL bytes in it, as after a crash of the machine",
            "put back a good copy (the last one is .aiemp/Dashboard.last.md), or delete it, and it is written new",
        )
    try:
        text.decode()
    except UnicodeDecodeError as error:
        line = 1 + len(_EOL.findall(text, 0, error.start))
        raise LeftAlone(f"it is not valid UTF-8 (line {line})", "save it as UTF-8") from None


def _insert(old: bytes, table: bytes) -> bytes:
    outline = _outline(old)
    limit = len(old) if outline.unclosed is None else outline.unclosed.start
    section = next((heading for heading in outline.headings if _is_health(heading.text)), None)
    if section is not None:
        later = (h.start for h in outline.headings if h.start > section.start and h.level <= section.level)
        limit = min(limit, next(later, limit))
    at = _after_last_text(old, limit)
    eol = _line_ending(old, fallback=b"")
    region = _render(table, eol, heading=section is None)
    before = old[:at].removeprefix(_BOM)
    if not before:
        return old[:at] + region + eol + old[at:]
    if before.endswith((b"\n", b"\r")):
        return old[:at] + eol + region + eol + old[at:]
    return old[:at] + eol + eol + region + old[at:]  # the file's last line has no ending, and so it stays


def _after_last_text(old: bytes, limit: int) -> int:
    """The offset after the last line before `limit` that is not blank, its line ending included."""
    at = len(_BOM) if old.startswith(_BOM) else 0
    for start, end, following in _lines(old):
        if start >= limit:
            break
        if old[start:end].strip(b" \t"):
            at = following
    return at


def _render(table: bytes, eol: bytes, *, heading: bool) -> bytes:
    parts = [START, *([HEADING] if heading else []), b"", table.strip(b"\n"), b"", END]
    return b"\n".join(parts).replace(b"\n", eol)


def _line_ending(text: bytes, fallback: bytes) -> bytes:
    """The line ending that `text` (or, where it has none, `fallback`) mostly has; LF when in doubt.

    A lone CR only where there is no LF at all: next to one it would become a CRLF.
    """
    found = _EOL.findall(text) or _EOL.findall(fallback)
    if found and set(found) == {b"\r"}:
        return b"\r"
    return b"\r\n" if found.count(b"\r\n") > found.count(b"\n") else b"\n"


def _first_line(text: bytes) -> bytes:
    """The first line that is not blank, without what surrounds it."""
    return next((line.strip() for line in _EOL.split(text) if line.strip()), b"")


def _is_health(heading: str) -> bool:
    plain = _EMOJI.sub(" ", heading.casefold())
    return "".join(c if c.isalnum() else " " for c in plain).split() == ["system", "health"]


def _lines(text: bytes) -> Iterator[tuple[int, int, int]]:
    """Each line's start, its end, and the start of the next one. A BOM belongs to no line."""
    start = len(_BOM) if text.startswith(_BOM) else 0
    for eol in _EOL.finditer(text, start):
        yield start, eol.start(), eol.end()
        start = eol.end()
    if start < len(text):
        yield start, len(text), len(text)


def _body(text: bytes) -> int:
    """The number of lines that frontmatter takes, its two `---` included."""
    for number, (start, end, _) in enumerate(_lines(text)):
        fence = _FRONTMATTER.fullmatch(text, start, end) is not None
        if number == 0 and not fence:
            return 0
        if number > 0 and fence:
            return number + 1
    return 0  # never closed: what looks like its beginning is a horizontal rule


def _outline(text: bytes) -> _Outline:
    """Reads a Dashboard line by line, as far as blocks go that begin in the first columns."""
    outline = _Outline()
    fence: _Fence | None = None
    comment = False  # inside a comment of several lines
    paragraph: int | None = None  # where the paragraph that may become a setext heading begins
    container = False  # the lines of a quote, list, table or HTML block go on until a blank one
    skip = _body(text)
    for number, (start, end, following) in enumerate(_lines(text)):
        if number < skip:
            continue
        line = text[start:end]
        marker = _MARKER.fullmatch(line)
        if fence is not None:
            indent = len(line) - len(line.lstrip(b" "))
            if not fence.indent or indent >= fence.indent or not line.strip(b" \t"):
                if _closes(fence, line):
                    fence = None
                elif marker is not None:
                    outline.hidden_marker = True
                continue
            fence = None  # the list item that it began in is over, and so is the code
        if marker is not None:
            outline.markers.append(
                _Marker(start + marker.start(1), start + marker.end(1), number + 1, opens=marker[1] == START)
            )
            comment, paragraph, container = False, None, False
        elif comment:
            comment = b"-->" not in line
        elif not line.strip(b" \t"):
            paragraph, container = None, False
        elif opening := _FENCE.match(line):
            fence = _Fence(start, number + 1, opening[2], len(opening[1]))
            outline.hidden_marker = False
            paragraph, container = None, False
        elif atx := _ATX.fullmatch(line):
            outline.headings.append(_Heading(start, following, len(atx[1]), line.decode()))
            paragraph, container = None, False
        elif paragraph is not None and (underline := _SETEXT.fullmatch(line)):
            level = 1 if underline[1].startswith(b"=") else 2
            outline.headings.append(_Heading(paragraph, following, level, text[paragraph:end].decode()))
            paragraph = None
        elif _RULE.fullmatch(line):
            paragraph, container = None, False
        elif line.lstrip(b" ").startswith(b"<!--") and b"-->" not in line:
            comment, paragraph = True, None
        elif line.lstrip(b" ").startswith(b"<!--"):
            paragraph = None
        elif _CONTAINER.match(line) or _TABLE.fullmatch(line):
            paragraph, container = None, True
        elif paragraph is None and not container and not _INDENTED.match(line):
            paragraph = start
    if fence is not None and not fence.indent:  # in a list, whatever comes next in the first column ends it
        outline.unclosed = fence
    return outline


def _closes(fence: _Fence, line: bytes) -> bool:
    stripped = line.strip(b" \t")
    indent = len(line) - len(line.lstrip(b" "))
    plain = len(stripped) >= len(fence.run) and not stripped.strip(fence.run[:1])
    return plain and indent < fence.indent + 4
