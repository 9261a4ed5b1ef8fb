"""A run store in memory, with the promises of the real one: what is claimed is claimed once, what is finished stays."""

from collections.abc import Iterable, Sequence
from copy import copy
from datetime import datetime

from orchestrator.errors import UserError
from orchestrator.schedule.runs import SCHEDULED, Phase, Run, TaskState
from orchestrator.schedule.spending import Spent


class FakeStore:
    """Shared by several schedulers in turn it is what one daemon leaves to the next."""

    def __init__(self) -> None:
        self.saved: dict[str, TaskState] = {}
        self.rows: dict[str, Run] = {}  # as written down, in order
        self.settings: dict[str, str] = {}
        self.costs: dict[str, Spent] = {}
        self.broken = False  # nothing can be written
        self.unreadable = False

    async def states(self) -> dict[str, TaskState]:
        return dict(self.saved)

    def save_state(self, state: TaskState) -> None:
        self.saved[state.name] = state

    async def save_states(self, states: Iterable[TaskState]) -> None:
        for state in states:
            self.save_state(state)

    def forget_state(self, name: str) -> None:
        self.saved.pop(name, None)

    async def claim(self, runs: Sequence[Run], states: Sequence[TaskState]) -> list[bool]:
        if self.broken:
            raise UserError("the disk is full")
        ours = []
        for run in runs:
            taken = any(
                row.task == run.task and row.slot == run.slot and {row.trigger, run.trigger} <= SCHEDULED
                for row in self.rows.values()
            )
            ours.append(not taken)
            if not taken:
                self._write(run)
        for state in states:
            self.save_state(state)
        return ours

    def begun(self, run: Run) -> None:
        self._write(run)

    async def waiting(self, run: Run) -> bool:
        if not self.broken:
            self._write(run)
        return not self.broken

    async def finish(self, run: Run) -> None:
        self._write(run)

    async def release(self, run_ids: Sequence[str], states: Sequence[TaskState] = ()) -> None:
        for run_id in run_ids:
            del self.rows[run_id]
        await self.save_states(states)

    async def unfinished(self) -> list[Run]:
        return [copy(row) for row in self.rows.values() if row.phase is not Phase.FINISHED]

    async def last_runs(self) -> dict[str, Run]:
        return {row.task: copy(row) for row in self.rows.values() if row.phase is Phase.FINISHED}

    async def setting(self, key: str) -> str | None:
        if self.unreadable:
            raise UserError("the database cannot be read just now")
        return self.settings.get(key)

    def put_setting(self, key: str, value: str | None) -> None:
        if value is None:
            self.settings.pop(key, None)
        else:
            self.settings[key] = value

    def add_cost(self, cost_id: str, spent: Spent) -> None:
        assert cost_id not in self.costs
        self.costs[cost_id] = spent

    async def spent_since(self, moment: datetime) -> list[Spent]:
        return [each for each in self.costs.values() if each.at >= moment]

    def _write(self, run: Run) -> None:
        self.rows[run.run_id] = copy(run)

    def told(self, task: str = "t") -> list[tuple[str, str]]:
        """Give the task's runs as (trigger, outcome), oldest first; `…` for one that is not finished."""
        return [
            (row.trigger.value, row.outcome.value if row.outcome else "…")
            for row in self.rows.values()
            if row.task == task
        ]
