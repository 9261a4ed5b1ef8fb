"""A control server whose commands a test decides on, and clients that it has in its hands."""

import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from orchestrator.control.server import ControlServer, Progress
from orchestrator.events import Bus, WatcherSaid

PATIENCE = 10.0  # seconds; far more than anything here takes
STATUS = {"jsonrpc": "2.0", "id": 1, "method": "status"}


class Site:
    """A server with a handler whose answers the test decides on."""

    def __init__(self, path: str) -> None:
        self.path = path
        self.bus = Bus()
        self.called: list[tuple[str, dict[str, Any]]] = []
        self.answers: dict[str, Any] = {"status": {"watchers": []}, "events": {"events": []}}
        self.gate = anyio.Event()  # `stop` waits for it
        self.cancelled = 0
        self.server = ControlServer(path, self.handle, self.bus)

    async def handle(self, method: str, params: dict[str, Any], progress: Progress) -> Any:
        self.called.append((method, params))
        if method == "stop":
            progress.text = lambda: "stopping"
            try:
                await self.gate.wait()
            except anyio.get_cancelled_exc_class():
                self.cancelled += 1
                raise
        answer = self.answers.get(method, {})
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def works(self) -> None:
        """A well-behaved client is served."""
        async with client(self) as someone:
            assert (await someone.call(STATUS))["result"] == self.answers["status"]

    def say(self, text: str) -> None:
        self.bus.publish(WatcherSaid(at=datetime(2026, 11, 20, tzinfo=UTC), name="a", text=text))


class Caller:
    def __init__(self, stream: anyio.abc.SocketStream) -> None:
        self.stream = stream
        self._buffered = BufferedByteReceiveStream(stream)

    async def send(self, message: Any) -> None:
        line = message if isinstance(message, bytes) else json.dumps(message).encode() + b"\n"
        await self.stream.send(line)

    async def receive(self) -> Any:
        with anyio.fail_after(PATIENCE):
            return json.loads(await self._buffered.receive_until(b"\n", 2**26))

    async def call(self, message: Any) -> Any:
        await self.send(message)
        return await self.receive()

    async def drained(self) -> bytes:
        """Everything that still comes until the server ends the connection."""
        came = b""
        with anyio.fail_after(PATIENCE), suppress(anyio.EndOfStream, anyio.BrokenResourceError):
            while True:
                came += await self.stream.receive()
        return came

    async def ended(self) -> bool:
        """Whether the server ends the connection, with nothing more said."""
        try:
            with anyio.fail_after(PATIENCE):
                await self._buffered.receive_until(b"\n", 2**26)
        except (anyio.IncompleteRead, anyio.EndOfStream, anyio.BrokenResourceError):
            return True
        return False


@asynccontextmanager
async def serving(tmp_path: Path) -> AsyncIterator[Site]:
    site = Site(str(tmp_path / "control.sock"))
    async with anyio.create_task_group() as tasks:
        await tasks.start(site.server.serve)
        yield site
        tasks.cancel_scope.cancel()


@asynccontextmanager
async def client(site: Site) -> AsyncIterator[Caller]:
    async with await anyio.connect_unix(site.path) as stream:
        yield Caller(stream)


async def until(condition: Callable[[], Any]) -> None:
    with anyio.fail_after(PATIENCE):
        while not condition():  # noqa: ASYNC110  what it asks about tells nobody of its changes
            await anyio.sleep(0.002)
