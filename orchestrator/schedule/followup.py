"""Sets off tasks whose files changed: one run for all that changed before it; slower where it is their own work."""

from collections.abc import Awaitable, Callable

import anyio.abc

from orchestrator.clock import Clock
from orchestrator.problems import Problems
from orchestrator.readable import span
from orchestrator.schedule.dispatcher import Dispatcher
from orchestrator.schedule.runs import Trigger
from orchestrator.schedule.selfguard import SelfGuard


class FollowUp:
    """What becomes of changed files. `may_start`: whether a task may be set off by itself now; `fire` sets it off."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        may_start: Callable[[str], bool],
        fire: Callable[[str, Trigger], Awaitable[None]],
        *,
        clock: Clock,
        problems: Problems,
    ) -> None:
        self.guard = SelfGuard()
        self._dispatcher = dispatcher
        self._may_start = may_start
        self._fire = fire
        self._clock = clock
        self._problems = problems
        self._under_way: set[str] = set()  # tasks whose changes are followed up after a pause
        self._tasks: anyio.abc.TaskGroup | None = None

    def serve_in(self, tasks: anyio.abc.TaskGroup) -> None:
        """Follow changes up in this task group from now on."""
        self._tasks = tasks

    def forget(self, name: str) -> None:
        self.guard.forget(name)
        self._problems.clear(f"task {name}")

    def changed(self, name: str, first: float) -> None:
        """Files that a task waits for have appeared or changed, the first of them at `first` (monotonic seconds)."""
        if self._tasks is None or name in self._under_way or not self._may_start(name):
            return
        active = self._dispatcher.of_task(name)
        if any(each.began is None and each.run.trigger is Trigger.CHANGE for each in active):
            return  # one that waits will look at these files too
        began = next((each.began for each in active if each.began is not None), None)
        pause = self.guard.pause(name, first, began)
        if pause:
            text = (
                f"task {name} is set off again and again by files that changed while it ran, its own work it seems; "
                f"it now waits {span(pause)} each time: let it write elsewhere, or watch other files"
            )
            self._problems.report(f"task {name}", text)
        else:
            self._problems.clear(f"task {name}")
        self._under_way.add(name)
        self._tasks.start_soon(self._follow_up, name, pause)

    async def _follow_up(self, name: str, pause: float) -> None:
        try:
            await self._clock.sleep(pause)
        finally:
            self._under_way.discard(name)
        if self._may_start(name):
            await self._fire(name, Trigger.CHANGE)
