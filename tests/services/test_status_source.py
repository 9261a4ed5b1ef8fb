"""What `status` answers, where there is much to tell."""

from types import SimpleNamespace
from typing import Any

import anyio.lowlevel
from scheduling_site import World, task

from orchestrator.control.status import TASKS_AT_ONCE, StatusSource


async def test_thousands_of_tasks_hold_nobody_up_and_one_may_go_meanwhile() -> None:
    w = World()
    nothing: Any = None
    async with w.serving(*(task(f"t{number}", enabled=False) for number in range(5 * TASKS_AT_ONCE))) as scheduler:
        agents: Any = SimpleNamespace(blocked=lambda _: None)
        status = StatusSource(w.config(), nothing, {}, scheduler, agents, list, w.problems, w.clock)
        found = list[dict[str, Any]]()
        turns = 0

        async def tell() -> None:
            found.extend(await status.tasks())

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(tell)
            while not found:
                turns += 1
                await anyio.lowlevel.checkpoint()
                if turns == 3:
                    scheduler.take_away(f"t{5 * TASKS_AT_ONCE - 1}")
        assert turns > 4
        assert [each["name"] for each in found] == list(scheduler.entries)
