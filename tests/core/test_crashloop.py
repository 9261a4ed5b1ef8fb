"""The restart window and the waits, as tables and at their extremes."""

import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.model import Backoff, CrashLoop
from orchestrator.supervise.crashloop import delay, exceeds, recent


@pytest.mark.parametrize(
    ("restarts", "now", "window", "left"),
    [
        ((), 0.0, 600.0, ()),
        ((0.0,), 599.9, 600.0, (0.0,)),
        ((0.0,), 600.0, 600.0, ()),  # what lies exactly a window back no longer counts
        ((1.0, 2.0, 3.0), 602.5, 600.0, (3.0,)),
        ((5.0,), 5.0, 0.0, ()),
        ((5.0,), 5.0, 1e-9, (5.0,)),
    ],
)
def test_the_window(restarts: tuple[float, ...], now: float, window: float, left: tuple[float, ...]) -> None:
    assert recent(restarts, now, window) == left


@pytest.mark.parametrize(
    ("restarts", "at", "limits", "too_many"),
    [
        ((), 0.0, CrashLoop(0, 600.0), True),
        ((), 0.0, CrashLoop(1, 600.0), False),
        ((0.0,) * 4, 1.0, CrashLoop(5, 600.0), False),
        ((0.0,) * 5, 1.0, CrashLoop(5, 600.0), True),
        ((0.0,) * 5, 599.999, CrashLoop(5, 600.0), True),
        ((0.0,) * 5, 600.0, CrashLoop(5, 600.0), False),
        ((0.0, 150.0, 300.0, 450.0, 590.0), 601.0, CrashLoop(5, 600.0), False),
        ((0.0, 150.0, 300.0, 450.0, 590.0), 599.0, CrashLoop(5, 600.0), True),
        ((0.0,) * 1000, 1.0, CrashLoop(1_000_000, 600.0), False),
    ],
)
def test_one_too_many(restarts: tuple[float, ...], at: float, limits: CrashLoop, *, too_many: bool) -> None:
    assert exceeds(restarts, at, limits) is too_many


@pytest.mark.parametrize(
    ("backoff", "waits"),
    [
        (Backoff(), [0, 1, 2, 4, 8, 16, 32, 60, 60]),
        (Backoff(initial=0.0), [0, 0, 0, 0]),
        (Backoff(initial=5.0, factor=1.0), [0, 5, 5, 5]),
        (Backoff(initial=0.25, factor=3.0, max=2.0), [0, 0.25, 0.75, 2, 2]),
        (Backoff(initial=100.0, max=60.0), [0, 60, 60]),
        (Backoff(initial=1.0, max=0.0), [0, 0, 0]),
        (Backoff(initial=1.0, factor=1e300, max=60.0), [0, 1, 60, 60]),
    ],
)
def test_the_waits(backoff: Backoff, waits: list[float]) -> None:
    assert [delay(streak, backoff) for streak in range(1, len(waits) + 1)] == waits


@pytest.mark.parametrize("streak", [-1, 0, 1])
def test_the_first_restart_comes_at_once(streak: int) -> None:
    assert delay(streak, Backoff()) == 0.0


@pytest.mark.parametrize("factor", [1.0, 2.0, 1e308, sys.float_info.max])
@pytest.mark.parametrize("streak", [3, 1025, 10**9, 10**400])
def test_no_streak_is_too_long(factor: float, streak: int) -> None:
    assert delay(streak, Backoff(factor=factor)) in {1.0, 2.0, 60.0}


@given(
    initial=st.floats(0, 1e9),
    factor=st.floats(1, 1e9),
    longest=st.floats(0, 1e9),
    streak=st.integers(1, 100_000),
)
def test_waits_grow_up_to_the_longest(initial: float, factor: float, longest: float, streak: int) -> None:
    backoff = Backoff(initial=initial, factor=factor, max=longest)
    assert 0 <= delay(streak, backoff) <= delay(streak + 1, backoff) <= longest


@given(
    limits=st.builds(CrashLoop, st.integers(0, 8), st.floats(0.001, 1000)),
    gaps=st.lists(st.floats(0, 500), max_size=60),
)
def test_whoever_obeys_never_restarts_more_often_than_allowed_in_any_window(
    limits: CrashLoop, gaps: list[float]
) -> None:
    now, done = 0.0, list[float]()
    for gap in gaps:
        now += gap
        if not exceeds(tuple(done), now, limits):
            done.append(now)
    for end in done:
        assert sum(0 <= end - at < limits.window for at in done if at <= end) <= limits.max_restarts
