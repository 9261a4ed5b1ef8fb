"""PURE. TOML text -> document; or the one problem tomllib finds, with the key it is about."""

import re
import tomllib
from typing import Any, Final

from orchestrator.config.locate import KeyPath, last_table, locate
from orchestrator.config.wording import dotted, printable, problem
from orchestrator.errors import ConfigInvalid

_PLACE: Final = re.compile(
    r"(?P<what>.*) \(at (?:line (?P<line>\d+), column (?P<column>\d+)|end of document)\)", re.DOTALL
)
_PART: Final = r"""(?:[A-Za-z0-9_-]+|"[^"\n]*"|'[^'\n]*')"""
_STATEMENT: Final = re.compile(rf"\s*(?P<brackets>\[?)\[?\s*(?P<key>{_PART}(?:\s*\.\s*{_PART})*)")
_LONG_NUMBER: Final = re.compile(r"(?<![0-9_])[0-9][0-9_]{4000}")  # int() refuses more than 4,300 digits
_DECLARED: Final = re.compile(r" ?\((?:'[^']*',? ?)+\)")  # tomllib's way to write a key, which we write before
_LOOK_BACK: Final = 1_000_000  # characters to parse in search of a broken statement's beginning: about a second

# The beginning of tomllib's message -> what to do about it.
_REMEDIES: Final = {
    "Invalid value": 'text needs quotes, key = "value"; true, false and numbers have none',
    "Cannot ": "each table and key may stand only once",
    "Duplicate ": "each key may stand only once",
    "Unclosed array": "a list ends with ]",
    "Unclosed inline table": "an inline table ends with }, on the same line",
    "Unterminated": "a string ends with the quotes it began with",
    "Expected \"'": "a string ends with the quotes it began with",
    "Illegal character": "a string on one line ends with the quotes it began with; write \\n for a line end",
    "Unescaped": "in double quotes, \\ is written \\\\; in single quotes, as it is",
    "Expected '='": "a key is followed by = and its value",
    "Expected ']'": "a table's header is [name]",
    "Expected newline": "one key and its value per line",
}
_REMEDY: Final = 'TOML has [table] headers, key = "value" lines and # comments'


def parse(file: str, text: str) -> dict[str, Any]:
    """The document in `text`. Raises ConfigInvalid, with `file` as the file's name, when it is no TOML."""
    try:
        return tomllib.loads(text)
    except RecursionError:
        raise ConfigInvalid((problem(file, 1, "TOML", "is nested too deeply; a few levels are enough"),)) from None
    except ValueError as error:
        raise ConfigInvalid((_explained(file, text, str(error)),)) from None


def _explained(file: str, text: str, message: str) -> str:
    place = _PLACE.fullmatch(message)
    if place is None:  # not tomllib's own: Python's limit on the length of a number
        long = _LONG_NUMBER.search(text)
        line = text.count("\n", 0, long.start()) + 1 if long else 1
        return problem(file, line, "TOML", f"a number is too long; {_REMEDY}")
    lines = text.rstrip().split("\n")
    line = min(int(place["line"] or len(lines)), len(lines))
    begin, path, before = _statement(lines, line)
    what = printable(_DECLARED.sub("", place["what"]))
    what = what[:1].lower() + what[1:]
    if what.startswith("cannot ") and path in before:
        what = f"is there a second time, first in line {before[path]}"
    if place["line"] is None:
        line = begin
    else:
        what += f" (column {place['column']})"
    remedy = next((todo for start, todo in _REMEDIES.items() if place["what"].startswith(start)), _REMEDY)
    return problem(file, line, dotted(path) or "TOML", f"{what}; {remedy}")


def _statement(lines: list[str], line: int) -> tuple[int, KeyPath, dict[KeyPath, int]]:
    """Where the statement begins that is broken in `line`, its key as far as it can be seen, and the lines before it.

    The lines are those of the keys (see locate); all is empty when the beginning cannot be found.
    """
    parsed = 0
    for start in range(line - 1, -1, -1):
        head = "\n".join(lines[:start])
        parsed += len(head)
        try:
            tomllib.loads(head)
        except (ValueError, RecursionError):
            if parsed > _LOOK_BACK:
                break
            continue
        begin = start + next((n for n, text in enumerate(lines[start:line]) if text.partition("#")[0].strip()), 0)
        found = _STATEMENT.match(lines[begin])
        table = () if found and found["brackets"] else last_table(head)
        names = re.findall(_PART, found["key"]) if found else []
        return begin + 1, (*table, *(name.strip("\"'") for name in names)), locate(head)
    return line, (), {}
