"""A watcher's life as histories: what happened when, and where it must end."""

from dataclasses import replace

import pytest

from orchestrator.config.model import Backoff, CrashLoop, Policy, Ready, Restart
from orchestrator.processes.death import Death
from orchestrator.supervise.lifecycle import deadline, step
from orchestrator.supervise.states import (
    Adopted,
    Child,
    Died,
    Effect,
    Event,
    GroupGone,
    Kill,
    LeftBehind,
    Pinged,
    Readied,
    RestartAsked,
    Resume,
    Spawned,
    SpawnFailed,
    SpawnRefused,
    Start,
    State,
    Stop,
    Stopping,
    Tick,
    Unhealthy,
)

ALIVE = Policy()
NOTIFY = replace(ALIVE, ready=Ready.NOTIFY)
WATCHED = replace(ALIVE, watchdog=5.0)
ON_FAILURE = replace(ALIVE, restart=Restart.ON_FAILURE)
NEVER = replace(ALIVE, restart=Restart.NEVER)
NO_WAIT = replace(ALIVE, backoff=Backoff(initial=0.0))

OK = Died(Death(code=0))
CRASH = Died(Death(code=1))
KILLED = Died(Death(signal="SIGKILL"))

History = list[tuple[float, Event]]


def live(history: History, policy: Policy = ALIVE) -> tuple[Child, list[tuple[float, str]]]:
    """Play a history, spawning successfully whenever asked, with every Tick fired at its deadline."""
    child, done, pid = Child(), list[tuple[float, str]](), 100
    queue = list(history)

    def apply(now: float, event: Event) -> None:
        nonlocal child, pid
        child, effects = step(child, event, now, policy)
        for effect in effects:
            done.append((now, effect.value))
            if effect is Effect.SPAWN:
                pid += 1
                apply(now, Spawned(pid))

    while queue:
        due = deadline(child, policy)
        if due is not None and due < queue[0][0]:
            apply(due, Tick())
        else:
            apply(*queue.pop(0))
    return child, done


@pytest.mark.parametrize(
    ("policy", "history", "ends_in"),
    [
        (ALIVE, [], State.STOPPED),
        (ALIVE, [(0, Start())], State.STARTING),
        (ALIVE, [(0, Start()), (2, Pinged())], State.RUNNING),
        (replace(ALIVE, start_seconds=0.0), [(0, Start())], State.RUNNING),
        (NOTIFY, [(0, Start()), (29, Pinged())], State.STARTING),
        (NOTIFY, [(0, Start()), (0.1, Readied())], State.STARTING),
        (NOTIFY, [(0, Start()), (0.1, Readied()), (1.1, Pinged())], State.RUNNING),
        (NOTIFY, [(0, Start()), (5, Readied())], State.RUNNING),
        (NOTIFY, [(0, Start()), (31, Pinged())], State.STOPPING),
        (WATCHED, [(0, Start()), (5.9, Pinged()), (10.8, Pinged()), (15.7, Readied())], State.RUNNING),
        (WATCHED, [(0, Start()), (6.1, Readied())], State.STOPPING),
        (WATCHED, [(0, Start()), (6.1, Readied()), (6.2, KILLED)], State.STARTING),
        (ALIVE, [(0, Start()), (5, CRASH)], State.STARTING),
        (ALIVE, [(0, Start()), (5, CRASH), (5.1, CRASH)], State.BACKOFF),
        (ALIVE, [(0, Start()), (5, OK)], State.STARTING),
        (ALIVE, [(0, Start()), (0.1, OK)], State.STARTING),
        (ON_FAILURE, [(0, Start()), (5, OK)], State.EXITED),
        (ON_FAILURE, [(0, Start()), (0.1, OK)], State.EXITED),
        (ON_FAILURE, [(0, Start()), (5, CRASH)], State.STARTING),
        (ON_FAILURE, [(0, Start()), (5, KILLED)], State.STARTING),
        (replace(ON_FAILURE, expected_exit_codes=frozenset({0, 1})), [(0, Start()), (5, CRASH)], State.EXITED),
        (replace(ON_FAILURE, ready=Ready.NOTIFY), [(0, Start()), (5, OK)], State.STARTING),
        (NEVER, [(0, Start()), (5, CRASH)], State.EXITED),
        (NEVER, [(0, Start()), (0.1, CRASH)], State.EXITED),
        (NEVER, [(0, Start()), (0.1, CRASH), (1, Start())], State.STARTING),
        (NEVER, [(0, Start()), (5, Unhealthy("over its limit")), (6, KILLED)], State.EXITED),
        (replace(NEVER, watchdog=5.0), [(0, Start()), (6.1, Readied()), (6.2, KILLED)], State.EXITED),
        (ALIVE, [(0, Start()), (5, Stop())], State.STOPPING),
        (ALIVE, [(0, Start()), (5, Stop()), (6, OK)], State.STOPPED),
        (ALIVE, [(0, Start()), (5, Stop()), (6, Start()), (7, OK)], State.STARTING),
        (ALIVE, [(0, Start()), (5, Stop()), (6, Start()), (7, Stop()), (8, OK)], State.STOPPED),
        (ALIVE, [(0, Start()), (5, RestartAsked()), (6, OK)], State.STARTING),
        (ALIVE, [(0, Start()), (5, RestartAsked()), (5.5, Stop()), (6, OK)], State.STOPPED),
        (ALIVE, [(0, Start()), (5, CRASH), (5.1, CRASH), (5.2, Stop())], State.STOPPED),
        (ALIVE, [(0, Start()), (5, CRASH), (5.1, CRASH), (5.2, RestartAsked())], State.STARTING),
        (ALIVE, [(0, Start()), (5, Died(Death(code=1), survivors=True))], State.STOPPING),
        (ALIVE, [(0, Start()), (5, Died(Death(code=1), survivors=True)), (7, GroupGone())], State.STARTING),
        (NEVER, [(0, Start()), (5, Died(Death(code=1), survivors=True)), (7, GroupGone())], State.EXITED),
        (ALIVE, [(0, Start()), (5, Stop()), (6, Died(Death(code=0), survivors=True))], State.STOPPING),
        (ALIVE, [(0, Start()), (5, Stop()), (6, Died(Death(), survivors=True)), (16, GroupGone())], State.STOPPED),
        (ALIVE, [(0, Start()), (5, Unhealthy("over its limit"))], State.STOPPING),
        (ALIVE, [(0, Adopted(7, uptime=100.0))], State.RUNNING),
        (ALIVE, [(0, LeftBehind(7))], State.STOPPING),
        (ALIVE, [(0, LeftBehind(7)), (1, GroupGone())], State.STOPPED),
        (ALIVE, [(0, LeftBehind(7)), (0.1, Start()), (1, GroupGone())], State.STARTING),
        (ALIVE, [(0, Adopted(7, uptime=100.0)), (1, Died(Death()))], State.STARTING),
        # One start and five restarts (0, 1, 2, 4, 8 s after the deaths), and then no more.
        (ALIVE, [(0, Start()), (0.1, CRASH), (0.2, CRASH), (1.3, CRASH), (3.4, CRASH), (7.5, CRASH)], State.BACKOFF),
        (
            ALIVE,
            [(0, Start()), (0.1, CRASH), (0.2, CRASH), (1.3, CRASH), (3.4, CRASH), (7.5, CRASH), (15.6, CRASH)],
            State.PAUSED,
        ),
        (NO_WAIT, [(0, Start()), *[(i / 10, CRASH) for i in range(1, 6)]], State.STARTING),
        (NO_WAIT, [(0, Start()), *[(i / 10, CRASH) for i in range(1, 7)]], State.PAUSED),
        (NO_WAIT, [(0, Start()), *[(i / 10, CRASH) for i in range(1, 7)], (9, Resume())], State.STARTING),
        (NO_WAIT, [(0, Start()), *[(i / 10, CRASH) for i in range(1, 7)], (9, Stop())], State.STOPPED),
        (NO_WAIT, [(0, Start()), *[(i * 121, CRASH) for i in range(1, 99)]], State.STARTING),
        (NO_WAIT, [(0, Start()), *[(i * 99, CRASH) for i in range(1, 99)][:6]], State.PAUSED),
        (NO_WAIT, [(0, Start()), *[(i, RestartAsked()) if i % 2 else (i, OK) for i in range(1, 98)]], State.STOPPING),
    ],
)
def test_a_history_ends_in(policy: Policy, history: History, ends_in: State) -> None:
    child, _ = live(history, policy)
    assert child.phase.state is ends_in


def test_waits_between_restarts_grow_and_are_forgotten_after_healthy_running() -> None:
    deaths = [(at, CRASH) for at in (10.0, 10.1, 11.2, 13.3)]
    _, done = live([(0, Start()), *deaths, (80.0, CRASH), (80.5, Pinged())])
    assert [round(at, 1) for at, what in done if what == "spawn"] == [0, 10.0, 11.1, 13.2, 17.3, 80.0]


def test_a_stop_escalates_to_kill_once() -> None:
    _, done = live([(0, Start()), (5, Stop()), (40, OK)])
    assert done == [(0, "spawn"), (5, "terminate"), (15, "kill")]


def test_a_group_outliving_its_leader_is_still_killed() -> None:
    _, done = live([(0, Start()), (5, Stop()), (5.1, Died(Death(code=0), survivors=True)), (15.1, GroupGone())])
    assert done == [(0, "spawn"), (5, "terminate"), (15, "kill")]


@pytest.mark.parametrize("asked", [Start(), RestartAsked(), Resume()])
def test_asking_clears_the_window(asked: Event) -> None:
    paused, _ = live([(0, Start()), *[(i / 10, CRASH) for i in range(1, 7)]], NO_WAIT)
    child, effects = step(paused, asked, 10.0, NO_WAIT)
    assert effects == (Effect.SPAWN,)
    assert (child.restarts, child.streak, child.total) == ((), 0, 5)


def test_start_of_running_and_stop_of_stopped_do_nothing() -> None:
    running, _ = live([(0, Start()), (2, Pinged())])
    assert step(running, Start(), 3.0, ALIVE) == (running, ())
    assert step(Child(), Stop(), 3.0, ALIVE) == (Child(), ())


def test_a_refused_spawn_is_fatal_and_a_failed_one_is_tried_again() -> None:
    asked, _ = step(Child(), Start(), 0.0, ALIVE)
    fatal, effects = step(asked, SpawnRefused("no such command"), 0.0, ALIVE)
    assert (fatal.phase.state, effects, fatal.wanted) == (State.FATAL, (), True)
    first, effects = step(asked, SpawnFailed("out of processes"), 0.0, ALIVE)
    assert (first.phase.state, effects, deadline(first, ALIVE)) == (State.BACKOFF, (), 0.1)
    again, effects = step(first, Tick(), 0.1, ALIVE)
    assert (effects, len(again.restarts)) == ((Effect.SPAWN,), 1)
    waiting, effects = step(again, SpawnFailed("out of processes"), 0.1, ALIVE)
    assert (waiting.phase.state, effects, deadline(waiting, ALIVE)) == (State.BACKOFF, (), 1.1)


def test_a_failed_spawn_is_never_tried_again_in_the_same_instant_whatever_the_backoff_says() -> None:
    child, _ = step(Child(), Start(), 0.0, NO_WAIT)
    now = 0.0
    for _ in range(5):
        child, effects = step(child, SpawnFailed("text file busy"), now, NO_WAIT)
        due = deadline(child, NO_WAIT)
        assert due is not None
        assert (effects, due >= now + 0.1) == ((), True)
        child, effects = step(child, Tick(), due, NO_WAIT)
        assert effects == (Effect.SPAWN,)
        now = due


@pytest.mark.parametrize(
    ("meanwhile", "ends_in"),
    [
        (None, State.PAUSED),
        (Pinged(), State.PAUSED),
        (Tick(), State.PAUSED),
        (Start(), State.BACKOFF),
        (RestartAsked(), State.BACKOFF),
        (Stop(), State.STOPPED),
        (Kill(), State.STOPPED),
    ],
)
def test_a_pause_outlasts_what_was_left_behind_unless_someone_asks(meanwhile: Event | None, ends_in: State) -> None:
    child, _ = step(Child(), LeftBehind(7), 0.0, ALIVE)
    assert isinstance(child.phase, Stopping)
    child = replace(child, phase=replace(child.phase, pauses="crash loop"))
    if meanwhile is not None:
        child, _ = step(child, meanwhile, 0.5, ALIVE)
    child, effects = step(child, GroupGone(), 1.0, ALIVE)
    if effects:
        child, _ = step(child, SpawnFailed("out of processes"), 1.0, ALIVE)
    assert child.phase.state is ends_in


def test_the_pause_says_why_in_a_line() -> None:
    child, _ = live([(0, Start()), *[(i / 10, CRASH) for i in range(1, 7)]], NO_WAIT)
    assert "restarted 5 times within 600 s" in getattr(child.phase, "cause")  # noqa: B009  Paused is what it is
    assert "exit code 1" in getattr(child.phase, "cause")  # noqa: B009


def test_limits_lowered_while_it_waits_count() -> None:
    child, _ = live([(0, Start()), (0.1, CRASH), (0.2, CRASH)])
    strict = replace(ALIVE, crash_loop=CrashLoop(max_restarts=1, window=600.0))
    child, effects = step(child, Tick(), 1.3, strict)
    assert (child.phase.state, effects) == (State.PAUSED, ())


@pytest.mark.parametrize("event", [OK, GroupGone(), Adopted(3, 0.0), Spawned(3)])
def test_what_cannot_happen_is_a_loud_error(event: Event) -> None:
    child = Child() if event in (OK, GroupGone()) else live([(0, Start())])[0]
    with pytest.raises(AssertionError):
        step(child, event, 1.0, ALIVE)
