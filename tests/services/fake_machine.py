"""A machine under a test's control, and a whole supervisor on it."""

import signal
from collections.abc import AsyncIterator, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
from manual_clock import ManualClock, at_rest

from orchestrator.config.model import Launch, Policy, WatcherConfig
from orchestrator.events import Bus, Fact, WatcherChanged
from orchestrator.processes.death import Death
from orchestrator.supervise.states import State
from orchestrator.supervise.supervisor import Supervisor
from orchestrator.supervise.verdict import Verb, Verdict


@dataclass
class FakeProcess:
    name: str
    leader: bool = True
    survivors: bool = False  # others of its group live, or would once the leader is dead


@dataclass
class FakeMachine:
    """Implements supervisor.Machine. Processes obey the stop signal at once unless their watcher is told otherwise."""

    clock: ManualClock
    stubborn: set[str] = field(default_factory=set)  # watchers whose leaders ignore all but SIGKILL
    forking: set[str] = field(default_factory=set)  # whose groups outlive their leaders
    stubborn_children: set[str] = field(default_factory=set)  # whose groups' other members ignore all but SIGKILL
    immortal: set[str] = field(default_factory=set)  # in uninterruptible sleep: not even SIGKILL ends them
    trouble: dict[str, list[Exception | None]] = field(default_factory=dict)  # what the next spawns raise
    rss: dict[str, int] = field(default_factory=dict)
    spawns: list[tuple[float, str]] = field(default_factory=list)
    signals: list[tuple[float, str, int]] = field(default_factory=list)
    processes: dict[int, FakeProcess] = field(default_factory=dict)  # those of which someone lives
    opened: set[str] = field(default_factory=set)
    _pids: int = 1000
    _deaths: list[tuple[int, Death]] = field(default_factory=list)
    _messages: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    _death: anyio.Event = field(default_factory=anyio.Event)
    _message: anyio.Event = field(default_factory=anyio.Event)

    # --- what tests do ---

    def process(self, name: str) -> FakeProcess | None:
        """The living process of a watcher; there is never more than one."""
        found = [each for each in self.processes.values() if each.name == name]
        assert len(found) <= 1, f"two processes of {name}"
        return found[0] if found else None

    def die(self, name: str, code: int | None = 1, *, signal_: str | None = None, survivors: bool = False) -> None:
        """Let a watcher's leader end by itself."""
        pid = next(pid for pid, each in self.processes.items() if each.name == name and each.leader)
        self.processes[pid].survivors |= survivors
        self._end(pid, Death(code, signal_))

    def end_survivors(self, name: str) -> None:
        pid = next(pid for pid, each in self.processes.items() if each.name == name and not each.leader)
        del self.processes[pid]

    def say(self, name: str, **fields: str) -> None:
        """Let a watcher speak through sd_notify."""
        self._messages.append((name, fields))
        self._message.set()

    def count(self, name: str) -> int:
        return sum(each == name for _, each in self.spawns)

    # --- supervisor.Machine ---

    def spawn(self, watcher: WatcherConfig) -> int:
        name = watcher.name
        assert self.process(name) is None, f"a second process of {name}"
        self.spawns.append((self.clock.t, name))
        waiting = self.trouble.get(name)
        if waiting and (error := waiting.pop(0)) is not None:
            raise error
        self._pids += 1
        self.processes[self._pids] = FakeProcess(name, survivors=name in self.forking)
        return self._pids

    def adopt(self, name: str) -> int:
        """Have a process that an earlier daemon started."""
        self._pids += 1
        self.processes[self._pids] = FakeProcess(name)
        return self._pids

    def signal(self, pid: int, number: int) -> None:
        each = self.processes.get(pid)
        if each is None:
            return
        self.signals.append((self.clock.t, each.name, number))
        if number not in {signal.SIGTERM, signal.SIGINT, signal.SIGKILL} or each.name in self.immortal:
            return
        killed = number == signal.SIGKILL
        if killed or each.name not in self.stubborn_children:
            each.survivors = False
            if not each.leader:
                del self.processes[pid]
        if each.leader and (killed or each.name not in self.stubborn):
            self._end(pid, Death(signal=signal.Signals(number).name))

    def last_lines(self, name: str) -> list[str]:
        return [f"last words of {name}"]

    def redact(self, name: str, text: str) -> str:  # noqa: ARG002  as supervisor.Machine has it
        return text.replace("s3cr3t-value", "[redacted]")

    def deaths(self) -> Iterable[tuple[int, Death]]:
        if self._death.is_set():  # and so nobody waits for it any more
            self._death = anyio.Event()
        found, self._deaths = self._deaths, []
        return found

    async def wait_for_death(self) -> None:
        await self._death.wait()

    def living_groups(self, pids: Collection[int]) -> set[int]:
        return {pid for pid in pids if pid in self.processes}

    def messages(self) -> Iterator[tuple[str, dict[str, str]]]:
        if self._message.is_set():
            self._message = anyio.Event()
        found, self._messages = self._messages, []
        yield from found

    async def wait_for_message(self) -> None:
        await self._message.wait()

    async def settle(self, name: str) -> None:
        assert name in self.opened

    async def tree_rss(self, pids: Sequence[int]) -> Mapping[int, int]:
        return {pid: self.rss.get(self.processes[pid].name, 0) for pid in pids if pid in self.processes}

    def open(self, name: str) -> None:
        self.opened.add(name)

    def forget(self, name: str) -> None:
        assert self.process(name) is None, f"{name} is forgotten while it lives"
        self.opened.discard(name)

    def _end(self, pid: int, death: Death) -> None:
        each = self.processes[pid]
        each.leader = False
        if not each.survivors:
            del self.processes[pid]
        self._deaths.append((pid, death))
        self._death.set()


class Request:
    """What someone asked for, and what became of it."""

    def __init__(self) -> None:
        self.verdicts: dict[str, Verdict] | None = None

    @property
    def done(self) -> bool:
        return self.verdicts is not None

    @property
    def ok(self) -> dict[str, bool]:
        assert self.verdicts is not None, "still under way"
        return {name: verdict.ok for name, verdict in self.verdicts.items()}

    def message(self, name: str) -> str:
        assert self.verdicts is not None, "still under way"
        return self.verdicts[name].message


class World:
    """A supervisor that serves, its clock and machine, and all facts it published."""

    def __init__(self, tasks: anyio.abc.TaskGroup) -> None:
        self.clock = ManualClock()
        self.machine = FakeMachine(self.clock)
        self.bus = Bus()
        self.supervisor = Supervisor(self.machine, self.clock, self.bus)
        self.facts: list[Fact] = []
        self._tasks = tasks

    async def ask(self, verb: Verb, *names: str, timeout: float = 1000.0) -> Request:
        """Ask, and begin to wait for the outcome."""
        request = Request()
        asked = self.supervisor.ask(verb, names)

        async def wait() -> None:
            request.verdicts = await self.supervisor.wait(verb, asked, timeout)

        self._tasks.start_soon(wait)
        await at_rest()
        return request

    def state(self, name: str) -> State:
        return self.supervisor.keepers[name].state

    def states(self) -> dict[str, str]:
        return {name: keeper.state.value for name, keeper in self.supervisor.keepers.items()}

    def history(self, name: str) -> list[str]:
        """Every state that was published of a watcher."""
        return [fact.new for fact in self.facts if isinstance(fact, WatcherChanged) and fact.name == name]

    def describe(self, name: str) -> dict[str, Any]:
        return self.supervisor.keepers[name].describe()

    def reason(self, name: str) -> str:
        return self.supervisor.keepers[name].reason() or ""


@asynccontextmanager
async def world(*watchers: WatcherConfig) -> AsyncIterator[World]:
    """Serve `watchers`; none is started yet."""
    async with anyio.create_task_group() as tasks:
        made = World(tasks)
        with made.bus.subscribed(made.facts.append):
            for watcher in watchers:
                made.supervisor.add(watcher)
            await tasks.start(made.supervisor.serve)
            await at_rest()
            yield made
            tasks.cancel_scope.cancel()


async def up(w: World, *names: str) -> None:
    """Start watchers and let their start_seconds pass."""
    await w.ask(Verb.START, *names)
    await w.clock.advance(1.0)
    assert all(w.state(name) is State.RUNNING for name in names), w.states()


def watcher(
    name: str, *, needs: Sequence[str] = (), enabled: bool = True, memory_limit: int = 0, **policy: Any
) -> WatcherConfig:
    return WatcherConfig(
        name=name,
        launch=Launch(command=("true",), directory=Path("/"), memory_limit=memory_limit),
        policy=Policy(**policy),
        enabled=enabled,
        depends_on=tuple(needs),
    )
