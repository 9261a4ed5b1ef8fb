"""What the daemon takes: memory with few and many watchers; wake-ups and CPU time while nothing happens."""

import time
from typing import ClassVar

from benchmarks.environments import Program
from benchmarks.procfs import cpu_nanoseconds, daemon_processes, memory_kib, voluntary_switches
from benchmarks.scenarios.base import Row, Scenario, Series
from benchmarks.session import Lab, Session, session, wait_ended

FEW = 10
IDLE_WATCHERS = 100
STATUS_CALLS = 3


def processes(running: Session) -> list[int]:
    return daemon_processes(running.daemon.pid, set(running.pids()))


class Memory(Scenario):
    name: ClassVar[str] = "memory"

    @property
    def rows(self) -> list[Row]:
        return [
            Row("rss", "RSS of the daemon, 10 watchers", "MiB"),
            Row("pss", "PSS of the daemon, 10 watchers", "MiB"),
            Row("rss.asked", f"RSS after {STATUS_CALLS} `status` calls", "MiB"),
            Row("rss.each", f"RSS for each further watcher (10 → {self.effort.many})", "KiB"),
        ]

    def measure(self, lab: Lab, program: Program) -> Series:
        with session(lab, program, FEW, boot=False) as running:
            running.boot()
            time.sleep(3)
            few = memory_kib(processes(running))
            for _ in range(STATUS_CALLS):
                wait_ended(running.supervisor.order("status"))
            asked = memory_kib(processes(running))
        with session(lab, program, self.effort.many, boot=False) as running:
            running.boot()
            time.sleep(3)
            many = memory_kib(processes(running))
        further = self.effort.many - FEW
        return {
            "rss": [few.rss / 1024],
            "pss": [few.pss / 1024],
            "rss.asked": [asked.rss / 1024],
            "rss.each": [(many.rss - few.rss) / further],
        }


class Idle(Scenario):
    name: ClassVar[str] = "idle"

    @property
    def rows(self) -> list[Row]:
        return [
            Row("idle.wakeups", f"wake-ups, {IDLE_WATCHERS} idle watchers", "/s"),
            Row("idle.cpu", f"CPU time, {IDLE_WATCHERS} idle watchers", "ms/min"),
        ]

    def suits(self, program: str) -> bool:
        return program != "bare"

    def measure(self, lab: Lab, program: Program) -> Series:
        with session(lab, program, IDLE_WATCHERS) as running:
            time.sleep(3)
            pids = processes(running)
            began, switches, cpu = time.monotonic(), voluntary_switches(pids), cpu_nanoseconds(pids)
            time.sleep(self.effort.idle_seconds)
            took = time.monotonic() - began
            return {
                "idle.wakeups": [(voluntary_switches(pids) - switches) / took],
                "idle.cpu": [(cpu_nanoseconds(pids) - cpu) / 1e6 / took * 60],
            }
