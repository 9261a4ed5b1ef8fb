"""PURE. Many changes in a row become one: when things have been quiet for a while, or have not been for too long."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

PATIENCE: Final = 10  # a stream of changes that never ends is passed on after so many times the quiet that is asked for


@dataclass(slots=True)
class _Burst:
    first: float
    last: float
    quiet: float

    @property
    def due(self) -> float:
        return min(self.last + self.quiet, self.first + PATIENCE * self.quiet)


class Debounce:
    """Bursts of changes, by name; times are monotonic seconds."""

    def __init__(self) -> None:
        self._bursts: dict[str, _Burst] = {}

    def note(self, name: str, now: float, quiet: float) -> None:
        """Something changed; it is due once nothing has for `quiet` seconds."""
        burst = self._bursts.setdefault(name, _Burst(now, now, quiet))
        burst.last, burst.quiet = now, quiet

    def forget_all_but(self, names: Iterable[str]) -> None:
        kept = frozenset(names)
        self._bursts = {name: burst for name, burst in self._bursts.items() if name in kept}

    def next_at(self) -> float | None:
        """When the first one is due."""
        return min((burst.due for burst in self._bursts.values()), default=None)

    def take(self, now: float) -> list[tuple[str, float]]:
        """Those that are due, the earliest first, each with when its first change was; they are over with that."""
        due = sorted((burst.due, name) for name, burst in self._bursts.items() if burst.due <= now)
        return [(name, self._bursts.pop(name).first) for _, name in due]
