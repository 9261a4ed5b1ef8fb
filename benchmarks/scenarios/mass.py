"""Start and stop of 1, 10, 100 and 500 watchers: with the daemon, and by command while it runs."""

import math
import signal
import time
from typing import ClassVar

from benchmarks.environments import Program
from benchmarks.reports import TimedOut
from benchmarks.scenarios.base import Row, Scenario, Series, milliseconds
from benchmarks.session import Lab, open_processes, session, wait_ended, wait_gone

# supervisord ends its programs one group after the other, some of them a second later than the one before.
SHUTDOWN_SECONDS = 20.0


class StartAndStop(Scenario):
    name: ClassVar[str] = "mass"

    @property
    def rows(self) -> list[Row]:
        kinds = (
            ("boot", "start of the daemon, {} watchers → last one's first instruction"),
            ("start", "`start all` of {} → last one's first instruction"),
            ("stop", "`stop all` of {} → last one gone"),
            ("stop.said", "`stop all` of {} → the command has ended"),
            ("shutdown", "SIGTERM to the daemon, {} watchers → all gone, it too"),
        )
        return [Row(f"{key}.{size}", title.format(size), "ms") for key, title in kinds for size in self.effort.sizes]

    def measure(self, lab: Lab, program: Program) -> Series:
        series: Series = {}
        for size in self.effort.sizes:
            for key, value in self._one(lab, program, size).items():
                if key == "stop.said" and program.name == "bare":
                    continue  # it is told by a signal, and says nothing
                series[f"{key}.{size}"] = [value]
        return series

    def _one(self, lab: Lab, program: Program, size: int) -> dict[str, float]:
        with session(lab, program, size, boot=False) as running:
            asked, starts = running.boot()
            boot = milliseconds(asked, max(report.at for report in starts))
            running.settle()

            watched = open_processes(running.pids())
            asked = time.monotonic_ns()
            stopping = running.supervisor.order("stop")
            stop = milliseconds(asked, wait_gone(watched))
            stop_said = milliseconds(asked, wait_ended(stopping))
            running.settle()

            since = len(running.reports.all)
            asked = time.monotonic_ns()
            starting = running.supervisor.order("start")
            starts = running.reports.wait_started(size, since=since)
            start = milliseconds(asked, max(report.at for report in starts))
            wait_ended(starting)
            running.settle()

            watched = open_processes([*running.pids(), running.daemon.pid])
            asked = time.monotonic_ns()
            running.daemon.send_signal(signal.SIGTERM)
            try:
                shutdown = milliseconds(asked, wait_gone(watched, SHUTDOWN_SECONDS))
            except TimedOut:
                shutdown = math.inf
            return {"boot": boot, "stop": stop, "stop.said": stop_said, "start": start, "shutdown": shutdown}
