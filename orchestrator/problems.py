"""What is wrong beside the watchers and tasks: the lines of `supervisor.problems` in status."""

import asyncio
from contextlib import suppress

from orchestrator.clock import Clock
from orchestrator.events import Bus, ProblemChanged


class Problems:
    """One line for a person under each key; publishes ProblemChanged when a line comes, changes or goes."""

    def __init__(self, bus: Bus, clock: Clock) -> None:
        self._bus = bus
        self._clock = clock
        self._lines: dict[str, str] = {}
        self._loop: asyncio.AbstractEventLoop | None = None

    def report(self, key: str, text: str) -> None:
        if self._lines.get(key) != text:
            self._lines[key] = text
            self._bus.publish(ProblemChanged(at=self._clock.now(), key=key, text=text))

    def clear(self, key: str) -> None:
        if self._lines.pop(key, None) is not None:
            self._bus.publish(ProblemChanged(at=self._clock.now(), key=key, text=None))

    def put(self, key: str, text: str | None) -> None:
        """Report `text`, or clear `key` when it is None."""
        if text is None:
            self.clear(key)
        else:
            self.report(key, text)

    def bind(self, loop: asyncio.AbstractEventLoop) -> None:
        """Say which event loop `put_from_thread` hands over to."""
        self._loop = loop

    def put_from_thread(self, key: str, text: str | None) -> None:
        """As `put`, for threads other than the event loop's. Without a loop nobody would listen: nothing happens."""
        if self._loop is not None:
            with suppress(RuntimeError):  # the loop is closed: the daemon has ended
                self._loop.call_soon_threadsafe(self.put, key, text)

    def lines(self) -> list[str]:
        return list(self._lines.values())
