"""PURE. How keys, values and file names are written in a problem: always on one line, always printable.

Imports nothing heavy: `aiempctl` uses it too.
"""

from collections.abc import Iterable

_BARE = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-")  # TOML's bare keys
_LONGEST = 60  # characters of a value worth showing


def printable(text: str) -> str:
    """`text` with everything that is not printable escaped: line ends, colours, bytes that are not UTF-8."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode("ascii") for c in text)


def quoted(text: str) -> str:
    """`text` as a TOML string, cut when it is long."""
    if len(text) > _LONGEST:
        text = text[: _LONGEST - 1] + "…"
    return '"' + printable(text.replace("\\", "\\\\").replace('"', '\\"')) + '"'


def dotted(path: Iterable[str | int]) -> str:
    """A key as TOML writes it: watchers.inbox.restart, watchers."a b".restart. Indexes of arrays are left out."""
    return ".".join(part if part and _BARE.issuperset(part) else quoted(part) for part in path if isinstance(part, str))


def problem(file: str, line: int, key: str, text: str) -> str:
    """One line of `aiemp check`: `FILE:LINE: KEY: what is wrong; what is allowed`."""
    return f"{printable(file)}:{line}: {key}: {text}"
