"""The service that keeps the Dashboard's health region true: on change, at most once a second, and every 15 minutes."""

import errno
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import timedelta
from functools import partial
from typing import Final
from zoneinfo import ZoneInfo

import anyio
from anyio.abc import TaskStatus

from orchestrator import files
from orchestrator.clock import Clock
from orchestrator.events import Bus, Fact, ProblemChanged
from orchestrator.places import Places
from orchestrator.problems import Problems
from orchestrator.threads import in_thread
from orchestrator.vault import region
from orchestrator.vault.dashboard import LeftAlone
from orchestrator.vault.health import Row, table

PROBLEM: Final = "dashboard"  # the key of our line in `problems`
INTERVAL: Final = 1.0  # seconds between two writes, at least
HEARTBEAT: Final = timedelta(minutes=15)
GRACE: Final = 0.5  # seconds that another program has between emptying the file and writing it
_NAP: Final = 60.0  # seconds to sleep at most, so that a heartbeat missed in suspend comes soon after it

_REMEDIES: Final = {
    errno.ENOSPC: "free some space on its disk",
    errno.EDQUOT: "free some space: this user's quota is used up",
    errno.EROFS: "its disk is mounted read-only: mount it read-write",
    errno.EACCES: "give the user that aiemp runs as the right to write in its folder",
    errno.EPERM: "give the user that aiemp runs as the right to write in its folder",
    errno.ENOENT: "put the vault's folder back",
}


class Reporter:
    """Writes what `rows` returns; every fact on the bus is a reason to look whether it has changed."""

    def __init__(
        self,
        places: Places,
        rows: Callable[[], Sequence[Row]],
        *,
        clock: Clock,
        bus: Bus,
        problems: Problems,
        timezone: str,
    ) -> None:
        self._places = places
        self._rows = rows
        self._clock = clock
        self._bus = bus
        self._problems = problems
        self._zone = ZoneInfo(timezone)
        self._wake = anyio.Event()
        self._one_at_a_time = anyio.Lock()
        self._written: tuple[Row, ...] | None = None  # what the Dashboard shows; None: unknown, or not what it should
        self._failing = False
        self._beat_at = clock.now()
        self._ended_at = clock.monotonic() - INTERVAL  # the end of the last look at the file

    def use_timezone(self, name: str) -> None:
        """Show times in the IANA zone `name` from the next write on, which comes at once."""
        self._zone = ZoneInfo(name)
        self._written = None
        self._wake.set()

    async def serve(self, *, task_status: TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Keep the region true until cancelled. A write that has begun is finished first."""
        with self._bus.subscribed(self._note):
            self._wake.set()
            task_status.started()
            with suppress(OSError):  # what is left over does no harm
                await in_thread(region.remove_leftovers, self._places)
            while True:
                await self._woken_or_beat()
                if (wait := self._ended_at + INTERVAL - self._clock.monotonic()) > 0:
                    await self._clock.sleep(wait)
                self._wake = anyio.Event()  # before looking: what happens from here on is for the next time
                await self._write(beat=self._beat_is_due())

    async def write_final(self) -> None:
        """Write once more, at once, changed or not: the last word of a daemon that ends."""
        await self._write(beat=True)

    def _note(self, fact: Fact) -> None:
        if not (isinstance(fact, ProblemChanged) and fact.key == PROBLEM):
            self._wake.set()

    def _beat_is_due(self) -> bool:
        return abs(self._clock.now() - self._beat_at) >= HEARTBEAT  # abs: the clock may have been set back

    async def _woken_or_beat(self) -> None:
        while not self._wake.is_set() and not self._beat_is_due():
            remaining = (self._beat_at + HEARTBEAT - self._clock.now()).total_seconds()
            with self._clock.move_on_after(min(remaining, _NAP)):
                await self._wake.wait()

    async def _write(self, *, beat: bool) -> None:
        async with self._one_at_a_time:
            rows = tuple(self._rows())
            if rows == self._written and not beat:
                return
            self._beat_at = self._clock.now()
            self._written = None
            try:
                await self._update(table(rows, self._zone, self._beat_at))
            except LeftAlone as error:
                self._report(f"is left alone: {error.reason}; {error.remedy}")
            except files.Changed:
                self._report("is not written: another program keeps writing it; close that, or wait")
                self._wake.set()
            except OSError as error:
                remedy = _REMEDIES.get(error.errno or 0, "see that the vault's disk is well")
                self._report(f"cannot be written ({error.strerror or error}); {remedy}")
            else:
                self._written = rows
                self._problems.clear(PROBLEM)
                if self._failing:
                    self._wake.set()  # the rows just written may still tell of the problem
                self._failing = False
            finally:
                self._ended_at = self._clock.monotonic()

    async def _update(self, text: bytes) -> None:
        update = partial(region.update, self._places, text)
        try:
            await in_thread(partial(update, empty_is_new=False))
        except region.Emptied:
            await self._clock.sleep(GRACE)
            await in_thread(partial(update, empty_is_new=True))

    def _report(self, text: str) -> None:
        self._failing = True
        self._problems.report(PROBLEM, f"{self._places.dashboard} {text}")
