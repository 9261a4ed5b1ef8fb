"""One scenario of aiemp's scheduler, its database on a real disk; prints the values as JSON. See __main__.py."""

import asyncio
import json
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from datetime import time as clock_time
from pathlib import Path

import anyio

from orchestrator.clock import SystemClock
from orchestrator.config.model import Command, Config, SchedulerConfig, TaskConfig
from orchestrator.events import Bus
from orchestrator.problems import Problems
from orchestrator.schedule.runner import Runner
from orchestrator.schedule.runs import Outcome, Result, Run
from orchestrator.schedule.scheduler import Scheduler
from orchestrator.schedule.when import Calendar, Cron, Every, Once, Schedule
from orchestrator.store.database import Database
from orchestrator.store.runs import RunStore


class Noted:
    """Performs by noting how long after its slot, in seconds, each run began."""

    def __init__(self) -> None:
        self.late: list[float] = []
        self.expected = 0
        self.all = asyncio.Event()

    async def perform(self, _: TaskConfig, run: Run, *, on_status: Callable[[str], None]) -> Result:
        del on_status
        self.late.append(time.time() - run.slot.timestamp())
        if len(self.late) == self.expected:
            self.all.set()
        return Result(Outcome.SUCCESS)


class Bench:
    """A scheduler with everything that it has in the daemon but processes."""

    def __init__(self, folder: str, concurrent: int) -> None:
        self.actions = Noted()
        clock, bus = SystemClock(), Bus()
        problems = Problems(bus, clock)
        self.database = Database(str(Path(folder, "aiemp.db")), now=clock.now, on_problem=problems.put)
        store = RunStore(self.database)
        runner = Runner(self.actions, store, exists=_exists, redact=str, log_run=lambda _: None, clock=clock, bus=bus)
        self.scheduler = Scheduler(store, runner, clock=clock, bus=bus, problems=problems)
        settings = SchedulerConfig(max_concurrent=concurrent)
        self.config = Config(Path(folder, "supervisor.toml"), Path(folder), "Europe/Berlin", scheduler=settings)


async def _exists(_: Sequence[str]) -> bool:
    return True


def task(name: str, schedule: Schedule) -> TaskConfig:
    return TaskConfig(name, Command(("true",)), schedule)


async def run(bench: Bench, tasks: Sequence[TaskConfig], count: int) -> list[float]:
    """Run until so many runs have begun; give how late each was."""
    bench.actions.expected = count
    async with bench.database, anyio.create_task_group() as group:
        await bench.scheduler.prepare(bench.config, tasks)
        await group.start(bench.scheduler.serve)
        await bench.actions.all.wait()
        await bench.scheduler.stop()
        group.cancel_scope.cancel()
    return bench.actions.late[:count]


def beat(folder: str, count: int) -> list[float]:
    return asyncio.run(run(Bench(folder, 5), [task("beat", Every(1.0))], count))


def at(folder: str, count: int, apart: float) -> list[float]:
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    moments = [moment + timedelta(seconds=number * apart) for number in range(count)]
    tasks = [task(f"t{number}", Once((each,))) for number, each in enumerate(moments)]
    return asyncio.run(run(Bench(folder, count), tasks, count))


def burst(folder: str, count: int) -> list[float]:
    return at(folder, count, 0.0)


def spread(folder: str, count: int) -> list[float]:
    return at(folder, count, 1 / count)


def load(folder: str, count: int) -> list[float]:
    """Seconds to take up so many tasks, bytes of memory for each, seconds for a look that finds nothing due."""
    kinds: list[Callable[[int], Schedule]] = [
        lambda number: Cron(f"{number % 60} {number // 60 % 24} * * 1-5"),
        lambda number: Every(86_400.0 + number),
        lambda number: Calendar((clock_time(number % 24, number // 24 % 60),)),
    ]
    bench = Bench(folder, 5)

    async def main() -> tuple[float, float]:
        async with bench.database:
            before, started = _rss(), time.perf_counter()
            tasks = [task(f"t{number}", kinds[number % 3](number)) for number in range(count)]
            await bench.scheduler.prepare(bench.config, tasks)
            took, used = time.perf_counter() - started, _rss() - before
            for name in list(
                bench.scheduler.entries
            ):  # what a daily task never run is due for today is no part of this
                bench.scheduler.enable(name, enabled=False)
                bench.scheduler.enable(name, enabled=True)
            return took, used

    took, used = asyncio.run(main())
    book = bench.scheduler._book  # noqa: SLF001  what is measured is just this look
    now, looks = time.time(), 10_000
    started = time.perf_counter()
    for _ in range(looks):
        book.due(now)
    return [took, used / count, (time.perf_counter() - started) / looks]


def _rss() -> int:
    """Bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    scenario = {"beat": beat, "spread": spread, "burst": burst, "load": load}[sys.argv[1]]
    with tempfile.TemporaryDirectory() as place:
        print(json.dumps(scenario(place, int(sys.argv[2]))))
