"""The tasks as they are told: every one once, and afterwards only those that something happened to."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import time
from typing import Any

import pytest
from manual_clock import START, at_rest
from scheduling_site import FAILED, World, at, task

from orchestrator.config.model import CatchUp, Retry, TaskConfig
from orchestrator.control.task_board import SHOWN, Changes, TaskBoard
from orchestrator.control.task_status import task_object
from orchestrator.events import AgentChanged, ConfigReloaded, TaskChanged
from orchestrator.schedule.runs import Outcome, Result, Trigger
from orchestrator.schedule.when import Calendar, Every, Manual

MANY = [task(f"t{number}", schedule=Calendar((time(8, number % 60),))) for number in range(3 * SHOWN)]


@pytest.fixture
def world() -> World:
    return World()


class Board(TaskBoard):
    """One that hears of the world's facts as soon as somebody asks it something."""

    def __init__(self, world: World) -> None:
        self.blocked: dict[str, str] = {}
        super().__init__(world.scheduler, world.clock, lambda task: self.blocked.get(task.name))
        self._world = world

    def _look(self) -> None:
        facts, self._world.facts[:] = list(self._world.facts), []
        for fact in facts:
            self.note(fact)
        super()._look()

    def shown(self) -> dict[str, str]:
        return {row.component: row.status for row in self.rows()}

    def news(self) -> dict[str, str]:
        return {each["name"]: each["state"] for each in self.take(1000).objects.values()}


@contextmanager
def looked_at(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The names of the tasks that are put together anew inside the block."""
    names: list[str] = []

    def counted(view: Any, blocked: str | None) -> dict[str, Any]:
        names.append(view.entry.name)
        return task_object(view, blocked)

    with monkeypatch.context() as patched:
        patched.setattr("orchestrator.control.task_board.task_object", counted)
        yield names


async def test_what_nothing_happened_to_is_not_looked_at_again(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    async with world.serving(*MANY[:100], task("tick")):
        board = Board(world)
        before = {row.component: row for row in board.rows()}
        assert len(board.news()) == 101
        await world.clock.advance(10)
        with looked_at(monkeypatch) as names:
            after = {row.component: row for row in board.rows()}
            assert board.news() == {"tick": "idle"}
        assert set(names) == {"tick"}
        assert {name for name, row in after.items() if row is not before[name]} == {"tick"}
        assert after["tick"].status == "success"
        assert after["tick"].upcoming == at(20)
        with looked_at(monkeypatch) as names:
            assert [*board.rows()] == [*after.values()]
            assert board.news() == {}
        assert names == []


async def test_up_to_so_many_all_that_are_enabled_are_shown_in_their_order(world: World) -> None:
    async with world.serving(*MANY[:SHOWN], task("off", enabled=False)) as scheduler:
        board = Board(world)
        assert [*board.shown()] == [each.name for each in MANY[:SHOWN]]
        scheduler.enable("t0", enabled=False)
        scheduler.enable("off", enabled=True)
        assert [*board.shown()] == [*(each.name for each in MANY[1:SHOWN]), "off"]


async def test_of_more_those_come_first_that_somebody_should_see(world: World) -> None:
    others = [task(name, schedule=Manual(), retry=Retry(max=0)) for name in ("hand", "runs", "fails", "skips")]
    world.actions.takes["runs"] = 100.0
    world.actions.results = {"fails": [FAILED], "skips": [Result(Outcome.SKIPPED, error="no")]}
    async with world.serving(others[0], *MANY, *others[1:]) as scheduler:
        for name in ("skips", "fails", "runs"):
            await scheduler.fire(name, Trigger.MANUAL)
        await world.clock.advance(1)
        names = [*Board(world).shown()]
        assert names[:3] == ["runs", "fails", "t0"]
        moments = [scheduler.entries[name].next for name in names[2:SHOWN]]
        assert moments == sorted(entry.next for entry in scheduler.entries.values() if entry.next)[: SHOWN - 2]
        assert names[SHOWN:] == [f"… and {len(MANY) + 4 - SHOWN} more tasks: aiempctl tasks"]


async def test_where_few_fire_the_others_fill_the_table(world: World) -> None:
    tasks = [task(f"m{number}", schedule=Manual()) for number in range(SHOWN + 1)]
    async with world.serving(*tasks, task("last")):
        names = [*Board(world).shown()]
    assert names[:3] == ["last", "m0", "m1"]
    assert names[-1] == "… and 2 more tasks: aiempctl tasks"


async def test_never_more_than_so_many_and_the_running_ones_before_the_failed(world: World) -> None:
    tasks = [task(f"m{number}", schedule=Manual(), retry=Retry(max=0)) for number in range(SHOWN + 10)]
    world.settings["max_concurrent"] = 1000
    world.actions.results = {each.name: [FAILED] for each in tasks}
    async with world.serving(*tasks) as scheduler:
        for each in tasks:
            await scheduler.fire(each.name, Trigger.MANUAL)
        await at_rest()
        world.actions.takes["m205"] = 100.0
        await scheduler.fire("m205", Trigger.MANUAL)
        await at_rest()
        rows = [*Board(world).shown().items()]
    assert rows[0] == ("m205", "running")
    assert {status for _, status in rows[1:SHOWN]} == {"failure"}
    assert rows[SHOWN:] == [("… and 10 more tasks: aiempctl tasks", "")]


async def test_a_run_that_waits_shows_though_no_fact_tells_of_it(world: World) -> None:
    world.actions.takes["first"] = 100.0
    first, second = (task(name, schedule=Manual(), lane="one") for name in ("first", "second"))
    async with world.serving(first, second) as scheduler:
        board = Board(world)
        assert board.news() == {"first": "idle", "second": "idle"}
        await scheduler.fire("first", Trigger.MANUAL)
        await scheduler.fire("second", Trigger.MANUAL)
        await at_rest()
        assert board.shown() == {"first": "running", "second": "queued"}
        assert board.news() == {"first": "running", "second": "queued"}
        assert board.news() == {}
        await world.clock.advance(100)
        assert board.shown() == {"first": "success", "second": "success"}


async def test_a_slot_that_is_missed_shows_though_no_fact_tells_of_it(world: World) -> None:
    async with world.serving(task(schedule=Every(10.0), catch_up=CatchUp.NONE, max_lateness=0.0)) as scheduler:
        board = Board(world)
        assert board.rows()[0].upcoming == at(10)
        entry = scheduler.entries["t"]
        scheduler._book.remember(entry, replace(entry.state, handled_until=at(30)))
        await world.clock.advance(9.5)
        assert board.rows()[0].upcoming == at(40)
        assert board.news() == {"t": "idle"}


async def test_tasks_that_come_and_go(world: World) -> None:
    config = world.config()
    async with world.serving(task("a"), task("b"), task("c")) as scheduler:
        board = Board(world)
        numbers = {each["name"]: number for number, each in board.take(10).objects.items()}
        assert sorted(numbers, key=numbers.__getitem__) == ["a", "b", "c"]

        async def changed(name: str, *tasks: TaskConfig) -> Changes:
            for each in tasks:
                await scheduler.put(each)
            world.facts.append(TaskChanged(at=START, name=name, change="changed"))
            return board.take(10)

        objects, gone = await changed("a", task("a", description="another"))
        ((number, told),) = objects.items()
        assert (told["description"], gone) == ("another", [])
        assert number > numbers["c"]  # where it stands now
        assert [*board.shown()] == ["b", "c", "a"]
        scheduler.take_away("b")
        assert await changed("b") == ({}, ["b"])
        assert [*board.shown()] == ["c", "a"]
        await scheduler.load(config, [task("c"), task("d"), task("a", description="another")])
        objects, gone = board.take(10)
        assert gone == []
        assert [each["name"] for _, each in sorted(objects.items())] == ["d", "a"]
        assert [*board.shown()] == ["c", "d", "a"]


async def test_a_reload_that_changes_nothing_is_no_news(world: World) -> None:
    async with world.serving(*MANY[:10]) as scheduler:
        board = Board(world)
        assert len(board.news()) == 10
        await scheduler.load(world.config(), [replace(each) for each in MANY[:10]])
        world.facts.append(ConfigReloaded(at=START, added=(), removed=(), restarted=(), changed=()))
        assert board.news() == {}


async def test_a_pause_is_a_reason_to_look_at_all(world: World) -> None:
    async with world.serving(*MANY[:10]) as scheduler:
        board = Board(world)
        board.news()
        entry = scheduler.entries["t5"]
        scheduler._book.remember(
            entry, replace(entry.state, handled_until=entry.state.handled_until.replace(year=2030))
        )
        assert board.news() == {}
        scheduler.pause(paused=True)
        assert board.news() == {"t5": "idle"}


async def test_news_comes_in_portions_and_again_when_they_are_forgotten(world: World) -> None:
    async with world.serving(*MANY[:10]):
        board = Board(world)
        assert [len(board.take(4).objects) for _ in range(4)] == [4, 4, 2, 0]
        board.forget()
        told = sorted(board.take(20).objects.items())
        assert [each["name"] for _, each in told] == [each.name for each in MANY[:10]]


async def test_what_keeps_an_agent_from_its_work_is_told_of_its_tasks(world: World) -> None:
    async with world.serving(task("mine"), task("other")):
        board = Board(world)
        board.rows()
        board.news()
        board.blocked["mine"] = "agent claude: not logged in"
        world.facts.append(AgentChanged(at=world.clock.now(), name="claude", state="held"))
        assert [*board.news()] == ["mine"]
        assert board.object("mine")["blocked"] == "agent claude: not logged in"
        assert [row.details for row in board.rows()] == ["agent claude: not logged in", ""]
