"""The only place that reads a clock or sleeps, so that everything above it can be tested on a manual one."""

import time
from contextlib import AbstractContextManager
from datetime import UTC, datetime
from typing import Protocol

import anyio
import anyio.lowlevel


class Clock(Protocol):
    """Durations are measured with `monotonic`, shown and stored with `now`; the two are never mixed."""

    def now(self) -> datetime:
        """The time of day, aware, in UTC."""
        ...

    def monotonic(self) -> float:
        """Seconds since some fixed moment; never goes back, stands still while the machine is suspended (Linux)."""
        ...

    async def sleep(self, seconds: float) -> None: ...

    async def sleep_precisely(self, seconds: float) -> None:
        """As `sleep`, but to a small part of a millisecond. Keeps a processor busy: for a moment only."""
        ...

    def move_on_after(self, seconds: float) -> AbstractContextManager[anyio.CancelScope]:
        """A cancel scope that ends after `seconds` on this clock."""
        ...


class SystemClock:
    """The machine's clocks."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def monotonic(self) -> float:
        return time.monotonic()

    async def sleep(self, seconds: float) -> None:
        await anyio.sleep(seconds)

    async def sleep_precisely(self, seconds: float) -> None:
        end = time.monotonic() + seconds  # the event loop sleeps in whole milliseconds (epoll_wait(2))
        await anyio.lowlevel.checkpoint()
        while time.monotonic() < end:
            await anyio.lowlevel.checkpoint()

    def move_on_after(self, seconds: float) -> AbstractContextManager[anyio.CancelScope]:
        return anyio.move_on_after(seconds)


def rfc3339(moment: datetime) -> str:
    """`moment` in UTC to the second, ending in Z: how every time in JSON is written (RFC 3339)."""
    return moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def pause(seconds: float) -> None:
    """Wait, where there is no event loop yet."""
    time.sleep(seconds)


def boottime() -> float:
    """Seconds since the machine was booted, the time it was suspended included: what proc(5) counts starts in."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))
