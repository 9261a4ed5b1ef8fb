"""A file that an agent prints its answer into, looked at while it does: is the answer there, or far too much?"""

from collections.abc import Awaitable, Callable
from typing import Final

from orchestrator.clock import Clock
from orchestrator.processes import nameless

REST: Final = 10.0  # times as long as the last look took, until the next: a look at much takes a while


class Watched:
    """One such file. `is_whole` tells whether a complete answer stands there; it may take its time.

    `limit`: bytes, more of which without an end are too much. `grace`: seconds for the printer to end by itself, once
    the answer is there.
    """

    def __init__(
        self, fd: int, clock: Clock, is_whole: Callable[[], Awaitable[bool]], *, limit: int, grace: float
    ) -> None:
        self.too_much = False  # … was printed without an end of it, so that the printer is stopped
        self._fd = fd
        self._clock = clock
        self._is_whole = is_whole
        self._limit = limit
        self._grace = grace
        self._whole = False
        self._seen = 0  # bytes at the last look
        self._next = 0.0  # monotonic seconds: not before that

    async def enough(self) -> float | None:
        """Give the seconds that the printer may go on for; None: no end is in sight."""
        try:
            length = nameless.size(self._fd)
        except OSError:  # the disk has trouble: the next look may tell
            length = self._seen
        if length > self._limit:
            self.too_much = not self._whole
            return 0.0
        began = self._clock.monotonic()
        if not self._whole and length > self._seen and began >= self._next:
            self._seen = length
            try:
                self._whole = await self._is_whole()
            except OSError:  # the machine is short of something, or the disk has trouble: as above
                self._seen = 0
            self._next = self._clock.monotonic() + REST * (self._clock.monotonic() - began)
        return self._grace if self._whole else None
