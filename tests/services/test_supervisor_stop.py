"""The supervisor on a manual clock: stops to the very end, and what comes in between."""

from fake_machine import World, up, watcher, world
from manual_clock import at_rest

from orchestrator.config.model import Backoff, Ready
from orchestrator.supervise.states import State
from orchestrator.supervise.verdict import Verb


async def test_stop_escalates_to_kill_after_stop_timeout() -> None:
    async with world(watcher("a", stop_signal=2, stop_timeout=10.0)) as w:
        w.machine.stubborn.add("a")
        await up(w, "a")
        request = await w.ask(Verb.STOP, "a")
        assert (w.state("a"), request.done) == (State.STOPPING, False)
        await w.clock.advance(10)
        assert request.ok == {"a": True}
        assert w.machine.signals == [(1, "a", 2), (11, "a", 9)]


async def test_a_stop_waits_for_the_whole_group() -> None:
    async with world(watcher("a", stop_timeout=10.0)) as w:
        w.machine.forking.add("a")
        w.machine.stubborn_children.add("a")
        await up(w, "a")
        request = await w.ask(Verb.STOP, "a")
        await w.clock.advance(9.9)
        assert (w.state("a"), request.done) == (State.STOPPING, False)
        assert "left behind" in w.reason("a")
        await w.clock.advance(1)
        assert request.ok == {"a": True}
        assert [number for _, _, number in w.machine.signals] == [15, 9]
        assert w.machine.process("a") is None


async def test_what_a_crash_left_behind_ends_before_the_next_start() -> None:
    async with world(watcher("a", stop_timeout=10.0)) as w:
        w.machine.stubborn_children.add("a")
        await up(w, "a")
        w.machine.die("a", survivors=True)
        await w.clock.advance(9.9)
        assert (w.state("a"), w.machine.count("a")) == (State.STOPPING, 1)
        await w.clock.advance(1)
        assert w.machine.count("a") == 2
        assert w.describe("a")["restarts"] == 1


async def test_survivors_that_end_by_themselves_are_noticed_soon_also_beside_stubborn_ones() -> None:
    async with world(watcher("slow", stop_timeout=100.0), watcher("a")) as w:
        w.machine.stubborn_children |= {"slow", "a"}
        await up(w, "slow", "a")
        w.machine.die("slow", survivors=True)
        await w.clock.advance(50)
        w.machine.die("a", survivors=True)
        await at_rest()
        w.machine.end_survivors("a")
        await w.clock.advance(0.02)
        assert w.machine.count("a") == 2


async def test_stop_during_start_and_start_during_stop() -> None:
    async with world(watcher("a")) as w:
        w.machine.stubborn.add("a")
        started = await w.ask(Verb.START, "a")
        stopped = await w.ask(Verb.STOP, "a")
        assert started.ok == {"a": False}
        assert "stopped meanwhile" in started.message("a")
        again = await w.ask(Verb.START, "a")
        assert w.machine.count("a") == 1  # the old one still lives
        await w.clock.advance(10)
        assert stopped.ok == {"a": True}
        assert w.machine.count("a") == 2
        await w.clock.advance(1)
        assert again.ok == {"a": True}


async def test_the_last_of_several_wishes_wins() -> None:
    async with world(watcher("a")) as w:
        w.machine.stubborn.add("a")
        await up(w, "a")
        for verb in (Verb.STOP, Verb.START, Verb.STOP, Verb.RESTART, Verb.STOP):
            await w.ask(verb, "a")
        await w.clock.advance(100)
        assert w.state("a") is State.STOPPED
        assert w.machine.count("a") == 1


async def test_a_restart_by_a_person_never_counts() -> None:
    async with world(watcher("a")) as w:
        await up(w, "a")
        for _ in range(20):
            request = await w.ask(Verb.RESTART, "a")
            await w.clock.advance(1)
            assert request.ok == {"a": True}
        assert w.machine.count("a") == 21
        assert w.describe("a")["restarts"] == 0


async def test_independent_watchers_stop_in_parallel() -> None:
    names = [f"w{number}" for number in range(10)]
    async with world(*(watcher(name, stop_timeout=10.0) for name in names)) as w:
        w.machine.stubborn |= set(names)
        await up(w, *names)
        request = await w.ask(Verb.STOP, *names)
        await w.clock.advance(10)
        assert request.ok == dict.fromkeys(names, True)


async def test_who_waits_too_long_is_told_so_and_the_stop_goes_on() -> None:
    async with world(watcher("a", stop_timeout=100.0)) as w:
        w.machine.stubborn.add("a")
        await up(w, "a")
        request = await w.ask(Verb.STOP, "a", timeout=5.0)
        await w.clock.advance(5)
        assert request.ok == {"a": False}
        assert "still stopping after 5 s" in request.message("a")
        await w.clock.advance(95)
        assert w.state("a") is State.STOPPED


async def test_signals_reach_the_process_or_nobody() -> None:
    async with world(watcher("a")) as w:
        assert not w.supervisor.signal("a", 10).ok
        await up(w, "a")
        assert w.supervisor.signal("a", 10).ok
        assert w.machine.signals == [(1, "a", 10)]


async def test_stop_all_stops_dependents_first_and_kills_what_is_left_in_time() -> None:
    async with world(watcher("db"), watcher("web", needs=["db"]), watcher("x", stop_timeout=1000.0)) as w:
        w.machine.stubborn.add("x")
        await up(w, "db", "x")
        await up(w, "web")
        outcome: list[bool] = []
        w._tasks.start_soon(_note, outcome, w)
        await at_rest()
        assert [(name, number) for _, name, number in w.machine.signals] == [("web", 15), ("x", 15), ("db", 15)]
        await w.clock.advance(18.9)
        assert outcome == []
        await w.clock.advance(0.2)
        assert outcome == [True]
        assert w.machine.processes == {}
        assert set(w.states().values()) == {"stopped"}


async def test_stop_all_ends_in_time_though_someone_cannot_be_killed() -> None:
    async with world(watcher("a"), watcher("b", needs=["a"])) as w:
        w.machine.immortal.add("b")
        await up(w, "a")
        await up(w, "b")
        outcome: list[bool] = []
        w._tasks.start_soon(_note, outcome, w)
        await w.clock.advance(20)
        assert outcome == [False]
        assert w.states() == {"a": "stopped", "b": "stopping"}


async def _note(outcome: list[bool], w: World) -> None:
    outcome.append(await w.supervisor.stop_all(20.0))


async def test_stop_all_of_nothing_is_done_at_once() -> None:
    async with world(watcher("a")) as w:
        assert await w.supervisor.stop_all(20.0)
        assert w.clock.t == 0


async def test_starts_that_were_held_back_do_not_happen_after_all() -> None:
    async with world(watcher("db", ready=Ready.NOTIFY), watcher("web", needs=["db"])) as w:
        await w.ask(Verb.START, "web")
        w.supervisor.kill_all()
        await w.clock.advance(100)
        assert w.states() == {"db": "stopped", "web": "stopped"}
        assert w.machine.count("web") == 0


async def test_what_waited_to_be_started_again_stays_dead_once_everything_is_killed() -> None:
    async with world(watcher("db"), watcher("web", needs=["db"])) as w:
        await up(w, "db")
        await up(w, "web")
        w.machine.stubborn.add("web")
        w.machine.die("db")
        await at_rest()
        w.machine.die("db")
        await at_rest()
        assert w.state("db") is State.BACKOFF
        w.supervisor.kill_all()
        await w.clock.advance(100)
        assert w.states() == {"db": "stopped", "web": "stopped"}
        assert w.machine.processes == {}


async def in_backoff_beside_a_dependent_that_ignores_term(w: World) -> None:
    await up(w, "db")
    await up(w, "web")
    w.machine.stubborn.add("web")
    for _ in range(2):
        w.machine.die("db")
        await at_rest()
    assert w.states() == {"db": "backoff", "web": "running"}


async def test_a_stop_held_back_for_others_ends_a_backoff_at_once() -> None:
    async with world(watcher("db"), watcher("web", needs=["db"])) as w:
        await in_backoff_beside_a_dependent_that_ignores_term(w)
        request = await w.ask(Verb.STOP, "db")
        await w.clock.advance(9)
        assert w.states() == {"db": "stopped", "web": "stopping"}
        await w.clock.advance(2)
        assert request.ok == {"db": True, "web": True}
        assert w.machine.count("db") == 2


async def test_a_restart_held_back_for_others_ends_a_backoff_at_once_and_starts_after_them() -> None:
    async with world(watcher("db"), watcher("web", needs=["db"])) as w:
        await in_backoff_beside_a_dependent_that_ignores_term(w)
        request = await w.ask(Verb.RESTART, "db")
        await w.clock.advance(9)
        assert w.states() == {"db": "stopped", "web": "stopping"}
        await w.clock.advance(3)
        assert request.ok == {"db": True, "web": True}
        assert w.states() == {"db": "running", "web": "running"}
        assert w.machine.count("db") == 3


async def test_a_watcher_removed_in_backoff_is_not_started_again_while_others_still_need_it() -> None:
    async with world(watcher("db", backoff=Backoff(initial=1.0)), watcher("web", needs=["db"])) as w:
        await in_backoff_beside_a_dependent_that_ignores_term(w)
        w.supervisor.remove(["db", "web"])
        await w.clock.advance(20)
        assert w.machine.count("db") == 2
        assert w.states() == {}


async def test_a_held_stop_keeps_what_a_crash_left_behind_from_being_followed_by_a_start() -> None:
    async with world(watcher("db", stop_timeout=5.0), watcher("web", needs=["db"], stop_timeout=20.0)) as w:
        w.machine.stubborn_children.add("db")
        w.machine.stubborn.add("web")
        await up(w, "db")
        await up(w, "web")
        w.machine.die("db", survivors=True)
        await at_rest()
        request = await w.ask(Verb.STOP, "db")
        await w.clock.advance(10)
        assert w.states() == {"db": "stopped", "web": "stopping"}
        await w.clock.advance(15)
        assert request.ok == {"db": True, "web": True}
        assert w.machine.count("db") == 1
