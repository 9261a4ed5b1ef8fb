"""Whatever agents, people, clocks and daemons do: every run has one true outcome, and every attempt counts once."""

import asyncio
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st
from scheduling_site import FAILED, OK, Actions, World, at, held, prompt, task

from orchestrator.config.model import AgentConfig, AgentKind, Overlap, TaskConfig
from orchestrator.schedule.runs import HoldKind, Outcome, Phase, Result, Run, Trigger
from orchestrator.schedule.scheduler import Scheduler
from orchestrator.schedule.when import Every, Manual

COST = 0.125
TASKS = (
    prompt("skip", schedule=Every(40.0)),
    prompt("queue", schedule=Manual(), overlap=Overlap.QUEUE),
    prompt("cancel", schedule=Manual(), overlap=Overlap.CANCEL, lane="other"),
    prompt("short", schedule=Manual(), max_lateness=100.0, lane=None),
    prompt("letta", "letta", schedule=Manual()),
    task("plain", schedule=Manual(), lane="agent"),
)
NAMES = [each.name for each in TASKS]
ENDED = {Outcome.SUCCESS, Outcome.FAILURE, Outcome.SKIPPED, Outcome.MISSED}


class Noted(Actions):
    """Notes what came of each run's attempts, and that no lane ever holds two."""

    def __init__(self, world: World, answers: Sequence[Result]) -> None:
        super().__init__(world.clock)
        self.answers = list(answers)
        self.made: dict[str, list[Result]] = {}
        self.in_lanes: list[str] = []

    async def perform(self, task: TaskConfig, run: Run, *, on_status: Callable[[str], None]) -> Result:
        lane = task.lane or run.run_id
        assert lane not in self.in_lanes
        assert run.phase is Phase.RUNNING
        self.in_lanes.append(lane)
        try:
            await super().perform(task, run, on_status=on_status)
        finally:
            self.in_lanes.remove(lane)
        result = self.answers.pop(0) if self.answers else OK
        if result.hold is not None and task.name == "plain":
            result = FAILED
        self.made.setdefault(run.run_id, []).append(result)
        return replace(result, cost_usd=COST)


answers = st.lists(
    st.sampled_from(
        [
            OK,
            FAILED,
            replace(FAILED, final=True),
            held(HoldKind.LIMIT, "limit", at(90)),
            held(HoldKind.LIMIT, "limit", at(9)),
            held(HoldKind.LIMIT, "limit"),
            held(HoldKind.LOGIN, "login"),
            held(HoldKind.NETWORK, "network"),
        ]
    ),
    max_size=25,
)
happenings = st.lists(
    st.one_of(
        st.tuples(
            st.just("fire"), st.sampled_from(NAMES), st.sampled_from([Trigger.CHANGE, Trigger.MANUAL, Trigger.AFTER])
        ),
        st.tuples(st.just("pass"), st.sampled_from([0.0, 1.0, 7.0, 60.0, 150.0])),
        st.tuples(st.just("pause"), st.booleans()),
        st.tuples(st.just("file"), st.booleans()),
        st.tuples(st.just("cancel"), st.sampled_from(NAMES)),
        st.tuples(st.just("step"), st.sampled_from([-3000.0, -5.0, 5.0, 3000.0])),
        st.tuples(st.just("reload"), st.none()),
        st.tuples(st.just("restart"), st.booleans()),
    ),
    max_size=25,
)


@settings(max_examples=40)
@given(answers, happenings, st.sampled_from([0.0, 3.0]))
def test_every_run_ends_once_and_every_attempt_is_counted_and_paid_once(
    those: list[Result], happens: list[tuple[str, Any]], takes: float
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        asyncio.run(_live_through(Path(folder), those, happens, takes))


async def _live_through(folder: Path, those: list[Result], happens: list[tuple[str, Any]], takes: float) -> None:
    world = World()
    world.vault = folder
    world.agents |= {
        "claude": AgentConfig("claude", daily_budget_usd=50 * COST),
        "letta": AgentConfig("letta", AgentKind.LETTA),
    }
    actions = world.actions = Noted(world, those)
    actions.takes = dict.fromkeys(NAMES, takes)
    left: list[tuple[str, Any]] = list(happens)
    while left:
        now, left = _until_restart(left)
        killed = bool(now and now[-1][0] == "restart" and now[-1][1])
        async with world.serving(*TASKS, killed=killed) as scheduler:
            for what, *rest in now:
                await _happen(world, scheduler, what, rest)
    actions.answers = []
    (folder / "PAUSE").unlink(missing_ok=True)
    world.clock.step(max(0.0, -world.clock.wall))  # else the named end of a limit may be hours away
    last = [replace(each, schedule=Manual()) for each in TASKS]
    async with world.serving(*last) as scheduler:
        scheduler.pause(paused=False)
        await world.clock.advance(3700)
        assert scheduler.state == "idle"
        assert world.problems.lines() == []
    _judge(world, actions)


def _until_restart(left: list[tuple[str, Any]]) -> tuple[list[tuple[str, Any]], list[tuple[str, Any]]]:
    for number, (what, *_) in enumerate(left):
        if what == "restart":
            return left[: number + 1], left[number + 1 :]
    return left, []


async def _happen(world: World, scheduler: Scheduler, what: str, rest: Sequence[Any]) -> None:
    match what, rest:
        case "fire", [name, trigger]:
            await scheduler.fire(name, trigger)
        case "pass", [seconds]:
            await world.clock.advance(seconds)
        case "pause", [paused]:
            scheduler.pause(paused=paused)
        case "file", [there]:
            if there:
                (world.vault / "PAUSE").touch()
            else:
                (world.vault / "PAUSE").unlink(missing_ok=True)
        case "cancel", [name]:
            for active in scheduler.view(name).active:
                scheduler.cancel(active, "enough")
        case "step", [seconds]:
            world.clock.step(seconds)
        case "reload", _:
            await scheduler.load(world.config(), TASKS)
        case _:
            assert what == "restart"


def _judge(world: World, actions: Noted) -> None:
    rows = world.store.rows
    assert all(row.phase is Phase.FINISHED and row.outcome is not None for row in rows.values())
    for run_id, row in rows.items():
        made = actions.made.get(run_id, [])
        counted = [each for each in made if each.hold is None]
        assert (row.cost_usd or 0.0) == COST * len(made)
        assert row.attempts <= row.retries + 1
        if row.outcome in ENDED:
            refused_by_hand = (
                row.trigger is Trigger.MANUAL and row.outcome is Outcome.FAILURE and made[-1].hold is not None
            )
            assert row.attempts == len(counted) + refused_by_hand
        if row.outcome is Outcome.SUCCESS:
            assert counted[-1] is OK
            assert counted[:-1] == [FAILED] * (len(counted) - 1)
    paid = sum(each.cost_usd for each in world.store.costs.values())
    assert paid == COST * sum(len(made) for run_id, made in actions.made.items() if rows[run_id].task != "plain")
