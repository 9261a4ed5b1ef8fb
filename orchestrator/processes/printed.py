"""PURE. What is kept of all that a process prints: the end of it, however much there was."""

from typing import Final

from orchestrator.redaction import NOTHING, Redactor

OUTPUT_MAX: Final = 64 * 1024  # bytes of a run's output that are kept
STDERR_MAX: Final = 4 * 1024  # bytes of what it says on stderr


class Tail:
    """The last `limit` bytes of a stream, without secrets, and how many there were in all."""

    def __init__(self, limit: int, redact: Redactor = NOTHING) -> None:
        self.total = 0
        self._limit = limit
        self._redact = redact
        self._room = limit + redact.longest  # what stands before the cut tells whether it goes through a secret
        self._kept = bytearray()  # now and then up to twice the room

    def add(self, data: bytes) -> None:
        self.total += len(data)
        self._kept += data[-self._room :]
        if len(self._kept) > 2 * self._room:
            del self._kept[: -self._room]

    def text(self) -> str:
        """Give what was kept; where that is not all, from the start of a line on, below one that says what is cut.

        What is no UTF-8 is replaced. A line longer than all that is kept begins in its middle, at a character, but not
        within a secret.
        """
        cut, text = self._end()
        return f"… {cut} bytes cut\n{text}" if cut else text

    def last_lines(self, count: int) -> list[str]:
        """Give the last lines with something in them, without the space around it."""
        return [line for each in self._end()[1].split("\n") if (line := each.strip())][-count:]

    def last_line(self) -> bytes:
        """Give the last line with something in it as it was printed, secrets included."""
        return bytes(self._kept[-self._room :]).rstrip().rpartition(b"\n")[2]

    def _end(self) -> tuple[int, str]:
        """The number of bytes that are cut, and the text that is not."""
        kept = bytes(self._kept[-self._room :])
        begin = max(0, len(kept) - self._limit)
        if self.total > self._limit:
            begin += _first_start(kept[begin:])
        before = kept[:begin].decode(errors="surrogateescape")
        text = before + kept[begin:].decode(errors="surrogateescape")
        text = text[self._redact.beyond(text, len(before)) :]
        cut = self.total - len(text.encode(errors="surrogateescape"))
        return cut, self._redact(text).encode(errors="surrogateescape").decode(errors="replace")


def cut(text: str) -> str:
    """Give as much of `text` as is kept of an output."""
    tail = Tail(OUTPUT_MAX)
    tail.add(text.encode(errors="replace"))  # lone surrogates have no UTF-8
    return tail.text()


def _first_start(data: bytes) -> int:
    """Find where the first line begins that is there from its beginning; in one long line, the first character."""
    newline = data.find(b"\n", 0, len(data) // 2)
    if newline >= 0:
        return newline + 1
    return next((at for at in range(min(4, len(data))) if data[at] & 0xC0 != 0x80), 0)
