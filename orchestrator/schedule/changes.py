"""Which tasks' files changed (`on_change`), said once things are quiet again."""

import os
import threading
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Final

import anyio

from orchestrator.clock import Clock
from orchestrator.config.model import TaskConfig
from orchestrator.schedule.debounce import Debounce
from orchestrator.schedule.watching import Watch
from orchestrator.threads import in_thread
from orchestrator.vault.globs import OURS, Globs

NO_THREAD: Final = 5.0  # seconds to wait for one, when the machine has none left


class Changes:
    """Calls `on_change` with a task's name `debounce` seconds after the last change of its files, and with when the
    first of these was (monotonic seconds).

    And at the latest ten times that after the first, when changes never end. `on_problem` gets a line for a person
    while changes can't be heard of as they should, then None. Without a task that asks for it nothing is watched.
    """

    def __init__(
        self,
        vault: str,
        clock: Clock,
        on_change: Callable[[str, float], None],
        on_problem: Callable[[str | None], None],
    ) -> None:
        self._vault = vault
        self._clock = clock
        self._on_change = on_change
        self._on_problem = on_problem
        self._globs = Globs(())
        self._tasks: dict[str, list[str]] = {}  # pattern → tasks
        self._quiet: dict[str, float] = {}  # task → seconds
        self._debounce = Debounce()
        self._noted = anyio.Event()
        self._asked = anyio.Event()
        self._stop = threading.Event()  # of the look that goes on
        self._problem: str | None = None

    def watch(self, tasks: Iterable[TaskConfig]) -> None:
        """Watch for these tasks from now on, instead of those before."""
        self._tasks, self._quiet = {}, {}
        for task in tasks:
            if task.enabled and task.on_change:
                self._quiet[task.name] = task.debounce
                for pattern in task.on_change:
                    self._tasks.setdefault(pattern, []).append(task.name)
        self._debounce.forget_all_but(self._quiet)
        if self._tasks.keys() != self._globs.patterns:
            self._globs = Globs(self._tasks, OURS)
            self._stop.set()
            self._asked.set()

    async def serve(self) -> None:
        """Watch until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._pass_on)
            while True:
                if self._globs:
                    await self._listen()
                self._say(None)
                self._asked = anyio.Event()
                await self._asked.wait()

    async def _listen(self) -> None:
        """Note changes for as long as there is something to watch."""
        watch = Watch(self._vault, self._clock, os.environ)
        while self._globs:
            stop = self._stop = threading.Event()
            try:
                changed = await in_thread(watch.look, self._globs, stop)
            except BlockingIOError as error:  # no thread left: EAGAIN
                self._say(f"changed files (on_change) go unnoticed: {error.strerror}; end some processes")
                await self._clock.sleep(NO_THREAD)
                continue
            finally:
                stop.set()
            self._note(changed)
            why = watch.problem
            self._say(why and f"changed files (on_change) are noticed late, by looking at all of them: {why}")
        watch.close()  # not when cancelled: the thread may still be in there, and what is held goes when it ends

    def _note(self, patterns: Iterable[str]) -> None:
        now = self._clock.monotonic()
        for name in {name for pattern in patterns for name in self._tasks.get(pattern, ())}:
            self._debounce.note(name, now, self._quiet[name])
            self._noted.set()

    async def _pass_on(self) -> None:
        while True:
            now = self._clock.monotonic()
            for name, first in self._debounce.take(now):
                self._on_change(name, first)
            self._noted = anyio.Event()
            following = self._debounce.next_at()
            with nullcontext() if following is None else self._clock.move_on_after(following - now):
                await self._noted.wait()

    def _say(self, problem: str | None) -> None:
        if problem != self._problem:
            self._problem = problem
            self._on_problem(problem)
