"""Numbers from /proc (proc_pid_smaps(5), proc_pid_status(5)), summed over the processes and threads of a daemon."""

import re
from collections import defaultdict
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Memory:
    rss: int  # KiB
    pss: int  # KiB; a page shared with n processes counts 1/n


def daemon_processes(daemon: int, watchers: set[int]) -> list[int]:
    """The daemon and the helpers it may have started: its descendants without the watchers."""
    children: dict[int, list[int]] = defaultdict(list)
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # it ended meanwhile
            # The name in parentheses may hold anything; the parent's PID is the second field after it.
            parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            children[parent].append(int(entry.name))
    found, left = [], [daemon]
    while left:
        pid = left.pop()
        if pid not in watchers:
            found.append(pid)
            left += children[pid]
    return found


def memory_kib(pids: list[int]) -> Memory:
    rss = pss = 0
    for pid in pids:
        text = Path(f"/proc/{pid}/smaps_rollup").read_text()
        rss += _number(r"^Rss:\s+(\d+) kB$", text)
        pss += _number(r"^Pss:\s+(\d+) kB$", text)
    return Memory(rss, pss)


def voluntary_switches(pids: list[int]) -> int:
    """How often threads went to sleep by themselves: once for each time that something woke them."""
    return sum(_number(r"^voluntary_ctxt_switches:\s+(\d+)$", (task / "status").read_text()) for task in _tasks(pids))


def cpu_nanoseconds(pids: list[int]) -> int:
    """Time on a CPU, to the nanosecond (schedstat); /proc/PID/stat counts in ticks of 10 ms."""
    return sum(int((task / "schedstat").read_text().split()[0]) for task in _tasks(pids))


def _tasks(pids: list[int]) -> list[Path]:
    return [task for pid in pids for task in Path(f"/proc/{pid}/task").iterdir()]


def _number(pattern: str, text: str) -> int:
    match = re.search(pattern, text, re.MULTILINE)
    if match is None:
        raise RuntimeError(f"/proc has nothing like {pattern}")
    return int(match[1])
