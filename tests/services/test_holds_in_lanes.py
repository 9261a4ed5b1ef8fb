"""Agents that take no prompts for a while: their runs wait and are not counted, everybody else goes on."""

from itertools import pairwise
from typing import Any

import pytest
from scheduling_site import FAILED, OK, World, at, held, limit, prompt, task

from orchestrator.config.model import AgentConfig, AgentKind, Overlap, Priority, TaskConfig
from orchestrator.events import RunRetrying, SchedulerChanged
from orchestrator.schedule.runs import HoldKind, Outcome, Phase, Result, Trigger
from orchestrator.schedule.scheduler import Scheduler
from orchestrator.schedule.when import Every, Manual, Once

SUCCESS = ("schedule", "success")
LOGIN = held(HoldKind.LOGIN, "not logged in; run `claude` and log in")
NETWORK = held(HoldKind.NETWORK, "no network")


@pytest.fixture
def world() -> World:
    world = World()
    world.agents |= {
        "letta": AgentConfig("letta", AgentKind.LETTA),
        "mine": AgentConfig("mine", AgentKind.COMMAND, command=("my-agent",)),
    }
    return world


def once(seconds: float, name: str = "t", **settings: Any) -> TaskConfig:
    return prompt(name, schedule=Once((at(seconds),)), **settings)


def said(scheduler: Scheduler, name: str = "t") -> str | None:
    (active,) = scheduler.view(name).active
    return active.status_text


def changes(world: World) -> list[str]:
    return [fact.change for fact in world.facts if isinstance(fact, SchedulerChanged)]


# --- waiting, and being tried again ---


async def test_a_limit_that_resets_in_three_seconds_is_waited_out_and_one_attempt_counts(world: World) -> None:
    world.actions.results["t"] = [limit(until=13.0)]
    async with world.serving(once(10), task("other", schedule=Every(1.0))) as scheduler:
        await world.clock.advance(10)
        (row,) = (row for row in world.store.rows.values() if row.task == "t")
        assert (row.phase, row.attempts, row.started_at, row.outcome) == (Phase.QUEUED, 0, None, None)
        assert said(scheduler) == "waits until 23:30: usage limit reached"
        await world.clock.advance(2.94)
        assert world.actions.times("other") == list(range(1, 13))
        assert world.actions.times() == [10]
        assert not any(isinstance(fact, RunRetrying) for fact in world.facts)
        await world.clock.advance(5)
    (row,) = (row for row in world.store.rows.values() if row.task == "t")
    assert (row.outcome, row.attempts, row.error) == (Outcome.SUCCESS, 1, None)
    assert row.started_at == at(13)
    assert row.duration == 0
    assert world.actions.times() == [10, 13]
    assert changes(world) == ["agent claude waits until 23:30: usage limit reached", "agent claude is tried again"]
    assert "holds" not in world.store.settings


@pytest.mark.parametrize(
    ("until", "again"),
    [(3.0, 3.0), (0.4, 1.0), (-500.0, 1.0), (7200.5, 7200.5), (86_400 * 9.0, 3600.0), (None, 60.0)],
)
async def test_what_is_named_is_kept_to_within_reason(world: World, until: float | None, again: float) -> None:
    world.actions.results["t"] = [limit(until)]
    async with world.serving(prompt(schedule=Manual(), max_lateness=9e9)) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(again + 1)
    assert world.actions.times() == [0, pytest.approx(again, abs=0.05)]


async def test_while_the_trouble_lasts_tries_grow_rarer_until_a_success(world: World) -> None:
    world.actions.results["t"] = [LOGIN] * 8 + [OK, LOGIN]
    async with world.serving(prompt(schedule=Manual(), max_lateness=9e9)) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(20_000)
        times = world.actions.times()
        waits = [later - earlier for earlier, later in pairwise(times)]
        assert waits == [60, 120, 240, 480, 960, 1920, 3600, 3600]
        assert (run.outcome, run.attempts) == (Outcome.SUCCESS, 1)
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(61)
        assert world.actions.times()[-1] - world.actions.times()[-2] == 60


async def test_of_those_that_wait_one_is_tried_by_its_priority_and_the_others_wait_on(world: World) -> None:
    tasks = [
        prompt(name, schedule=Manual(), priority=priority)
        for name, priority in [("low", Priority.LOW), ("normal", Priority.NORMAL), ("high", Priority.HIGH)]
    ]
    world.actions.answer = lambda _: (
        limit(600.0) if world.clock.t < 600 else limit(1200.0) if world.clock.t < 900 else None
    )
    async with world.serving(*tasks) as scheduler:
        for each in tasks:
            await scheduler.fire(each.name, Trigger.CHANGE)
            await world.clock.advance(1)
        assert world.actions.began == [("low", 0)]
        assert {each.status_text for each in scheduler._dispatcher.active.values()} == {
            "waits until 23:40: usage limit reached"
        }
        await world.clock.advance(700)
        assert world.actions.began[1:] == [("high", 600)]
        await world.clock.advance(600)
        assert world.actions.began[2:] == [("high", 1200), ("normal", 1200), ("low", 1200)]
    assert all(row.attempts == 1 for row in world.store.rows.values())


async def test_an_agent_waits_in_all_lanes_and_a_lane_for_all_agents(world: World) -> None:
    tasks = [
        prompt("first", schedule=Manual()),
        prompt("elsewhere", schedule=Manual(), lane="second"),
        prompt("letta in it", "letta", schedule=Manual()),
        task("command in it", schedule=Manual(), lane="agent"),
        prompt("letta apart", "letta", schedule=Manual(), lane="letta"),
        prompt("mine", "mine", schedule=Manual(), lane=None),
        task("command", schedule=Manual()),
    ]
    world.actions.results["first"] = [limit(60.0)]
    async with world.serving(*tasks) as scheduler:
        for each in tasks:
            await scheduler.fire(each.name, Trigger.CHANGE)
            await world.clock.advance(0)
        assert [name for name, _ in world.actions.began] == ["first", "letta apart", "mine", "command"]
        await world.clock.advance(59.9)
        assert len(world.actions.began) == 4
        await world.clock.advance(0.1)
        assert {name for name, _ in world.actions.began[4:]} == {
            "first",
            "elsewhere",
            "letta in it",
            "command in it",
        }


async def test_of_two_holds_of_one_agent_each_lane_keeps_to_its_own(world: World) -> None:
    tasks = [
        prompt("a", schedule=Manual(), lane="a"),
        prompt("b", schedule=Manual(), lane="b"),
        task("in a", schedule=Manual(), lane="a"),
        task("in b", schedule=Manual(), lane="b"),
    ]
    world.actions.takes = {"a": 1.0, "b": 1.0}
    world.actions.results = {"a": [limit(60.0)], "b": [limit(120.0)]}
    async with world.serving(*tasks) as scheduler:
        for each in tasks:
            await scheduler.fire(each.name, Trigger.CHANGE)
        await world.clock.advance(200)
    assert world.actions.times("in a") == [60]
    assert world.actions.times("a") == [0, 120]  # the agent itself is well again when the last of them has ended
    assert world.actions.times("in b")[0] >= 120


async def test_runs_under_way_are_not_touched(world: World) -> None:
    world.actions.takes["long"] = 50.0
    world.actions.results["t"] = [limit(100.0)]
    tasks = (prompt("long", schedule=Manual(), lane="other"), prompt(schedule=Manual()))
    async with world.serving(*tasks) as scheduler:
        run = (await scheduler.fire("long", Trigger.CHANGE)).run
        await world.clock.advance(1)
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(40)
        assert world.actions.times("t") == [1]
        await world.clock.advance(10)
        assert run.outcome is Outcome.SUCCESS
        assert world.actions.times("t") == [1, 50], "its success shows that the agent is well"
    assert "agent claude takes prompts again" in changes(world)


async def test_a_retry_that_meets_a_hold_keeps_its_count(world: World) -> None:
    world.actions.results["t"] = [FAILED, limit(100.0), FAILED]
    async with world.serving(prompt(schedule=Manual())) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(50)
        assert (run.phase, run.attempts, run.error) == (Phase.QUEUED, 1, "no")
        assert run.started_at == at(0)
        await world.clock.advance(100)
    assert (run.outcome, run.attempts, run.error) == (Outcome.FAILURE, 2, "no")
    assert len(world.actions.began) == 3


async def test_without_a_hold_nothing_is_looked_at_but_the_switch(world: World) -> None:
    async with world.serving(task(schedule=Manual())):
        await world.clock.advance(1)
        before = next(world.clock._count)
        await world.clock.advance(600)
        assert next(world.clock._count) - before <= 60 + 20 + 2  # every 10 s the switch, every 30 s the slots


# --- who does not wait for ever ---


@pytest.mark.parametrize(
    ("trouble", "outcome"), [(limit(90_000.0), Outcome.MISSED), (LOGIN, Outcome.FAILURE), (NETWORK, Outcome.FAILURE)]
)
async def test_who_has_waited_for_too_long_gives_up(world: World, trouble: Result, outcome: Outcome) -> None:
    world.actions.answer = lambda _: trouble
    async with world.serving(once(10, max_lateness=7200.0)):
        await world.clock.advance(7209)
        assert world.store.told() == [("schedule", "…")]
        await world.clock.advance(2)
        (row,) = world.store.rows.values()
        assert (row.outcome, row.attempts) == (outcome, 0)
        assert (row.error or "").startswith(f"{trouble.error}; it waited for more than max_lateness, 2h 0m")


async def test_who_has_failed_before_stays_a_failure(world: World) -> None:
    world.actions.results["t"] = [FAILED, limit(90_000.0)]
    async with world.serving(once(10, max_lateness=3600.0)):
        await world.clock.advance(4000)
    (row,) = world.store.rows.values()
    assert (row.outcome, row.attempts) == (Outcome.FAILURE, 1)
    assert (row.error or "").startswith("no; then: usage limit reached")


async def test_who_comes_during_a_hold_gives_up_by_its_own_slot(world: World) -> None:
    world.actions.results["a"] = [limit(90_000.0)]
    async with world.serving(once(10, "a", max_lateness=1000.0), once(500, "b", max_lateness=1000.0)):
        await world.clock.advance(1400)
        assert (world.store.told("a"), world.store.told("b")) == ([("schedule", "missed")], [("schedule", "…")])
        await world.clock.advance(101)
        assert world.store.told("b") == [("schedule", "missed")]
        assert world.actions.began == [("a", 10)]


# --- people ---


async def test_what_a_person_sets_off_is_tried_and_says_at_once_what_is_wrong(world: World) -> None:
    world.actions.results = {"waits": [LOGIN], "t": [LOGIN, OK]}
    async with world.serving(prompt(schedule=Manual()), prompt("waits", schedule=Manual())) as scheduler:
        await scheduler.fire("waits", Trigger.CHANGE)
        await world.clock.advance(10)
        first = (await scheduler.fire("t", Trigger.MANUAL)).run
        await world.clock.advance(0)
        assert (first.outcome, first.error, first.attempts) == (Outcome.FAILURE, LOGIN.error, 1)
        assert world.actions.times("waits") == [0]
        second = (await scheduler.fire("t", Trigger.MANUAL)).run
        await world.clock.advance(0)
        assert second.outcome is Outcome.SUCCESS
        assert world.actions.times("waits") == [0, 10], "that has ended the hold for all"


async def test_what_a_person_sets_off_waits_for_a_limit_and_is_tried_once_before(world: World) -> None:
    world.actions.answer = lambda _: limit(60.0) if world.clock.t < 60 else None
    async with world.serving(prompt(schedule=Manual(), overlap=Overlap.QUEUE)) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(5)
        active = scheduler.view("t").active[0]
        scheduler.cancel(active, "enough")
        run = (await scheduler.fire("t", Trigger.MANUAL)).run
        await world.clock.advance(20)
        assert world.actions.times() == [0, 5]
        assert (run.phase, run.attempts) == (Phase.QUEUED, 0)
        assert said(scheduler) == "waits until 23:31: usage limit reached"
        await world.clock.advance(60)
        assert (run.outcome, run.attempts) == (Outcome.SUCCESS, 1)
        assert world.actions.times() == [0, 5, 60]


async def test_who_resumes_has_everything_tried_at_once_whether_its_end_is_known_or_not(world: World) -> None:
    world.actions.results = {"login": [LOGIN, OK], "limit": [limit(5000.0), limit(6000.0)]}
    tasks = (prompt("login", schedule=Manual()), prompt("limit", "mine", schedule=Manual(), lane="mine"))
    async with world.serving(*tasks) as scheduler:
        for each in tasks:
            await scheduler.fire(each.name, Trigger.CHANGE)
        await world.clock.advance(10)
        said = scheduler.pause(paused=False)
        assert said == "agent claude is held no more; agent mine is held no more"
        assert changes(world)[-1] == said
        await world.clock.advance(10)
        assert world.actions.times("login") == [0, 10]
        assert world.actions.times("limit") == [0, 10], "one try, and it waits again"
        assert scheduler.pause(paused=True) == "paused"
        assert scheduler.pause(paused=False) == "resumed; agent mine is held no more"
        assert scheduler.pause(paused=False) == ""
        await world.clock.advance(1)
        assert world.actions.times("limit") == [0, 10, 20]


async def test_a_held_run_can_be_cancelled_and_holds_nobody_up(world: World) -> None:
    world.actions.results["t"] = [limit(1000.0)]
    async with world.serving(prompt(schedule=Manual()), task("other", schedule=Manual())) as scheduler:
        active = await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(1)
        scheduler.cancel(active, "enough")
        await world.clock.advance(0)
        assert (active.run.outcome, active.run.error, active.run.attempts) == (Outcome.CANCELLED, "enough", 0)
        assert scheduler.state == "idle"
        await world.clock.advance(2000)
    assert world.actions.times() == [0]


async def test_a_hold_goes_on_through_a_pause_and_the_pause_through_the_end_of_the_hold(world: World) -> None:
    world.actions.results["t"] = [limit(100.0)]
    tasks = (prompt(schedule=Manual()), prompt("late", schedule=Manual(), max_lateness=50.0))
    async with world.serving(*tasks) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(0)
        await scheduler.fire("late", Trigger.CHANGE)
        await world.clock.advance(10)
        scheduler.pause(paused=True)
        assert said(scheduler) == "waits until 23:31: usage limit reached"
        await world.clock.advance(100)
        assert world.store.told("late") == [("change", "missed")]
        assert world.actions.times() == [0]
        assert said(scheduler) is None
        scheduler.pause(paused=False)
        await world.clock.advance(0)
        assert world.actions.times() == [0, 110]


async def test_a_task_that_is_gone_takes_its_held_run_along_and_one_that_is_disabled_lets_it_end(world: World) -> None:
    world.actions.results["t"] = [limit(100.0)]
    async with world.serving(prompt(), prompt("gone", schedule=Manual())) as scheduler:
        await world.clock.advance(10)
        await scheduler.fire("gone", Trigger.CHANGE)
        await world.clock.advance(1)
        scheduler.enable("t", enabled=False)
        scheduler.take_away("gone")
        await world.clock.advance(200)
    assert world.store.told("gone") == [("change", "cancelled")]
    assert world.store.told("t") == [SUCCESS]
    assert world.actions.began == [("t", 10), ("t", 100)]


async def test_a_reload_changes_nothing_about_who_is_held(world: World) -> None:
    world.actions.results["t"] = [limit(100.0)]
    async with world.serving(prompt(schedule=Manual())) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(1)
        world.zone = "Europe/Berlin"
        await scheduler.load(
            world.config(), [prompt(schedule=Manual(), lane="other"), prompt("new", schedule=Manual())]
        )
        await scheduler.fire("new", Trigger.CHANGE)
        await world.clock.advance(98)
        assert world.actions.times() == [0]
        assert said(scheduler, "new") == "waits until 00:31: usage limit reached"
        await world.clock.advance(2)
    assert world.actions.times() == [0, 100]
    assert world.actions.times("new") == [100]


@pytest.mark.parametrize(
    ("overlap", "told", "times"),
    [
        (Overlap.SKIP, ["success", "skipped", "skipped", "success"], [10, 35, 40]),
        (Overlap.QUEUE, ["success", "success", "skipped", "success"], [10, 35, 35, 40]),
        (Overlap.CANCEL, ["cancelled", "cancelled", "success", "success"], [10, 35, 40]),
    ],
)
async def test_a_slot_that_comes_while_an_earlier_run_is_held(
    world: World, overlap: Overlap, told: list[str], times: list[float]
) -> None:
    world.actions.results["t"] = [limit(35.0)]
    async with world.serving(prompt(overlap=overlap)):
        await world.clock.advance(41)
    assert [outcome for _, outcome in world.store.told()] == told
    assert world.actions.times() == times


async def test_nothing_secret_is_in_what_is_said_of_a_hold(world: World) -> None:
    world.actions.results["t"] = [held(HoldKind.LIMIT, "limit of hunter22", at(50))]
    async with world.serving(prompt(schedule=Manual())) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(1)
        assert said(scheduler) == "waits until 23:30: limit of ***"
        assert "hunter22" not in world.store.settings["holds"]
        assert not any("hunter22" in each for each in changes(world))


# --- clocks ---


async def test_a_machine_that_sleeps_over_the_reset_tries_when_it_wakes(world: World) -> None:
    world.actions.results["t"] = [limit(3600.0)]
    async with world.serving(prompt(schedule=Manual())) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(5)
        world.clock.step(5 * 3600)
        await world.clock.advance(30)
        assert run.outcome is Outcome.SUCCESS
    assert len(world.actions.began) == 2


@pytest.mark.parametrize("back", [2.0, 3600.0, 86_400.0, 400 * 86_400.0])
async def test_a_clock_set_back_makes_nobody_wait_for_much_longer(world: World, back: float) -> None:
    world.actions.results = {"t": [limit(100.0)], "login": [LOGIN]}
    tasks = (prompt(schedule=Manual(), max_lateness=9e9), prompt("login", "mine", schedule=Manual(), lane="mine"))
    async with world.serving(*tasks) as scheduler:
        for each in tasks:
            await scheduler.fire(each.name, Trigger.CHANGE)
        await world.clock.advance(50)
        world.clock.step(-back)
        await world.clock.advance(51 + 60)
    times = [at for name, at in world.actions.began if name == "t"]
    assert len(times) == 2
    assert len(world.actions.times("login")) == 2


async def test_a_clock_set_forward_ends_a_hold_that_is_over_by_it(world: World) -> None:
    world.actions.results["t"] = [limit(3600.0)]
    async with world.serving(prompt(schedule=Manual())) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(5)
        world.clock.step(3000)
        await world.clock.advance(594)
        assert len(world.actions.began) == 1
        await world.clock.advance(2)
        assert len(world.actions.began) == 2


async def test_what_a_person_sets_off_waits_for_its_own_agent_alone(world: World) -> None:
    world.agents["other"] = AgentConfig("other", AgentKind.COMMAND, command=("x",))
    world.actions.results["mine"] = [limit(until=3600.0)]
    world.actions.results["theirs"] = [FAILED, OK]
    async with world.serving(prompt("mine"), prompt("theirs", agent="other", schedule=Manual())) as scheduler:
        await world.clock.advance(11)
        active = await scheduler.fire("theirs", Trigger.MANUAL)
        await world.clock.advance(30)  # its first attempt fails, and is tried again
        assert active.run.outcome is Outcome.SUCCESS
        assert active.run.attempts == 2


async def test_a_refusal_for_good_is_no_wait_but_those_to_come_wait(world: World) -> None:
    refused = Result(Outcome.FAILURE, error="no key", hold=LOGIN.hold, final=True)
    world.actions.results["p"] = [refused]
    async with world.serving(prompt("p")) as scheduler:
        await world.clock.advance(21)
        assert world.store.told("p")[0] == ("schedule", "failure")
        assert world.actions.times("p") == [10.0]
        assert said(scheduler, "p") is not None
