"""Which process is which: a PID alone proves nothing, PID + start time + boot id name one process for ever."""

import os
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from orchestrator.clock import SystemClock, boottime
from orchestrator.processes import procfs


@dataclass(frozen=True, slots=True)
class Identity:
    """One process. `start_time` is in clock ticks since boot on Linux, in milliseconds since the epoch elsewhere."""

    pid: int
    start_time: int
    boot_id: str

    @classmethod
    def of(cls, pid: int) -> "Identity | None":
        """Give the identity of the process that has this PID now; None when there is none, or only its corpse.

        Raises OSError when that can't be told.
        """
        start_time = _start_time(pid)
        return None if start_time is None else cls(pid, start_time, boot_id())

    def lives(self) -> bool:
        """Whether just this process, not one that got its PID later, is alive."""
        return Identity.of(self.pid) == self

    def age(self) -> float:
        """Seconds since it started."""
        if sys.platform == "linux":
            return max(0.0, boottime() - self.start_time / os.sysconf("SC_CLK_TCK"))
        else:  # noqa: RET505  the type checker knows only whole branches as another platform's
            return max(0.0, SystemClock().now().timestamp() - self.start_time / 1000)


if sys.platform == "linux":

    @cache
    def boot_id() -> str:
        """What differs from boot to boot (random(4))."""
        return Path("/proc/sys/kernel/random/boot_id").read_text(encoding="ascii").strip()

    def _start_time(pid: int) -> int | None:
        found = procfs.stat(pid)
        return None if found is None or found.dead else found.start_time

else:

    @cache
    def boot_id() -> str:
        """What differs from boot to boot: its time."""
        import psutil  # noqa: PLC0415  imported only when needed: it costs 2 MiB

        return str(int(psutil.boot_time()))

    def _start_time(pid: int) -> int | None:
        import psutil  # noqa: PLC0415

        try:
            return int(psutil.Process(pid).create_time() * 1000)
        except psutil.Error:
            return None
