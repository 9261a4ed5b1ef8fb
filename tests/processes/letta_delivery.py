"""Deliveries to Letta as the daemon makes them: a process that has its call in a file, which is read in the end."""

import json
import os
import queue
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Self, TypeVar

from orchestrator.actions.nameless import closing, file_in_memory
from orchestrator.agents import letta
from orchestrator.config.model import AgentConfig, AgentKind
from orchestrator.processes.children import signal_name
from orchestrator.processes.death import Death
from orchestrator.schedule.runs import Result

PATIENCE = 20.0  # seconds
KEY = "sk-let-0123456789"
AGENT = "agent-1"
COMMAND = [sys.executable, "-P", "-m", letta.MODULE]
T = TypeVar("T")


class Delivery:
    """A child with a message, and its file."""

    def __init__(self, fd: int, process: subprocess.Popen[bytes]) -> None:
        self._fd, self.process = fd, process

    def result(self) -> Result:
        """What the daemon makes of it, once it has ended."""
        _, said = self.process.communicate(timeout=PATIENCE)
        return letta.read(self.left(), _death(self.process.returncode), said.decode())

    def left(self) -> bytes:
        return os.pread(self._fd, os.fstat(self._fd).st_size, 0)


@contextmanager
def delivery(
    url: str, text: str = "Good morning", *, module: list[str] | None = None, timeout: float = 900.0, **environ: str
) -> Iterator[Delivery]:
    agent = AgentConfig("companion", AgentKind.LETTA, base_url=url)
    around = {"PATH": os.environ["PATH"], "LETTA_API_KEY": KEY, **environ}
    call = json.dumps(letta.request(agent, AGENT, text, around, timeout)).encode()
    with (
        closing(file_in_memory(), call) as fd,
        subprocess.Popen(
            module or COMMAND, stdin=fd, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, env=around
        ) as process,
    ):
        try:
            yield Delivery(fd, process)
        finally:
            process.kill()


def deliver(url: str, text: str = "Good morning", **how: Any) -> Result:
    with delivery(url, text, **how) as sent:
        return sent.result()


def started(change: str) -> list[str]:
    """A command that starts the child after something of it was changed."""
    program = f"from orchestrator.agents import letta_child, letta_http; {change}; letta_child.main()"
    return [sys.executable, "-P", "-c", program]


class Fork:
    """A process that has imported what a delivery takes, and becomes one by forking: many are made fast that way."""

    _PROGRAM = """
import os, sys
from orchestrator.agents import letta_child, letta_http
import httpcore2

for line in sys.stdin:
    pid = os.fork()
    if not pid:
        os.dup2(os.open(line.strip(), os.O_RDWR), 0)
        letta_child.main()
        os._exit(0)
    print(os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]), flush=True)
"""

    def __init__(self, path: Path) -> None:
        self._path = path
        command = [sys.executable, "-P", "-c", self._PROGRAM]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate(timeout=PATIENCE)

    def deliver(self, url: str, text: str) -> Result:
        agent = AgentConfig("companion", AgentKind.LETTA, base_url=url)
        self._path.write_text(json.dumps(letta.request(agent, AGENT, text, {}, 900.0)))
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(f"{self._path}\n")
        self._process.stdin.flush()
        death = _death(int(self._process.stdout.readline()))
        return letta.read(self._path.read_bytes(), death, "")


class Crew:
    """Some forks, and a thread for each."""

    def __init__(self, forks: Iterable[Fork], threads: ThreadPoolExecutor) -> None:
        self._threads = threads
        self._idle = queue.SimpleQueue[Fork]()
        for fork in forks:
            self._idle.put(fork)

    def map(self, work: Callable[[Fork, str], T], texts: list[str]) -> Iterator[T]:
        return self._threads.map(lambda text: self._lend(work, text), texts)

    def _lend(self, work: Callable[[Fork, str], T], text: str) -> T:
        fork = self._idle.get(timeout=PATIENCE)
        try:
            return work(fork, text)
        finally:
            self._idle.put(fork)


@contextmanager
def crew_of(count: int, folder: Path) -> Iterator[Crew]:
    with ThreadPoolExecutor(count) as threads, ExitStack() as stack:
        yield Crew([stack.enter_context(Fork(folder / str(number))) for number in range(count)], threads)


def _death(code: int) -> Death:
    return Death(code=code) if code >= 0 else Death(signal=signal_name(-code))
