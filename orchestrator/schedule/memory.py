"""What the schedule as a whole remembers between daemons, as it wants it from whoever keeps it."""

from collections.abc import Sequence
from typing import Protocol

from orchestrator.schedule.gate import Ledger
from orchestrator.schedule.runner import Records
from orchestrator.schedule.runs import Run, TaskState
from orchestrator.schedule.slots import Claims


class Memory(Records, Claims, Ledger, Protocol):
    """What runs, slots and the gate write down, and the rest: `store.runs.RunStore`, or a stand-in in tests."""

    async def states(self) -> dict[str, TaskState]: ...
    async def save_states(self, states: Sequence[TaskState]) -> None: ...
    def forget_state(self, name: str) -> None: ...
    async def release(self, run_ids: Sequence[str], states: Sequence[TaskState] = ()) -> None: ...
    async def unfinished(self) -> list[Run]: ...
    async def last_runs(self) -> dict[str, Run]: ...
