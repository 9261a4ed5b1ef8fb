"""Where and when the numbers come from, in one line."""

import os
import platform
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from benchmarks.environments import Program


def describe(programs: Sequence[Program], rounds: int) -> str:
    info = Path("/proc/cpuinfo").read_text()
    match = re.search(r"^model name\s*:\s*(.+)$", info, re.MULTILINE)
    cpu = match[1] if match else platform.machine()
    cores = len(os.sched_getaffinity(0))
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    versions = ", ".join(f"{each.name} {each.version}" for each in programs if each.name != "bare")
    return (
        f"{datetime.now(UTC):%Y-%m-%d}: {cpu}, {cores} cores, {memory:.0f} GiB, Linux {platform.release()}, "
        f"Python {platform.python_version()}; {versions}; {rounds} interleaved round{'s' if rounds > 1 else ''}."
    )
