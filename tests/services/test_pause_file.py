"""The file PAUSE in the vault: nothing starts by itself while it is there, and everything says so."""

import os
from pathlib import Path

import pytest
from manual_clock import at_rest
from scheduling_site import FAILED, OK, World, limit, prompt, task

from orchestrator.config.model import Overlap, Retry
from orchestrator.errors import UserError
from orchestrator.events import SchedulerChanged
from orchestrator.schedule.runs import Phase, Trigger
from orchestrator.schedule.switch import pause_file
from orchestrator.schedule.when import Every, Manual

SUCCESS = ("schedule", "success")


@pytest.fixture
def world(tmp_path: Path) -> World:
    world = World()
    world.vault = tmp_path / "vault"
    world.vault.mkdir()
    return world


def changes(world: World) -> list[str]:
    return [fact.change for fact in world.facts if isinstance(fact, SchedulerChanged)]


# --- the file ---


@pytest.mark.parametrize("name", ["PAUSE", "PAUSE.md"])
def test_any_kind_of_file_counts(tmp_path: Path, name: str) -> None:
    vault, file = str(tmp_path), tmp_path / name
    assert pause_file(vault) is None
    file.touch()
    assert pause_file(vault) == name
    file.chmod(0)
    assert pause_file(vault) == name
    file.unlink()
    file.symlink_to("nowhere")
    assert pause_file(vault) == name
    file.unlink()
    os.mkfifo(file)
    assert pause_file(vault) == name


@pytest.mark.parametrize("name", ["pause", "PAUSED", "PAUSE.txt", "Notes/PAUSE"])
def test_other_names_do_not_count(tmp_path: Path, name: str) -> None:
    (tmp_path / "Notes").mkdir()
    (tmp_path / name).touch()
    if (tmp_path / "PAUSE").exists():
        pytest.skip("names are the same in either case here")
    assert pause_file(str(tmp_path)) is None


def test_a_folder_of_that_name_does_not_count_and_hides_no_file(tmp_path: Path) -> None:
    (tmp_path / "PAUSE").mkdir()
    assert pause_file(str(tmp_path)) is None
    (tmp_path / "PAUSE.md").touch()
    assert pause_file(str(tmp_path)) == "PAUSE.md"


def test_a_vault_that_is_gone_is_no_pause(tmp_path: Path) -> None:
    assert pause_file(str(tmp_path / "gone")) is None
    (tmp_path / "file").touch()
    assert pause_file(str(tmp_path / "file")) is None


# --- the schedule ---


async def test_it_stops_what_would_start_at_once_and_is_noticed_within_ten_seconds_to_be_gone(world: World) -> None:
    async with world.serving(task(schedule=Every(9.0))) as scheduler:
        await world.clock.advance(17.9)
        (world.vault / "PAUSE").touch()
        assert scheduler.state == "idle"
        await world.clock.advance(0.1)
        assert world.actions.times() == [9]
        assert (scheduler.state, scheduler.paused_by_file, scheduler.paused) == ("paused", True, False)
        assert world.problems.lines() == [
            "no task is started by itself: the file PAUSE lies in the vault; remove it to go on"
        ]
        await world.clock.advance(100)
        assert world.actions.times() == [9]
        (world.vault / "PAUSE").unlink()
        await world.clock.advance(10)
        assert (scheduler.state, scheduler.paused_by_file) == ("idle", False)
        assert world.problems.lines() == []
    assert world.store.told()[:3] == [SUCCESS, ("schedule", "missed"), ("catch_up", "success")]
    assert changes(world) == [
        "paused by the file PAUSE in the vault",
        "the file PAUSE is gone from the vault: runs start again",
    ]


async def test_it_is_noticed_within_ten_seconds_to_have_come(world: World) -> None:
    async with world.serving(task(schedule=Manual())) as scheduler:
        (world.vault / "PAUSE.md").touch()
        await world.clock.advance(10)
        assert scheduler.state == "paused"
        assert "the file PAUSE.md lies" in world.problems.lines()[0]


async def test_another_file_in_its_place_is_the_same_pause(world: World) -> None:
    (world.vault / "PAUSE").touch()
    async with world.serving(task()) as scheduler:
        (world.vault / "PAUSE").rename(world.vault / "PAUSE.md")
        await world.clock.advance(10)
        assert scheduler.state == "paused"
        assert "the file PAUSE.md lies" in world.problems.lines()[0]
        assert len(world.problems.lines()) == 1


async def test_what_waits_is_held_and_what_a_person_asks_for_runs(world: World) -> None:
    world.settings = {"max_concurrent": 1}
    world.actions.takes["long"] = 5.0
    world.actions.results["retrying"] = [FAILED]
    tasks = (
        task("long", schedule=Manual()),
        task("queued", schedule=Every(1.0), overlap=Overlap.QUEUE),
        task("retrying", schedule=Manual(), retry=Retry(initial=8.0)),
        task("by hand", schedule=Manual()),
    )
    async with world.serving(*tasks) as scheduler:
        await scheduler.fire("retrying", Trigger.CHANGE)
        await world.clock.advance(0.5)
        await scheduler.fire("long", Trigger.MANUAL)
        await world.clock.advance(2)
        (world.vault / "PAUSE").touch()
        await scheduler.fire("by hand", Trigger.MANUAL)
        await world.clock.advance(30)
        assert [name for name, _ in world.actions.began] == ["retrying", "long", "by hand"]
        assert scheduler.view("queued").active[0].run.phase == "queued"
        (world.vault / "PAUSE").unlink()
        await world.clock.advance(11)
        assert {"queued", "retrying"} <= {name for name, _ in world.actions.began[3:]}


async def test_nothing_that_follows_or_changes_is_started(world: World) -> None:
    world.actions.takes["a"] = 5.0
    tasks = (
        task("a", schedule=Manual()),
        task("b", schedule=Manual(), after=("a",)),
        task("c", schedule=Manual(), on_change=("*.md",)),
    )
    async with world.serving(*tasks) as scheduler:
        await scheduler.fire("a", Trigger.MANUAL)
        await world.clock.advance(1)
        (world.vault / "PAUSE").touch()
        scheduler.changed("c", world.clock.t)
        await world.clock.advance(10)
        assert world.actions.began == [("a", 0)]
        assert world.store.told("b") == world.store.told("c") == []


async def test_one_that_lies_there_at_the_start_lets_nothing_start(world: World) -> None:
    async with world.serving(task(), killed=True):
        pass
    (world.vault / "PAUSE").touch()
    world.clock.step(35)
    async with world.serving(task()) as scheduler:
        assert scheduler.state == "paused"
        await world.clock.advance(30)
        assert world.actions.began == []
    scheduler = world.build()
    await scheduler.prepare(world.config(), [task()])
    assert await scheduler.cycle() == []
    assert world.actions.began == []


async def test_a_vault_that_goes_and_comes_back_pauses_nothing(world: World) -> None:
    async with world.serving(task()) as scheduler:
        world.vault.rename(world.vault.with_name("elsewhere"))
        await world.clock.advance(30)
        assert scheduler.state == "idle"
        world.vault.with_name("elsewhere").rename(world.vault)
        await world.clock.advance(10)
    assert world.actions.times() == [10, 20, 30, 40]


async def test_each_pause_has_its_own_end(world: World) -> None:
    async with world.serving(task()) as scheduler:
        (world.vault / "PAUSE").touch()
        await world.clock.advance(1)
        assert scheduler.pause(paused=True)
        assert scheduler.pause(paused=False)
        assert (scheduler.state, scheduler.paused) == ("paused", False)
        await world.clock.advance(20)
        assert scheduler.pause(paused=True)
        (world.vault / "PAUSE").unlink()
        await world.clock.advance(20)
        assert scheduler.state == "paused"
        assert world.actions.began == []
        scheduler.pause(paused=False)
        await at_rest()
        assert len(world.actions.began) == 1


async def test_a_pause_by_command_that_cannot_be_read_is_not_taken_for_none(world: World) -> None:
    async with world.serving(task()) as scheduler:
        scheduler.pause(paused=True)
    world.store.unreadable = True
    scheduler = world.build()
    with pytest.raises(UserError, match="cannot be read"):
        await scheduler.prepare(world.config(), [task()])
    world.store.unreadable = False
    await scheduler.prepare(world.config(), [task()])
    assert scheduler.paused
    world.clock.step(35)
    assert await scheduler.cycle() == []
    assert world.actions.began == []


async def test_a_limit_that_ends_during_the_pause_is_tried_after_it(world: World) -> None:
    world.actions.results["t"] = [limit(20.0), OK]
    async with world.serving(prompt(schedule=Manual())) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(15)
        (world.vault / "PAUSE").touch()
        await world.clock.advance(30)
        assert (world.actions.times(), run.phase) == ([0], Phase.QUEUED)
        (world.vault / "PAUSE").unlink()
        await world.clock.advance(10)
        assert run.attempts == 1
    assert world.store.told() == [("change", "success")]
