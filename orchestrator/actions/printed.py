"""PURE. What is kept of all that a process prints: the end of it, however much there was."""

from typing import Final

OUTPUT_MAX: Final = 64 * 1024  # bytes of a run's output that are kept
STDERR_MAX: Final = 4 * 1024  # bytes of what it says on stderr


class Tail:
    """The last `limit` bytes of a stream, and how many there were in all."""

    def __init__(self, limit: int) -> None:
        self.total = 0
        self._limit = limit
        self._kept = bytearray()  # now and then up to twice the limit

    def add(self, data: bytes) -> None:
        self.total += len(data)
        self._kept += data[-self._limit :]
        if len(self._kept) > 2 * self._limit:
            del self._kept[: -self._limit]

    def text(self) -> str:
        """Give what was kept; where that is not all, from the start of a line on, below one that says what is cut.

        What is no UTF-8 is replaced. A line longer than all that is kept begins in its middle, at a character.
        """
        kept = bytes(self._kept[-self._limit :])
        if self.total <= self._limit:
            return kept.decode(errors="replace")
        kept = kept[_first_start(kept) :]
        return f"… {self.total - len(kept)} bytes cut\n{kept.decode(errors='replace')}"

    def last_lines(self, count: int) -> list[str]:
        """Give the last lines with something in them, without the space around it."""
        text = self._kept[-self._limit :].decode(errors="replace")
        return [line for each in text.split("\n") if (line := each.strip())][-count:]


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
