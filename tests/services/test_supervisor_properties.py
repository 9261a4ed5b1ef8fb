"""hypothesis asks, kills and waits in any order: never two processes, every request ends, all stays true."""

import asyncio
from typing import Any

from fake_machine import FakeMachine, Request, World, watcher, world
from hypothesis import given, settings
from hypothesis import strategies as st
from manual_clock import at_rest

from orchestrator.config.model import Backoff, CrashLoop, Ready, WatcherConfig
from orchestrator.processes.children import SpawnTrouble
from orchestrator.processes.programs import Unlaunchable
from orchestrator.supervise.states import State
from orchestrator.supervise.verdict import Verb

NEEDS = {"db": [], "app": ["db"], "web": ["app", "db"], "lone": []}
WITH_PROCESS = {State.STARTING, State.RUNNING, State.STOPPING}
LONG = 300.0  # seconds; longer than anything here takes by itself

names = st.sampled_from(sorted(NEEDS))
policies = st.fixed_dictionaries(
    {
        "start_seconds": st.sampled_from([0.0, 1.0]),
        "ready": st.sampled_from(Ready),
        "ready_timeout": st.sampled_from([0.5, 3.0]),
        "stop_timeout": st.sampled_from([0.0, 2.0]),
        "watchdog": st.sampled_from([0.0, 0.0, 4.0]),
        "backoff": st.sampled_from([Backoff(), Backoff(initial=0.0), Backoff(initial=0.3, max=1.0)]),
        "crash_loop": st.sampled_from([CrashLoop(), CrashLoop(max_restarts=1), CrashLoop(2, 5.0)]),
    }
)
acts = st.one_of(
    st.tuples(st.sampled_from(Verb), st.lists(names, min_size=1, max_size=3, unique=True)),
    st.tuples(st.sampled_from(["die", "exit", "fork", "ready", "trigger", "end", "forget", "add"]), names),
    st.tuples(st.sampled_from(["stubborn", "stubborn_children", "forking"]), names),
    st.tuples(st.just("trouble"), names, st.sampled_from([True, False])),
    st.tuples(st.just("reload"), names, policies, st.booleans()),
    st.tuples(st.just("advance"), st.sampled_from([0.0, 0.1, 1.0, 3.0, 70.0])),
)


def config(name: str, policy: dict[str, Any], *, enabled: bool = True) -> WatcherConfig:
    return watcher(name, needs=NEEDS[name], enabled=enabled, **policy)


async def happen(w: World, act: tuple[Any, ...], requests: list[Request]) -> None:
    match act:
        case (Verb() as verb, list(wanted)):
            known = [name for name in wanted if name in w.supervisor.keepers]
            requests.append(await w.ask(verb, *known, timeout=2 * LONG))
        case ("advance", float(seconds)):
            await w.clock.advance(seconds)
        case ("reload", str(name), policy, enabled) if name in w.supervisor.keepers:
            w.supervisor.add(config(name, policy, enabled=enabled))
            if not enabled:
                w.supervisor.ask(Verb.RESTART, [name])  # as a reload does
        case ("trouble", str(name), transient):
            w.machine.trouble[name] = [SpawnTrouble("short", transient=True) if transient else Unlaunchable("wrong")]
        case (str(what), str(name)):
            _happen_to(w, w.machine, what, name)
        case _:
            pass
    await at_rest()


def _happen_to(w: World, machine: FakeMachine, what: str, name: str) -> None:
    process = machine.process(name)
    match what:
        case "die" | "exit" | "fork" if process is not None and process.leader:
            machine.die(name, 0 if what == "exit" else 1, survivors=what == "fork")
        case "end" if process is not None and not process.leader:
            machine.end_survivors(name)
        case "ready":
            machine.say(name, READY="1", WATCHDOG="1", STATUS="at work")
        case "trigger":
            machine.say(name, WATCHDOG="trigger")
        case "stubborn" | "stubborn_children" | "forking":
            getattr(machine, what).symmetric_difference_update({name})
        case "forget" if name == "lone" and name in w.supervisor.keepers:
            w.supervisor.remove([name])
        case "add" if name not in w.supervisor.keepers:
            w.supervisor.add(config(name, {}))
        case _:
            pass


def check(w: World) -> None:
    living = [process.name for process in w.machine.processes.values()]
    assert len(living) == len(set(living)), "two processes of one watcher"
    for name, keeper in w.supervisor.keepers.items():
        assert (keeper.pid is not None) == (keeper.state in WITH_PROCESS)
        # Of a group without its leader nobody hears; its end is seen within a quarter of a second.
        assert (name in living) == (keeper.pid is not None) or keeper.leaderless, (name, keeper.state)
        assert name in w.machine.opened
        described = keeper.describe()
        assert described["restarts_in_window"] <= 5
        assert (described["uptime_seconds"] is None) == (keeper.state not in {State.STARTING, State.RUNNING})
        if keeper.deadline is not None:
            assert keeper.deadline > w.clock.t, f"{name}: a deadline was missed"


async def live(first: dict[str, dict[str, Any]], history: list[tuple[Any, ...]]) -> None:
    async with world(*(config(name, first[name]) for name in NEEDS)) as w:
        requests: list[Request] = []
        for act in history:
            await happen(w, act, requests)
            check(w)
        await w.clock.advance(LONG)
        check(w)
        assert await _stop_all(w), "something is left"
        assert w.machine.processes == {}
        # Until here it was fair to wait: for one that restarts for ever because it never gets ready.
        assert all(request.done for request in requests), "someone waits for ever"
        assert set(w.states().values()) <= {"stopped"}


async def _stop_all(w: World) -> bool:
    ended = asyncio.create_task(w.supervisor.stop_all(20.0))
    await w.clock.advance(20.0)
    assert ended.done()
    return ended.result()


@settings(max_examples=100)
@given(first=st.fixed_dictionaries(dict.fromkeys(NEEDS, policies)), history=st.lists(acts, max_size=25))
def test_whatever_happens_in_whatever_order(first: dict[str, dict[str, Any]], history: list[tuple[Any, ...]]) -> None:
    asyncio.run(live(first, history))
