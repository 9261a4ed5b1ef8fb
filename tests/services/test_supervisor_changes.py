"""The supervisor on a manual clock: watchers added, changed, adopted and removed."""

from typing import Any

import pytest
from fake_machine import up, watcher, world
from manual_clock import at_rest

from orchestrator.config.model import Backoff, Ready
from orchestrator.events import WatcherDied
from orchestrator.supervise.states import State
from orchestrator.supervise.verdict import Verb


async def test_a_removed_watcher_is_stopped_then_forgotten() -> None:
    async with world(watcher("a"), watcher("b")) as w:
        w.machine.stubborn.add("a")
        await up(w, "a")
        w.supervisor.remove(["a", "b"])
        assert list(w.supervisor.keepers) == ["a"]
        await w.clock.advance(10)
        assert w.supervisor.keepers == {}
        assert w.machine.opened == set()


async def test_a_removed_watcher_cannot_be_started_again_while_it_goes() -> None:
    async with world(watcher("a")) as w:
        w.machine.stubborn.add("a")
        await up(w, "a")
        w.supervisor.remove(["a"])
        for verb in (Verb.START, Verb.RESTART):
            request = await w.ask(verb, "a")
            assert request.ok == {"a": False}
            assert "no longer configured" in request.message("a")
        await w.clock.advance(10)
        assert w.supervisor.keepers == {}
        assert w.machine.count("a") == 1


async def test_who_waits_for_a_watcher_that_is_removed_is_told() -> None:
    async with world(watcher("a", ready=Ready.NOTIFY), watcher("b", needs=["a"])) as w:
        request = await w.ask(Verb.START, "b")
        stopping = await w.ask(Verb.STOP, "a")
        w.supervisor.remove(["a", "b"])
        await at_rest()
        assert request.ok == {"a": False, "b": False}
        assert stopping.ok["a"]


async def test_removed_and_added_again_meanwhile_there_is_one_process_after_the_other() -> None:
    async with world(watcher("a")) as w:
        w.machine.stubborn.add("a")
        await up(w, "a")
        w.supervisor.remove(["a"])
        w.supervisor.add(watcher("a"))
        request = await w.ask(Verb.START, "a")
        await w.clock.advance(11)
        assert request.ok == {"a": True}
        assert w.machine.count("a") == 2
        assert w.machine.opened == {"a"}


async def test_a_removed_dependency_goes_when_its_dependent_no_longer_needs_it() -> None:
    async with world(watcher("db"), watcher("web", needs=["db"])) as w:
        await up(w, "db")
        await up(w, "web")
        w.supervisor.add(watcher("web"))
        w.supervisor.remove(["db"])
        await at_rest()
        assert w.states() == {"web": "running"}


async def test_new_limits_hold_for_the_running_process() -> None:
    async with world(watcher("a", stop_timeout=1000.0)) as w:
        w.machine.stubborn.add("a")
        await up(w, "a")
        w.supervisor.add(watcher("a", stop_timeout=2.0))
        request = await w.ask(Verb.STOP, "a")
        await w.clock.advance(2)
        assert request.ok == {"a": True}


async def test_a_watchdog_switched_on_counts_from_then() -> None:
    async with world(watcher("a")) as w:
        await up(w, "a")
        await w.clock.advance(1000)
        w.supervisor.add(watcher("a", watchdog=5.0))
        await w.clock.advance(4)
        assert w.machine.count("a") == 1
        w.machine.say("a", WATCHDOG="1")
        await w.clock.advance(4)
        assert w.machine.count("a") == 1


async def test_an_earlier_deadline_by_a_change_is_kept() -> None:
    async with world(watcher("a", start_seconds=1000.0)) as w:
        await w.ask(Verb.START, "a")
        await w.clock.advance(50)
        w.supervisor.add(watcher("a", start_seconds=60.0))
        await w.clock.advance(10)
        assert w.state("a") is State.RUNNING


async def test_an_adopted_process_is_kept_like_any_other() -> None:
    async with world(watcher("a", ready=Ready.NOTIFY)) as w:
        w.supervisor.adopt("a", w.machine.adopt("a"), 100.0)
        assert (w.state("a"), w.describe("a")["adopted"], w.describe("a")["uptime_seconds"]) == (
            State.RUNNING,
            True,
            100.0,
        )
        w.machine.die("a", None)
        await at_rest()
        died = next(fact for fact in w.facts if isinstance(fact, WatcherDied))
        assert (died.code, died.signal, died.uptime_seconds) == (None, None, 100.0)
        assert w.describe("a")["adopted"] is False
        assert w.machine.count("a") == 1


@pytest.mark.parametrize(
    ("patterns", "found", "unknown"),
    [
        (["all"], ["inbox", "mail", "mail2"], []),
        (["mail*", "inbox"], ["inbox", "mail", "mail2"], []),
        (["mail?"], ["mail2"], []),
        (["nobody", "x*", "inbox"], ["inbox"], ["nobody", "x*"]),
        (["[im]*l"], ["mail"], []),
    ],
)
async def test_globs_find_watchers_in_the_files_order(
    patterns: list[str], found: list[str], unknown: list[str]
) -> None:
    async with world(watcher("inbox"), watcher("mail"), watcher("mail2")) as w:
        assert w.supervisor.match(patterns) == (found, unknown)


@pytest.mark.parametrize("seconds", [0.1, 0.3, 1.1, 7.7, 1e-9])
@pytest.mark.parametrize("key", ["start_seconds", "watchdog"])
async def test_deadlines_that_are_no_round_numbers_do_not_keep_the_loop_busy(seconds: float, key: str) -> None:
    policy: dict[str, Any] = {key: seconds, "stop_timeout": 0.1, "backoff": Backoff(initial=0.7)}
    async with world(watcher("a", **policy)) as w:
        await w.clock.advance(12_345.678)
        await w.ask(Verb.START, "a")
        for step in range(50):  # at_rest() inside fails when a task never comes to rest
            await w.clock.advance(0.1 * step)
