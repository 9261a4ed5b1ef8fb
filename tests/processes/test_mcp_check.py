"""Checks of real MCP servers, most of which behave badly: each ends in time, says why, and leaves no process."""

import json
import os
import subprocess
import sys
from pathlib import Path

import anyio
import pytest
from mcp_checking import PLAYED, Bench, bench, played, without_times
from spawning import PATIENCE, orphan, until

from orchestrator.clock import SystemClock
from orchestrator.config.model import Config, McpServer
from orchestrator.events import Bus, Fact, McpChanged
from orchestrator.mcp import call, monitor
from orchestrator.mcp.finding import Finding, State
from orchestrator.mcp.monitor import McpMonitor
from orchestrator.mcp.now import check_now
from orchestrator.mcp.server import Server, Transport
from orchestrator.problems import Problems

OK, FAILED, TIMEOUT = State.OK, State.FAILED, State.TIMEOUT
pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


# What a server does, what is found, and in what its error begins or how many tools it has.
TABLE: tuple[tuple[str, State, str | int], ...] = (
    ("good", OK, 2),
    ("pages", OK, 6),
    ("old", OK, 2),
    ("without_tools", OK, 0),
    ("without_ping", OK, 2),
    ("junk", OK, 2),
    ("asks", OK, 2),
    ("modern", OK, 4),
    ("flood_of_errors", OK, 2),
    ("ends_on_sigterm", OK, 2),
    ("stubborn", OK, 2),
    ("leaves_a_daemon", OK, 2),
    (
        "dies",
        FAILED,
        "it ended (exit code 3) before it answered initialize: ModuleNotFoundError: No module named 'time",
    ),
    ("killed", FAILED, "it ended (killed by SIGKILL) before it answered ping"),
    ("silent", FAILED, "it closed its output before it answered initialize"),
    ("leaves_a_daemon_and_dies", FAILED, "it ended (exit code 4) before it answered initialize"),
    ("flood", FAILED, "it talks without end"),
    ("chatter", FAILED, "it talks without end, without answering initialize"),
    ("asks_without_end", FAILED, "it talks without end, without answering initialize"),
    ("refuses", FAILED, r"it refuses initialize: no such\x1b[31m client (-32602)"),
    ("future", FAILED, "it speaks version 2031-01-01 of the protocol"),
    ("circle", FAILED, "the pages of its tools/list go in a circle"),
    ("endless_pages", FAILED, "its list of tools has no end"),
    ("hung", TIMEOUT, "no answer to initialize within 3.5 s: loading a very large model"),
    ("deaf_to_ping", TIMEOUT, "no answer to ping within 3.5 s"),
    ("deaf", TIMEOUT, "no answer to initialize within 1 s"),
)
AT_ONCE = 12


async def test_every_behaviour_is_found_out_in_time_and_leaves_nobody(tmp_path: Path) -> None:
    found, limiter = dict[str, Finding](), anyio.CapacityLimiter(AT_ONCE)

    async def check(here: Bench, behaviour: str, timeout: float) -> None:
        async with limiter:
            with anyio.fail_after(timeout + call.SPARE + call.STOP + PATIENCE):
                found[behaviour] = await here.another_checker()(played(behaviour, timeout=timeout))

    async with bench(tmp_path) as here:
        async with anyio.create_task_group() as tasks:
            for behaviour, state, _ in reversed(TABLE):  # the slowest first
                least = 1.0 if behaviour == "deaf" else 3.5  # it says nothing before it is over, the others do
                tasks.start_soon(check, here, behaviour, least if state is TIMEOUT else 40.0)
        assert here.left() == []
    for behaviour, state, said in TABLE:
        each = found[behaviour]
        assert each.state is state, each
        assert each.checked_at is not None
        if isinstance(said, int):
            assert without_times(each) == Finding(behaviour, "stdio", OK, "1.2.3", said)
            assert each.latency_ms is not None
            assert 0 <= each.latency_ms < 40_000
        else:
            assert each.tools is None
            assert (each.error or "").startswith(said), each


async def test_a_slow_start_by_a_program_that_downloads_is_told_as_that(tmp_path: Path) -> None:
    npx = tmp_path / "npx"
    npx.write_text("#!/bin/sh\nexec sleep 1000\n")
    npx.chmod(0o755)
    async with bench(tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}") as here:
        found = await here.check(Server("s", Transport.STDIO, ("npx", "-y", "some-server"), timeout=0.5))
    assert found.state is TIMEOUT
    assert "npx may have been downloading it still: start it once by hand" in (found.error or "")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("no-such-command", "command 'no-such-command' is not on the PATH; install it or write its full path"),
        ("/no/such", "command '/no/such' cannot be started: No such file or directory"),
        ("./text", "command './text' cannot be started: Permission denied"),
    ],
)
async def test_what_cannot_be_started_says_why(tmp_path: Path, command: str, said: str) -> None:
    async with bench(tmp_path) as here:
        (here.vault / "text").write_text("hello")
        found = await here.check(Server("s", Transport.STDIO, (command,)))
    assert (found.state, found.error) == (FAILED, said)


async def test_a_python_of_our_own_configuration_is_ours_and_one_of_claudes_is_that_of_the_path(tmp_path: Path) -> None:
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho not this one >&2; exit 1\n")
    python.chmod(0o755)
    ours = Server("s", Transport.STDIO, ("python", *played("good").command[1:]), config_folder=str(tmp_path))
    theirs = Server("s", Transport.STDIO, ours.command)
    async with bench(tmp_path, PATH=f"{tmp_path}:{os.environ['PATH']}") as here:
        assert (await here.check(ours)).state is OK
        assert (await here.check(theirs)).error == "it ended (exit code 1) before it answered initialize: not this one"


@pytest.mark.parametrize("folder", [None, "/"])
async def test_what_a_relative_folder_of_the_path_names_does_not_count(tmp_path: Path, folder: str | None) -> None:
    async with bench(tmp_path, PATH=f"bin::.:{os.defpath}") as here:
        for place in ("bin", "."):
            (here.vault / place).mkdir(exist_ok=True)
            (here.vault / place / "lies-here").symlink_to(sys.executable)
        found = await here.check(Server("s", Transport.STDIO, ("lies-here", PLAYED, "good"), config_folder=folder))
    assert (found.error or "").startswith("command 'lies-here' is not on the PATH")


async def test_what_a_server_finds_when_it_starts(tmp_path: Path) -> None:
    environ = {"CLAUDECODE": "1", "NOTIFY_SOCKET": "/x", "AIEMP_TASK": "t", "CLAUDE_PROJECT_DIR": "/other"}
    async with bench(tmp_path, **environ) as here:
        here.checker.use_dry_run(dry_run=True)
        found = await here.check(played("tells_surroundings", "a  b", env=(("PLAYED", "yes"), ("AIEMP_VAULT", "/no"))))
        vault = here.vault
    assert (found.error or "").endswith(f": {vault} {vault} {vault} true yes - - - a b")


async def test_secrets_stay_secret(tmp_path: Path) -> None:
    async with bench(tmp_path, OTHER_TOKEN="from-the-daemon") as here:  # noqa: S106  it is none
        found = await here.check(played("tells_secret", env=(("PLAYED_API_KEY", "from-the-file"),)))
    assert (found.error or "").endswith("cannot sign in with [redacted] or [redacted]")


def command_line(pid: int) -> bytes:
    return Path(f"/proc/{pid}/cmdline").read_bytes()


async def test_what_a_check_is_told_is_no_argument(tmp_path: Path) -> None:
    async with bench(tmp_path) as here, anyio.create_task_group() as tasks:
        tasks.start_soon(here.checker, played("hung", env=(("PLAYED_API_KEY", "from-the-file"),)))
        await until(lambda: len(here.left()) == 2)
        lines = b" ".join(map(command_line, here.left()))
        assert b"orchestrator.mcp.check\0hung" in lines
        assert b"from-the-file" not in lines
        tasks.cancel_scope.cancel()
    assert here.left() == []


async def test_cancelling_leaves_nobody(tmp_path: Path) -> None:
    async with bench(tmp_path) as here, anyio.create_task_group() as tasks:
        tasks.start_soon(here.checker, played("deaf"))
        await until(lambda: len(here.left()) == 2)
        tasks.cancel_scope.cancel()
    assert here.left() == []


async def test_a_check_that_comes_to_no_end_is_ended_from_outside(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(call, "SPARE", -18.5)
    async with bench(tmp_path) as here:
        found = await here.check(played("hung"))
    assert (found.state, found.error) == (TIMEOUT, "its check came to no end in 1.5 s")


async def test_what_an_earlier_daemon_has_left_is_ended_too(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        orphan("exec sleep 1000", AIEMP_STATE_DIR=here.places.state, AIEMP_RUN=call.DAEMONS)
        assert len(here.left()) == 1
        assert (await here.check(played("good"))).state is OK


async def test_a_check_that_dies_is_told_as_that(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "document", lambda *_: b"nothing")
    async with bench(tmp_path) as here:
        found = await here.check(played("good"))
    assert found.state is FAILED
    assert (found.error or "").startswith("its check ended without a result: exit code 1: json.decoder.JSONDecodeError")


def test_at_once_without_a_daemon(tmp_path: Path) -> None:
    here = Bench(tmp_path)
    off = Server("off", Transport.HTTP, state=State.DISABLED, why_not="no")
    servers = [played("good"), off, played("leaves_a_daemon_and_dies"), played("hung", timeout=0.5)]
    try:
        found = check_now(servers, str(here.vault), dict(os.environ))
    finally:
        here.groups.close()
    assert [(each.name, each.state) for each in found] == [
        ("good", OK),
        ("off", State.DISABLED),
        ("leaves_a_daemon_and_dies", FAILED),
        ("hung", TIMEOUT),
    ]
    assert here.left() == []


async def test_from_the_vaults_file_to_what_is_known(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(monitor, "AT_START", 0.0)
    async with bench(tmp_path) as here, anyio.create_task_group() as tasks:
        bus, clock, facts = Bus(), SystemClock(), list[Fact]()
        problems = Problems(bus, clock)
        looking = McpMonitor(here.places, here.around, clock, here.groups, bus, problems)
        entries = {name: {"command": sys.executable, "args": [PLAYED, name]} for name in ("good", "dies")}
        write(here.vault, {**entries, "wrong": {}})
        mcp = {"mine": McpServer("mine", ("python", PLAYED, "good"))}
        with bus.subscribed(facts.append):
            tasks.start_soon(looking.serve)
            looking.use(Config(tmp_path / "supervisor.toml", here.vault, "UTC", mcp=mcp))
            await until(lambda: [found.state for found in looking.findings()] == [OK, OK, FAILED])
        tasks.cancel_scope.cancel()
    assert [found.name for found in looking.findings()] == ["mine", "good", "dies"]
    assert problems.lines() == [".mcp.json: server wrong: command is missing"]
    states = [(fact.name, fact.state) for fact in facts if isinstance(fact, McpChanged)]
    assert states[-3:] == [("mine", "ok"), ("good", "ok"), ("dies", "failed")]


def write(vault: Path, entries: object) -> None:
    (vault / ".mcp.json").write_text(json.dumps({"mcpServers": entries}))


def test_a_daemon_without_servers_loads_nothing_of_this() -> None:
    script = """
import sys
import orchestrator.app
mine = "orchestrator.mcp.", "orchestrator.outbound", "orchestrator.reach", "httpx2"
print(sorted(name for name in sys.modules if name.startswith(mine)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True)
    assert done.stdout == "['orchestrator.mcp.monitor']\n"


def test_at_once_in_a_vault_that_is_gone(tmp_path: Path) -> None:
    (found,) = check_now([played("good")], str(tmp_path / "gone"), dict(os.environ))
    assert found.error == "its check cannot be started: No such file or directory"


def test_at_once_a_check_that_dies_is_told_with_its_last_words(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(call, "document", lambda *_: b"nothing")
    (found,) = check_now([played("good")], str(tmp_path), dict(os.environ))
    assert found.state is FAILED
    assert (found.error or "").startswith("its check ended without a result: json.decoder.JSONDecodeError")
