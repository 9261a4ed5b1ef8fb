"""The supervisor on a manual clock: starts, deaths, restarts and their times, health."""

import pytest
from fake_machine import up, watcher, world
from manual_clock import at_rest

from orchestrator.config.model import Backoff, CrashLoop, Ready, Restart
from orchestrator.events import WatcherDied, WatcherRestarted, WatcherSaid
from orchestrator.processes.children import SpawnTrouble
from orchestrator.processes.programs import Unlaunchable
from orchestrator.supervise.states import State
from orchestrator.supervise.verdict import Verb

NO_WAIT = Backoff(initial=0.0)


async def test_a_start_is_done_when_the_process_has_stayed_up() -> None:
    async with world(watcher("a")) as w:
        request = await w.ask(Verb.START, "a")
        assert w.state("a") is State.STARTING
        await w.clock.advance(0.99)
        assert not request.done
        await w.clock.advance(0.01)
        assert request.ok == {"a": True}
        assert w.history("a") == ["starting", "running"]
        assert w.describe("a")["uptime_seconds"] == 1.0
        assert w.describe("a")["ready"] is True


async def test_a_start_of_what_runs_does_nothing_and_is_done() -> None:
    async with world(watcher("a")) as w:
        await up(w, "a")
        request = await w.ask(Verb.START, "a")
        assert request.ok == {"a": True}
        assert w.machine.count("a") == 1


async def test_a_stop_of_what_is_stopped_does_nothing_and_is_done() -> None:
    async with world(watcher("a")) as w:
        request = await w.ask(Verb.STOP, "a")
        assert request.ok == {"a": True}
        assert w.machine.signals == []


async def test_ready_notify_waits_for_the_word() -> None:
    async with world(watcher("a", ready=Ready.NOTIFY, start_seconds=0.0)) as w:
        request = await w.ask(Verb.START, "a")
        await w.clock.advance(29)
        assert (w.state("a"), request.done, w.describe("a")["ready"]) == (State.STARTING, False, False)
        w.machine.say("a", READY="1", STATUS="at work")
        await at_rest()
        assert request.ok == {"a": True}
        assert w.describe("a")["status_text"] == "at work"


async def test_ready_before_start_seconds_counts_when_they_have_passed() -> None:
    async with world(watcher("a", ready=Ready.NOTIFY, start_seconds=2.0)) as w:
        await w.ask(Verb.START, "a")
        await w.clock.advance(0.5)
        w.machine.say("a", READY="1")
        await w.clock.advance(1.5)
        assert w.history("a") == ["starting", "running"]
        assert w.clock.t == 2.0


async def test_ready_timeout_counts_as_an_automatic_restart() -> None:
    async with world(watcher("a", ready=Ready.NOTIFY, ready_timeout=5.0)) as w:
        w.machine.stubborn.add("a")
        request = await w.ask(Verb.START, "a")
        await w.clock.advance(5)
        assert request.ok == {"a": False}
        assert "not ready within 5 s" in request.message("a")
        await w.clock.advance(10)
        assert w.machine.count("a") == 2
        assert w.describe("a")["restarts"] == 1


async def test_a_word_said_just_in_time_counts_though_it_is_heard_together_with_the_deadline() -> None:
    async with world(watcher("a", ready=Ready.NOTIFY, ready_timeout=5.0)) as w:
        await w.ask(Verb.START, "a")
        w.machine.say("a", READY="1")
        await w.clock.advance(5)
        assert w.state("a") is State.RUNNING


async def test_what_was_said_before_death_is_not_the_successors() -> None:
    async with world(watcher("a", ready=Ready.NOTIFY, start_seconds=0.0)) as w:
        await w.ask(Verb.START, "a")
        w.machine.say("a", READY="1", STATUS="from the first")
        w.machine.die("a")
        await at_rest()
        assert w.machine.count("a") == 2
        assert w.state("a") is State.STARTING
        assert w.describe("a")["status_text"] is None


async def test_ready_and_done_at_once_is_a_clean_exit() -> None:
    async with world(watcher("a", ready=Ready.NOTIFY, start_seconds=0.0, restart=Restart.ON_FAILURE)) as w:
        request = await w.ask(Verb.START, "a")
        w.machine.die("a", 0)
        w.machine.say("a", READY="1")
        await at_rest()
        assert w.state("a") is State.EXITED
        assert request.ok == {"a": True}


async def test_disabled_watchers_are_not_started_and_say_why() -> None:
    async with world(watcher("a", enabled=False)) as w:
        for verb in (Verb.START, Verb.RESTART):
            request = await w.ask(verb, "a")
            assert request.ok == {"a": False}
            assert "disabled" in request.message("a")
        assert w.machine.spawns == []


async def test_restarts_come_at_once_then_after_1_2_4_8_seconds_then_never_again() -> None:
    async with world(watcher("a")) as w:
        request = await w.ask(Verb.START, "a")
        for wait in (0.0, 1.0, 2.0, 4.0, 8.0):
            before = w.machine.count("a")
            w.machine.die("a")
            await at_rest()
            if wait:
                assert w.state("a") is State.BACKOFF
                assert f"waits {wait:g} s" in w.reason("a")
                await w.clock.advance(wait - 0.01)
                assert w.machine.count("a") == before
                await w.clock.advance(0.01)
            assert w.machine.count("a") == before + 1
        w.machine.die("a")
        await w.clock.advance(100_000)
        assert w.machine.count("a") == 6
        assert w.state("a") is State.PAUSED
        assert w.describe("a")["restarts"] == 5
        assert "restarted 5 times within 600 s" in w.reason("a")
        assert "last words of a" in w.reason("a")
        assert request.ok == {"a": False}
        assert "running" not in w.history("a")
        assert w.history("a")[-1] == "paused"


@pytest.mark.parametrize("verb", [Verb.RESUME, Verb.START, Verb.RESTART])
async def test_a_paused_watcher_is_taken_up_again_with_a_clear_window(verb: Verb) -> None:
    async with world(watcher("a", backoff=NO_WAIT)) as w:
        await w.ask(Verb.START, "a")
        for _ in range(6):
            w.machine.die("a")
            await at_rest()
        assert w.state("a") is State.PAUSED
        request = await w.ask(verb, "a")
        assert not request.done
        assert w.describe("a")["restarts_in_window"] == 0
        await w.clock.advance(1)
        assert request.ok == {"a": True}
        for _ in range(6):
            w.machine.die("a")
            await at_rest()
        assert w.machine.count("a") == 12
        assert w.state("a") is State.PAUSED


async def test_resume_of_what_is_not_paused_clears_the_window_only() -> None:
    async with world(watcher("a", backoff=NO_WAIT), watcher("b")) as w:
        await w.ask(Verb.START, "a")
        for _ in range(5):
            w.machine.die("a")
            await at_rest()
        request = await w.ask(Verb.RESUME, "a", "b")
        assert request.ok == {"a": True, "b": True}
        assert "not paused" in request.message("a")
        assert (w.machine.count("a"), w.machine.count("b")) == (6, 0)
        w.machine.die("a")
        await at_rest()
        assert w.machine.count("a") == 7


async def test_resume_of_a_crash_that_goes_on_says_so() -> None:
    async with world(watcher("a", crash_loop=CrashLoop(max_restarts=0))) as w:
        await w.ask(Verb.START, "a")
        w.machine.die("a")
        await at_rest()
        request = await w.ask(Verb.RESUME, "a")
        w.machine.die("a", 7)
        await at_rest()
        assert request.ok == {"a": False}
        assert "exit code 7" in request.message("a")


async def test_a_healthy_time_ends_the_streak() -> None:
    async with world(watcher("a")) as w:
        await w.ask(Verb.START, "a")
        w.machine.die("a")
        await w.clock.advance(60)
        w.machine.die("a")
        await at_rest()
        assert w.state("a") is State.STARTING  # at once again
        assert [at for at, _ in w.machine.spawns] == [0, 0, 60]


async def test_deaths_are_told_before_deadlines() -> None:
    async with world(watcher("a", watchdog=5.0)) as w:
        await up(w, "a")
        await w.clock.advance(4.999)
        w.machine.die("a", 0)
        await w.clock.advance(0.001)
        died = [fact for fact in w.facts if isinstance(fact, WatcherDied)]
        assert [(fact.code, fact.signal, fact.uptime_seconds) for fact in died] == [(0, None, 5.999)]
        assert w.machine.signals == []


async def test_the_facts_of_a_restart_name_its_cause_and_the_uptime() -> None:
    async with world(watcher("a")) as w:
        await up(w, "a")
        await w.clock.advance(9)
        w.machine.die("a", None, signal_="SIGKILL")
        await at_rest()
        died = next(fact for fact in w.facts if isinstance(fact, WatcherDied))
        assert (died.signal, died.uptime_seconds, died.expected) == ("SIGKILL", 10.0, False)
        restarted = next(fact for fact in w.facts if isinstance(fact, WatcherRestarted))
        assert (restarted.cause, restarted.restarts) == ("killed by SIGKILL", 1)
        assert w.describe("a")["last_exit"] == {"code": None, "signal": "SIGKILL", "at": "2026-11-20T23:30:10Z"}


async def test_the_uptime_of_a_stopped_process_is_known_too() -> None:
    async with world(watcher("a")) as w:
        await up(w, "a")
        await w.clock.advance(41)
        await w.ask(Verb.STOP, "a")
        died = next(fact for fact in w.facts if isinstance(fact, WatcherDied))
        assert (died.uptime_seconds, died.expected) == (42.0, True)


@pytest.mark.parametrize(
    ("restart", "code", "ends_in"),
    [
        (Restart.ALWAYS, 0, State.STARTING),
        (Restart.ON_FAILURE, 0, State.EXITED),
        (Restart.ON_FAILURE, 1, State.STARTING),
        (Restart.NEVER, 0, State.EXITED),
        (Restart.NEVER, 1, State.EXITED),
    ],
)
async def test_the_restart_policy_decides(restart: Restart, code: int, ends_in: State) -> None:
    async with world(watcher("a", restart=restart)) as w:
        await up(w, "a")
        w.machine.die("a", code)
        await at_rest()
        assert w.state("a") is ends_in


async def test_a_spawn_that_fails_for_want_of_resources_is_tried_again() -> None:
    async with world(watcher("a")) as w:
        w.machine.trouble["a"] = [SpawnTrouble("no processes left", transient=True)] * 2
        request = await w.ask(Verb.START, "a")
        assert w.state("a") is State.BACKOFF
        assert request.ok == {"a": False}
        assert "no processes left" in w.reason("a")
        await w.clock.advance(2.1)
        assert [round(at, 3) for at, _ in w.machine.spawns] == [0, 0.1, 1.1]
        assert w.state("a") is State.RUNNING
        assert w.describe("a")["restarts"] == 2


async def test_spawns_that_go_on_failing_leave_everybody_else_their_turn() -> None:
    async with world(watcher("a", backoff=NO_WAIT, crash_loop=CrashLoop(max_restarts=10**9)), watcher("b")) as w:
        w.machine.trouble["a"] = [SpawnTrouble("text file busy", transient=True)] * 1000
        await w.ask(Verb.START, "a", "b")
        await w.clock.advance(1.0)
        assert w.state("b") is State.RUNNING
        assert 2 <= w.machine.count("a") <= 11


@pytest.mark.parametrize("error", [Unlaunchable("no such command"), SpawnTrouble("no interpreter", transient=False)])
async def test_what_cannot_be_started_is_fatal_until_someone_says_start(error: Exception) -> None:
    async with world(watcher("a")) as w:
        w.machine.trouble["a"] = [error, error]
        request = await w.ask(Verb.START, "a")
        assert (request.ok, request.message("a")) == ({"a": False}, str(error))
        await w.clock.advance(10_000)
        assert (w.state("a"), w.machine.count("a"), w.reason("a")) == (State.FATAL, 1, str(error))
        await w.ask(Verb.START, "a")
        assert w.state("a") is State.FATAL
        request = await w.ask(Verb.START, "a")
        await w.clock.advance(1)
        assert request.ok == {"a": True}


async def test_the_watchdog_restarts_who_falls_silent() -> None:
    async with world(watcher("a", watchdog=5.0)) as w:
        await up(w, "a")
        for _ in range(10):
            await w.clock.advance(4.9)
            w.machine.say("a", WATCHDOG="1")
            await at_rest()
        assert w.machine.count("a") == 1
        await w.clock.advance(5)
        assert w.machine.count("a") == 2
        cause = next(fact.cause for fact in w.facts if isinstance(fact, WatcherRestarted))
        assert "watchdog" in cause


@pytest.mark.parametrize("watched", [True, False])
async def test_an_adopted_process_is_judged_only_by_a_watchdog_that_it_was_told_of(*, watched: bool) -> None:
    async with world(watcher("a", watchdog=5.0)) as w:
        w.supervisor.adopt("a", w.machine.adopt("a"), 100.0, watched=watched)
        await w.clock.advance(6)
        assert w.machine.count("a") == (1 if watched else 0)


async def test_a_watcher_may_ask_for_a_restart() -> None:
    async with world(watcher("a")) as w:
        await up(w, "a")
        w.machine.say("a", WATCHDOG="trigger")
        await at_rest()
        assert w.machine.count("a") == 2
        assert w.describe("a")["restarts"] == 1


async def test_the_memory_limit_restarts_who_exceeds_it() -> None:
    async with world(watcher("a", memory_limit=100 * 2**20), watcher("b")) as w:
        w.machine.rss = {"a": 100 * 2**20, "b": 10**12}
        await up(w, "a", "b")
        await w.clock.advance(60)
        assert (w.machine.count("a"), w.machine.count("b")) == (1, 1)
        w.machine.rss["a"] += 1
        await w.clock.advance(10)
        assert (w.machine.count("a") > 1, w.machine.count("b")) == (True, 1)
        cause = next(fact.cause for fact in w.facts if isinstance(fact, WatcherRestarted))
        assert "memory" in cause
        assert "100 MiB" in cause


async def test_status_texts_are_kept_until_the_process_ends() -> None:
    async with world(watcher("a")) as w:
        await up(w, "a")
        for text in ("one", "one", "x" * 1000):
            w.machine.say("a", STATUS=text)
            await at_rest()
        assert [fact.text for fact in w.facts if isinstance(fact, WatcherSaid)] == ["one", "x" * 200]
        w.machine.say("a", STOPPING="1")
        await at_rest()
        assert w.describe("a")["status_text"] == "stopping"
        w.machine.die("a")
        await at_rest()
        assert w.describe("a")["status_text"] is None


async def test_status_texts_hold_no_secrets_also_where_they_are_cut() -> None:
    async with world(watcher("a")) as w:
        await up(w, "a")
        w.machine.say("a", STATUS="x" * 195 + "s3cr3t-value")
        await at_rest()
        assert w.describe("a")["status_text"] == "x" * 195 + "[reda"
        assert [fact.text for fact in w.facts if isinstance(fact, WatcherSaid)] == ["x" * 195 + "[reda"]


async def test_messages_to_and_from_nobody_disturb_nobody() -> None:
    async with world(watcher("a")) as w:
        w.machine.say("stranger", READY="1", WATCHDOG="trigger", STATUS="?")
        w.machine.say("a", READY="1", WATCHDOG="trigger", STOPPING="1")
        await at_rest()
        assert w.state("a") is State.STOPPED
        await up(w, "a")
