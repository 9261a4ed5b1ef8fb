"""PURE. The Dashboard's activity log: which entries are old, and the Dashboard without them. Bytes in, bytes out.

The log is what stands between the two markers below, each alone in its line, outside of frontmatter and code blocks.
An entry is a line there that begins with `- YYYY-MM-DD`. Every other byte is the user's. In doubt, as with a code
block that is never closed, the file is left alone.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date
from typing import Final, NamedTuple

from orchestrator.vault.dashboard import LeftAlone, users_part

START: Final = b"<!-- aiemp:activity:start -->"
END: Final = b"<!-- aiemp:activity:end -->"

_BOM: Final = b"\xef\xbb\xbf"
_LINE: Final = re.compile(rb"([^\r\n]*)(?:\r\n|\n|\r|\Z)")
_ENTRY: Final = re.compile(rb"- (\d{4}-\d{2}-\d{2})(?!\d)")
_FRONTMATTER: Final = re.compile(rb"---[ \t]*")
# Wider than CommonMark's: what only might open a code block does, and so what might be in one stays.
_FENCE: Final = re.compile(rb"(?:[ \t>]|[-*+][ \t]|\d{1,9}[.)][ \t])*(`{3,}(?=[^`]*\Z)|~{3,})")


class Entry(NamedTuple):
    """An old entry, without its line ending, and the day that it names."""

    day: date
    line: bytes


@dataclass(frozen=True, slots=True)
class Parted:
    """A Dashboard without its old entries, and those."""

    rest: bytes
    old: tuple[Entry, ...]


class _Line(NamedTuple):
    text: bytes  # without its ending
    whole: bytes
    plain: bool  # neither frontmatter nor code


def part(dashboard: bytes, before: date) -> Parted:
    """Take the entries of days before `before` out. Raises LeftAlone when it can't be told what is the log."""
    if START not in dashboard:
        return Parted(dashboard, ())
    users_part(dashboard)  # raises for what can be no Dashboard: NUL bytes, other text than UTF-8, broken markers
    lines = _lines(dashboard)
    start, end = _log(lines)
    rest: list[bytes] = []
    old: list[Entry] = []
    for number, line in enumerate(lines):
        day = _day(line.text) if line.plain and start < number < end else None
        if day is not None and day < before:
            old.append(Entry(day, line.text))
        else:
            rest.append(line.whole)
    return Parted(b"".join(rest), tuple(old))


def _log(lines: Sequence[_Line]) -> tuple[int, int]:
    """The indices of the two markers' lines; (0, 0) where there is no log."""
    marks = [(number, line.text.strip(b" \t")) for number, line in enumerate(lines) if line.plain]
    marks = [(number, mark) for number, mark in marks if mark in {START, END}]
    match marks:
        case []:
            return 0, 0
        case [(start, first), (end, second)] if first == START and second == END:
            return start, end
        case _:
            where = ", ".join(f"{'start' if mark == START else 'end'} in line {number + 1}" for number, mark in marks)
            raise LeftAlone(
                f"the activity log's markers are not one start and one end after it ({where})",
                f"leave one line {START.decode()} and below it one line {END.decode()}, or none",
            )


def _day(line: bytes) -> date | None:
    found = _ENTRY.match(line)
    try:
        return date.fromisoformat(found[1].decode()) if found else None
    except ValueError:  # 2026-02-30
        return None


def _lines(text: bytes) -> list[_Line]:
    """All lines. Raises LeftAlone when a code block is never closed: what is in it and what not, nobody knows."""
    found = [(match[1], match[0]) for match in _LINE.finditer(text) if match[0]]
    body = _body([line.removeprefix(_BOM) for line, _ in found])
    lines: list[_Line] = []
    opened: tuple[int, bytes] | None = None  # the line of a code block's first fence, counted from 1, and the fence
    for number, (line, whole) in enumerate(found, start=1):
        fence = _FENCE.match(line) if number > body and opened is None else None
        lines.append(_Line(line, whole, plain=number > body and opened is None and fence is None))
        if fence is not None:
            opened = number, fence[1]
        elif opened is not None and _closes(line, opened[1]):
            opened = None
    if opened is not None:
        raise LeftAlone(
            f"the code block that begins in line {opened[0]} is never closed", f"close it with {opened[1].decode()}"
        )
    return lines


def _body(lines: Sequence[bytes]) -> int:
    """How many lines the frontmatter takes, its two `---` included."""
    fences = [number for number, line in enumerate(lines, start=1) if _FRONTMATTER.fullmatch(line)]
    return fences[1] if fences[:1] == [1] and len(fences) > 1 else 0


def _closes(line: bytes, fence: bytes) -> bool:
    plain = line.strip(b" \t>")
    return len(plain) >= len(fence) and not plain.strip(fence[:1])
