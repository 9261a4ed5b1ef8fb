"""What is said of a request, over every state that a watcher may be seen in."""

from dataclasses import replace

import pytest

from orchestrator.supervise.states import State
from orchestrator.supervise.verdict import Verb, Verdict, View, in_the_end, judge, needs

AT_REST = View(
    state=State.STOPPED, pid=None, generation=3, wanted=False, held=False, hopeless=False, reason=None, clean_exit=False
)
WITH_PROCESS = {State.STARTING, State.RUNNING, State.STOPPING}
STARTS = [Verb.START, Verb.RESTART]


def seen(state: State, generation: int = 3, *, wanted: bool = True, **others: object) -> View:
    pid = 100 if state in WITH_PROCESS else None
    return replace(AT_REST, state=state, pid=pid, generation=generation, wanted=wanted, **others)  # type: ignore[arg-type]


@pytest.mark.parametrize("state", State)
def test_which_generation_is_needed(state: State) -> None:
    view = seen(state)
    up = state in {State.STARTING, State.RUNNING}
    assert needs(Verb.START, view) == (3 if up else 4)
    assert needs(Verb.RESTART, view) == 4
    assert needs(Verb.RESUME, view) == (4 if state is State.PAUSED else None)
    assert needs(Verb.STOP, view) == 3


@pytest.mark.parametrize("state", [State.STARTING, State.RUNNING])
def test_a_start_behind_a_stop_that_is_held_back_needs_another_process(state: State) -> None:
    assert needs(Verb.START, seen(state, held=True)) == 4


@pytest.mark.parametrize("state", State)
def test_a_stop_is_done_when_no_process_is_left(state: State) -> None:
    verdict = judge(Verb.STOP, 3, seen(state, wanted=False))
    assert verdict == (None if state in WITH_PROCESS else Verdict(ok=True))


@pytest.mark.parametrize("state", State)
def test_a_stop_that_is_held_back_is_not_done(state: State) -> None:
    assert judge(Verb.STOP, 3, seen(state, held=True)) is None


@pytest.mark.parametrize("state", State)
def test_a_stop_is_done_too_when_someone_has_started_it_again(state: State) -> None:
    verdict = judge(Verb.STOP, 3, seen(state, generation=4, held=True))
    assert verdict is not None
    assert verdict.ok
    assert "started again" in verdict.message


@pytest.mark.parametrize("state", State)
def test_a_stop_that_waits_for_dependents_is_not_done_by_a_crash_meanwhile(state: State) -> None:
    assert judge(Verb.STOP, 3, seen(state, generation=4, held=True, stop_held=True)) is None


@pytest.mark.parametrize("state", State)
def test_a_resume_of_what_was_not_paused_is_done(state: State) -> None:
    verdict = judge(Verb.RESUME, None, seen(state, held=True, hopeless=True))
    assert verdict is not None
    assert verdict.ok
    assert "not paused" in verdict.message


@pytest.mark.parametrize("verb", [*STARTS, Verb.RESUME])
@pytest.mark.parametrize("state", State)
def test_what_waits_for_a_hopeless_one_has_failed(verb: Verb, state: State) -> None:
    verdict = judge(verb, 4, seen(state, held=True, hopeless=True, reason="waits for db, which is fatal"))
    assert verdict == Verdict(ok=False, message="waits for db, which is fatal")


@pytest.mark.parametrize("verb", [*STARTS, Verb.RESUME])
@pytest.mark.parametrize("state", State)
def test_what_is_held_back_is_waited_for(verb: Verb, state: State) -> None:
    assert judge(verb, 4, seen(state, held=True)) is None


@pytest.mark.parametrize("verb", [*STARTS, Verb.RESUME])
@pytest.mark.parametrize(
    ("view", "verdict"),
    [
        (seen(State.STARTING, 4), None),
        (seen(State.RUNNING, 4), Verdict(ok=True)),
        (seen(State.RUNNING, 9), Verdict(ok=True)),
        (seen(State.STOPPING, 3), None),  # the old process is on its way out
        (seen(State.STOPPING, 4, again=True), None),  # someone restarts it
        (seen(State.STOPPING, 4, reason="watchdog"), Verdict(ok=False, message="watchdog")),
        (
            seen(State.STOPPING, 3, wanted=False),
            Verdict(ok=False, message="was stopped meanwhile by another command"),
        ),
        (
            seen(State.STOPPED, 4, wanted=False),
            Verdict(ok=False, message="was stopped meanwhile by another command"),
        ),
        (seen(State.BACKOFF, 4, reason="exit code 1"), Verdict(ok=False, message="exit code 1")),
        (seen(State.PAUSED, 4, reason="crash loop"), Verdict(ok=False, message="crash loop")),
        (seen(State.FATAL, 4, reason="no such command"), Verdict(ok=False, message="no such command")),
        (
            seen(State.EXITED, 4, reason="exit code 0", clean_exit=True),
            Verdict(ok=True, message="exit code 0"),
        ),
        (seen(State.EXITED, 4, reason="exit code 1"), Verdict(ok=False, message="exit code 1")),
    ],
)
def test_what_becomes_of_a_start(verb: Verb, view: View, verdict: Verdict | None) -> None:
    assert judge(verb, 4, view) == verdict


@pytest.mark.parametrize("verb", [*STARTS, Verb.RESUME])
@pytest.mark.parametrize(
    ("view", "word"),
    [
        (seen(State.RUNNING), ""),
        (seen(State.BACKOFF, reason="exit code 1"), ""),
        (seen(State.STOPPED, wanted=False), "stopped by another command"),
        (seen(State.STOPPING, wanted=False), "stopped by another command"),
        (seen(State.STOPPING, again=True), "restarted by another command"),
        (seen(State.STOPPED, wanted=False, held=True, start_held=True), "restarted by another command"),
    ],
)
def test_a_start_that_was_undone_before_the_others_were_up_says_so(verb: Verb, view: View, word: str) -> None:
    verdict = in_the_end(verb, Verdict(ok=True), view)
    assert verdict.ok
    assert verdict.message.endswith(word)
    assert bool(verdict.message) is bool(word)


def test_a_stop_that_was_undone_before_the_others_were_gone_says_so() -> None:
    assert in_the_end(Verb.STOP, Verdict(ok=True), seen(State.STOPPED, wanted=False)) == Verdict(ok=True)
    assert "started again by another" in in_the_end(Verb.STOP, Verdict(ok=True), seen(State.STARTING, 4)).message


@pytest.mark.parametrize("verb", Verb)
def test_a_failure_and_what_was_said_already_stay(verb: Verb) -> None:
    for verdict in (Verdict(ok=False, message="exit code 1"), Verdict(ok=True, message="exit code 0")):
        assert in_the_end(verb, verdict, seen(State.STOPPED, wanted=False)) == verdict
