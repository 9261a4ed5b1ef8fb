"""What the history of runs says in numbers."""

import sqlite3
from datetime import datetime
from typing import Final

from orchestrator.schedule.runs import Statistics
from orchestrator.store import costs

# ruff: noqa: S608  what these are put together from is constant
# The index `runs_ended` answers all of it, each task's durations in order. The plus keeps SQLite from another index.
_RAN: Final = "ended_at IS NOT NULL AND attempts > 0 AND +outcome NOT IN ('skipped', 'missed')"
_COUNTS: Final = f"""
    SELECT task, count(*), avg(outcome = 'success'), count(duration), total(cost_usd)
    FROM runs WHERE {_RAN} GROUP BY task ORDER BY task
"""
_RANKED: Final = f"""
    SELECT duration FROM runs WHERE task = ? AND duration IS NOT NULL AND {_RAN} ORDER BY duration LIMIT 1 OFFSET ?
"""


def statistics(connection: sqlite3.Connection, starts: tuple[datetime, datetime] | None = None) -> list[Statistics]:
    """Per task the numbers of the runs that are kept and were begun, by task. Percentiles are by nearest rank.

    `starts`: when this day and this month began; what they have cost so far is counted to the moment of each attempt.
    """
    recent = {} if starts is None else costs.by_task(connection, *starts)

    def ranked(task: str, percent: int, timed: int) -> float | None:
        if not timed:  # nobody knows how long interrupted runs took
            return None
        rank = -(-timed * percent // 100)
        found: tuple[float] = connection.execute(_RANKED, (task, rank - 1)).fetchone()
        return found[0]

    return [
        Statistics(
            task,
            runs,
            success_rate,
            ranked(task, 50, timed),
            ranked(task, 95, timed),
            cost_usd,
            *recent.get(task, (0.0, 0.0)),
        )
        for task, runs, success_rate, timed, cost_usd in connection.execute(_COUNTS).fetchall()
    ]
