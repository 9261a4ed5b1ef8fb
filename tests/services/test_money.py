"""What prompts cost: every attempt is written down at once, and who has spent a day's budget gets no more that day."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from manual_clock import START, at_rest
from recorded_runs import NOW, Time, begin, end, opened
from recorded_runs import run as recorded
from scheduling_site import FAILED, OK, World, at, held, limit, prompt, task

from orchestrator.config.model import AgentConfig, Retry
from orchestrator.events import RunRetrying
from orchestrator.schedule.runs import HoldKind, Outcome, Phase, Result, Trigger
from orchestrator.schedule.scheduler import Scheduler
from orchestrator.schedule.spending import Spent
from orchestrator.schedule.when import Every, Manual
from orchestrator.store.database import Database
from orchestrator.store.runs import RunStore

SKIPPED = "budget: agent claude has spent $1.20 of its daily $1.00; prompts run again on "


def costing(cost: float, result: Result = OK) -> Result:
    return Result(result.outcome, result.output, result.error, cost, hold=result.hold)


@pytest.fixture
def world() -> World:
    return with_budget(World(), 1.0)


def with_budget(world: World, budget: float) -> World:
    world.agents["claude"] = AgentConfig("claude", daily_budget_usd=budget)
    return world


def outcomes(world: World, name: str = "t") -> list[str]:
    return [outcome for _, outcome in world.store.told(name)]


def spent(world: World) -> list[float]:
    return [each.cost_usd for each in world.store.costs.values()]


# --- the budget ---


async def test_of_runs_of_forty_cents_three_start_and_the_next_one_on_the_next_local_day(world: World) -> None:
    world.zone = "Europe/Berlin"  # 0:30
    world.actions.answer = lambda _: costing(0.4)
    async with world.serving(prompt(schedule=Every(5 * 3600.0))):
        await world.clock.advance(23 * 3600)
        assert outcomes(world) == ["success"] * 3 + ["skipped"]
        last = list(world.store.rows.values())[-1]
        assert (last.attempts, last.duration, last.error) == (0, None, SKIPPED + "2026-11-22")
        await world.clock.advance(3 * 3600)
        assert outcomes(world)[4:] == ["success"]
    assert world.actions.times() == [hours * 3600 for hours in (5, 10, 15, 25)]


async def test_a_run_that_waited_for_its_lane_is_checked_when_its_turn_has_come(world: World) -> None:
    world.actions.answer = lambda _: costing(0.6)
    tasks = [prompt(name, schedule=Manual()) for name in "abc"]
    for each in tasks:
        world.actions.takes[each.name] = 5.0
    async with world.serving(*tasks) as scheduler:
        for each in tasks:
            await scheduler.fire(each.name, Trigger.CHANGE)
        await world.clock.advance(20)
    assert [outcomes(world, name) for name in "abc"] == [["success"], ["success"], ["skipped"]]
    assert world.actions.began == [("a", 0), ("b", 5)]


async def test_who_is_refused_does_not_wait_for_the_lane(world: World) -> None:
    world.agents["mine"] = AgentConfig("mine", daily_budget_usd=5.0)
    world.actions.results["t"] = [costing(1.0)]
    world.actions.takes["long"] = 1000.0
    tasks = (prompt(schedule=Manual()), prompt("long", "mine", schedule=Manual()))
    async with world.serving(*tasks) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(1)
        await scheduler.fire("long", Trigger.CHANGE)
        await world.clock.advance(1)
        for trigger in (Trigger.CHANGE, Trigger.MANUAL):
            run = (await scheduler.fire("t", trigger)).run
            await world.clock.advance(0)
            assert run.outcome is Outcome.SKIPPED


async def test_a_failure_that_has_spent_the_budget_stays_one_and_is_not_tried_again(world: World) -> None:
    world.actions.results["t"] = [costing(0.7, FAILED)] * 5
    async with world.serving(prompt(schedule=Manual(), retry=Retry(max=5))) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(60)
    assert (run.outcome, run.attempts, run.cost_usd) == (Outcome.FAILURE, 2, 1.4)
    assert run.error == "no; budget: agent claude has spent $1.40 of its daily $1.00; prompts run again on 2026-11-21"


async def test_a_retry_after_midnight_is_paid_for_by_the_new_day(world: World) -> None:
    world.actions.results["t"] = [costing(1.5, FAILED), costing(0.5)]
    slow = prompt(schedule=Manual(), retry=Retry(max=1, initial=3600.0, max_delay=3600.0))
    async with world.serving(slow) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(4200)
        assert (run.outcome, run.cost_usd) == (Outcome.SUCCESS, 2.0)
        assert scheduler.spending.of_agent("claude", world.clock.now()) == (0.5, 2.0)
        assert scheduler.spending.left("claude", world.clock.now()) == 0.5


async def test_what_waits_out_a_limit_is_checked_again_after_it(world: World) -> None:
    world.actions.results = {"t": [costing(0.5, limit(100.0))], "other": [costing(0.5)]}
    tasks = (prompt(schedule=Manual()), prompt("other", schedule=Manual(), lane="other"))
    async with world.serving(*tasks) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(1)
        other = (await scheduler.fire("other", Trigger.MANUAL)).run
        await world.clock.advance(1)
    assert other.outcome is Outcome.SUCCESS
    assert (run.outcome, run.attempts, run.cost_usd) == (Outcome.SKIPPED, 0, 0.5)


async def test_another_budget_takes_effect_without_a_restart(world: World) -> None:
    world.actions.results["t"] = [costing(1.0)]
    async with world.serving(prompt(schedule=Manual())) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(1)
        with_budget(world, 2.0)
        await scheduler.load(world.config(), [prompt(schedule=Manual())])
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(1)
    assert outcomes(world) == ["success", "success"]


async def test_tasks_without_an_agent_and_agents_without_a_budget_run_on(world: World) -> None:
    world.agents["mine"] = AgentConfig("mine")
    world.actions.answer = lambda _: costing(100.0)
    async with world.serving(prompt(agent="mine"), task("plain")) as scheduler:
        await world.clock.advance(31)
        assert scheduler.spending.of_task("t", world.clock.now()) == (300.0, 300.0)
    assert outcomes(world) == outcomes(world, "plain") == ["success"] * 3
    assert len(world.store.costs) == 3, "who has no agent has nobody to pay"


DAYS = {
    "spring": (datetime(2027, 3, 28, 10, tzinfo=UTC), datetime(2027, 3, 28, 22, tzinfo=UTC)),  # 23 hours
    "autumn": (datetime(2026, 10, 25, 10, tzinfo=UTC), datetime(2026, 10, 25, 23, tzinfo=UTC)),  # 25
    "winter": (datetime(2026, 11, 25, 10, tzinfo=UTC), datetime(2026, 11, 25, 23, tzinfo=UTC)),
}


@pytest.mark.parametrize("season", DAYS)
async def test_the_budgets_day_is_the_local_one_when_clocks_change_too(world: World, season: str) -> None:
    noon, midnight = DAYS[season]
    world.zone = "Europe/Berlin"
    world.actions.answer = lambda _: costing(1.0)
    world.clock.step((noon - START).total_seconds())
    async with world.serving(prompt(schedule=Manual())) as scheduler:

        async def told() -> str:
            await scheduler.fire("t", Trigger.CHANGE)
            await at_rest()
            return outcomes(world)[-1]

        assert [await told(), await told()] == ["success", "skipped"]
        await world.clock.advance((midnight - noon).total_seconds() - 1)
        assert await told() == "skipped"
        await world.clock.advance(1)
        assert [await told(), await told()] == ["success", "skipped"]


# --- what is written down ---


async def test_every_attempt_is_paid_for_whatever_comes_of_it(world: World) -> None:
    with_budget(world, 0.0)
    world.actions.results["t"] = [
        costing(0.1, FAILED),
        costing(0.2, held(HoldKind.BUSY, "overloaded")),
        costing(0.4, held(HoldKind.BUSY, "overloaded")),
        costing(0.8),
    ]
    async with world.serving(prompt(schedule=Manual())) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(0)
        assert (spent(world), run.cost_usd) == ([0.1], 0.1)
        await world.clock.advance(300)
        assert (run.outcome, run.attempts, run.cost_usd) == (Outcome.SUCCESS, 2, 1.5)
        assert scheduler.spending.of_agent("claude", at(1)) == (1.5, 1.5)
    assert spent(world) == [0.1, 0.2, 0.4, 0.8]
    assert {(each.agent, each.task) for each in world.store.costs.values()} == {("claude", "t")}
    assert next(iter(world.store.rows.values())).cost_usd == 1.5


@pytest.mark.parametrize("cost", [None, 0.0, -1.0, float("nan"), float("inf")])
async def test_what_is_no_amount_is_not_counted(world: World, cost: float | None) -> None:
    world.actions.results["t"] = [Result(Outcome.SUCCESS, cost_usd=cost)]
    async with world.serving(prompt(schedule=Manual())) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(1)
        assert run.cost_usd in (None, 0.0)
        assert scheduler.spending.left("claude", world.clock.now()) == 1.0
    assert spent(world) == []


async def test_what_is_spent_is_spent_for_the_next_daemon_too(world: World) -> None:
    world.actions.answer = lambda _: costing(0.4)
    async with world.serving(prompt()):
        await world.clock.advance(21)
    assert outcomes(world) == ["success", "success"]
    async with world.serving(prompt(), killed=True) as scheduler:
        assert scheduler.spending.left("claude", world.clock.now()) == 0.2
        await world.clock.advance(20)
    assert outcomes(world) == ["success"] * 3 + ["skipped"]


async def test_the_cost_of_attempts_before_a_restart_stays_with_the_run(world: World) -> None:
    world.actions.results["t"] = [costing(0.25, FAILED), costing(0.5)]
    slow = prompt(schedule=Manual(), retry=Retry(initial=100.0))
    async with world.serving(slow, killed=True) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(50)
        assert any(isinstance(fact, RunRetrying) for fact in world.facts)
    async with world.serving(slow):
        await world.clock.advance(100)
    (row,) = world.store.rows.values()
    assert (row.outcome, row.attempts, row.cost_usd) == (Outcome.SUCCESS, 2, 0.75)
    assert spent(world) == [0.25, 0.5]


async def test_a_budget_spent_by_a_failure_before_a_restart_ends_the_retry_with_that_failure(world: World) -> None:
    world.actions.results["t"] = [costing(1.25, FAILED)]
    slow = prompt(schedule=Manual(), retry=Retry(initial=100.0))
    async with world.serving(slow, killed=True) as scheduler:
        await scheduler.fire("t", Trigger.CHANGE)
        await world.clock.advance(50)
    async with world.serving(slow):
        await world.clock.advance(100)
    (row,) = world.store.rows.values()
    assert (row.outcome, row.attempts) == (Outcome.FAILURE, 1)
    assert (row.error or "").startswith("no; budget: ")


async def test_the_details_of_the_last_attempt_are_kept_without_secrets(world: World) -> None:
    details = {"session_id": "s", "denials": [{"tool": "Bash", "input": {"command": "echo hunter22"}}], "turns": 3}
    world.actions.results["t"] = [
        Result(Outcome.FAILURE, error="no", details={"turns": 1}),
        Result(Outcome.SUCCESS, "done", details=details),
    ]
    async with world.serving(prompt(schedule=Manual())) as scheduler:
        run = (await scheduler.fire("t", Trigger.CHANGE)).run
        await world.clock.advance(0)
        assert (run.phase, run.details) == (Phase.RETRYING, {"turns": 1})
        await world.clock.advance(5)
        last = scheduler.view("t").last
        assert last is not None
        assert last.details is None, "they are not kept in memory"
    denials = [{"tool": "Bash", "input": {"command": "echo ***"}}]
    assert run.details == {"session_id": "s", "denials": denials, "turns": 3}


# --- the database ---


async def test_costs_are_found_again_by_quarters_of_an_hour_and_once_each(tmp_path: Path) -> None:
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        for number, (seconds, agent, cost) in enumerate(
            [(0, "claude", 0.5), (1, "claude", 0.25), (1, "mine", 1.0), (-901, "claude", 2.0), (-99_999, "claude", 4.0)]
        ):
            for _again in range(2):
                runs.add_cost(f"{number}", Spent(NOW + timedelta(seconds=seconds), agent, "t", cost))
        assert await runs.flush()
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        found = await runs.spent_since(NOW - timedelta(hours=1))
        assert sorted((each.at, each.agent, each.task, each.cost_usd) for each in found) == [
            (NOW - timedelta(minutes=30), "claude", "t", 2.0),
            (NOW, "claude", "t", 0.75),
            (NOW, "mine", "t", 1.0),
        ]


async def test_a_database_that_is_gone_makes_no_budget_whole_again(tmp_path: Path) -> None:
    async with Database(str(tmp_path / "aiemp.db"), now=Time(), on_problem=lambda *_: None) as database:
        runs = RunStore(database)
        runs.add_cost("old", Spent(NOW - timedelta(days=3), "claude", "t", 1.0))
        runs.add_cost("new", Spent(NOW, "claude", "t", 2.0))
        assert await runs.flush()
        for end in ("", "-wal", "-shm"):
            (tmp_path / f"aiemp.db{end}").unlink(missing_ok=True)
        runs.put_setting("any", "write")
        assert await runs.flush()
        assert [each.cost_usd for each in await runs.spent_since(NOW - timedelta(days=9))] == [2.0]


async def test_statistics_tell_what_this_day_and_this_month_have_cost(tmp_path: Path) -> None:
    day, month = NOW.replace(hour=0, minute=0), NOW.replace(day=1, hour=0, minute=0)
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        one = end(begin(recorded("t")))
        one.cost_usd = 9.0
        await runs.claim([one, end(begin(recorded("free")))], ())
        for number, moment in enumerate([day, day - timedelta(seconds=1), month, month - timedelta(seconds=1)]):
            runs.add_cost(str(number), Spent(moment, "claude", "t", 10.0**-number))
        found = {each.task: each.as_json() for each in await runs.statistics((day, month))}
        assert [found["t"][key] for key in ("cost_usd", "cost_today_usd", "cost_month_usd")] == [9.0, 1.0, 1.11]
        assert [found["free"][key] for key in ("cost_today_usd", "cost_month_usd")] == [0.0, 0.0]
        (_, plain) = await runs.statistics()
        assert plain.as_json()["cost_month_usd"] == 0.0


async def test_old_costs_are_forgotten_but_none_of_this_month_and_the_last(tmp_path: Path) -> None:
    time = Time()
    time.now = datetime(2026, 11, 20, tzinfo=UTC)
    async with opened(tmp_path / "aiemp.db", time) as (_, runs):
        for number in range(450):
            runs.add_cost(f"old {number}", Spent(datetime(2026, 9, 20, tzinfo=UTC), "claude", "t", 1.0))
        runs.add_cost("last month", Spent(datetime(2026, 9, 30, 23, tzinfo=UTC), "claude", "t", 1.0))  # in Asia
        runs.add_cost("this month", Spent(datetime(2026, 11, 1, tzinfo=UTC), "claude", "t", 1.0))
        assert await runs.prune(time.now) == 0
        assert sum(each.cost_usd for each in await runs.spent_since(datetime(2026, 1, 1, tzinfo=UTC))) == 2.0
        assert await runs.prune(datetime(2026, 9, 1, tzinfo=UTC)) == 0


async def test_without_a_database_nobody_knows_what_is_left_of_a_budget(world: World) -> None:
    async def unavailable(moment: datetime) -> list[Spent]:
        raise OSError(f"what was spent since {moment} is gone")

    world.store.spent_since = unavailable  # type: ignore[method-assign]
    scheduler: Scheduler = world.build()
    with pytest.raises(OSError, match="gone"):
        await scheduler.prepare(world.config(), [prompt()])
