"""The MCP servers looked after on a manual clock: when each is checked, what is told, what is known meanwhile."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import anyio
import pytest
from manual_clock import ManualClock, at_rest

from orchestrator.config.model import Config, McpServer
from orchestrator.events import Bus, Fact, McpChanged, ProblemChanged
from orchestrator.mcp.finding import Finding, State
from orchestrator.mcp.monitor import AT_START, SELDOM, McpMonitor
from orchestrator.mcp.rounds import AGAIN, EVERY, LOOK, Rounds
from orchestrator.mcp.server import Server, Transport
from orchestrator.places import Places
from orchestrator.problems import Problems
from orchestrator.processes.programs import Surroundings

OK, FAILED = State.OK, State.FAILED


def server(name: str, **more: Any) -> Server:
    return Server(name, Transport.STDIO, ("x",), **more)


class World:
    """The rounds; their servers, which a test changes, and what they answer."""

    def __init__(self, vault: Path) -> None:
        self.vault = vault
        self.clock = ManualClock()
        self.servers: list[Server] = []
        self.lines: list[str] = []
        self.answers: dict[str, State] = {}
        self.takes = 0.0
        self.checked: list[tuple[str, float]] = []
        self.reads = 0
        self.at_once = self.most = 0
        self.facts: list[Fact] = []
        bus = Bus()
        self.bus = bus
        self.problems = Problems(bus, self.clock)
        places = Places(str(vault))
        around = Surroundings(places, str(vault), dry_run=False, environ={})
        groups: Any = None  # nobody needs them here
        self.rounds = Rounds(places, around, self.clock, groups, bus, self.problems, read=self._read, check=self._check)

    async def _read(self, _: Config) -> tuple[list[Server], list[str]]:
        self.reads += 1
        return list(self.servers), list(self.lines)

    async def _check(self, asked: Server) -> Finding:
        self.checked.append((asked.name, self.clock.t))
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        try:
            await self.clock.sleep(self.takes)
        finally:
            self.at_once -= 1
        state = self.answers.get(asked.name, OK)
        error = None if state is OK else "no"
        return Finding(
            asked.name, "stdio", state, tools=2, latency_ms=self.clock.t, checked_at=self.clock.now(), error=error
        )

    def use(self, *servers: Server, **settings: Any) -> None:
        self.servers = list(servers)
        self.rounds.use(Config(self.vault / "supervisor.toml", self.vault, "UTC", **settings))

    def touch(self, *servers: Server) -> None:
        """Write the vault's .mcp.json anew."""
        self.servers = list(servers)
        (self.vault / ".mcp.json").write_text("x" * (self.reads + 1))

    def times(self, name: str) -> list[float]:
        return [at for checked, at in self.checked if checked == name]

    def told(self) -> list[tuple[str, str]]:
        return [(fact.name, fact.state) for fact in self.facts if isinstance(fact, McpChanged)]

    def states(self) -> list[tuple[str, State]]:
        return [(found.name, found.state) for found in self.rounds.findings()]


@asynccontextmanager
async def world(vault: Path) -> AsyncIterator[World]:
    made = World(vault)
    with made.bus.subscribed(made.facts.append):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(made.rounds.serve, AT_START)
            try:
                yield made
            finally:
                tasks.cancel_scope.cancel()


async def test_each_is_checked_after_the_start_and_every_quarter_of_an_hour(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.use(server("a"), server("b"))
        await at_rest()
        assert here.states() == [("a", State.UNCHECKED), ("b", State.UNCHECKED)]
        assert here.checked == []
        await here.clock.advance(2 * EVERY + AT_START)
        assert here.times("a") == here.times("b") == [AT_START, AT_START + EVERY, AT_START + 2 * EVERY]
        assert here.states() == [("a", OK), ("b", OK)]
        assert here.told() == [("a", "unchecked"), ("b", "unchecked"), ("a", "ok"), ("b", "ok")]
        assert here.reads == 1


async def test_one_at_a_time(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.takes = 40.0
        here.use(server("a"), server("b"), server("c"))
        await here.clock.advance(AT_START)
        assert here.states() == [("a", State.CHECKING), ("b", State.UNCHECKED), ("c", State.UNCHECKED)]
        await here.clock.advance(10_000)
        assert here.most == 1
        for name in "abc":
            times = here.times(name)
            assert all(EVERY <= later - earlier <= EVERY + 3 * 40 + 1 for earlier, later in pairwise(times))
        assert len(here.checked) >= 3 * 10


async def test_who_fails_is_checked_again_after_waits_that_grow(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.answers["a"] = FAILED
        here.use(server("a"))
        await here.clock.advance(AT_START + 60 + 120 + 240 + 480 + 900 + 900)
        times = here.times("a")
        waits = [later - earlier for earlier, later in pairwise(times)]
        assert waits == [AGAIN, 120, 240, 480, EVERY, EVERY]
        assert here.told() == [("a", "unchecked"), ("a", "failed")]
        here.answers["a"] = OK
        await here.clock.advance(EVERY)
        assert here.told()[-1] == ("a", "ok")
        here.answers["a"] = FAILED
        await here.clock.advance(EVERY + AGAIN)
        assert here.times("a")[-1] - here.times("a")[-2] == AGAIN  # it begins anew


async def test_what_is_known_stays_while_it_is_checked_again(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.takes = 20.0
        here.use(server("a"))
        await here.clock.advance(AT_START + 20 + EVERY + 1)
        assert here.at_once == 1
        assert here.states() == [("a", OK)]


async def test_a_changed_file_is_noticed_and_only_what_changed_is_checked(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.answers["b"] = FAILED
        here.use(server("a"), server("b"), server("c"))
        await here.clock.advance(AT_START + 1)
        here.checked.clear()
        here.facts.clear()
        here.touch(server("d"), replace(server("c"), command=("y",)), server("b"), server("a"))
        await here.clock.advance(LOOK)
        assert [name for name, _ in here.checked] == ["d", "c", "b"]
        assert here.states() == [("d", OK), ("c", OK), ("b", FAILED), ("a", OK)]
        assert here.told() == [("d", "unchecked"), ("c", "unchecked"), ("d", "ok"), ("c", "ok")]


async def test_who_is_taken_out_is_gone_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.use(server("a"), server("b"))
        await here.clock.advance(AT_START + 1)
        here.touch(server("b"))
        await here.clock.advance(LOOK)
        assert here.states() == [("b", OK)]
        assert here.told()[-1] == ("a", "removed")
        here.use()
        await at_rest()
        assert here.states() == []
        count = len(here.checked)
        await here.clock.advance(2 * EVERY)
        assert len(here.checked) == count


async def test_who_is_taken_out_during_the_check_stays_out(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.takes = 30.0
        here.use(server("a"), server("b"))
        await here.clock.advance(AT_START + 1)
        here.use(server("b"))
        await here.clock.advance(31)
        assert here.states() == [("b", State.CHECKING)]
        assert ("a", "ok") not in here.told()


async def test_a_change_of_the_configuration_counts_at_once(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.use()
        await here.clock.advance(100)
        here.use(server("a"))
        await at_rest()
        assert here.states() == [("a", OK)]
        assert here.times("a") == [100]


async def test_who_is_not_to_be_checked_is_not(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.use(server("a", state=State.DISABLED, why_not="off"))
        await here.clock.advance(3 * EVERY)
        assert here.checked == []
        assert here.states() == [("a", State.DISABLED)]
        assert here.told() == [("a", "disabled")]
        here.touch(server("a"))
        await here.clock.advance(LOOK)
        assert here.states() == [("a", OK)]


async def test_mistakes_are_problems_until_they_are_gone(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        here.lines = ["one is wrong", "two is wrong"]
        here.use()
        await at_rest()
        assert here.problems.lines() == ["one is wrong", "two is wrong"]
        here.lines = ["two is wrong"]
        here.touch()
        await here.clock.advance(LOOK)
        assert here.problems.lines() == ["two is wrong"]
        assert len([fact for fact in here.facts if isinstance(fact, ProblemChanged)]) == 3


async def test_without_servers_there_is_only_a_look_now_and_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []

    def marks(vault: str) -> tuple[object, ...]:
        looks.append(vault)
        return (None,)

    monkeypatch.setattr("orchestrator.mcp.servers.marks", marks)
    async with world(tmp_path) as here:
        await here.clock.advance(100)
        assert looks == []  # nobody has said yet what counts
        here.use()
        await here.clock.advance(10 * SELDOM)
        assert len(looks) == 11
        assert here.checked == []
        assert here.reads == 1


async def test_a_machine_without_a_thread_to_give_is_asked_again(tmp_path: Path) -> None:
    async with world(tmp_path) as here:
        real: Callable[[Config], Any] = here.rounds._read
        refused = 0

        async def refuse(_: Config) -> tuple[list[Server], list[str]]:
            nonlocal refused
            refused += 1
            raise BlockingIOError

        here.rounds._read = refuse
        here.use(server("a"))
        await here.clock.advance(AT_START)
        assert refused
        assert here.states() == []
        here.rounds._read = real
        await here.clock.advance(LOOK)
        assert here.states() == [("a", OK)]


# --- before there are any ---


class Stub:
    """Stands in for the rounds."""

    def __init__(self, *_: object) -> None:
        self.used: list[Config] = []
        self.began: list[float] = []

    def use(self, config: Config) -> None:
        self.used.append(config)

    def findings(self) -> list[Finding]:
        return [server("a").unchecked()]

    async def serve(self, begin: float) -> None:
        self.began.append(begin)
        await anyio.sleep_forever()


@pytest.mark.parametrize("by", ["file", "configuration"])
async def test_nobody_makes_rounds_until_there_is_something_to_look_after(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by: str
) -> None:
    made: list[Stub] = []

    def make(*_: object) -> Stub:
        made.append(Stub())
        return made[-1]

    monkeypatch.setattr("orchestrator.mcp.rounds.Rounds", make)
    clock, bus, groups = ManualClock(), Bus(), None
    places = Places(str(tmp_path))
    around = Surroundings(places, str(tmp_path), dry_run=False, environ={})
    monitor = McpMonitor(places, around, clock, groups, bus, Problems(bus, clock))  # type: ignore[arg-type]
    looks: list[float] = []

    def is_there() -> bool:
        looks.append(clock.t)
        return (tmp_path / ".mcp.json").is_symlink()

    monkeypatch.setattr(monitor, "_is_there", is_there)
    config = Config(tmp_path / "supervisor.toml", tmp_path, "UTC")
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(monitor.serve)
        monitor.use(config)
        await clock.advance(3 * SELDOM)
        assert (made, monitor.findings()) == ([], [])
        assert len(set(looks)) == 4  # it wakes up no more often than that
        if by == "file":
            (tmp_path / ".mcp.json").symlink_to("nowhere")
            await clock.advance(SELDOM)
        else:
            config = replace(config, mcp={"a": McpServer("a", ("x",))})
            monitor.use(config)
            await at_rest()
        (rounds,) = made
        assert (rounds.used, rounds.began) == ([config], [AT_START])
        assert [found.name for found in monitor.findings()] == ["a"]
        monitor.use(replace(config, dry_run=True))
        assert len(rounds.used) == 2
        tasks.cancel_scope.cancel()
