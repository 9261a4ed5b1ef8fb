"""A clock that stands still until a test moves it."""

import asyncio
import heapq
import itertools
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from datetime import UTC, datetime, timedelta

import anyio
import anyio.lowlevel

START = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
MANY = 10_000  # turns of the event loop after which tasks that never come to rest are called a bug


class ManualClock:
    """Implements orchestrator.clock.Clock. Time passes only in `advance`, from one timeout to the next.

    After each step every task runs until it waits for something, so what follows is exact and takes no real time.
    Never use it together with real processes or threads.
    """

    def __init__(self) -> None:
        self.t = 0.0
        self.wall = 0.0  # seconds that the clock on the wall is ahead of what has passed: see `step`
        self._due: list[tuple[float, int, anyio.CancelScope]] = []
        self._over: set[int] = set()  # timeouts whose blocks have been left
        self._count = itertools.count()

    def now(self) -> datetime:
        return START + timedelta(seconds=self.t + self.wall)

    def monotonic(self) -> float:
        return self.t

    async def sleep(self, seconds: float) -> None:
        if seconds <= 0:
            await anyio.lowlevel.checkpoint()
            return
        with self.move_on_after(seconds):
            await anyio.sleep_forever()

    async def sleep_precisely(self, seconds: float) -> None:
        await self.sleep(seconds)

    def move_on_after(self, seconds: float) -> AbstractContextManager[anyio.CancelScope]:
        return self._timeout(seconds)

    @contextmanager
    def _timeout(self, seconds: float) -> Iterator[anyio.CancelScope]:
        with anyio.CancelScope() as scope:
            number = next(self._count)
            if seconds > 0:
                heapq.heappush(self._due, (self.t + seconds, number, scope))
            else:
                scope.cancel()
            try:
                yield scope
            finally:
                self._over.add(number)

    def step(self, seconds: float) -> None:
        """Set the clock on the wall forward or back, as NTP, a person or a suspended machine does."""
        self.wall += seconds

    async def advance(self, seconds: float) -> None:
        """Let `seconds` pass, and everything happen that is due in them, in order."""
        end = self.t + seconds
        await at_rest()
        while self._due and self._due[0][0] <= end:
            due, number, scope = heapq.heappop(self._due)
            if number in self._over:
                self._over.discard(number)
                continue
            self.t = max(self.t, due)
            scope.cancel()
            await at_rest()
        self.t = end
        await at_rest()


async def at_rest() -> None:
    """Return when every other task waits for something.

    As anyio.wait_all_tasks_blocked, which sleeps 0.1 s of real time whenever one does not wait yet.
    """
    me, quiet = asyncio.current_task(), 0
    for _ in range(MANY):
        await asyncio.sleep(0)
        others = [task for task in asyncio.all_tasks() if task is not me]
        quiet = quiet + 1 if all(map(_waits, others)) else 0
        if quiet == 3:
            return
    raise AssertionError("the tasks never come to rest")


def _waits(task: "asyncio.Task[object]") -> bool:
    waiter = getattr(task, "_fut_waiter", None)
    return waiter is not None and not waiter.done()
