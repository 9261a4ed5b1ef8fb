"""What attempts have cost, kept apart from their runs: those are forgotten after a while, and may span a midnight."""

import sqlite3
from datetime import UTC, datetime, timedelta
from typing import Final

from orchestrator.schedule.spending import SPAN, Spent
from orchestrator.store.run_rows import micros, moment_of

_SPAN: Final = SPAN * 1_000_000  # microseconds
_AT_ONCE: Final = 200  # rows; as with runs, nobody waits for a season's rows to be deleted
LATELY: Final = timedelta(days=2)  # any day that a budget is for is over by then
MARGIN: Final = timedelta(days=1)  # by which a month may begin earlier than in UTC

# The index `costs_by_time` answers both.
_SUMS: Final = """
    SELECT at / ?1, agent, task, total(cost_usd) FROM costs WHERE at >= ?2 GROUP BY at / ?1, agent, task
"""
_BY_TASK: Final = """
    SELECT task, total(CASE WHEN at >= ?1 THEN cost_usd END), total(cost_usd) FROM costs WHERE at >= ?2 GROUP BY task
"""
# Written twice, when nobody knows whether the first time was for good, it is one row.
_ADD: Final = "INSERT OR IGNORE INTO costs (id, at, agent, task, cost_usd) VALUES (?, ?, ?, ?, ?)"
_PRUNE: Final = "DELETE FROM costs WHERE id IN (SELECT id FROM costs WHERE at < ? ORDER BY at LIMIT ?)"


def add(connection: sqlite3.Connection, cost_id: str, spent: Spent) -> None:
    """Remember what one attempt has cost."""
    connection.execute(_ADD, (cost_id, micros(spent.at), spent.agent, spent.task, spent.cost_usd))


def sums(connection: sqlite3.Connection, since: datetime) -> list[Spent]:
    """Give what was spent from `since` on, summed up by task, agent and SPAN."""
    return [
        Spent(moment_of(span * _SPAN), agent, task, cost)
        for span, agent, task, cost in connection.execute(_SUMS, (_SPAN, micros(since)))
    ]


def by_task(connection: sqlite3.Connection, day: datetime, month: datetime) -> dict[str, tuple[float, float]]:
    """Give what each task has cost since the beginnings of a day and of its month."""
    rows = connection.execute(_BY_TASK, (micros(day), micros(month)))
    return {task: (today, this_month) for task, today, this_month in rows}


def prune(connection: sqlite3.Connection, older_than: datetime, now: datetime) -> bool:
    """Forget some of what is older, but nothing of this month and the last; False: there was none."""
    this_month = now.astimezone(UTC).replace(day=1, hour=0, minute=0, second=0, microsecond=0)
    last_month = (this_month - timedelta(days=1)).replace(day=1)
    before = min(older_than, last_month - MARGIN)
    return connection.execute(_PRUNE, (micros(before), _AT_ONCE)).rowcount > 0
