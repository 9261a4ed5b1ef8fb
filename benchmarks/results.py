"""All values of a run, and their statistics."""

import math
import statistics
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field

from benchmarks.scenarios import Row, Series


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of all values do not exceed (nearest rank)."""
    ordered = sorted(values)
    rank = -(-len(ordered) * share // 1)  # rounded up
    return ordered[max(0, int(rank) - 1)]


@dataclass(slots=True)
class Results:
    values: dict[str, dict[str, list[float]]] = field(default_factory=lambda: defaultdict(lambda: defaultdict(list)))
    failures: list[str] = field(default_factory=list)

    def add(self, program: str, series: Series) -> None:
        for key, values in series.items():
            self.values[program][key] += values

    def number(self, program: str, row: Row) -> float | None:
        """None where nothing was measured."""
        values = self.values[program][row.series]
        if not values:
            return None
        match row.statistic:
            case "median":
                return statistics.median(values)
            case "p95":
                return percentile(values, 0.95)
            case "worst":
                return max(values)

    def ratio(self, row: Row, program: str, peer: str) -> float | None:
        ours, theirs = self.number(program, row), self.number(peer, row)
        return None if ours is None or not theirs or math.inf in (ours, theirs) else ours / theirs
