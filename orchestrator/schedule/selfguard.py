"""PURE. Notices a task that is set off by the very files that its own runs change, and slows it down."""

from typing import Final

FREE: Final = 5  # runs in a row that a task's own changes may set off at once
SLACK: Final = 0.5  # seconds after a run in which a change still counts as its own: files are closed, indexes written
FIRST_PAUSE: Final = 60.0  # seconds before the run after that; each further one waits twice as long, …
LONGEST_PAUSE: Final = 3600.0  # … up to this


class SelfGuard:
    """By task the span of its last run and how often in a row it set itself off. Times are monotonic seconds."""

    def __init__(self) -> None:
        self._spans: dict[str, tuple[float, float]] = {}
        self._streaks: dict[str, int] = {}

    def ended(self, name: str, began: float, at: float) -> None:
        """A run of the task took from `began` to `at`."""
        self._spans[name] = (began, at)

    def forget(self, name: str) -> None:
        self._spans.pop(name, None)
        self._streaks.pop(name, None)

    def pause(self, name: str, first: float, running_since: float | None) -> float:
        """Seconds to wait before the run that changes since `first` set off; nobody can tell whose they are.

        Those that began during a run may be its own work. Any that did not show that somebody else is at work.
        """
        during = running_since is not None and running_since <= first
        span = self._spans.get(name)
        if not during and (span is None or not span[0] <= first <= span[1] + SLACK):
            self._streaks.pop(name, None)
            return 0.0
        streak = self._streaks[name] = self._streaks.get(name, 0) + 1
        if streak <= FREE:
            return 0.0
        return float(min(LONGEST_PAUSE, FIRST_PAUSE * 2 ** min(streak - FREE - 1, 20)))
