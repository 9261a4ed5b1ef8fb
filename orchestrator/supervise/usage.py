"""What watchers use of the machine. psutil is imported when it is first asked for: it costs 2 MiB and 20 ms."""

from collections.abc import Iterable
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Usage:
    cpu_percent: float  # of one processor, since the last sample, at first since the process started
    rss_bytes: int


class Meter:
    """Samples processes by PID. Its methods are for a worker thread; they never raise for a process that is gone."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[float, float, float]] = {}  # PID → (create time, wall time, CPU seconds)

    def sample(self, pids: Iterable[int], wall: float) -> dict[int, Usage]:
        """Usage of each process by itself, without its children. `wall`: now, in seconds since the epoch."""
        import psutil  # noqa: PLC0415  see the module

        found = dict[int, Usage]()
        for pid in pids:
            try:
                process = psutil.Process(pid)
                with process.oneshot():
                    born, times = process.create_time(), process.cpu_times()
                    rss = process.memory_info().rss
            except psutil.Error:
                self._last.pop(pid, None)
                continue
            cpu = times.user + times.system
            before = self._last.get(pid)
            since, used = (before[1], before[2]) if before is not None and before[0] == born else (born, 0.0)
            found[pid] = Usage(round(100 * max(0.0, cpu - used) / max(wall - since, 0.01), 1), rss)
            self._last[pid] = (born, wall, cpu)
        for pid in self._last.keys() - found.keys():  # not asked for this time, but maybe the next
            if not psutil.pid_exists(pid):
                del self._last[pid]
        return found


def tree_rss(pids: Iterable[int]) -> dict[int, int]:
    """RSS in bytes of each process and all its descendants, also those in sessions of their own. One look at all."""
    import psutil  # noqa: PLC0415  see the module

    children: dict[int, list[int]] = {}
    rss: dict[int, int] = {}
    for process in psutil.process_iter():
        try:
            with process.oneshot():
                children.setdefault(process.ppid(), []).append(process.pid)
                rss[process.pid] = process.memory_info().rss
        except psutil.Error:
            continue
    total = {}
    for pid in pids:
        waiting, tree = [pid], 0
        while waiting:
            one = waiting.pop()
            tree += rss.get(one, 0)
            waiting += children.get(one, ())
        total[pid] = tree
    return total
