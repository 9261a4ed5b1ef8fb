"""When a burst of changes is over."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.schedule.debounce import PATIENCE, Debounce


@pytest.mark.parametrize(
    ("changes", "passed_on"),
    [
        ([0], [5]),
        ([0, 1, 4.9], [9.9]),
        ([0, 6], [5, 11]),
        (list(range(0, 48, 4)), [49]),
        (list(range(0, 100, 4)), [50, 101]),  # one every 4 s for ever: the first after ten times the quiet
    ],
)
def test_when_changes_are_passed_on(changes: list[float], passed_on: list[float]) -> None:
    debounce, found = Debounce(), list[tuple[str, float]]()

    def until(now: float) -> None:
        while (following := debounce.next_at()) is not None and following <= now:
            assert debounce.take(following - 0.001) == []
            found.extend((name, following) for name, _ in debounce.take(following))

    for at in changes:
        until(at)
        debounce.note("t", at, 5)
    until(1000)
    assert found == [("t", at) for at in passed_on]


def test_each_name_by_itself() -> None:
    debounce = Debounce()
    debounce.note("a", 0, 3)
    debounce.note("b", 0, 1)
    debounce.note("c", 0, 0)
    debounce.note("gone", 0, 1)
    debounce.forget_all_but(["a", "b", "c"])
    assert debounce.next_at() == 0
    assert debounce.take(2) == [("c", 0), ("b", 0)]
    assert debounce.next_at() == 3
    assert debounce.take(3) == [("a", 0)]
    assert debounce.next_at() is None


@given(st.lists(st.floats(0, 100), min_size=1), st.floats(0.1, 10))
def test_no_change_is_lost_or_waits_too_long(changes: list[float], quiet: float) -> None:
    debounce, waiting, passed = Debounce(), list[float](), 0
    for at in sorted(changes):
        while (due := debounce.next_at()) is not None and due <= at:
            assert due <= waiting[0] + PATIENCE * quiet + 1e-9
            assert due <= waiting[-1] + quiet + 1e-9
            passed += len(waiting)
            assert debounce.take(due) == [("t", waiting[0])]  # and when the first of them was
            waiting.clear()
        debounce.note("t", at, quiet)
        waiting.append(at)
    assert debounce.take(1000) == [("t", waiting[0])]
    assert passed + len(waiting) == len(changes)
