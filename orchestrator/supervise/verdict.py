"""PURE. Whether what someone asked of a watcher is done, has failed, or has to be waited for."""

from dataclasses import dataclass
from enum import StrEnum

from orchestrator.supervise.states import State


class Verb(StrEnum):
    START = "start"
    STOP = "stop"
    RESTART = "restart"
    RESUME = "resume"


@dataclass(frozen=True, slots=True)
class View:
    """What can be seen of a watcher at one moment."""

    state: State
    pid: int | None
    generation: int  # how many processes it has had
    wanted: bool
    held: bool  # its start or stop waits for other watchers
    hopeless: bool  # … for one that will not come by itself
    reason: str | None
    stop_held: bool = False  # it is its stop that waits
    start_held: bool = False  # it is its start that waits; both: its restart
    again: bool = False  # someone asked for another process of it, which begins when this one has ended
    clean_exit: bool = False  # the last process ended with an expected exit code


@dataclass(frozen=True, slots=True)
class Verdict:
    ok: bool
    message: str = ""  # what there is to say beside the state


def needs(verb: Verb, view: View) -> int | None:
    """Which generation has to be reached for `verb`, seen at the moment it is asked for. None: nothing has to be."""
    match verb:
        case Verb.START if view.state in {State.STARTING, State.RUNNING} and not view.held:
            return view.generation
        case Verb.RESUME if view.state is not State.PAUSED:
            return None
        case Verb.START | Verb.RESTART | Verb.RESUME:
            return view.generation + 1
        case Verb.STOP:
            return view.generation


def judge(verb: Verb, generation: int | None, view: View) -> Verdict | None:
    """What became of `verb`, which needs `generation` (see `needs`). None: still under way."""
    if generation is None:
        return Verdict(ok=True, message="was not paused; its restart window is cleared")
    if verb is Verb.STOP:
        if view.stop_held:
            return None
        if view.generation > generation:
            return Verdict(ok=True, message="was stopped, then started again by another command")
        return None if view.held or view.pid is not None else Verdict(ok=True)
    if view.hopeless:
        return Verdict(ok=False, message=view.reason or "held back")
    if view.held or view.again or (view.generation < generation and view.state is State.STOPPING and view.wanted):
        return None
    return _of_a_start(view)


def in_the_end(verb: Verb, verdict: Verdict, view: View) -> Verdict:
    """`verdict`, which may have come a while ago, with a word about what another command has made of it since."""
    if not verdict.ok or verdict.message:
        return verdict
    down = view.state in {State.STOPPED, State.STOPPING}
    if verb is Verb.STOP:
        undone = "was stopped, then started again by another command" if view.pid is not None or view.wanted else ""
    elif down and (view.again or view.start_held):
        undone = "was started, and is being restarted by another command"
    elif down and not view.wanted:
        undone = "was started, then stopped by another command"
    else:
        undone = ""
    return Verdict(ok=True, message=undone)


def _of_a_start(view: View) -> Verdict | None:
    match view.state:
        case State.RUNNING:
            return Verdict(ok=True)
        case State.STARTING:
            return None
        case State.EXITED:
            return Verdict(ok=view.clean_exit, message=view.reason or "")
        case State.STOPPED | State.STOPPING if not view.wanted:
            return Verdict(ok=False, message="was stopped meanwhile by another command")
        case State.STOPPED | State.STOPPING | State.BACKOFF | State.PAUSED | State.FATAL:
            return Verdict(ok=False, message=view.reason or "")
