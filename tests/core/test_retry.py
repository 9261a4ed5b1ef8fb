"""Which runs are tried again, and when."""

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.config.model import Retry
from orchestrator.schedule import retry
from orchestrator.schedule.runs import Outcome, Result, Run, Trigger


def run(attempts: int, retries: int) -> Run:
    return Run("r", "t", datetime(2026, 1, 1, tzinfo=UTC), Trigger.SCHEDULE, attempts=attempts, retries=retries)


@pytest.mark.parametrize(
    ("attempts", "retries", "outcome", "again"),
    [
        (1, 0, Outcome.FAILURE, False),
        (1, 3, Outcome.FAILURE, True),
        (3, 3, Outcome.FAILURE, True),
        (4, 3, Outcome.FAILURE, False),
        (1, 3, Outcome.SUCCESS, False),
        (1, 3, Outcome.TIMEOUT, False),
        (1, 3, Outcome.SKIPPED, False),
        (1, 3, Outcome.CANCELLED, False),
    ],
)
def test_only_failures_are_tried_again_and_only_so_often(
    attempts: int,
    retries: int,
    outcome: Outcome,
    again: bool,  # noqa: FBT001
) -> None:
    assert retry.again(run(attempts, retries), Result(outcome)) is again


def test_what_is_final_is_not_tried_again() -> None:
    assert not retry.again(run(1, 3), Result(Outcome.FAILURE, final=True))


@pytest.mark.parametrize(
    ("attempts", "seconds"), [(1, 1.0), (2, 2.0), (3, 4.0), (8, 128.0), (9, 256.0), (10, 300.0), (5000, 300.0)]
)
def test_waits_double_up_to_the_longest(attempts: int, seconds: float) -> None:
    assert retry.wait(attempts, Retry(), 0.5) == seconds


@given(st.integers(1, 50), st.floats(0, 1))
def test_chance_spreads_the_waits_a_little_and_never_beyond_the_longest(attempts: int, chance: float) -> None:
    plain, spread = retry.wait(attempts, Retry(), 0.5), retry.wait(attempts, Retry(), chance)
    assert 0.89 * plain <= spread <= min(300.0, 1.11 * plain)


@pytest.mark.parametrize(
    ("attempts", "retries", "left"),
    [(0, 0, None), (1, 0, None), (0, 3, 2), (1, 3, 2), (3, 3, 0), (4, 3, None)],
)
def test_a_run_that_was_cut_off_leaves_its_remaining_attempts_to_its_successor(
    attempts: int, retries: int, left: int | None
) -> None:
    assert retry.left(run(attempts, retries)) == left
