"""What the supervised children say: one line each, appended to a file that the harness reads as it grows."""

import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final, TypeVar

T = TypeVar("T")
STARTED: Final = "s"
WRITING: Final = "w"


class TimedOut(Exception):
    """What was waited for did not happen."""


@dataclass(frozen=True, slots=True)
class Report:
    at: int  # nanoseconds on CLOCK_MONOTONIC, the clock of time.monotonic_ns()
    pid: int
    index: int
    kind: str


class Reports:
    """The reports in one file, in the order in which they were written."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.all: list[Report] = []
        self._rest = b""
        path.touch()
        self._file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)

    def read(self) -> list[Report]:
        while chunk := os.read(self._file, 1 << 16):
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            for line in lines:
                at, pid, index, kind = line.decode().split()
                self.all.append(Report(int(at), int(pid), int(index), kind))
        return self.all

    def started(self, since: int = 0) -> list[Report]:
        """The starts reported after the first `since` reports."""
        return [report for report in self.read()[since:] if report.kind == STARTED]

    def wait_started(self, count: int, *, since: int = 0, seconds: float = 60) -> list[Report]:
        """Wait until `count` starts were reported after the first `since` reports."""

        def enough() -> list[Report] | None:
            found = self.started(since)
            return found if len(found) >= count else None

        return wait_until(enough, f"{count} first instructions", seconds)

    def wait_start_of(self, index: int, *, since: int, seconds: float = 60) -> Report:
        """Wait for the first start of watcher `index` after the first `since` reports."""

        def there() -> Report | None:
            return next((report for report in self.started(since) if report.index == index), None)

        return wait_until(there, f"the first instruction of watcher {index}", seconds)

    def newest(self, index: int) -> int:
        """The PID of the newest process of watcher `index`."""
        return next(report.pid for report in reversed(self.started()) if report.index == index)

    def close(self) -> None:
        os.close(self._file)


def wait_until(condition: Callable[[], T | None], what: str, seconds: float, pause: float = 0.001) -> T:
    """Poll until `condition` returns something true; raises TimedOut.

    Polling does not blur the results: reports carry their own times. It is sparse, so that it takes next to nothing
    from the two supervisors' share of a small machine.
    """
    deadline = time.monotonic() + seconds
    while True:
        if found := condition():
            return found
        if time.monotonic() > deadline:
            raise TimedOut(f"waited {seconds:g} s in vain for {what}")
        time.sleep(pause)
