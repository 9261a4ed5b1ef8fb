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
COPY_PROBLEM: Final = "dashboard-copy"
INTERVAL: Final = 1.0  # seconds between two writes, at least
HEARTBEAT: Final = timedelta(minutes=15)
GRACE: Final = 0.5  # seconds that another program has between emptying or removing the file and writing it
PATIENCE: Final = 10.0  # seconds that a change waits at most for another program to be done with writing the file
FINAL_PATIENCE: Final = 1.0  # … and the last word
_AGAIN: Final = 0.1  # seconds between two looks of the last word
_NAP: Final = 60.0  # seconds to sleep at most, so that a heartbeat missed in suspend comes soon after it

_REMEDIES: Final = {
    errno.ENOSPC: "free some space on its disk",
    errno.EDQUOT: "free some space: this user's quota is used up",
    errno.EROFS: "its disk is mounted read-only: mount it read-write",
    errno.EACCES: "give the user that aiemp runs as the right to write in its folder",
    errno.EPERM: "give the user that aiemp runs as the right to write in its folder",
    errno.ENOENT: "put the vault's folder back",
    errno.EISDIR: "remove or rename that folder",
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
        self._region = region.Region(places)
        self._rows = rows
        self._clock = clock
        self._bus = bus
        self._problems = problems
        self._zone = ZoneInfo(timezone)
        self._wake = anyio.Event()
        self._one_at_a_time = anyio.Lock()
        self._written: tuple[Row, ...] | None = None  # what the Dashboard shows; None: unknown, or not what it should
        self._failing = False
        self._in_use_since: float | None = None  # monotonic seconds; when another program was first found writing it
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
                await in_thread(self._region.remove_leftovers)
            while True:
                await self._woken_or_beat()
                if (wait := self._ended_at + INTERVAL - self._clock.monotonic()) > 0:
                    await self._clock.sleep(wait)
                self._wake = anyio.Event()  # before looking: what happens from here on is for the next time
                await self._write_or_wait(beat=self._beat_is_due())

    async def write_final(self) -> None:
        """Write once more, at once, changed or not: the last word of a daemon that ends.

        Another program that is writing the file has a second to finish, or half of what its caller allows.
        """
        allowed = anyio.current_effective_deadline() - anyio.current_time()
        until = self._clock.monotonic() + min(FINAL_PATIENCE, allowed / 2)
        while not await self._write(beat=True, patient=self._clock.monotonic() < until):
            await self._clock.sleep(_AGAIN)

    async def _write_or_wait(self, *, beat: bool) -> None:
        now = self._clock.monotonic()
        waits = self._in_use_since
        if await self._write(beat=beat, patient=waits is None or now - waits < PATIENCE):
            self._in_use_since = None
        else:
            self._in_use_since = now if waits is None else waits
            self._wake.set()  # with the rows as they will be then

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

    async def _write(self, *, beat: bool, patient: bool) -> bool:
        """Write what has changed. False when that has to wait for another program, which only the `patient` do."""
        async with self._one_at_a_time:
            rows = tuple(self._rows())
            if rows == self._written and not beat:
                return True
            self._beat_at = self._clock.now()
            self._written = None
            try:
                await self._update(rows, patient=patient)
            except region.InUse:
                return False
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
                self._tell_of_the_copy()
                if self._failing:
                    self._wake.set()  # the rows just written may still tell of the problem
                self._failing = False
            finally:
                self._ended_at = self._clock.monotonic()
            return True

    async def _update(self, rows: Sequence[Row], *, patient: bool) -> None:
        zone, checked = self._zone, self._beat_at

        def update(*, empty_is_new: bool) -> None:
            text = table(rows, zone, checked)
            self._region.update(text, now=checked.timestamp(), patient=patient, empty_is_new=empty_is_new)

        try:
            await in_thread(partial(update, empty_is_new=False))
        except region.Emptied:
            await self._clock.sleep(GRACE)
            await in_thread(partial(update, empty_is_new=True))

    def _tell_of_the_copy(self) -> None:
        error = self._region.copy_trouble
        if error is None:
            self._problems.clear(COPY_PROBLEM)
            return
        remedy = _REMEDIES.get(error.errno or 0, "see that the vault's disk is well")
        why = f"{self._places.last_dashboard} cannot be written ({error.strerror or error}); {remedy}"
        self._problems.report(COPY_PROBLEM, f"no copy of the last good Dashboard is kept: {why}")

    def _report(self, text: str) -> None:
        self._failing = True
        self._problems.report(PROBLEM, f"{self._places.dashboard} {text}")
