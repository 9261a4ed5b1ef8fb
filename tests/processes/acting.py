"""For the tests of actions: a host of real processes in a vault of a test's own."""

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import anyio
from spawning import PATIENCE, group_lives, until

from orchestrator.actions.host import ActionHost
from orchestrator.clock import SystemClock
from orchestrator.config.model import Action, AgentConfig, Command, Handler, TaskConfig
from orchestrator.places import Places, private_folder
from orchestrator.processes.groups import Patience
from orchestrator.processes.notify import NotifySockets
from orchestrator.processes.programs import Surroundings
from orchestrator.redaction import Redactor
from orchestrator.schedule.runs import Result, Run, Trigger

SLOT = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)


class Stage:
    """A host, and what is said on it. The configuration lies in `folder`, the vault in `folder`/vault."""

    def __init__(
        self,
        folder: Path,
        on_builtin: Mapping[str, Callable[[], Awaitable[Result]]] | None = None,
        *,
        agents: Mapping[str, AgentConfig] | None = None,
        patience: Patience | None = None,
    ) -> None:
        self.folder, self.vault = folder, folder / "vault"
        self.vault.mkdir()
        places = Places(str(self.vault))
        private_folder(places.state)
        self.state = places.state
        self.around = Surroundings(places, str(folder), dry_run=False, environ=dict(os.environ))
        notify = NotifySockets(os.path.join(places.state, "runs"))  # noqa: PTH118  places are strings
        redact = Redactor(self.around.environ)
        self.budgets: dict[str, float] = {}
        self.host = ActionHost(
            self.around,
            notify,
            SystemClock(),
            on_builtin or {},
            timezone="UTC",
            redact=redact,
            agents=agents,
            budget_left=self.budgets.get,
            patience=patience,
        )
        self.said: list[str] = []

    async def perform(self, action: Action, run: Run | None = None) -> Result:
        with anyio.fail_after(PATIENCE):
            return await self.host.perform(TaskConfig("t", action), run or new_run(), on_status=self.said.append)

    async def sh(self, script: str, run: Run | None = None) -> Result:
        return await self.perform(Command(("/bin/sh", "-c", script)), run)

    async def handle(self, source: str, run: Run | None = None) -> Result:
        """Run the function `run` of handlers/a.py with this source."""
        self.write("handlers/a.py", source)
        return await self.perform(Handler("handlers.a", "run", self.folder), run)

    def write(self, name: str, content: str) -> Path:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
        return path

    async def number(self, name: str) -> int:
        """The PID that a script writes into the file `name` of the vault, once it has."""
        path = self.vault / name
        await until(lambda: path.exists() and path.read_text().endswith("\n"))
        return int(path.read_text())

    def nothing_left(self) -> bool:
        """Whether the host has forgotten everything about its runs, sockets included."""
        groups = self.host.groups
        heard = groups._outputs._selector.get_map() or groups._notify._sockets
        return not (groups._running or groups._leaders or heard)


@asynccontextmanager
async def stage(
    folder: Path,
    on_builtin: Mapping[str, Callable[[], Awaitable[Result]]] | None = None,
    *,
    agents: Mapping[str, AgentConfig] | None = None,
    patience: Patience | None = None,
) -> AsyncIterator[Stage]:
    made = Stage(folder, on_builtin, agents=agents, patience=patience)
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(made.host.serve)
            try:
                yield made
                assert made.nothing_left()
            finally:
                made.host.kill_all()
                tasks.cancel_scope.cancel()
    finally:
        made.host.close()


def new_run(run_id: str = "r1") -> Run:
    return Run(run_id, "t", SLOT, Trigger.SCHEDULE, attempts=1)


def dry(run: Run) -> Run:
    return replace(run, dry_run=True)


def gone(*pids: int) -> bool:
    return not any(map(group_lives, pids))
