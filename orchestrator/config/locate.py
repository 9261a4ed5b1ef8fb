"""PURE. The line of every table header and key of a TOML document, which tomllib does not tell.

The text is known to parse, so nothing is checked here: only as much of the grammar (https://toml.io/en/v1.0.0) is
read as it takes to tell keys from values.
"""

import re
import tomllib
from typing import Final

# A key's way from the top, as one walks tomllib's result: names of tables and keys, indexes of arrays.
KeyPath = tuple[str | int, ...]

_BETWEEN: Final = re.compile(r"(?:[ \t\r\n,]|#[^\n]*)*")  # what may stand between statements, items and pairs
_SPACE: Final = re.compile(r"[ \t]*")
_SCALAR: Final = re.compile(r"[^,\]}#\n]*")  # a number, a date, true or false
_BARE_KEY: Final = re.compile(r"[^\s.=\[\]{}\"'#,]+")
_STRING: Final = re.compile(
    r'"""(?:[^\\]|\\.)*?""""{0,2}'  # up to two quotes may touch the closing three
    r"|'''.*?''''{0,2}"
    r'|"(?:[^"\\]|\\.)*"'
    r"|'[^']*'",
    re.DOTALL,
)


class _Array:
    """An array that is being read; its items are numbered as they come."""

    def __init__(self, path: KeyPath) -> None:
        self.path = path
        self.length = 0


class _Inline:
    """An inline table that is being read."""

    def __init__(self, path: KeyPath) -> None:
        self.path = path


class _Reader:
    """One pass over the text. Its own stack instead of recursion: tomllib accepts deeper nesting than Python's."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.line = 1
        self.lines: dict[KeyPath, int] = {}
        self.table: KeyPath = ()  # of the last header
        self._last: dict[KeyPath, int] = {}  # array of tables -> index of its newest table
        self._open: list[_Array | _Inline] = []

    def read(self) -> None:
        while True:
            self._skip(_BETWEEN)
            if self.at >= len(self.text):
                return
            here = self.text[self.at]
            match self._open[-1] if self._open else None:
                case None if here == "[":
                    self._header()
                case None:
                    self._pair(self.table)
                case _ if here in "]}":
                    self._open.pop()
                    self.at += 1
                case _Array() as array:
                    item = (*array.path, array.length)
                    array.length += 1
                    self.lines[item] = self.line
                    self._value(item)
                case _Inline(path=path):
                    self._pair(path)

    def _skip(self, what: re.Pattern[str]) -> str:
        """Go on behind `what`, which stands here (or matches nothing), and return it."""
        found = what.match(self.text, self.at)
        skipped = found.group() if found else ""
        self.line += skipped.count("\n")
        self.at += len(skipped)
        return skipped

    def _header(self) -> None:
        brackets = 2 if self.text.startswith("[[", self.at) else 1
        self.at += brackets
        names = self._key()
        self.at += brackets
        path: KeyPath = ()
        for number, name in enumerate(names, 1):
            path = (*path, name)
            self.lines.setdefault(path, self.line)
            if brackets == 2 and number == len(names):
                self._last[path] = self._last.get(path, -1) + 1
            if path in self._last:
                path = (*path, self._last[path])
        self.lines[path] = self.line  # a table that was only implied until now: its own header is the better place
        self.table = path

    def _pair(self, table: KeyPath) -> None:
        path = table
        for name in self._key():
            path = (*path, name)
            self.lines.setdefault(path, self.line)
        self.at += 1  # the equals sign
        self._skip(_SPACE)
        self._value(path)

    def _key(self) -> list[str]:
        names = []
        while True:
            self._skip(_SPACE)
            if self.text[self.at] in "\"'":
                names.append(_unquoted(self._skip(_STRING)))
            else:
                names.append(self._skip(_BARE_KEY))
            self._skip(_SPACE)
            if self.text[self.at] != ".":
                return names
            self.at += 1

    def _value(self, path: KeyPath) -> None:
        """Skip a string or scalar; enter an array or inline table."""
        match self.text[self.at]:
            case "[":
                self._open.append(_Array(path))
                self.at += 1
            case "{":
                self._open.append(_Inline(path))
                self.at += 1
            case '"' | "'":
                self._skip(_STRING)
            case _:
                self._skip(_SCALAR)


def _unquoted(literal: str) -> str:
    if literal[0] == "'" or "\\" not in literal:
        return literal[1:-1]
    name: str = tomllib.loads(f"name = {literal}")["name"]
    return name


def locate(text: str) -> dict[KeyPath, int]:
    """The line, from 1, of every key, table and array item of `text`, which tomllib parses.

    Of a table that several headers imply and one names, it is the line of the one that names it.
    """
    reader = _Reader(text)
    reader.read()
    return reader.lines


def last_table(text: str) -> KeyPath:
    """The table that a statement after `text`, which tomllib parses, would belong to."""
    reader = _Reader(text)
    reader.read()
    return reader.table
