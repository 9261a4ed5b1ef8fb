"""What Linux's /proc tells of processes (proc(5)). Elsewhere there is none, and nobody is found."""

import os
import sys
from typing import NamedTuple


class Stat(NamedTuple):
    """Some of /proc/PID/stat. `start_time` is in clock ticks since boot."""

    state: str
    parent: int
    group: int
    session: int
    start_time: int

    @property
    def dead(self) -> bool:
        """Whether only its corpse is left, which nobody has reaped (zombie)."""
        return self.state in "ZX"


def stat(pid: int) -> Stat | None:
    """Look at one process; None when there is none. Raises OSError when that can't be told (no descriptor left)."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:  # noqa: PTH123  hot path: at every spawn
            line = file.read()
    except (FileNotFoundError, ProcessLookupError):
        return None
    # "pid (comm) state ppid pgrp session …": comm may hold spaces and parentheses, so count from the last one.
    fields = line[line.rindex(b")") + 2 :].split()
    return Stat(fields[0].decode(), int(fields[1]), int(fields[2]), int(fields[3]), int(fields[19]))


def is_ours(pid: int) -> bool:
    """Whether a process runs as our user."""
    try:
        return os.stat(f"/proc/{pid}").st_uid == os.geteuid()  # noqa: PTH116  like the others here
    except OSError:
        return False


def with_ancestors(pid: int) -> set[int]:
    """Give `pid`, its parent, and so on up to the first process."""
    found = set[int]()
    while pid > 0 and pid not in found:
        found.add(pid)
        process = stat(pid)
        pid = 0 if process is None else process.parent
    return found


def pids() -> list[int]:
    """List everybody. Raises OSError when no descriptor is left."""
    if sys.platform != "linux":
        return []
    return [int(entry) for entry in os.listdir("/proc") if entry.isdigit()]  # noqa: PTH208  hot path


def group_members(pgid: int) -> list[int]:
    """List who lives in a process group. Raises OSError when that can't be told."""
    return [pid for pid in pids() if (found := stat(pid)) is not None and found.group == pgid and not found.dead]


def living_groups() -> set[int]:
    """List every process group in which someone lives. Raises OSError when that can't be told."""
    return {found.group for pid in pids() if (found := stat(pid)) is not None and not found.dead}


def environ(pid: int) -> frozenset[bytes]:
    """Give the environment that `pid` was started with, as KEY=value; empty when it is gone or someone else's."""
    try:
        with open(f"/proc/{pid}/environ", "rb") as file:  # noqa: PTH123  like the others here
            return frozenset(file.read().split(b"\0"))
    except OSError:
        return frozenset()
