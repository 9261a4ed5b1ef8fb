"""One scenario of APScheduler 3's AsyncIOScheduler in memory; prints the values as JSON. See __main__.py."""

import asyncio
import json
import resource
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

from apscheduler.schedulers.asyncio import AsyncIOScheduler

late: list[float] = []
enough = asyncio.Event()
expected = int(sys.argv[2]) if len(sys.argv) > 2 else 0


async def note(slot: float, every: float) -> None:
    """Note how long after its slot this began; of an interval, the latest slot."""
    since = time.time() - slot
    late.append(since % every if every else since)
    if len(late) == expected:
        enough.set()


async def beat(count: int) -> list[float]:
    scheduler = AsyncIOScheduler(timezone="Europe/Berlin")
    start = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=2)
    scheduler.add_job(note, "interval", (start.timestamp(), 1.0), seconds=1, start_date=start, max_instances=5)
    scheduler.start()
    await enough.wait()
    scheduler.shutdown(wait=False)
    return late[:count]


async def burst(count: int) -> list[float]:
    return await at(count, 0.0)


async def spread(count: int) -> list[float]:
    return await at(count, 1 / count)


async def at(count: int, apart: float) -> list[float]:
    scheduler = AsyncIOScheduler(timezone="Europe/Berlin", job_defaults={"misfire_grace_time": 60})
    moment = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=5)
    for number in range(count):
        each = moment + timedelta(seconds=number * apart)
        scheduler.add_job(note, "date", (each.timestamp(), 0.0), run_date=each)
    scheduler.start()
    await enough.wait()
    scheduler.shutdown(wait=False)
    return late[:count]


async def load(count: int) -> list[float]:
    scheduler = AsyncIOScheduler(timezone="Europe/Berlin")
    scheduler.start(paused=True)
    before, started = _rss(), time.perf_counter()
    for number in range(count):
        settings: dict[str, Any] = (
            {"trigger": "cron", "minute": number % 60, "hour": number // 60 % 24, "day_of_week": "mon-fri"},
            {"trigger": "interval", "seconds": 86_400 + number},
            {"trigger": "cron", "hour": number % 24, "minute": number // 24 % 60},
        )[number % 3]
        scheduler.add_job(note, args=(0.0, 0.0), **settings)
    took, used = time.perf_counter() - started, _rss() - before
    looks, now = 10_000, datetime.now(UTC)
    store = scheduler._jobstores["default"]  # noqa: SLF001  what is measured is just this look
    started = time.perf_counter()
    for _ in range(looks):
        store.get_due_jobs(now)
    each = (time.perf_counter() - started) / looks
    scheduler.shutdown(wait=False)
    return [took, used / count, each]


def _rss() -> int:
    """Bytes."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * resource.getpagesize()


if __name__ == "__main__":
    scenario = {"beat": beat, "spread": spread, "burst": burst, "load": load}[sys.argv[1]]
    print(json.dumps(asyncio.run(scenario(int(sys.argv[2])))))
