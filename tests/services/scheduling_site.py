"""A scheduler on a manual clock, with a store in memory and actions that a test decides about."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import anyio
from fake_store import FakeStore
from manual_clock import START, ManualClock, at_rest

from orchestrator.config.model import AgentConfig, Command, Config, Prompt, Retry, SchedulerConfig, TaskConfig
from orchestrator.events import Bus, Fact
from orchestrator.problems import Problems
from orchestrator.schedule.runner import Runner
from orchestrator.schedule.runs import Hold, HoldKind, Outcome, Result, Run, TaskState
from orchestrator.schedule.scheduler import Scheduler
from orchestrator.schedule.when import Every

OK = Result(Outcome.SUCCESS, "done")
FAILED = Result(Outcome.FAILURE, error="no")


class Actions:
    """Stands in for the action host: each attempt takes `takes` seconds and gives the next of `results`.

    Or what `answer` says. One that is cancelled leaves `details` on its run.
    """

    def __init__(self, clock: ManualClock) -> None:
        self.takes: dict[str, float] = {}
        self.results: dict[str, list[Result]] = {}
        self.answer: Callable[[TaskConfig], Result | None] = lambda _: None
        self.details: Mapping[str, Any] | None = None
        self.began: list[tuple[str, float]] = []  # task and seconds since the test's start, on the wall
        self.running: list[str] = []
        self.most = 0
        self.died: list[str] = []  # attempts that were cancelled
        self.wrote: list[float] = []  # monotonic seconds: each attempt writes a file in its middle
        self._clock = clock

    async def perform(self, task: TaskConfig, run: Run, *, on_status: Callable[[str], None]) -> Result:
        self.began.append((task.name, (self._clock.now() - START).total_seconds()))
        self.running.append(task.name)
        self.most = max(self.most, len(self.running))
        on_status(f"attempt {run.attempts}")
        try:
            await self._clock.sleep(self.takes.get(task.name, 0.0) / 2)
            self.wrote.append(self._clock.monotonic())
            await self._clock.sleep(self.takes.get(task.name, 0.0) / 2)
        except anyio.get_cancelled_exc_class():
            self.died.append(task.name)
            run.details = self.details
            raise
        finally:
            self.running.remove(task.name)
        results = self.results.get(task.name, [])
        return self.answer(task) or (results.pop(0) if results else OK)

    def times(self, name: str = "t") -> list[float]:
        return [round(at, 3) for task, at in self.began if task == name]


class World:
    """What outlives a scheduler: the clock, the store, the actions."""

    def __init__(self) -> None:
        self.clock = ManualClock()
        self.store = FakeStore()
        self.actions = Actions(self.clock)
        self.facts: list[Fact] = []
        self.there: set[str] = set()  # patterns for which a file exists
        self.zone = "UTC"
        self.settings: dict[str, Any] = {}
        self.vault = Path("/v")
        self.agents: dict[str, AgentConfig] = {"claude": AgentConfig("claude")}
        self.scheduler: Scheduler
        self.problems: Problems

    def config(self) -> Config:
        scheduler = SchedulerConfig(**self.settings)
        return Config(Path("/c/supervisor.toml"), self.vault, self.zone, scheduler=scheduler, agents=self.agents)

    async def _exists(self, patterns: Sequence[str]) -> bool:
        return bool(self.there & set(patterns))

    def build(self) -> Scheduler:
        bus = Bus()
        self.problems = Problems(bus, self.clock)
        runner = Runner(
            self.actions,
            self.store,
            exists=self._exists,
            redact=lambda text: text.replace("hunter22", "***"),
            log_run=lambda _: None,
            clock=self.clock,
            bus=bus,
        )
        self.scheduler = Scheduler(self.store, runner, clock=self.clock, bus=bus, problems=self.problems)
        bus._subscribers.append(self.facts.append)
        return self.scheduler

    @asynccontextmanager
    async def serving(self, *tasks: TaskConfig, killed: bool = False) -> AsyncIterator[Scheduler]:
        """A daemon's life; `killed`: it ends without a word, so that the store stays as it is at that moment."""
        scheduler = self.build()
        await scheduler.prepare(self.config(), tasks)
        left: tuple[dict[str, Run], dict[str, TaskState]] | None = None
        async with anyio.create_task_group() as group:
            await group.start(scheduler.serve)
            await at_rest()
            yield scheduler
            if killed:
                left = dict(self.store.rows), dict(self.store.saved)
                group.cancel_scope.cancel()
            else:
                stopping = anyio.Event()

                async def stop() -> None:
                    await scheduler.stop()
                    stopping.set()

                group.start_soon(stop)
                await at_rest()
                assert stopping.is_set()
                group.cancel_scope.cancel()
        if left is not None:
            self.store.rows, self.store.saved = left


def task(name: str = "t", **settings: Any) -> TaskConfig:
    settings.setdefault("schedule", Every(10.0))
    return TaskConfig(name, Command(("true",)), **settings)


def prompt(name: str = "t", agent: str = "claude", **settings: Any) -> TaskConfig:
    """Give a task that sends a prompt, as it is configured where nothing else is said."""
    defaults: dict[str, Any] = {"schedule": Every(10.0), "lane": "agent", "retry": Retry(max=1)}
    return TaskConfig(name, Prompt("do it", agent), **defaults | settings)


def held(kind: HoldKind, why: str, until: datetime | None = None) -> Result:
    """Give what comes of a prompt that its agent has not taken."""
    return Result(Outcome.FAILURE, error=why, hold=Hold(kind, why, until))


def limit(until: float | None = None) -> Result:
    """Give what comes of a prompt when the usage limit is reached, until so many seconds after the clock's start."""
    return held(HoldKind.LIMIT, "usage limit reached", None if until is None else at(until))


def at(seconds: float) -> datetime:
    """The moment so many seconds after the clock's start."""
    return (START + timedelta(seconds=seconds)).astimezone(UTC)
