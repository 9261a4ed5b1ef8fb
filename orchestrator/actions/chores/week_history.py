"""What the history says of a week: how the tasks' runs ended, what they cost, which watchers were started again."""

import sqlite3
from collections.abc import Iterable
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Final

from orchestrator.actions.chores.weekly_page import History, TaskWeek
from orchestrator.clock import rfc3339
from orchestrator.schedule.runs import Outcome
from orchestrator.store import read_only
from orchestrator.store.run_rows import micros

_RUNS: Final = """
    SELECT task, outcome, count(*), total(cost_usd) FROM runs
    WHERE ended_at BETWEEN ? AND ? GROUP BY task, outcome ORDER BY task
"""
_RESTARTS: Final = "SELECT name, count(*) FROM restarts WHERE at BETWEEN ? AND ? GROUP BY name ORDER BY name"


def of_week(database: Path, since: datetime, until: datetime) -> History:
    """What the file holds; it is only read, and nothing is made beside it."""
    if not database.is_file():
        return History(trouble="There is no history yet: no daemon has run here.")
    try:
        with closing(read_only.connect(str(database))) as connection:
            runs = connection.execute(_RUNS, (micros(since), micros(until))).fetchall()
            restarts = connection.execute(_RESTARTS, (rfc3339(since), rfc3339(until))).fetchall()
    except sqlite3.Error as error:
        return History(trouble=f"The history can't be read: {error}.")
    return History(_by_task(runs), [(str(name), int(number)) for name, number in restarts])


def _by_task(rows: Iterable[tuple[str, str, int, float]]) -> list[TaskWeek]:
    weeks: dict[str, TaskWeek] = {}
    for task, outcome, number, cost in rows:
        week = weeks.setdefault(task, TaskWeek(task))
        week.cost_usd += cost
        match outcome:
            case Outcome.SUCCESS:
                week.succeeded += number
            case Outcome.CANCELLED:
                week.cancelled += number
            case Outcome.SKIPPED:
                week.skipped += number
            case Outcome.MISSED:
                week.missed += number
            case _:
                week.failed += number
    return list(weeks.values())
