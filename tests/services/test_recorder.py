"""What is written down of a process, for the daemon that may have to adopt it."""

from types import SimpleNamespace
from typing import Any

import pytest
from fake_machine import up, watcher, world
from manual_clock import at_rest

from orchestrator.processes.identity import Identity
from orchestrator.recorder import Recorder
from orchestrator.store.database import KnownProcess
from orchestrator.supervise.machine import Launched


@pytest.mark.parametrize("watchdog", [0.0, 5.0])
async def test_whether_a_process_was_told_of_a_watchdog_is_remembered(watchdog: float) -> None:
    saved: list[KnownProcess] = []
    nothing: Any = None
    database: Any = SimpleNamespace(record=lambda _fact: None, save_process=saved.append)
    launched: dict[str, Launched] = {}
    async with world(watcher("a", watchdog=watchdog)) as w:
        machine: Any = SimpleNamespace(launched=launched)
        recorder = Recorder(database, w.supervisor, machine, nothing, w.clock)
        with w.bus.subscribed(recorder.note):
            launched["a"] = Launched(Identity(1001, 7, "boot"), "fingerprint")
            await up(w, "a")
            w.supervisor.add(watcher("a", watchdog=99.0))  # this one it does not know of
            w.machine.die("a")
            launched["a"] = Launched(Identity(1002, 8, "boot"), "fingerprint")
            await at_rest()
    told = [(process.pid, process.spec["watched"]) for process in saved]
    assert dict(told) == {1001: watchdog > 0, 1002: True}
