"""The time that a check may take. Only in the process of the check, which is a program of its own."""

import time


class Deadline:
    """Ends `seconds` from now."""

    def __init__(self, seconds: float) -> None:
        self._end = time.monotonic() + seconds

    def left(self) -> float:
        """Seconds; none any more: 0."""
        return max(0.0, self._end - time.monotonic())


def now() -> float:
    """Seconds since some moment."""
    return time.monotonic()
