"""PURE. Which of the waiting runs may start now: by priority, then slot, within the lanes and the limit."""

import heapq
import itertools
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from orchestrator.config.model import Priority

RANKS: Final = {priority: rank for rank, priority in enumerate(Priority)}  # critical first
PATIENCE: Final = 300.0  # seconds of waiting that count as one priority more, so that nobody starves

_Item = tuple[float, int, str, float]  # slot, number, run id, since when it waits


@dataclass(frozen=True, slots=True)
class Candidate:
    """A run that waits since `since` (monotonic seconds)."""

    run_id: str
    priority: Priority
    slot: datetime
    lane: str | None
    since: float


class Admission:
    """The queue. One heap for each priority and lane, so that a busy lane costs nothing to pass over."""

    def __init__(self) -> None:
        self._queues: dict[tuple[int, str | None], list[_Item]] = {}
        self._waiting: dict[str, int] = {}  # run id → the number of its item: others of it in a heap are of earlier
        self._numbers = itertools.count()

    def __len__(self) -> int:
        return len(self._waiting)

    def __contains__(self, run_id: object) -> bool:
        return run_id in self._waiting

    def add(self, candidate: Candidate) -> None:
        place = (RANKS[candidate.priority], candidate.lane)
        number = self._waiting[candidate.run_id] = next(self._numbers)
        item = (candidate.slot.timestamp(), number, candidate.run_id, candidate.since)
        heapq.heappush(self._queues.setdefault(place, []), item)

    def remove(self, run_id: str) -> None:
        """Forget a run; it is taken out of its heap when it gets to the top."""
        self._waiting.pop(run_id, None)

    def take(self, free: int, busy_lanes: Collection[str], now: float) -> list[str]:
        """Take out those that may start at `now` (monotonic seconds) with room for `free` more, in order."""
        taken: list[str] = []
        busy = set(busy_lanes)
        while len(taken) < free:
            best = min(
                (
                    (rank - int((now - top[3]) / PATIENCE), top[0], top[1], (rank, lane))
                    for rank, lane in tuple(self._queues)
                    if lane not in busy and (top := self._top((rank, lane))) is not None
                ),
                default=None,
            )
            if best is None:
                break
            rank_and_lane = best[3]
            _, _, run_id, _ = heapq.heappop(self._queues[rank_and_lane])
            del self._waiting[run_id]
            taken.append(run_id)
            if rank_and_lane[1] is not None:
                busy.add(rank_and_lane[1])
        return taken

    def _top(self, place: tuple[int, str | None]) -> _Item | None:
        queue = self._queues[place]
        while queue and self._waiting.get(queue[0][2]) != queue[0][1]:
            heapq.heappop(queue)
        if not queue:
            del self._queues[place]
            return None
        return queue[0]
