"""What is told of agents: whether they take prompts, why not, what they have cost; and who hears when that changes."""

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scheduling_site import World, at

from orchestrator.config.model import AgentConfig, AgentKind, Config, Prompt, TaskConfig
from orchestrator.control.agent_board import AgentBoard
from orchestrator.events import AgentChanged
from orchestrator.schedule.runs import Hold, HoldKind, Outcome, Result, Trigger
from orchestrator.schedule.when import Every

CLAUDE = AgentConfig("claude", command=("sh",))


def prompt(name: str, agent: str = "claude", **settings: Any) -> TaskConfig:
    settings.setdefault("schedule", Every(10.0))
    return TaskConfig(name, Prompt("hi", agent), lane="agent", **settings)


class Site:
    """A world with agents, and a board that looks at it."""

    def __init__(self, tmp_path: Path, *agents: AgentConfig) -> None:
        self.world = World()
        self.world.agents = {each.name: each for each in agents}
        self.folder = tmp_path
        self.board: AgentBoard

    def config(self) -> Config:
        config = self.world.config()
        return replace(config, file=self.folder / "supervisor.toml", vault=self.folder / "vault")

    def watch(self, path: str = os.defpath) -> None:
        world = self.world
        self.board = AgentBoard(
            self.config(),
            world.scheduler,
            {"PATH": path},
            clock=world.clock,
            bus=world.scheduler._bus,
            problems=world.problems,
        )

    def look(self) -> dict[str, dict[str, Any]]:
        return {each["name"]: each for each in self.board.look()}

    def told(self) -> list[tuple[str, str]]:
        return [(fact.name, fact.state) for fact in self.world.facts if isinstance(fact, AgentChanged)]


async def test_those_are_told_of_that_are_used_or_configured(tmp_path: Path) -> None:
    site = Site(tmp_path, AgentConfig("claude"), AgentConfig("mine", AgentKind.COMMAND, command=("sh",)))
    async with site.world.serving():
        site.watch()
        assert [*site.look()] == ["mine"]
        await site.world.scheduler.put(prompt("p"))
        assert [*site.look()] == ["claude", "mine"]


@pytest.mark.parametrize(
    ("agent", "state", "said"),
    [
        (CLAUDE, "ready", None),
        (AgentConfig("claude", command=("nonsuch-agent",)), "missing", "command 'nonsuch-agent' is not on the PATH"),
        (AgentConfig("claude", command=("/nonsuch/agent",)), "missing", "/nonsuch/agent does not exist"),
        (AgentConfig("claude", AgentKind.LETTA, agent_id="x"), "ready", None),
    ],
)
async def test_whether_it_is_there(tmp_path: Path, agent: AgentConfig, state: str, said: str | None) -> None:
    site = Site(tmp_path, agent)
    async with site.world.serving(prompt("p"), prompt("off", enabled=False)):
        site.watch()
        found = site.look()["claude"]
        assert found["state"] == state
        assert (found["reason"] or "").startswith(said or "")
        assert bool(found["reason"]) is (said is not None)
        (line,) = site.world.problems.lines() or [""]
        assert line.endswith("it is needed by p" if said else "")
        assert site.board.blocked(prompt("p")) == (f"agent claude: {found['reason']}" if said else None)


async def test_a_program_that_comes_is_noticed(tmp_path: Path) -> None:
    site = Site(tmp_path, AgentConfig("claude", command=("my-agent",)))
    async with site.world.serving(prompt("p")):
        site.watch(str(tmp_path))
        assert site.look()["claude"]["state"] == "missing"
        assert site.world.problems.lines()
        program = tmp_path / "my-agent"
        program.write_text("#!/bin/sh\n")
        program.chmod(0o755)
        assert site.look()["claude"]["state"] == "ready"
        assert site.world.problems.lines() == []
        site.look()
        assert site.told() == [("claude", "missing"), ("claude", "ready")]


@pytest.mark.parametrize("kind", HoldKind)
async def test_a_hold_is_told_and_what_a_person_must_mend_is_a_problem(tmp_path: Path, kind: HoldKind) -> None:
    site = Site(tmp_path, CLAUDE)
    world = site.world
    world.actions.results["p"] = [
        Result(Outcome.FAILURE, hold=Hold(kind, "not now", at(100) if kind == "limit" else None))
    ]
    async with world.serving(prompt("p")):
        site.watch()
        site.look()
        await world.clock.advance(10)
        found = site.look()["claude"]
        assert (found["state"], found["reason"]) == ("held", "not now")
        assert found["since"].endswith(":10Z")
        assert found["until"] > found["since"]
        assert bool(world.problems.lines()) is (kind in {HoldKind.LOGIN, HoldKind.CREDIT})
        await world.clock.advance(100)
        assert site.look()["claude"]["state"] == "ready"
        assert world.problems.lines() == []
        assert site.told() == []  # the scheduler tells of holds


async def test_cost_and_a_spent_budget(tmp_path: Path) -> None:
    site = Site(tmp_path, replace(CLAUDE, daily_budget_usd=0.5))
    world = site.world
    world.actions.results["p"] = [Result(Outcome.SUCCESS, cost_usd=0.3), Result(Outcome.SUCCESS, cost_usd=0.3)]
    async with world.serving(prompt("p")) as scheduler:
        site.watch()
        await world.clock.advance(10)
        found = site.look()["claude"]
        assert (found["state"], found["cost_today_usd"], found["cost_month_usd"]) == ("ready", 0.3, 0.3)
        await world.clock.advance(10)
        found = site.look()["claude"]
        assert (found["state"], found["cost_today_usd"], found["daily_budget_usd"]) == ("spent", 0.6, 0.5)
        assert "budget" in found["reason"]
        assert "budget" in str(site.board.blocked(prompt("p")))
        active = await scheduler.fire("p", Trigger.MANUAL)
        await active.done.wait()
        assert active.run.outcome is Outcome.SKIPPED


async def test_facts_make_it_look_again(tmp_path: Path) -> None:
    site = Site(tmp_path, replace(CLAUDE, daily_budget_usd=0.1))
    world = site.world
    world.actions.results["p"] = [Result(Outcome.SUCCESS, cost_usd=0.3)]
    async with world.serving(prompt("p")) as scheduler:
        site.watch()
        with scheduler._bus.subscribed(site.board.note):
            await world.clock.advance(10)
            assert site.told() == [("claude", "spent")]


async def test_the_others_in_a_held_lane_say_whom_they_wait_for(tmp_path: Path) -> None:
    site = Site(tmp_path, CLAUDE, AgentConfig("mine", AgentKind.COMMAND, command=("sh",)))
    world = site.world
    world.actions.results["p"] = [Result(Outcome.FAILURE, hold=Hold(HoldKind.LIMIT, "not now", at(100)))]
    other = prompt("other", "mine", schedule=Every(1000.0))
    async with world.serving(prompt("p"), other):
        site.watch()
        await world.clock.advance(10)
        assert site.look()["mine"]["state"] == "ready"
        assert site.board.blocked(other) == "lane agent waits for agent claude: not now"
        assert site.board.blocked(replace(other, lane="else")) is None
