"""The supervisor on a manual clock: who is started after whom and stopped before whom."""

import pytest
from fake_machine import up, watcher, world
from manual_clock import at_rest

from orchestrator.config.model import CrashLoop, Ready, Restart
from orchestrator.processes.programs import Unlaunchable
from orchestrator.supervise.states import State
from orchestrator.supervise.verdict import Verb


async def test_a_start_pulls_in_what_is_needed_in_order() -> None:
    async with world(watcher("web", needs=["app"]), watcher("app", needs=["db"]), watcher("db"), watcher("x")) as w:
        request = await w.ask(Verb.START, "web")
        assert w.states() == {"web": "stopped", "app": "stopped", "db": "starting", "x": "stopped"}
        assert "waits for app" in w.reason("web")
        assert w.describe("web")["wanted"] is True
        await w.clock.advance(1)
        assert w.states() == {"web": "stopped", "app": "starting", "db": "running", "x": "stopped"}
        await w.clock.advance(2)
        assert request.ok == {"web": True, "app": True, "db": True}
        assert [name for _, name in w.machine.spawns] == ["db", "app", "web"]


async def test_a_stop_takes_what_depends_on_it_first() -> None:
    async with world(watcher("db"), watcher("app", needs=["db"]), watcher("web", needs=["app"])) as w:
        w.machine.stubborn |= {"db", "app", "web"}
        await up(w, "db")
        await up(w, "app")
        await up(w, "web")
        request = await w.ask(Verb.STOP, "db")
        await w.clock.advance(9.9)
        assert w.states() == {"db": "running", "app": "running", "web": "stopping"}
        await w.clock.advance(10)
        assert w.states() == {"db": "running", "app": "stopping", "web": "stopped"}
        await w.clock.advance(11)
        assert request.ok == {"db": True, "app": True, "web": True}


async def test_a_restart_of_a_dependency_restarts_what_depends_on_it_in_order() -> None:
    async with world(watcher("db"), watcher("web", needs=["db"]), watcher("idle", needs=["db"])) as w:
        await up(w, "db")
        await up(w, "web")
        request = await w.ask(Verb.RESTART, "db")
        assert w.states() == {"db": "starting", "web": "stopped", "idle": "stopped"}
        await w.clock.advance(2)
        assert request.ok == {"db": True, "web": True}
        assert [name for _, name in w.machine.spawns] == ["db", "web", "db", "web"]
        assert w.state("idle") is State.STOPPED


async def test_a_crash_of_a_dependency_leaves_the_others_alone() -> None:
    async with world(watcher("db"), watcher("web", needs=["db"])) as w:
        await up(w, "db")
        await up(w, "web")
        w.machine.die("db")
        await w.clock.advance(5)
        assert (w.machine.count("db"), w.machine.count("web")) == (2, 1)


@pytest.mark.parametrize("how", ["fatal", "paused", "disabled", "exited"])
async def test_a_start_that_waits_for_a_hopeless_one_fails_saying_for_whom(how: str) -> None:
    db = watcher(
        "db",
        enabled=how != "disabled",
        crash_loop=CrashLoop(max_restarts=0),
        restart=Restart("never" if how == "exited" else "always"),
    )
    async with world(db, watcher("web", needs=["db"])) as w:
        if how == "fatal":
            w.machine.trouble["db"] = [Unlaunchable("no such command")]
        request = await w.ask(Verb.START, "web")
        if how in {"paused", "exited"}:
            w.machine.die("db")
            await at_rest()
        assert request.ok == {"db": False, "web": False}
        assert "waits for db" in request.message("web")
        assert w.machine.count("web") == 0


async def test_what_was_held_back_starts_once_the_dependency_is_mended() -> None:
    async with world(watcher("db"), watcher("web", needs=["db"])) as w:
        w.machine.trouble["db"] = [Unlaunchable("no such command")]
        await w.ask(Verb.START, "web")
        await w.ask(Verb.START, "db")
        await w.clock.advance(2)
        assert w.states() == {"db": "running", "web": "running"}


async def test_a_start_taken_back_ends_the_wait_for_it() -> None:
    async with world(watcher("db", ready=Ready.NOTIFY), watcher("web", needs=["db"])) as w:
        started = await w.ask(Verb.START, "web")
        stopped = await w.ask(Verb.STOP, "web")
        assert stopped.ok == {"web": True}
        assert started.verdicts is None  # db is still on its way
        w.machine.say("db", READY="1")
        await w.clock.advance(1)
        assert started.ok == {"db": True, "web": False}


async def test_a_lone_start_taken_back_while_held_is_told_at_once() -> None:
    async with world(watcher("db", ready=Ready.NOTIFY), watcher("web", needs=["db"])) as w:
        await w.ask(Verb.START, "db")
        started = await w.ask(Verb.START, "web")
        await w.ask(Verb.STOP, "web")
        assert started.ok == {"web": False}


async def test_a_start_during_a_held_stop_is_carried_out_after_it() -> None:
    async with world(watcher("db"), watcher("web", needs=["db"])) as w:
        w.machine.stubborn.add("web")
        await up(w, "db")
        await up(w, "web")
        stopped = await w.ask(Verb.STOP, "db")
        started = await w.ask(Verb.START, "db")
        await w.clock.advance(12)
        assert stopped.ok == {"db": True, "web": True}
        assert started.ok == {"db": True}
        assert w.machine.count("db") == 2


async def test_a_start_of_a_dependent_during_its_dependencys_held_stop_brings_both_back() -> None:
    async with world(watcher("db"), watcher("web", needs=["db"])) as w:
        w.machine.stubborn.add("web")
        await up(w, "db")
        await up(w, "web")
        await w.ask(Verb.STOP, "db")
        started = await w.ask(Verb.START, "web")
        await w.clock.advance(13)
        assert started.ok == {"db": True, "web": True}
        assert w.states() == {"db": "running", "web": "running"}


async def test_resume_starts_what_the_resumed_one_needs() -> None:
    async with world(watcher("db"), watcher("web", needs=["db"], crash_loop=CrashLoop(max_restarts=0))) as w:
        await up(w, "db")
        await up(w, "web")
        w.machine.die("web")
        await w.ask(Verb.STOP, "db")
        await w.ask(Verb.START, "db")
        await w.clock.advance(1)
        w.supervisor.add(watcher("web", needs=["db"], crash_loop=CrashLoop(max_restarts=0)))
        await up(w, "web")
        w.machine.die("web")
        await at_rest()
        assert w.state("web") is State.PAUSED
        w.machine.die("db", 0)
        w.machine.trouble["db"] = [Unlaunchable("gone")]
        await at_rest()
        assert w.state("db") is State.FATAL
        request = await w.ask(Verb.RESUME, "web")
        assert not request.done
        await w.clock.advance(2)
        assert request.ok == {"db": True, "web": True}
        assert "not paused" not in request.message("db")


async def test_who_is_excepted_is_not_started_along_and_whoever_needs_it_waits() -> None:
    async with world(watcher("db"), watcher("app", needs=["db"]), watcher("web", needs=["app"])) as w:
        w.supervisor.keepers["db"].stay_paused("crash loop")
        asked = w.supervisor.ask(Verb.START, ["app", "web"], except_for={"db"})
        await w.clock.advance(5)
        assert asked.keys() == {"app", "web"}
        assert w.states() == {"db": "paused", "app": "stopped", "web": "stopped"}
        assert "waits for db, which is paused" in w.reason("app")
        await w.ask(Verb.RESUME, "db")
        await w.clock.advance(3)
        assert w.states() == {"db": "running", "app": "running", "web": "running"}


async def test_another_ones_restart_of_a_dependency_is_no_failure_of_a_start() -> None:
    async with world(watcher("db"), watcher("web", needs=["db"])) as w:
        request = await w.ask(Verb.START, "web")
        w.machine.stubborn.add("db")
        await w.ask(Verb.RESTART, "db")
        assert w.state("db") is State.STOPPING
        assert not request.done
        await w.clock.advance(15)
        assert request.ok == {"db": True, "web": True}
        assert (request.message("db"), request.message("web")) == ("", "")


async def test_a_reload_that_restarts_a_starting_one_is_no_failure_of_its_start() -> None:
    async with world(watcher("db")) as w:
        request = await w.ask(Verb.START, "db")
        w.machine.stubborn.add("db")
        w.supervisor.renew(["db"])
        await w.clock.advance(15)
        assert request.ok == {"db": True}


async def test_a_start_that_another_one_undoes_says_so() -> None:
    async with world(watcher("db"), watcher("slow", ready=Ready.NOTIFY)) as w:
        request = await w.ask(Verb.START, "db", "slow")
        await w.clock.advance(2)
        assert w.state("db") is State.RUNNING
        await w.ask(Verb.STOP, "db")
        w.machine.say("slow", READY="1")
        await w.clock.advance(2)
        assert request.ok == {"db": True, "slow": True}
        assert "by another command" in request.message("db")


async def test_a_restart_revives_nobody_who_is_being_stopped() -> None:
    async with world(watcher("db"), watcher("web", needs=["db"])) as w:
        w.machine.stubborn.add("web")
        await up(w, "db")
        await up(w, "web")
        stopped = await w.ask(Verb.STOP, "web")
        await w.ask(Verb.RESTART, "db")
        await w.clock.advance(15)
        assert stopped.ok == {"web": True}
        assert w.states() == {"db": "running", "web": "stopped"}
