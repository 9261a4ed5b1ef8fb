"""What is remembered of tasks and runs: claims before anything starts, outcomes before anything depends on them."""

import logging
import sqlite3
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from datetime import datetime
from functools import partial
from typing import Any, Final, TypeVar

from orchestrator.schedule.runs import Phase, Run, Statistics, TaskState
from orchestrator.schedule.spending import Spent
from orchestrator.store import costs
from orchestrator.store.database import Database, Unavailable
from orchestrator.store.history import history
from orchestrator.store.run_rows import RUN_COLUMNS, STATE_COLUMNS, Row, micros, run_of, run_row, state_of, state_row
from orchestrator.store.statistics import statistics

log = logging.getLogger(__name__)

T = TypeVar("T")

PRUNED_AT_ONCE: Final = 200  # rows; so a claim never waits for the whole of a season's history to be deleted

OUTPUTS: Final = 8 * 1024 * 1024  # characters of output that are given at once

# ruff: noqa: S608  what these are put together from are constants
_PLACES: Final = ", ".join("?" for _ in RUN_COLUMNS.split(","))
_CLAIM: Final = f"INSERT INTO runs ({RUN_COLUMNS}) VALUES ({_PLACES}) ON CONFLICT DO NOTHING"
# IGNORE is about the claims alone: a run whose slot is another one's is not worth holding up all other writes for.
_SAVE: Final = f"""
    INSERT OR IGNORE INTO runs ({RUN_COLUMNS}) VALUES ({_PLACES}) ON CONFLICT (run_id) DO UPDATE SET
    phase = excluded.phase, attempts = excluded.attempts, retries = excluded.retries, started_at = excluded.started_at,
    retry_at = excluded.retry_at, outcome = excluded.outcome, ended_at = excluded.ended_at,
    duration = excluded.duration, cost_usd = excluded.cost_usd, error = excluded.error, details = excluded.details,
    output = excluded.output
"""
_RELEASE: Final = "DELETE FROM runs WHERE run_id = ? AND attempts = 0 AND phase <> 'finished'"
_SELECT: Final = f"SELECT {RUN_COLUMNS} FROM runs"
_UNFINISHED: Final = f"{_SELECT} WHERE phase <> 'finished' ORDER BY id"
# Of what ended: a task that was skipped while its long run went on has ended last with that run.
_LAST: Final = f"""
    SELECT {RUN_COLUMNS.removesuffix("details, output")} NULL, '' FROM runs WHERE id IN (SELECT id FROM (
        SELECT id, max(ended_at) FROM runs WHERE ended_at IS NOT NULL AND outcome <> 'missed' GROUP BY task))
"""
_PRUNE: Final = "DELETE FROM runs WHERE id IN (SELECT id FROM runs WHERE ended_at < ? ORDER BY ended_at LIMIT ?)"
_STATES: Final = f"SELECT {STATE_COLUMNS} FROM tasks"
_SAVE_STATE: Final = f"REPLACE INTO tasks ({STATE_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?)"
_RETELL_STATE: Final = _SAVE_STATE.replace("REPLACE", "INSERT OR IGNORE", 1)


class RunStore:
    """Runs, tasks' states and small facts in the database. Every method belongs to the event loop's thread.

    Only `claim`, `states`, `setting` and `spent_since` raise, Unavailable: nothing may run that is not written down,
    nor by somebody who does not know what ran before, what a person has said of it and what it has cost. What else
    cannot be written is reported by the database, kept, and tried again. While the database cannot be read, all other
    reads find nothing.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        # What a new file is told when it must replace a damaged one. Of a state it is also the latest that is known:
        # that one is written, whatever was the latest when the write was queued.
        self._states: dict[str, TaskState] = {}
        self._unfinished: dict[str, Row] = {}
        self._paid: dict[str, Spent] = {}  # lately
        database.retell(self._retell)

    # --- tasks ---

    async def states(self) -> dict[str, TaskState]:
        """What is remembered of every task, by name. Raises Unavailable."""

        def read(connection: sqlite3.Connection) -> list[TaskState]:
            return [state for row in connection.execute(_STATES) if (state := _state_or_not(row)) is not None]

        found = {state.name: state for state in await self._database.ask(read)}
        self._states = found | self._states
        return found

    def save_state(self, state: TaskState) -> None:
        self._states[state.name] = state
        self._put_state(state.name)

    async def save_states(self, states: Iterable[TaskState]) -> None:
        """Remember many at once; durable when this returns, if the disk allows."""
        new = {state.name: state for state in states}
        self._states |= new
        try:
            await self._database.write(lambda connection: self._write_states(connection, new))
        except Unavailable:
            for name in new:
                self._put_state(name)

    def forget_state(self, name: str) -> None:
        self._states.pop(name, None)
        self._put_state(name)

    # --- runs ---

    async def claim(self, runs: Sequence[Run], states: Sequence[TaskState]) -> list[bool]:
        """Write `runs` down before anything of them starts, and the states that go with them: all or, raising, nothing.

        False for a run whose slot is claimed already; only those of a schedule claim theirs. A run that is finished
        already (skipped, missed) is written with its outcome. Raises Unavailable. Durable when this returns; whoever
        is cancelled meanwhile doesn't know: shield it.
        """
        now = self._database.now()
        rows = [run_row(run, now) for run in runs]
        new = {state.name: state for state in states}
        before = {name: self._states.get(name) for name in new}
        self._states |= new

        def write(connection: sqlite3.Connection) -> list[bool]:
            ours = [connection.execute(_CLAIM, row).rowcount == 1 for row in rows]
            self._write_states(connection, new)
            return ours

        try:
            ours = await self._database.write(write)
        except BaseException:
            for name, old in before.items():
                if self._states.get(name) is not new[name]:
                    continue
                if old is None:
                    del self._states[name]
                else:
                    self._states[name] = old
            raise
        for run, row, is_ours in zip(runs, rows, ours, strict=True):
            if is_ours and run.phase is not Phase.FINISHED:
                self._unfinished[run.run_id] = row
        return ours

    def begun(self, run: Run) -> None:
        """An attempt began, or the run's phase changed otherwise; written within a moment."""
        self._put(run, durable=False)

    async def waiting(self, run: Run) -> bool:
        """The run waits from now on, or no more: durable when this returns, or False, and it is tried again later."""
        self._put(run, durable=True)
        return await self._database.flush()

    async def finish(self, run: Run) -> None:
        """The run has its outcome; durable when this returns, if the disk allows."""
        self._put(run, durable=True)
        await self._database.flush()

    async def release(self, run_ids: Sequence[str], states: Sequence[TaskState] = ()) -> None:
        """Take back claims of which nothing began, and with them the states that said their slots are handled."""
        gone, new = [(run_id,) for run_id in run_ids], {state.name: state for state in states}
        self._states |= new
        for run_id in run_ids:
            self._unfinished.pop(run_id, None)

        def write(connection: sqlite3.Connection) -> None:
            connection.executemany(_RELEASE, gone)
            self._write_states(connection, new)

        self._database.put(f"release {' '.join(run_ids)}", write, passing=True, durable=True)
        await self._database.flush()

    async def unfinished(self) -> list[Run]:
        """What the last daemon left queued, running or retrying, oldest first."""
        found = await self._read(_UNFINISHED, lambda row: (row, run_of(row)))
        self._unfinished = {run.run_id: row for row, run in found} | self._unfinished
        return [run for _, run in found]

    async def history(self, task: str | None, limit: int, outcome: str | None, *, outputs: int = OUTPUTS) -> list[Run]:
        """The newest `limit` runs that are finished or under way, newest first by when they were written down.

        Their outputs have at most `outputs` characters in all; of the older ones only the beginning is given.
        """
        wanted = {"task": task, "outcome": outcome}
        asked = {column: value for column, value in wanted.items() if value is not None}
        return await self._database.read_aside(
            lambda connection: history(connection, asked, limit, outputs), otherwise=[]
        )

    async def run(self, run_id: str) -> Run | None:
        found = await self._read(f"{_SELECT} WHERE run_id = ?", run_of, run_id)
        return found[0] if found else None

    async def last_runs(self) -> dict[str, Run]:
        """Per task the run that ended last, without its output. A missed slot is no run."""
        return {run.task: run for run in await self._read(_LAST, run_of)}

    async def statistics(self, starts: tuple[datetime, datetime] | None = None) -> list[Statistics]:
        """Per task the numbers of the runs that are kept and were begun, by task.

        `starts`: when this day and this month began; without them nothing is said of what they have cost.
        """
        read = statistics if starts is None else partial(statistics, starts=starts)
        return await self._database.read_aside(read, otherwise=[])

    async def prune(self, older_than: datetime) -> int:
        """Forget what ended before `older_than`, and what it has cost; give how many runs that were."""
        values = (micros(older_than), PRUNED_AT_ONCE)
        pruned = 0
        with suppress(Unavailable):  # reported already; the next time will do
            while count := await self._database.write(lambda connection: connection.execute(_PRUNE, values).rowcount):
                pruned += count
            now = self._database.now()
            while await self._database.write(lambda connection: costs.prune(connection, older_than, now)):
                pass
        return pruned

    # --- money ---

    def add_cost(self, cost_id: str, spent: Spent) -> None:
        """Remember what the attempt of that id has cost; durable when what is awaited next of a run returns."""
        self._paid = {known: each for known, each in self._paid.items() if spent.at - each.at < costs.LATELY}
        self._paid[cost_id] = spent

        def write(connection: sqlite3.Connection) -> None:
            costs.add(connection, cost_id, spent)

        self._database.put(f"cost {cost_id}", write, passing=True, durable=True)

    async def spent_since(self, moment: datetime) -> list[Spent]:
        """What was spent from `moment` on, summed up. Raises Unavailable: what is left of budgets is unknown then."""
        return await self._database.ask(lambda connection: costs.sums(connection, moment))

    async def flush(self) -> bool:
        """Return when all that was queued so far is on disk; False when the disk does not allow it."""
        return await self._database.flush()

    # --- small facts ---

    async def setting(self, key: str) -> str | None:
        """What is remembered under `key`; None: nothing. Raises Unavailable: a pause is not to be overlooked."""

        def read(connection: sqlite3.Connection) -> str | None:
            found = connection.execute("SELECT value FROM settings WHERE key = ?", (key,)).fetchone()
            return None if found is None else str(found[0])

        return await self._database.ask(read)

    def put_setting(self, key: str, value: str | None) -> None:
        """Remember `value` under `key`; None: forget it."""

        def write(connection: sqlite3.Connection) -> None:
            if value is None:
                connection.execute("DELETE FROM settings WHERE key = ?", (key,))
            else:
                connection.execute("REPLACE INTO settings (key, value) VALUES (?, ?)", (key, value))

        self._database.put(f"setting {key}", write)

    # --- inside ---

    async def _read(self, query: str, make: Callable[[Row], T], *values: Any) -> list[T]:
        def read(connection: sqlite3.Connection) -> list[T]:
            return [make(row) for row in connection.execute(query, values)]

        return await self._database.read(read, otherwise=[])

    def _put(self, run: Run, *, durable: bool) -> None:
        row = run_row(run, self._database.now())
        if run.phase is Phase.FINISHED:
            self._unfinished.pop(run.run_id, None)
        else:
            self._unfinished[run.run_id] = row

        def write(connection: sqlite3.Connection) -> None:
            connection.execute(_SAVE, row)

        self._database.put(f"run {run.run_id}", write, passing=True, durable=durable)

    def _put_state(self, name: str) -> None:
        self._database.put(f"task {name}", lambda connection: self._write_states(connection, (name,)), passing=True)

    # In the database's thread; the event loop's goes on changing what they look at, hence get() and copy().

    def _write_states(self, connection: sqlite3.Connection, names: Iterable[str]) -> None:
        known = {name: self._states.get(name) for name in names}
        connection.executemany(_SAVE_STATE, [state_row(state) for state in known.values() if state is not None])
        gone = [(name,) for name, state in known.items() if state is None]
        connection.executemany("DELETE FROM tasks WHERE name = ?", gone)

    def _retell(self, connection: sqlite3.Connection) -> None:
        connection.executemany(_RETELL_STATE, [state_row(state) for state in self._states.copy().values()])
        connection.executemany(_CLAIM, list(self._unfinished.copy().values()))
        for cost_id, spent in self._paid.copy().items():
            costs.add(connection, cost_id, spent)


def _state_or_not(row: Row) -> TaskState | None:
    """A row that no version of ours wrote is no state; its task is new then."""
    try:
        return state_of(row)
    except (ValueError, OverflowError, TypeError) as error:
        log.warning("what is remembered of the task %s can't be read: %s", row[0], error)
        return None
