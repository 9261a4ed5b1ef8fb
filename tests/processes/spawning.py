"""For the tests of processes: start some for real, hear of their deaths, leave none behind."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import anyio

from orchestrator.processes.children import Processes, Program, living_groups
from orchestrator.processes.death import Death

PATIENCE = 20.0  # seconds; far more than anything here takes


def group_lives(pid: int) -> bool:
    return bool(living_groups([pid]))


class Land:
    """Processes of one test, all of whose output goes to one file."""

    def __init__(self, folder: Path) -> None:
        self.processes = Processes()
        self.deaths: dict[int, Death] = {}
        self.pids: list[int] = []
        self._output = folder / "output"
        self._output.touch()

    def spawn(self, *argv: str, directory: str = "/", executable: str = "", **environ: str) -> int:
        fd = os.open(self._output, os.O_WRONLY | os.O_APPEND)
        try:
            env = {"PATH": os.environ["PATH"], **environ}
            pid = self.processes.spawn(Program(executable or argv[0], argv, directory, env), fd)
        finally:
            os.close(fd)
        self.pids.append(pid)
        return pid

    def sh(self, script: str, *arguments: str) -> int:
        return self.spawn("/bin/sh", "-c", script, "sh", *arguments)

    def output(self) -> str:
        return self._output.read_text()

    async def said(self, text: str) -> None:
        await until(lambda: text in self.output())

    async def death(self, pid: int) -> Death:
        """How a process ended, once it has."""
        with anyio.fail_after(PATIENCE):
            while pid not in self.deaths:
                await self.processes.wait()
                for dead, death in self.processes.ended():
                    assert dead not in self.deaths, "told twice"
                    self.deaths[dead] = death
        return self.deaths[pid]

    async def run(self, script: str) -> list[str]:
        """The lines that a script prints."""
        assert await self.death(self.sh(script)) == Death(code=0), self.output()
        return self.output().splitlines()

    def close(self) -> None:
        self.processes.close()
        for pid in self.pids:
            with suppress(ProcessLookupError):
                os.killpg(pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(pid, 0)


@contextmanager
def land(folder: Path) -> Iterator[Land]:
    made = Land(folder)
    try:
        yield made
    finally:
        made.close()


async def until(condition: Callable[[], Any]) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110  what it asks about tells nobody of its changes
            await anyio.sleep(0.002)


async def group_is_gone(pid: int) -> None:
    await until(lambda: not group_lives(pid))


def orphan(script: str, output: str = os.devnull, **environ: str) -> int:
    """A process in a session of its own, started by another one that is gone by now."""
    starter = """
import os, subprocess, sys
child = subprocess.Popen(["/bin/sh", "-c", sys.argv[1]], start_new_session=True, stdin=subprocess.DEVNULL,
                         stdout=os.open(sys.argv[2], os.O_RDWR), stderr=subprocess.DEVNULL)
print(child.pid)
child.returncode = 0
"""
    done = subprocess.run(
        [sys.executable, "-c", starter, script, output],
        env={"PATH": os.environ["PATH"], **environ},
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=True,
    )
    return int(done.stdout)
