"""Tasks' states, claims and the history of runs: unique, durable, and found again by the next daemon."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
from hypothesis import given
from hypothesis import strategies as st
from recorded_runs import NOW, STATE, Time, begin, end, opened, run

from orchestrator.schedule.runs import Outcome, Phase, Run, Statistics, TaskState, Trigger
from orchestrator.store.run_rows import micros, moment_of
from orchestrator.store.runs import PRUNED_AT_ONCE, RunStore


async def finished(runs: RunStore, *those: Run) -> None:
    await runs.claim(those, ())
    for one in those:
        await runs.finish(one)


async def test_states_are_remembered_by_the_next_daemon_until_they_are_forgotten(tmp_path: Path) -> None:
    plain = TaskState("plain", NOW + timedelta(microseconds=1), "")
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        assert await runs.states() == {}
        runs.save_state(replace(STATE, successes=2))
        runs.save_state(STATE)
        await runs.save_states([plain, TaskState("gone", NOW, "")])
        runs.forget_state("gone")
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        assert await runs.states() == {"report": STATE, "plain": plain}
        runs.save_state(replace(STATE, enabled=True))
        assert (await runs.states())["report"].enabled is True


async def test_ten_thousand_states_are_one_write(tmp_path: Path) -> None:
    states = [TaskState(f"task{number}", NOW, "") for number in range(10_000)]
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        with anyio.fail_after(20):
            await runs.save_states(states)
            assert list((await runs.states()).values()) == sorted(states, key=lambda state: state.name)


async def test_a_run_is_found_again_as_it_was(tmp_path: Path) -> None:
    one = run(slot=0.25)
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        assert await runs.claim([one], [STATE]) == [True]
        assert await runs.run(one.run_id) == one
        runs.begun(begin(one))
        assert await runs.run(one.run_id) == one
        one.phase, one.retry_at = Phase.RETRYING, NOW + timedelta(seconds=2.5)
        one.error = "exit code 1"
        await runs.waiting(one)
        assert await runs.run(one.run_id) == one
        one.retry_at, one.error, one.cost_usd = None, "a line\x00and \udcff half of one", 0.125
        await runs.finish(end(begin(one), Outcome.TIMEOUT, output="x" * 65_536))
        one.error = "a line\x00and \\udcff half of one"
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        assert await runs.run(one.run_id) == one
        assert await runs.run("nothing") is None
        assert await runs.states() == {"report": STATE}
        assert await runs.unfinished() == []


async def test_a_slot_is_claimed_once_and_by_the_schedule_alone(tmp_path: Path) -> None:
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        assert await runs.claim([run(), run(), run(slot=1), run("other")], ()) == [True, False, True, True]
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        assert (
            await runs.claim([run(trigger=Trigger.CATCH_UP), end(run(slot=1), Outcome.MISSED)], [STATE]) == [False] * 2
        )
        assert await runs.states() == {"report": STATE}, "whoever claimed it: it is handled"
        for trigger in (Trigger.MANUAL, Trigger.CHANGE, Trigger.AFTER, Trigger.RETRY):
            assert await runs.claim([run(trigger=trigger), run(trigger=trigger)], ()) == [True, True]
        assert len(await runs.unfinished()) == 3 + 8


async def test_a_run_that_was_never_ours_holds_nobody_up(tmp_path: Path) -> None:
    async with opened(tmp_path / "aiemp.db") as (database, runs):
        first, second = run(), run()
        assert await runs.claim([first, second], ()) == [True, False]
        await runs.finish(end(begin(second)))  # was never ours
        assert await database.flush()
        assert [one.run_id for one in await runs.unfinished()] == [first.run_id]


async def test_the_next_daemon_learns_what_the_last_one_left(tmp_path: Path) -> None:
    queued, running, retrying, done = (run(slot=number) for number in range(4))
    retrying.retry_at = NOW + timedelta(minutes=1)
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        await runs.claim([queued, running, retrying, done], ())
        runs.begun(begin(running))
        begin(retrying).phase = Phase.RETRYING
        await runs.waiting(retrying)
        await runs.finish(end(begin(done)))
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        assert await runs.unfinished() == [queued, running, retrying]
        await runs.finish(end(running, Outcome.INTERRUPTED, None))
        assert await runs.unfinished() == [queued, retrying]


async def test_claims_that_nothing_began_of_are_taken_back_with_their_states(tmp_path: Path) -> None:
    earlier = replace(STATE, handled_until=NOW - timedelta(days=1))
    first, second, begun, skipped = (run(slot=number) for number in range(4))
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        await runs.claim([first, second, begun, end(skipped, Outcome.SKIPPED)], [STATE])
        runs.begun(begin(begun))
        await runs.release([first.run_id, second.run_id], [earlier])
        assert await runs.states() == {"report": earlier}
        await runs.release([begun.run_id, skipped.run_id])
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        assert await runs.unfinished() == [begun]
        assert await runs.run(skipped.run_id) == skipped
        assert await runs.claim([run(slot=0), run(slot=1)], [STATE]) == [True, True]


async def test_history_is_newest_first_and_tells_of_what_runs(tmp_path: Path) -> None:
    a, b, c, d = run("a", 3), run("b", 2), run("a", 1), run("b", 0)
    queued = run("a", 9)
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        for one in (a, b, c, d, queued):
            await runs.claim([one], ())
        await runs.finish(end(begin(d), Outcome.FAILURE))
        await runs.finish(end(begin(b)))
        await runs.finish(end(begin(a)))
        runs.begun(begin(c))
        assert await runs.history(None, 10, None) == [d, c, b, a]
        assert await runs.history(None, 2, None) == [d, c]
        assert await runs.history("a", 10, None) == [c, a]
        assert await runs.history("a", 1, "success") == [a]
        assert await runs.history(None, 10, "failure") == [d]
        assert await runs.history("nobody", 10, None) == []


async def test_details_are_found_again_but_neither_all_at_once_nor_with_the_last_runs(tmp_path: Path) -> None:
    first, second = run(slot=0), run(slot=1)
    first.details = {"session_id": "one", "stderr": "x" * 500}
    second.details = {"denials": [{"tool": "Bash", "input": {"command": "ü\udcff"}}], "turns": 2}
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        await finished(runs, end(begin(first), output="1"), end(begin(second), output="2"))
        assert await runs.run(second.run_id) == second
        assert await runs.history(None, 10, None) == [second, first]
        cut = await runs.history(None, 10, None, outputs=400)
        assert [(each.details, each.output) for each in cut] == [(second.details, "2"), (None, "1")]
        assert [each.details for each in (await runs.last_runs()).values()] == [None]


async def test_the_last_run_is_the_one_that_ended_last_and_no_missed_slot(tmp_path: Path) -> None:
    time = Time()
    long, skipped, missed, other = run(slot=0), run(slot=1), run(slot=2), run("other")
    async with opened(tmp_path / "aiemp.db", time) as (_, runs):
        assert await runs.last_runs() == {}
        await runs.claim([long, other, end(run("never ran"), Outcome.MISSED)], ())
        runs.begun(begin(long))
        await runs.claim([end(skipped, Outcome.SKIPPED)], ())
        assert await runs.last_runs() == {"report": skipped}
        time.now += timedelta(seconds=5)
        await runs.finish(end(long, output="much"))
        time.now += timedelta(seconds=5)
        await runs.claim([end(missed, Outcome.MISSED)], ())
        long.output = ""
        assert await runs.last_runs() == {"report": long}


async def test_statistics_count_what_really_ran(tmp_path: Path) -> None:
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        those = [end(begin(run("a", number)), duration=number) for number in (3.0, 1.0, 2.0)]
        those[0].cost_usd, those[1].cost_usd = 0.5, 0.25
        those += [
            end(begin(run("a", 4)), Outcome.FAILURE, 4.0),
            end(begin(run("a", 5)), Outcome.INTERRUPTED, None),
            end(run("a", 6), Outcome.SKIPPED, None),
            end(run("a", 7), Outcome.MISSED, None),
            end(run("a", 8), Outcome.CANCELLED, None),  # before it began
            end(begin(run("b")), Outcome.INTERRUPTED, None),
            end(run("c"), Outcome.SKIPPED, None),
        ]
        await finished(runs, *those)
        await runs.claim([begin(run("a", 9))], ())
        assert await runs.statistics() == [
            Statistics("a", runs=5, success_rate=0.6, p50=2.0, p95=4.0, cost_usd=0.75),
            Statistics("b", runs=1, success_rate=0.0, p50=None, p95=None, cost_usd=0.0),
        ]


@pytest.mark.parametrize(("number", "p50", "p95"), [(1, 1, 1), (2, 1, 2), (19, 10, 19), (20, 10, 19), (100, 50, 95)])
async def test_percentiles_are_nearest_ranks(tmp_path: Path, number: int, p50: float, p95: float) -> None:
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        those = [end(begin(run(slot=each)), duration=each) for each in range(number, 0, -1)]
        await runs.claim(those, ())
        assert [(found.p50, found.p95) for found in await runs.statistics()] == [(p50, p95)]


async def test_what_ended_long_ago_is_pruned_and_what_has_not_ended_never(tmp_path: Path) -> None:
    time = Time()
    old = [end(run(slot=number), Outcome.SKIPPED) for number in range(PRUNED_AT_ONCE + 1)]
    forgotten, recent = run(slot=-1), run(slot=-2)
    async with opened(tmp_path / "aiemp.db", time) as (_, runs):
        await runs.claim([*old, forgotten], ())
        time.now += timedelta(days=90)
        await finished(runs, end(begin(recent)))
        assert await runs.prune(NOW) == 0
        assert await runs.prune(time.now) == len(old)
        assert await runs.history(None, 10, None) == [recent]
        assert await runs.unfinished() == [forgotten]


async def test_small_facts_are_kept(tmp_path: Path) -> None:
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        assert await runs.setting("scheduler.paused") is None
        runs.put_setting("scheduler.paused", "no")
        runs.put_setting("scheduler.paused", "yes")
        runs.put_setting("gone", "x")
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        assert await runs.setting("scheduler.paused") == "yes"
        runs.put_setting("gone", None)
        assert await runs.setting("gone") is None


async def test_a_state_that_is_saved_while_a_claim_waits_is_the_one_that_stays(tmp_path: Path) -> None:
    newer = replace(STATE, successes=4)
    async with opened(tmp_path / "aiemp.db") as (_, runs):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(runs.claim, [run()], [STATE])
            await anyio.lowlevel.checkpoint()
            runs.save_state(newer)
        assert await runs.states() == {"report": newer}


@given(st.datetimes(timezones=st.just(UTC)))
def test_moments_are_kept_to_the_microsecond(moment: datetime) -> None:
    assert moment_of(micros(moment)) == moment
