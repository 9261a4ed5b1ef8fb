"""What `status` answers: the supervisor, its watchers, tasks and the vault as one JSON object of the contract."""

import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Final

import anyio.lowlevel

from orchestrator import __version__
from orchestrator.clock import Clock
from orchestrator.config.model import Config
from orchestrator.control.agent_board import AgentBoard
from orchestrator.control.task_board import TaskBoard
from orchestrator.problems import Problems
from orchestrator.schedule.scheduler import Scheduler
from orchestrator.supervise.machine import Launched
from orchestrator.supervise.supervisor import Supervisor
from orchestrator.supervise.usage import Meter, Usage
from orchestrator.threads import in_thread
from orchestrator.vault import folders

TASKS_AT_ONCE: Final = 200  # so many objects take some milliseconds


class StatusSource:
    """Looks at everything at once. `state` and `config` are kept up to date by the app.

    `servers` gives the objects of the MCP servers.
    """

    def __init__(
        self,
        config: Config,
        supervisor: Supervisor,
        launched: Mapping[str, Launched],
        scheduler: Scheduler,
        agents: AgentBoard,
        servers: Callable[[], list[dict[str, Any]]],
        problems: Problems,
        clock: Clock,
    ) -> None:
        self.config = config
        self.state = "starting"
        self.started_at = clock.now()
        self._started = clock.monotonic()
        self._supervisor = supervisor
        self._launched = launched
        self._scheduler = scheduler
        self._problems = problems
        self._clock = clock
        self._meter = Meter()
        self.agents = agents
        self._servers = servers
        self.board = TaskBoard(scheduler, clock, agents.blocked)

    def supervisor(self) -> dict[str, Any]:
        return {
            "state": self.state,
            "pid": os.getpid(),
            "version": __version__,
            "uptime_seconds": round(self._clock.monotonic() - self._started, 3),
            "vault": str(self.config.vault),
            "dry_run": self.config.dry_run,
            "scheduler": self._scheduler.state,
            "problems": self._problems.lines() + self._dry_run_mismatches(),
        }

    def _dry_run_mismatches(self) -> list[str]:
        """Name the watchers whose process was told something else about the dry run than is configured now."""
        keepers, dry_run = self._supervisor.keepers, self.config.dry_run
        others = [
            name
            for name, launched in self._launched.items()
            if launched.dry_run is not dry_run and name in keepers and keepers[name].pid == launched.identity.pid
        ]
        if not others:
            return []
        old, names = str(not dry_run).lower(), " ".join(others)
        return [f"started with DRY_RUN={old} and still running: {names}; `aiempctl restart {names}` changes that"]

    def watchers(self, names: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Give the watchers' objects, without what only a look at their processes tells."""
        keepers = self._supervisor.keepers
        return [keepers[name].describe() for name in (keepers if names is None else names)]

    async def tasks(self, names: Sequence[str] | None = None) -> list[dict[str, Any]]:
        """Give the tasks' objects, of those that are still there; thousands of them hold nobody up."""
        names = list(self._scheduler.entries) if names is None else names
        found = list[dict[str, Any]]()
        for at in range(0, len(names), TASKS_AT_ONCE):
            there = [name for name in names[at : at + TASKS_AT_ONCE] if name in self._scheduler.entries]
            found += [self.board.object(name) for name in there]
            await anyio.lowlevel.checkpoint()
        return found

    async def whole(
        self, names: Sequence[str] | None = None, task_names: Sequence[str] | None = None
    ) -> dict[str, Any]:
        """Give the object of `status --json`, with only these watchers and tasks when given."""
        watchers = self.watchers(names)
        pids = [watcher["pid"] for watcher in watchers if watcher["pid"] is not None]
        wall = self._clock.now().timestamp()
        usage: Mapping[int, Usage] = {}
        with suppress(OSError):  # no thread left: then without
            usage = await in_thread(self._meter.sample, pids, wall) if pids else {}
        for watcher in watchers:
            used = usage.get(watcher["pid"])
            if used is not None:
                watcher["cpu_percent"], watcher["rss_bytes"] = used.cpu_percent, used.rss_bytes
        try:
            counts = await in_thread(folders.counts, str(self.config.vault))
        except OSError:  # no thread left
            counts = folders.counts(str(self.config.vault))
        agents = self.agents.look()
        return {
            "supervisor": self.supervisor(),
            "watchers": watchers,
            "tasks": await self.tasks(task_names),
            "agents": agents,
            "mcp": self._servers(),
            "vault": counts,
        }
