"""kill -9 of a watcher until the first instruction of its successor; in peace, and while another watcher floods."""

import os
import signal
import time
from typing import ClassVar

from benchmarks.environments import Program
from benchmarks.scenarios.base import Row, Scenario, Series, milliseconds
from benchmarks.session import Lab, Session, session

WATCHERS = 10
GOLDEN = 0.618034


def pause_before(number: int, tick: float) -> float:
    """Seconds, spread evenly over one tick: a supervisor that polls starts successors on its tick, and a fixed pause
    after that would meet it at one point of its cycle every time.
    """
    return 0.1 + tick * (number * GOLDEN % 1)


def kill_one_after_another(running: Session, kills: int) -> list[float]:
    took = []
    for number in range(kills):
        time.sleep(pause_before(number, running.supervisor.tick))
        index = number % WATCHERS
        victim = running.reports.newest(index)
        since = len(running.reports.all)
        killed = time.monotonic_ns()
        os.kill(victim, signal.SIGKILL)
        took.append(milliseconds(killed, running.reports.wait_start_of(index, since=since).at))
    return took


class Respawn(Scenario):
    name: ClassVar[str] = "respawn"

    @property
    def rows(self) -> list[Row]:
        return [
            Row("respawn", "kill -9 → successor's first instruction, median", "ms"),
            Row("respawn", "kill -9 → successor's first instruction, p95", "ms", "p95"),
        ]

    def measure(self, lab: Lab, program: Program) -> Series:
        with session(lab, program, WATCHERS) as running:
            return {"respawn": kill_one_after_another(running, self.effort.kills)}


class FloodedRespawn(Scenario):
    name: ClassVar[str] = "flood"

    @property
    def rows(self) -> list[Row]:
        return [
            Row("flooded", "the same while another watcher floods, median", "ms"),
            Row("flooded", "the same while another watcher floods, p95", "ms", "p95"),
        ]

    def suits(self, program: str) -> bool:
        return program != "bare"

    def measure(self, lab: Lab, program: Program) -> Series:
        with session(lab, program, WATCHERS, floods=[0]) as running:
            os.kill(running.reports.newest(WATCHERS), signal.SIGUSR1)
            return {"flooded": kill_one_after_another(running, self.effort.flooded_kills)}
