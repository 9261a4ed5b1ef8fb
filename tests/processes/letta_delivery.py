"""Deliveries to Letta as the daemon makes them: a process that has its call in a file, which is read in the end."""

import contextlib
import json
import os
import queue
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from orchestrator.agents import letta
from orchestrator.config.model import AgentConfig, AgentKind
from orchestrator.processes.children import signal_name
from orchestrator.processes.death import Death
from orchestrator.processes.nameless import closing, file_in_memory
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
    modules = "from orchestrator import outbound; from orchestrator.agents import letta_child"
    program = f"{modules}; {change}; letta_child.main()"
    return [sys.executable, "-P", "-c", program]


class Fork:
    """A process that becomes a delivery by forking, as often as it is told to: many are made fast that way."""

    def __init__(self, path: Path, orders: int, deaths: int) -> None:
        self._path = path
        self._orders, self._deaths = os.fdopen(orders, "w"), os.fdopen(deaths)

    def close(self) -> None:
        self._orders.close()
        self._deaths.close()

    def deliver(self, url: str, text: str) -> Result:
        agent = AgentConfig("companion", AgentKind.LETTA, base_url=url)
        self._path.write_text(json.dumps(letta.request(agent, AGENT, text, {}, 900.0)))
        self._orders.write(f"{self._path}\n")
        self._orders.flush()
        death = _death(int(self._deaths.readline()))
        return letta.read(self._path.read_bytes(), death, "")


class Crew:
    """Some forks of one process that has imported what a delivery takes, and a thread for each."""

    _PROGRAM = """
import gc, os, sys
from orchestrator.agents import letta_child, letta_http
import encodings.idna, httpcore2, stringprep  # whatever a first request would import

gc.freeze()
pairs = [tuple(map(int, word.split(","))) for word in sys.argv[1:]]
for orders, deaths in pairs:
    if not os.fork():
        for other in pairs:
            if other != (orders, deaths):
                os.close(other[0])
                os.close(other[1])
        break
else:
    os.closerange(3, 1024)
    for _ in pairs:
        os.wait()
    sys.exit()
for line in os.fdopen(orders):
    pid = os.fork()
    if not pid:
        os.dup2(os.open(line.strip(), os.O_RDWR), 0)
        letta_child.main()
        os._exit(0)
    os.write(deaths, b"%d\\n" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]))
"""

    def __init__(self, count: int, folder: Path) -> None:
        self._idle = queue.SimpleQueue[Fork]()
        self._forks, theirs = list[Fork](), list[tuple[int, int]]()
        for number in range(count):
            (orders, to_order), (to_hear, deaths) = os.pipe(), os.pipe()
            theirs.append((orders, deaths))
            self._forks.append(Fork(folder / str(number), to_order, to_hear))
            self._idle.put(self._forks[-1])
        told = [f"{orders},{deaths}" for orders, deaths in theirs]
        descriptors = [fd for pair in theirs for fd in pair]
        command = [sys.executable, "-P", "-c", self._PROGRAM, *told]
        self._process = subprocess.Popen(command, pass_fds=descriptors)
        for fd in descriptors:
            os.close(fd)
        self._threads = ThreadPoolExecutor(count)

    def close(self) -> None:
        self._threads.shutdown()
        for fork in self._forks:
            fork.close()
        assert self._process.wait(PATIENCE) == 0

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
    with contextlib.closing(Crew(count, folder)) as crew:
        yield crew


def _death(code: int) -> Death:
    return Death(code=code) if code >= 0 else Death(signal=signal_name(-code))
