"""A supervisor on the real machine, in a vault of a test's own."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread
from spawning import PATIENCE

from orchestrator.clock import SystemClock
from orchestrator.config.model import Backoff, Launch, LogsConfig, Policy, WatcherConfig
from orchestrator.events import Bus
from orchestrator.logs.capture import Capture
from orchestrator.places import Places, private_folder
from orchestrator.processes.notify import NotifySockets
from orchestrator.processes.programs import Surroundings
from orchestrator.supervise.machine import RealMachine
from orchestrator.supervise.states import State
from orchestrator.supervise.supervisor import Supervisor
from orchestrator.supervise.verdict import Verb, Verdict

AT_ONCE = Policy(start_seconds=0.0, backoff=Backoff(initial=0.0), stop_timeout=0.5)


class Site:
    def __init__(self, vault: Path) -> None:
        self.places = Places(str(vault))
        private_folder(self.places.state)
        Path(self.places.watcher_logs).mkdir(parents=True, exist_ok=True)
        self.problems: list[str | None] = []
        self.capture = Capture(self.places, LogsConfig(), lambda _key, text: self.problems.append(text))
        around = Surroundings(self.places, str(vault), dry_run=True, environ=dict(os.environ))
        notify = os.path.join(self.places.state, "notify")  # noqa: PTH118  places are strings
        self.machine = RealMachine(around, self.capture, NotifySockets(notify))
        self.supervisor = Supervisor(self.machine, SystemClock(), Bus())
        self.vault = vault

    def watcher(self, name: str, *command: str, policy: Policy = AT_ONCE, **others: Any) -> WatcherConfig:
        launch = Launch(command=command, directory=self.vault, env_file=others.pop("env_file", None))
        return WatcherConfig(name=name, launch=launch, policy=policy, **others)

    def sh(self, name: str, script: str, policy: Policy = AT_ONCE) -> WatcherConfig:
        return self.watcher(name, "/bin/sh", "-c", script, policy=policy)

    def state(self, name: str) -> State:
        return self.supervisor.keepers[name].state

    def pid(self, name: str) -> int:
        pid = self.supervisor.keepers[name].pid
        assert pid is not None, self.supervisor.keepers[name].reason()
        return pid

    def log(self, name: str) -> str:
        path = Path(self.places.watcher_log(name))
        return path.read_text() if path.exists() else ""

    async def ask(self, verb: Verb, *names: str) -> dict[str, Verdict]:
        return await self.supervisor.wait(verb, self.supervisor.ask(verb, names), PATIENCE)


@asynccontextmanager
async def serving(vault: Path) -> AsyncIterator[Site]:
    site = Site(vault)
    site.capture.start()
    try:
        async with anyio.create_task_group() as tasks:
            await tasks.start(site.supervisor.serve)
            try:
                yield site
                assert await site.supervisor.stop_all(10.0)
            finally:
                site.supervisor.kill_all()
                tasks.cancel_scope.cancel()
    finally:
        site.machine.close()
        await anyio.to_thread.run_sync(site.capture.close)  # in the loop it would wait for a turn of the loop
