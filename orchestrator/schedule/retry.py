"""PURE. Whether a run that did not succeed is tried again, and how long it waits before that."""

from orchestrator.config.model import Retry
from orchestrator.schedule.runs import Outcome, Result, Run

JITTER = 0.1  # the wait is up to this part shorter or longer, so that what failed together does not come back together


def again(run: Run, result: Result) -> bool:
    """Whether another attempt of `run` follows one that ended in `result`.

    Only failures are tried again, unless they are final: a time-out has used up the time that the run may take.
    """
    return result.outcome is Outcome.FAILURE and not result.final and run.attempts <= run.retries


def wait(attempts: int, retry: Retry, chance: float) -> float:
    """Seconds between attempt number `attempts` (from 1) and the next. `chance` from 0 to 1 spreads the waits."""
    try:
        base = retry.initial * retry.factor ** (max(1, attempts) - 1)
    except OverflowError:
        base = retry.max_delay
    return min(retry.max_delay, base * (1 + JITTER * (2 * chance - 1)))


def left(run: Run) -> int | None:
    """How many retries a run in place of `run`, whose attempt was cut off, has beyond its first; None: no such run."""
    begun = max(1, run.attempts)  # it was claimed: it may have begun without that being written down
    return run.retries - begun if begun <= run.retries else None
