"""PURE. A watcher's life: states × events → the next state and what is to be done, decided by one function, `step`.

The caller carries out the effects and feeds back what came of them. Two rules of that dialogue:
an effect `Spawn` is answered by exactly one of Spawned, SpawnFailed, SpawnRefused before any other event;
and a `Tick` is due when `deadline` has passed, after every death that happened until then was told.

What the watcher's owner wants (`wanted`) is kept beside what is (`phase`), as s6-supervise does: a start that is asked
for while the old process is still stopping only changes the wish.
"""

from dataclasses import replace
from typing import assert_never

from orchestrator.config.model import Policy, Ready, Restart
from orchestrator.processes.death import Death
from orchestrator.supervise import crashloop
from orchestrator.supervise.states import (
    Adopted,
    Backoff,
    Child,
    Died,
    Effect,
    Event,
    Exited,
    Fatal,
    GroupGone,
    Kill,
    LeftBehind,
    Outcome,
    Paused,
    Phase,
    Pinged,
    Readied,
    RestartAsked,
    Resume,
    Running,
    Spawned,
    SpawnFailed,
    SpawnRefused,
    Start,
    Starting,
    Stop,
    Stopped,
    Stopping,
    Tick,
    Unhealthy,
)


def deadline(child: Child, policy: Policy) -> float | None:
    """When the next Tick is due, in monotonic seconds. None: only an event from outside moves this watcher on."""
    match child.phase:
        case Starting(since=since, ready=ready):
            if policy.ready is Ready.NOTIFY and not ready:
                return since + policy.ready_timeout
            return since + policy.start_seconds
        case Running(pinged=pinged):
            return pinged + policy.watchdog if policy.watchdog > 0 else None
        case Backoff(until=until):
            return until
        case Stopping(kill_at=kill_at):
            return kill_at
        case Stopped() | Exited() | Paused() | Fatal():
            return None
        case _ as never:
            assert_never(never)


def step(child: Child, event: Event, now: float, policy: Policy) -> Outcome:
    """What `event` at `now` (monotonic seconds) makes of `child`, and what has to be done about it."""
    phase = child.phase
    match event:
        case Start():
            match phase:
                case Stopped() | Backoff() | Exited() | Paused() | Fatal():
                    return _spawn(_forgiven(child))
                case Stopping():
                    return replace(
                        _forgiven(child), wanted=True, phase=replace(phase, cause=None, exits=False, pauses=None)
                    ), ()
                case Starting() | Running():
                    return child, ()
                case _ as never:
                    assert_never(never)
        case RestartAsked():
            match phase:
                case Starting(pid=pid) | Running(pid=pid):
                    return _terminate(_forgiven(child), pid, None, now, policy)
                case Stopped() | Backoff() | Exited() | Paused() | Fatal() | Stopping():
                    return step(child, Start(), now, policy)
                case _ as never:
                    assert_never(never)
        case Resume():
            match phase:
                case Paused():
                    return _spawn(_forgiven(child))
                case Stopped() | Backoff() | Exited() | Fatal() | Stopping() | Starting() | Running():
                    return _forgiven(child), ()
                case _ as never:
                    assert_never(never)
        case Stop():
            child = replace(child, wanted=False)
            match phase:
                case Starting(pid=pid) | Running(pid=pid):
                    return _terminate(child, pid, None, now, policy)
                case Stopping():
                    return replace(child, phase=replace(phase, cause=None, exits=False, pauses=None)), ()
                case Stopped() | Backoff() | Exited() | Paused() | Fatal():
                    return replace(child, phase=Stopped()), ()
                case _ as never:
                    assert_never(never)
        case Kill():
            match phase:
                case Starting(pid=pid) | Running(pid=pid):
                    return replace(child, wanted=False, phase=Stopping(pid, None, None)), (Effect.KILL,)
                case Stopping():
                    killed = replace(phase, kill_at=None, cause=None, exits=False, pauses=None)
                    return replace(child, wanted=False, phase=killed), (Effect.KILL,)
                case Stopped() | Backoff() | Exited() | Paused() | Fatal():
                    return step(child, Stop(), now, policy)
                case _ as never:
                    assert_never(never)
        case Spawned(pid=pid):
            _expect_no_process(phase, event)
            return _started(replace(child, phase=Starting(pid, now)), now, policy)
        case Adopted(pid=pid, uptime=uptime):
            _expect_no_process(phase, event)
            # It was running before this daemon came, so nobody waits for its readiness again; its next
            # WATCHDOG=1 is due one interval from now, since those it sent meanwhile were heard by no one.
            return replace(child, wanted=True, phase=Running(pid, now - uptime, pinged=now)), ()
        case LeftBehind(pid=pid):
            _expect_no_process(phase, event)
            left = Stopping(pid, now + policy.stop_timeout, None, Death())
            return replace(child, phase=left), (Effect.TERMINATE,)
        case SpawnFailed(why=why):
            _expect_no_process(phase, event)
            return _again(child, why, now, policy, at_least=crashloop.AFTER_A_FAILED_SPAWN)
        case SpawnRefused(why=why):
            _expect_no_process(phase, event)
            return replace(child, phase=Fatal(why)), ()
        case Died(death=death, survivors=survivors):
            match phase:
                case Starting() | Running():
                    return _died(child, phase, death, now, policy, survivors=survivors)
                case Stopping():
                    if survivors:
                        return replace(child, phase=replace(phase, death=death)), ()
                    return _gone(child, replace(phase, death=death), now, policy)
                case Stopped() | Backoff() | Exited() | Paused() | Fatal():
                    return _impossible(phase, event)
                case _ as never:
                    assert_never(never)
        case GroupGone():
            match phase:
                case Stopping(death=Death()):
                    return _gone(child, phase, now, policy)
                case Stopping() | Starting() | Running() | Stopped() | Backoff() | Exited() | Paused() | Fatal():
                    return _impossible(phase, event)
                case _ as never:
                    assert_never(never)
        case Readied():
            match phase:
                case Starting():
                    return _started(replace(child, phase=replace(phase, ready=True)), now, policy)
                case Running() | Stopping() | Stopped() | Backoff() | Exited() | Paused() | Fatal():
                    return child, ()
                case _ as never:
                    assert_never(never)
        case Pinged():
            match phase:
                case Running():
                    return replace(child, phase=replace(phase, pinged=now)), ()
                case Starting() | Stopping() | Stopped() | Backoff() | Exited() | Paused() | Fatal():
                    return child, ()
                case _ as never:
                    assert_never(never)
        case Unhealthy(why=why):
            match phase:
                case Starting(pid=pid) | Running(pid=pid):
                    return _terminate(_rested(child, phase, now, policy), pid, why, now, policy)
                case Stopping() | Stopped() | Backoff() | Exited() | Paused() | Fatal():
                    return child, ()
                case _ as never:
                    assert_never(never)
        case Tick():
            return _ticked(child, now, policy)
        case _ as never_event:
            assert_never(never_event)


def _ticked(child: Child, now: float, policy: Policy) -> Outcome:
    phase = child.phase
    due = deadline(child, policy)
    if due is None or now < due:
        return child, ()  # the policy changed, or the event that the deadline waited for came first
    match phase:
        case Starting(pid=pid, ready=ready):
            if policy.ready is Ready.NOTIFY and not ready:
                return _terminate(child, pid, f"not ready within {policy.ready_timeout:g} s", now, policy)
            return _started(child, now, policy)
        case Running(pid=pid):
            why = f"watchdog: no WATCHDOG=1 for {policy.watchdog:g} s"
            return _terminate(_rested(child, phase, now, policy), pid, why, now, policy)
        case Backoff(cause=cause):
            if crashloop.exceeds(child.restarts, now, policy.crash_loop):  # the limits were lowered meanwhile
                return _paused(child, cause, policy)
            return _restart(child, now, policy)
        case Stopping():
            return replace(child, phase=replace(phase, kill_at=None)), (Effect.KILL,)
        case Stopped() | Exited() | Paused() | Fatal():
            return _impossible(phase, Tick())
        case _ as never:
            assert_never(never)


def _started(child: Child, now: float, policy: Policy) -> Outcome:
    """Starting becomes Running once it has lasted `start_seconds` and, where it must say so, is ready."""
    phase = child.phase
    assert isinstance(phase, Starting)  # noqa: S101  callers hold it; this is for the type checker
    # Reckoned as in `deadline`, to the last bit: a Tick at the deadline must not find itself too early.
    if now < phase.since + policy.start_seconds or (policy.ready is Ready.NOTIFY and not phase.ready):
        return child, ()
    return replace(child, phase=Running(phase.pid, phase.since, pinged=now)), ()


def _died(
    child: Child, phase: Starting | Running, death: Death, now: float, policy: Policy, *, survivors: bool
) -> Outcome:
    """A process ended by itself."""
    child = _rested(child, phase, now, policy)
    # As systemd has it for Type=notify: who ends without ever having said READY=1 has failed, whatever its exit code.
    unready = isinstance(phase, Starting) and policy.ready is Ready.NOTIFY and not phase.ready
    expected = death.code in policy.expected_exit_codes and not unready
    exits = policy.restart is Restart.NEVER or (policy.restart is Restart.ON_FAILURE and expected)
    if isinstance(phase, Starting) and death.code is not None:
        cause = f"{death} after {now - phase.since:.1f} s, before it counted as started"
    else:
        cause = str(death)
    if survivors:
        left = Stopping(phase.pid, now + policy.stop_timeout, cause, death, exits)
        return replace(child, phase=left), (Effect.TERMINATE,)
    if exits:
        return replace(child, phase=Exited(death)), ()
    return _again(child, cause, now, policy)


def _gone(child: Child, phase: Stopping, now: float, policy: Policy) -> Outcome:
    """The last process of a group that was being stopped is gone."""
    if phase.pauses is not None:
        return replace(child, phase=Paused(phase.pauses), wanted=True), ()
    if not child.wanted:
        return replace(child, phase=Stopped()), ()
    if phase.exits and phase.death is not None:
        return replace(child, phase=Exited(phase.death)), ()
    if phase.cause is None:
        return _spawn(replace(child, phase=Stopped()))
    if policy.restart is Restart.NEVER:
        return replace(child, phase=Exited(phase.death or Death(), phase.cause)), ()
    return _again(child, phase.cause, now, policy)


def _again(child: Child, cause: str, now: float, policy: Policy, *, at_least: float = 0.0) -> Outcome:
    """An automatic restart is due: at once, after a wait, or not at all."""
    streak = child.streak + 1
    wait = max(at_least, crashloop.delay(streak, policy.backoff))
    child = replace(child, restarts=crashloop.recent(child.restarts, now, policy.crash_loop.window))
    if crashloop.exceeds(child.restarts, now + wait, policy.crash_loop):
        return _paused(child, cause, policy)
    child = replace(child, streak=streak, phase=Backoff(now + wait, wait, cause))
    return (child, ()) if wait > 0 else _restart(child, now, policy)


def _restart(child: Child, now: float, policy: Policy) -> Outcome:
    """An automatic restart, counted at the moment it really happens."""
    restarts = (*crashloop.recent(child.restarts, now, policy.crash_loop.window), now)
    return _spawn(replace(child, restarts=restarts, total=child.total + 1))


def _paused(child: Child, cause: str, policy: Policy) -> Outcome:
    limits = policy.crash_loop
    times = "once" if limits.max_restarts == 1 else f"{limits.max_restarts} times"
    often = f"restarted {times} within {limits.window:g} s"
    return replace(child, phase=Paused(f"crash loop: {often}; last: {cause}")), ()


def _rested(child: Child, phase: Starting | Running, now: float, policy: Policy) -> Child:
    """A process that ran healthily for `reset_after` ends the streak, so that the next restart comes at once."""
    if isinstance(phase, Running) and now - phase.since >= policy.backoff.reset_after:
        return replace(child, streak=0)
    return child


def _forgiven(child: Child) -> Child:
    """Someone asked: whatever happened before no longer counts against it."""
    return replace(child, restarts=(), streak=0)


def _spawn(child: Child) -> Outcome:
    return replace(child, wanted=True), (Effect.SPAWN,)


def _terminate(child: Child, pid: int, cause: str | None, now: float, policy: Policy) -> Outcome:
    return replace(child, phase=Stopping(pid, now + policy.stop_timeout, cause)), (Effect.TERMINATE,)


def _expect_no_process(phase: Phase, event: Event) -> None:
    if isinstance(phase, Starting | Running | Stopping):
        _impossible(phase, event)


def _impossible(phase: Phase, event: Event) -> Outcome:
    """The caller broke the dialogue: a bug in aiemp, not something that can happen to a watcher."""
    raise AssertionError(f"{event} while {phase}")
