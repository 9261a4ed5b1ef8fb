"""Checks of the real thing: servers that people use, from PyPI and from npm."""

import os
import shutil
import socket
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from mcp_checking import bench
from spawning import PATIENCE, until

from orchestrator.mcp import pipes
from orchestrator.mcp.deadline import Deadline, now
from orchestrator.mcp.finding import State
from orchestrator.mcp.link import have
from orchestrator.mcp.protocol import Era, Talk
from orchestrator.mcp.server import Server, Transport
from orchestrator.redaction import NOTHING

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

NODE = 20  # what the server from npm wants
TOO_OLD = f"it takes Node.js {NODE} or later"


def installed(name: str, how: str) -> str:
    """Where a program lies, beside our interpreter or on the PATH; the test is skipped when it does not."""
    beside = Path(sys.executable).parent
    found = shutil.which(name, path=os.pathsep.join([str(beside), os.environ["PATH"]]))
    if found is None:
        pytest.skip(f"{name} is not installed: {how}")
    return found


def time_server() -> str:
    return installed("mcp-server-time", "pip install mcp-server-time")


def everything() -> str:
    """The server from npm."""
    found = installed("mcp-server-everything", "npm install --global @modelcontextprotocol/server-everything")
    node = shutil.which("node")
    if node is None:
        pytest.skip(TOO_OLD)
    version = subprocess.run([node, "--version"], capture_output=True, text=True, timeout=PATIENCE, check=True).stdout
    if int(version.removeprefix("v").partition(".")[0]) < NODE:
        pytest.skip(TOO_OLD)
    return found


async def test_the_time_server(tmp_path: Path) -> None:
    command = (time_server(), "--local-timezone", "Europe/Lisbon")
    async with bench(tmp_path) as here:
        found = await here.check(Server("time", Transport.STDIO, command, timeout=45.0))
    assert (found.state, found.tools, found.error) == (State.OK, 2, None)
    assert (found.version or "").count(".") >= 2
    assert found.latency_ms is not None


async def test_an_option_that_it_does_not_have(tmp_path: Path) -> None:
    command = (time_server(), "--no-such-option")
    async with bench(tmp_path) as here:
        found = await here.check(Server("time", Transport.STDIO, command, timeout=45.0))
    assert found.state is State.FAILED
    assert "it ended (exit code 2) before it answered initialize: " in (found.error or "")
    assert "unrecognized arguments: --no-such-option" in (found.error or "")


def test_the_time_server_in_the_new_way(tmp_path: Path) -> None:
    talk = Talk(Era.MODERN)
    server = Server("time", Transport.STDIO, (time_server(),))
    link = pipes.Pipes(server, str(tmp_path), os.environ, Deadline(45.0), talk, NOTHING)
    try:
        have(talk, link, now)
    finally:
        link.close()
    assert (talk.over, talk.error, talk.tools) == (True, None, 2)
    assert talk.version


async def test_everything_over_its_pipes(tmp_path: Path) -> None:
    async with bench(tmp_path) as here:
        found = await here.check(Server("everything", Transport.STDIO, (everything(),), timeout=45.0))
    assert (found.state, found.error) == (State.OK, None)
    assert (found.tools or 0) > 10
    assert found.version


@contextmanager
def listening(mode: str) -> Iterator[int]:
    """The server from npm, serving in this mode on the port that is given; it listens to all the world."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    process = subprocess.Popen(
        [everything(), mode],
        env={**os.environ, "PORT": str(port)},
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield port
    finally:
        process.kill()
        process.wait(PATIENCE)


def answers(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


@pytest.mark.parametrize(
    ("mode", "path", "transport"),
    [("streamableHttp", "mcp", Transport.HTTP), ("sse", "sse", Transport.SSE)],
)
async def test_everything_over_http(tmp_path: Path, mode: str, path: str, transport: Transport) -> None:
    pytest.importorskip("httpx2", reason="the extra `http` is not installed")
    with listening(mode) as port:
        await until(lambda: answers(port))
        async with bench(tmp_path) as here:
            server = Server("everything", transport, url=f"http://127.0.0.1:{port}/{path}", timeout=45.0)
            found = await here.check(server)
    assert (found.state, found.error) == (State.OK, None)
    assert (found.tools or 0) > 10
    assert found.version
