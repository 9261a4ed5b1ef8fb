"""Commands, from outside: the whole process of `status`, and a restart of one until its first instruction."""

import time
from typing import ClassVar

from benchmarks.environments import Program
from benchmarks.scenarios.base import Row, Scenario, Series, milliseconds
from benchmarks.session import Lab, session, wait_ended

WATCHERS = 10


class Status(Scenario):
    name: ClassVar[str] = "status"

    @property
    def rows(self) -> list[Row]:
        return [
            Row("status", "`status` of 10 watchers, whole process, median", "ms"),
            Row("status", "`status` of 10 watchers, whole process, p95", "ms", "p95"),
        ]

    def measure(self, lab: Lab, program: Program) -> Series:
        took = []
        with session(lab, program, WATCHERS) as running:
            for _ in range(self.effort.commands):
                asked = time.monotonic_ns()
                command = running.supervisor.order("status")
                took.append(milliseconds(asked, wait_ended(command)))
                if command.returncode != 0:
                    raise RuntimeError(f"status of running watchers exited with {command.returncode}")
        return {"status": took}


class Restart(Scenario):
    name: ClassVar[str] = "restart"

    @property
    def rows(self) -> list[Row]:
        return [
            Row("restart", "`restart` of one → its first instruction, median", "ms"),
            Row("restart", "`restart` of one → its first instruction, p95", "ms", "p95"),
        ]

    def suits(self, program: str) -> bool:
        return program != "bare"

    def measure(self, lab: Lab, program: Program) -> Series:
        took = []
        with session(lab, program, WATCHERS) as running:
            for number in range(self.effort.commands):
                index = number % WATCHERS
                since = len(running.reports.all)
                asked = time.monotonic_ns()
                command = running.supervisor.order("restart", f"w{index:03}")
                took.append(milliseconds(asked, running.reports.wait_start_of(index, since=since).at))
                wait_ended(command)
                if command.returncode != 0:
                    raise RuntimeError(f"restart of w{index:03} exited with {command.returncode}")
        return {"restart": took}
