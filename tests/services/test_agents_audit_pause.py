"""The file PAUSE counts at once, also for what has been let wait: nobody has to look for it beforehand."""

from datetime import timedelta
from pathlib import Path

import pytest
from manual_clock import at_rest
from scheduling_site import FAILED, OK, World, prompt

from orchestrator.config.model import Retry
from orchestrator.schedule.runs import Phase, Trigger
from orchestrator.schedule.when import Manual


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World()
    world.vault = tmp_path
    return world


async def test_who_waits_for_the_lane_does_not_start_when_it_is_free(world: World) -> None:
    world.actions.takes["first"] = 3.0
    async with world.serving(prompt("first", schedule=Manual()), prompt("second", schedule=Manual())) as scheduler:
        await scheduler.fire("first", Trigger.CHANGE)
        await world.clock.advance(1)
        waiting = (await scheduler.fire("second", Trigger.CHANGE)).run
        await at_rest()
        (world.vault / "PAUSE").touch()
        await world.clock.advance(3)  # sooner than anybody looks for the file
        assert world.store.told("first")
        assert world.actions.began == [("first", 0)]
        assert waiting.phase is Phase.QUEUED
        (world.vault / "PAUSE").unlink()
        await world.clock.advance(11)
        assert [name for name, _ in world.actions.began] == ["first", "second"]


async def test_who_waits_for_its_retry_does_not_start_when_that_is_due(world: World) -> None:
    world.actions.results["t"] = [FAILED, OK]
    retry = Retry(max=1, initial=3.0, max_delay=3.0)
    async with world.serving(prompt(schedule=Manual(), retry=retry)) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(0.1)
        assert run.retry_at is not None
        assert run.retry_at - world.clock.now() < timedelta(seconds=10)
        (world.vault / "PAUSE.md").touch()
        await world.clock.advance(4)
        assert len(world.actions.began) == 1
        (world.vault / "PAUSE.md").unlink()
        await world.clock.advance(11)
        assert len(world.actions.began) == 2
