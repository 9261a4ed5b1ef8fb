"""The control socket: JSON-RPC lines from clients of the same user to `Commands`, and answers back.

Nothing that a client does can hurt another one: what it sends is bounded in size and time, what it does not read
is dropped with it, and at most MAX_CLIENTS are served at once. When there are more, whoever has been silent for
longest makes room.
"""

import logging
import os
import socket
import stat
import struct
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Any

import anyio
import anyio.abc
from anyio.streams.buffered import BufferedByteReceiveStream

from orchestrator.control import protocol
from orchestrator.control.protocol import RpcError
from orchestrator.errors import UserError
from orchestrator.events import Bus, Fact
from orchestrator.places import private_folder

log = logging.getLogger(__name__)

MAX_CLIENTS = 128
REQUEST_TIMEOUT = 10.0  # seconds that a request may take to arrive once its first byte has
IDLE_TIMEOUT = 300.0  # seconds that a client may stay silent between two requests
SEND_TIMEOUT = 10.0  # seconds that a client may take to read an answer
PROGRESS_EVERY = 2.0  # seconds between two signs of life during a long request
LOOK_EVERY = 30.0  # seconds between two looks whether the socket is still there
ACCEPT_PAUSE = 0.5  # seconds until the next try to let clients in when there is no descriptor left for one
FOLLOW_QUEUE = 1000  # facts that a follower may lag behind before it is dropped


class Progress:
    """What a long request is doing: set by the command, sent to the client every PROGRESS_EVERY seconds."""

    def __init__(self) -> None:
        self.text: Callable[[], str] = lambda: ""


Handler = Callable[[str, dict[str, Any], Progress], Awaitable[Any]]


class ControlServer:
    """Listens on one UNIX socket, and serves each client in a task of its own."""

    def __init__(self, path: str, handle: Handler, bus: Bus) -> None:
        self._path = path
        self._handle = handle
        self._bus = bus
        self._clients = 0
        self._silent: dict[_Client, anyio.CancelScope] = {}  # who may be sent away; the longest silent first

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Serve until cancelled; then the socket is gone. Raises UserError when someone else's socket lies there.

        A socket that someone removes is made again within LOOK_EVERY seconds.
        """
        await _clear_the_way(self._path)
        async with anyio.create_task_group() as clients:
            listener = await self._listen()
            task_status.started()
            while True:
                async with listener, anyio.create_task_group() as listening:
                    ours = _inode(self._path)
                    try:
                        listening.start_soon(self._let_in, listener, clients)
                        while _inode(self._path) == ours:  # noqa: ASYNC110  nobody tells when a name is removed
                            await anyio.sleep(LOOK_EVERY)
                        listening.cancel_scope.cancel()
                    finally:
                        if _inode(self._path) == ours:
                            os.unlink(self._path)  # noqa: PTH108  places are strings
                log.warning("the control socket %s was removed; it is made again", self._path)
                listener = await self._listen_again()

    async def _listen(self) -> anyio.abc.SocketListener:
        """Listen under another name first: whoever finds the socket under its own is never refused."""
        beside = f"{os.path.splitext(self._path)[0]}.new"  # noqa: PTH122  places are strings
        await _clear_the_way(beside)
        listener = await anyio.create_unix_listener(beside, mode=0o600, backlog=128)
        try:
            os.rename(beside, self._path)  # noqa: PTH104
        except OSError:
            await listener.aclose()
            os.unlink(beside)  # noqa: PTH108
            raise
        return listener

    async def _listen_again(self) -> anyio.abc.SocketListener:
        while True:
            try:
                private_folder(os.path.dirname(self._path))  # noqa: PTH120  places are strings
                await _clear_the_way(self._path)
                return await self._listen()
            except (OSError, UserError) as error:
                log.warning("the control socket cannot be made again yet: %s", error)
                await anyio.sleep(LOOK_EVERY)

    async def _let_in(self, listener: anyio.abc.SocketListener, tasks: anyio.abc.TaskGroup) -> None:
        while True:
            try:
                stream = await listener.accept()
            except anyio.BrokenResourceError as error:  # how anyio says every OSError: no descriptor, no memory
                log.warning("no client can be let in at the moment: %s", error.__cause__)
                await anyio.sleep(ACCEPT_PAUSE)
            else:
                tasks.start_soon(self._serve_client, stream)

    async def _serve_client(self, stream: anyio.abc.SocketStream) -> None:
        async with stream:
            client = _Client(stream)
            self._clients += 1
            try:
                if (refused := self._refused(stream)) is not None:
                    await client.send(protocol.error(None, RpcError(protocol.FAILED, refused)))
                    return
                while (line := await self._next(client)) is not None:
                    await self._answer(client, line)
            except (anyio.BrokenResourceError, anyio.ClosedResourceError, TimeoutError):
                log.debug("a client went away or stopped listening")
            finally:
                self._clients -= 1

    def _refused(self, stream: anyio.abc.SocketStream) -> str | None:
        if peer_uid(stream.extra(anyio.abc.SocketAttribute.raw_socket)) not in {0, os.getuid()}:
            return "this is another user's daemon"
        if self._clients > MAX_CLIENTS:
            if not self._silent:
                return "too many clients; try again"
            self._silent.pop(next(iter(self._silent))).cancel()
        return None

    async def _next(self, client: "_Client") -> bytes | None:
        with anyio.CancelScope() as scope:
            self._silent[client] = scope
            try:
                return await client.receive(IDLE_TIMEOUT)
            finally:
                self._silent.pop(client, None)
        return None  # sent away, to make room

    async def _answer(self, client: "_Client", line: bytes) -> None:
        ident: str | int | None = None
        answered = True
        try:
            message = protocol.decode(line)
            # Without an id it is a notification, which gets no answer, not even an error (JSON-RPC 2.0, 4.1).
            answered = "id" in message
            ident = protocol.ident_of(message)
            method, params = protocol.called(message)
            if method == "events" and params["follow"]:
                await self._follow(client, ident, params)
                return
            answer = _result(ident, method, await self._with_progress(client, method, params, beats=answered))
        except RpcError as problem:
            answer = protocol.error(ident, problem)
        if answered:
            await client.send(answer)

    async def _with_progress(self, client: "_Client", method: str, params: dict[str, Any], *, beats: bool) -> Any:
        progress, answer = Progress(), None

        async def beat() -> None:
            while True:
                await anyio.sleep(PROGRESS_EVERY)
                await client.send(protocol.notification("progress", {"text": progress.text()}))

        try:
            async with anyio.create_task_group() as tasks:
                if beats:
                    tasks.start_soon(beat)
                answer = await self._call(method, params, progress)
                tasks.cancel_scope.cancel()
        except BaseExceptionGroup as group:
            raise group.exceptions[0] from None  # one of the two failed, and cancelled the other
        return answer

    async def _call(self, method: str, params: dict[str, Any], progress: Progress) -> Any:
        try:
            return await self._handle(method, params, progress)
        except RpcError:
            raise
        except Exception as error:  # the boundary: a bug in one command must not end the daemon
            log.exception("the command %s failed", method)
            raise RpcError(protocol.INTERNAL_ERROR, f"{method} failed inside the daemon: {error!r}") from error

    async def _follow(self, client: "_Client", ident: str | int | None, params: dict[str, Any]) -> None:
        """Answer with the latest facts, then send every new one, until the client goes away."""
        send, receive = anyio.create_memory_object_stream[Fact](FOLLOW_QUEUE)

        def take(fact: Fact) -> None:
            try:
                send.send_nowait(fact)
            except anyio.WouldBlock:
                send.close()  # it does not keep up; better to end than to lose some of them silently
            except anyio.ClosedResourceError:
                pass

        with send, receive, self._bus.subscribed(take):
            answer = await self._call("events", params, Progress())
            await client.send(_result(ident, "events", answer))
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(_until_gone, client, tasks.cancel_scope)
                with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, TimeoutError):
                    async for fact in receive:
                        await client.send(protocol.notification("event", fact.as_json()))
                tasks.cancel_scope.cancel()
        await client.close()  # a follower that was dropped must see that nothing more comes


def _result(ident: str | int | None, method: str, answer: Any) -> bytes:
    try:
        return protocol.result(ident, answer)
    except (TypeError, ValueError) as error:
        log.exception("the answer of %s is no JSON", method)
        raise RpcError(protocol.INTERNAL_ERROR, f"{method} failed inside the daemon: {error!r}") from error


async def _until_gone(client: "_Client", scope: anyio.CancelScope) -> None:
    with suppress(anyio.BrokenResourceError, anyio.ClosedResourceError, TimeoutError):
        while await client.receive(float("inf")) is not None:
            pass
    scope.cancel()


class _Client:
    """One connection, with its bounds."""

    def __init__(self, stream: anyio.abc.SocketStream) -> None:
        self._stream = stream
        self._buffered = BufferedByteReceiveStream(stream)
        self._sending = anyio.Lock()
        self._torn = False

    async def receive(self, idle: float) -> bytes | None:
        """Give the next line, without its newline; None when the client is done or breaks the rules.

        `idle`: how many seconds it may be silent before that line.
        """
        try:
            if not self._buffered.buffer:
                with anyio.fail_after(idle):
                    self._buffered.feed_data(await self._stream.receive())
            with anyio.fail_after(REQUEST_TIMEOUT):
                return await self._buffered.receive_until(b"\n", protocol.MAX_LINE)
        except (anyio.EndOfStream, anyio.IncompleteRead):
            return None
        except anyio.DelimiterNotFound:
            why = f"a request is one line of at most {protocol.MAX_LINE} bytes"
        except TimeoutError:
            why = "the request took too long to arrive"
        await self.send(protocol.error(None, RpcError(protocol.INVALID_REQUEST, why)))
        return None

    async def send(self, line: bytes) -> None:
        """Send a line. Raises TimeoutError when the client does not read it."""
        async with self._sending:
            if self._torn:
                raise anyio.BrokenResourceError
            self._torn = True  # when this is cancelled halfway, nothing may be sent after half a line
            with anyio.fail_after(SEND_TIMEOUT):
                await self._stream.send(line)
            self._torn = False

    async def close(self) -> None:
        await self._stream.aclose()


def peer_uid(connection: socket.socket) -> int:
    """Who is on the other side of a UNIX socket: the kernel's word, not theirs."""
    if sys.platform == "linux":
        credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
        return int(struct.unpack("3i", credentials)[1])
    else:  # noqa: RET505  the type checker knows only whole branches as another platform's
        # unix(4) on macOS: LOCAL_PEERCRED (1) at SOL_LOCAL (0) gives a struct xucred: version, uid, …
        return int(struct.unpack_from("2I", connection.getsockopt(0, 1, 76))[1])


def _inode(path: str) -> int | None:
    try:
        return os.lstat(path).st_ino
    except OSError:
        return None


async def _clear_the_way(path: str) -> None:
    """Remove a socket that a dead daemon left. The vault's lock is held, so no living daemon of ours owns it."""
    try:
        found = os.lstat(path)
    except FileNotFoundError:
        return
    if not stat.S_ISSOCK(found.st_mode):
        raise UserError(f"{path} is in the way of the control socket and is no socket; remove or rename it")
    probe = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        probe.settimeout(1.0)
        probe.connect(path)
    except ConnectionRefusedError:
        os.unlink(path)  # noqa: PTH108  places are strings
    except OSError as error:
        raise UserError(f"the control socket {path} can't be replaced: {error}; remove it") from error
    else:
        raise UserError(f"another program answers on the control socket {path}; end it first")
    finally:
        probe.close()
