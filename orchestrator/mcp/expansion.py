"""PURE. Variables in the values of an MCP server, expanded as Claude Code does it."""

import re
from collections.abc import Mapping
from typing import Final

TEXT_MAX: Final = 100_000  # characters that one value may come to; Linux takes 128 KiB (execve(2))

_VARIABLE: Final = r"\$\{([^}]+)\}"


class TooLong(Exception):
    """A value is longer than any program or server takes."""


class Expander:
    """Expands ${NAME} and ${NAME:-default}. One that is not set stays as it is written, and is in `missing` then."""

    def __init__(self, environ: Mapping[str, str]) -> None:
        self.missing: dict[str, None] = {}  # in the order of their coming
        self._environ = environ

    def __call__(self, text: str) -> str:
        """Raises TooLong."""
        pieces, at, length = list[str](), 0, 0
        for match in re.finditer(_VARIABLE, text):
            pieces += [text[at : match.start()], self._value(match)]
            at = match.end()
            length += len(pieces[-1])
            if length > TEXT_MAX:
                raise TooLong
        pieces.append(text[at:])
        whole = "".join(pieces)
        if len(whole) > TEXT_MAX:
            raise TooLong
        return whole

    def _value(self, match: re.Match[str]) -> str:
        name, has_default, default = match[1].partition(":-")
        value = self._environ.get(name)  # one that is set to nothing is set
        if value is not None:
            return value
        if has_default:
            return default
        self.missing[name] = None
        return match[0]
