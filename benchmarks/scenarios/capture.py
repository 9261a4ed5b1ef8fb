"""Output of three watchers at once, until the supervisor has written all of it; and whether every line is whole."""

import os
import signal
import time
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

from benchmarks.environments import Program
from benchmarks.reports import WRITING
from benchmarks.scenarios.base import Row, Scenario, Series
from benchmarks.session import Lab, Session, session

FLOODING = 3
LINE = 100  # bytes, as in child.c
STALLED_SECONDS = 3.0


def expected_lines(index: int, size: int) -> list[bytes]:
    """The lines that child.c writes."""
    heads = (b"%d %08d " % (index, number) for number in range(size // LINE))
    return [head + b"x" * (LINE - 1 - len(head)) for head in heads]


def folder_bytes(folder: Path) -> int:
    total = 0
    with os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):  # renamed by a rotation since it was listed
                total += entry.stat().st_size if ".log" in entry.name else 0
    return total


def wait_written(folder: Path, total: int) -> int | None:
    """Wait until the log files hold `total` bytes and return when they did; None when they stop growing before."""
    size, grew = -1, time.monotonic_ns()
    while True:
        found, now = folder_bytes(folder), time.monotonic_ns()
        # Seen twice, since a file that is being renamed for a rotation could be counted double.
        if found >= total and folder_bytes(folder) >= total:
            return now
        if found != size:
            size, grew = found, now
        elif now - grew > STALLED_SECONDS * 1e9:
            return None
        time.sleep(0.0002)


def damage(files: list[Path], expected: list[bytes]) -> tuple[int, int]:
    """How many lines are lost (or mangled) in the joined files, and how many are cut in two by the end of a file."""
    parts = [path.read_bytes() for path in files]
    found = set(b"".join(parts).split(b"\n"))
    lost = sum(line not in found for line in expected)
    return lost, sum(not part.endswith(b"\n") for part in parts[:-1])


def burst(running: Session, size: int) -> tuple[float | None, int, int]:
    """One burst: MB/s from the first byte written until all is in the files (None: never), lines lost, lines split."""
    reports, logs = running.reports, running.supervisor.logs
    pids = [reports.newest(index) for index in range(FLOODING)]
    for pid in pids:
        os.kill(pid, signal.SIGUSR1)
    done = wait_written(logs, FLOODING * size)
    first = min(report.at for report in reports.read() if report.kind == WRITING)
    lost = split = 0
    for index in range(FLOODING):
        found = damage(running.supervisor.log_files(f"w{index:03}"), expected_lines(index, size))
        lost, split = lost + found[0], split + found[1]
    return None if done is None else FLOODING * size / 1e6 / ((done - first) / 1e9), lost, split


class Capture(Scenario):
    """5 MB each, below the limit of 5 MiB; then 15 MB each, which makes every log rotate twice."""

    name: ClassVar[str] = "capture"
    sizes: ClassVar[dict[str, int]] = {"capture": 5_000_000, "rotated": 15_000_000}

    @property
    def rows(self) -> list[Row]:
        return [
            Row("capture", "captured output, 3 × 5 MB", "MB/s", more_is_better=True),
            Row("capture.lost", "– lines lost of 150,000", "", "worst"),
            Row("rotated", "captured output, 3 × 15 MB with rotation", "MB/s", more_is_better=True),
            Row("rotated.lost", "– lines lost of 450,000", "", "worst"),
            Row("rotated.split", "– lines split by rotation", "", "worst"),
        ]

    def suits(self, program: str) -> bool:
        return program != "bare"

    def measure(self, lab: Lab, program: Program) -> Series:
        series: Series = {row.series: [] for row in self.rows}
        for key, size in self.sizes.items():
            for _ in range(self.effort.bursts):
                with session(lab, program, 0, floods=[size] * FLOODING) as running:
                    speed, lost, split = burst(running, size)
                series[key] += [] if speed is None else [speed]
                series[f"{key}.lost"].append(lost)
                series.setdefault(f"{key}.split", []).append(split)
        return series
