"""PURE. A stream of server-sent events (https://html.spec.whatwg.org/multipage/server-sent-events.html), in pieces."""

import re
from typing import Final

EVENT_MAX: Final = 8 * 1024 * 1024  # bytes of one event

_ENDS: Final = re.compile(rb"\r\n|\n|\r(?!\Z)")  # a final CR may be the first half of CR LF


class TooMuch(Exception):
    """An event that does not end."""


class Events:
    """Takes the stream's pieces as they come, and gives events with data as (kind, data)."""

    def __init__(self) -> None:
        self._rest = bytearray()
        self._kind = "message"
        self._data = list[bytes]()
        self._size = 0

    def feed(self, piece: bytes) -> list[tuple[str, bytes]]:
        """Raises TooMuch."""
        self._rest += piece
        self._size += len(piece)
        if self._size > EVENT_MAX:
            raise TooMuch
        if not piece.endswith((b"\n", b"\r")) and b"\n" not in piece and b"\r" not in piece:
            return []
        *lines, rest = _ENDS.split(self._rest)
        self._rest = bytearray(rest)
        found = list[tuple[str, bytes]]()
        for line in lines:
            if line:
                self._take(bytes(line))
                continue
            if any(self._data):
                found.append((self._kind, b"\n".join(self._data)))
            self._kind, self._data, self._size = "message", [], len(self._rest)
        return found

    def _take(self, line: bytes) -> None:
        name, _, value = line.removeprefix(b"\xef\xbb\xbf").partition(b":")
        value = value.removeprefix(b" ")
        if name == b"data":
            self._data.append(value)
        elif name == b"event":
            self._kind = value.decode(errors="replace") or "message"
