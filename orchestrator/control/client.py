"""The daemon, seen from another process of the same machine: one connection, one call at a time.

    with Client(vault) as daemon:
        print(daemon.call("status"))

Only socket and json are behind it, so that it starts fast and can be used from any program.
"""
# ruff: noqa: PTH116, PTH120  pathlib's import would cost `aiempctl status` a tenth of its time

from __future__ import annotations

import os
import socket
import stat
import time

from orchestrator.control import protocol
from orchestrator.errors import ConfigInvalid, Unreachable, UsageError, UserError
from orchestrator.places import Places

TYPE_CHECKING = False  # see protocol.py
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from types import TracebackType
    from typing import Any, Self

ANSWER_TIMEOUT = 10.0  # seconds without a message after which a daemon counts as unreachable (the contract's number)
_CHUNK = 65536


class Client:
    """A connection to the daemon of one vault, open inside its `with` block. Not for use from several threads.

    Every method raises Unreachable when no daemon answers, when it falls silent for `timeout` seconds, hangs up, or
    talks nonsense.
    """

    def __init__(self, vault: str, *, timeout: float = ANSWER_TIMEOUT) -> None:
        self._vault = vault
        self._timeout = timeout
        self._socket: socket.socket | None = None
        self._buffer = bytearray()
        self._searched = 0  # bytes of the buffer known to hold no newline
        self._ident = 0
        self._early: list[tuple[str, dict[str, Any]]] = []  # notifications that came before their call's answer

    def __enter__(self) -> Self:
        try:
            path = Places(self._vault).control_socket()
            _trusted(path)
            self._socket = _connect(path, self._timeout)
        except FileNotFoundError:
            raise self._nobody(";") from None
        except ConnectionRefusedError:
            raise self._nobody(": the last one ended without clearing up;") from None
        except TimeoutError:
            raise self._silent() from None
        except (OSError, ValueError) as problem:  # ValueError: a control.path that can be no path
            raise Unreachable(f"the daemon of {self._vault} cannot be reached: {problem}") from None
        return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def call(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        on_progress: Callable[[dict[str, Any]], None] | None = None,
    ) -> dict[str, Any]:
        """Ask for `method` and wait for its result. `on_progress` gets the daemon's word of what takes so long.

        The daemon may take as long as it likes while it says something within every `timeout` seconds.
        Raises what the daemon's error means: UsageError, InvalidTask, ConfigInvalid or UserError.
        """
        self._ident += 1
        line = protocol.request(self._ident, method, params or {})
        if len(line) > protocol.MAX_LINE:
            raise UsageError(
                f"this request is longer than the {protocol.MAX_LINE} bytes that a daemon reads; name less"
            )
        self._send(line)
        while True:
            message = self._message(self._timeout)
            if "method" in message:
                self._notified(message, on_progress)
            elif "error" in message:
                raise _meaning(message["error"])
            elif message.get("id") == self._ident and isinstance(message.get("result"), dict):
                answer: dict[str, Any] = message["result"]
                return answer
            else:
                raise self._nonsense("an answer to no question")

    def notifications(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """What the daemon sends unasked, as (method, params), for as long as it takes."""
        while True:
            while self._early:
                yield self._early.pop(0)
            message = self._message(None)
            if "method" not in message:
                raise self._nonsense("an answer to no question")
            self._notified(message, None)

    def _notified(self, message: dict[str, Any], on_progress: Callable[[dict[str, Any]], None] | None) -> None:
        method, params = message["method"], message.get("params", {})
        if not isinstance(method, str) or not isinstance(params, dict):
            raise self._nonsense("a notification without a name")
        if method != "progress":
            self._early.append((method, params))
        elif on_progress is not None:
            on_progress(params)

    def _send(self, line: bytes) -> None:
        connection = self._open()
        connection.settimeout(self._timeout)
        try:
            connection.sendall(line)
        except TimeoutError:
            raise self._silent() from None
        except OSError:
            raise self._gone() from None

    def _message(self, timeout: float | None) -> dict[str, Any]:
        line = self._line(None if timeout is None else time.monotonic() + timeout)
        try:
            return protocol.decode(line)
        except protocol.RpcError as problem:
            raise self._nonsense(problem.message) from None

    def _line(self, deadline: float | None) -> bytes:
        """The next whole line. The deadline is the line's: single bytes that trickle in do not prolong it."""
        connection = self._open()
        while (end := self._buffer.find(b"\n", self._searched)) < 0:
            self._searched = len(self._buffer)
            if self._searched > protocol.MAX_ANSWER:
                raise self._nonsense(f"a line of over {protocol.MAX_ANSWER} bytes")
            left = None if deadline is None else deadline - time.monotonic()
            if left is not None and left <= 0:
                raise self._silent()
            connection.settimeout(left)
            try:
                chunk = connection.recv(_CHUNK)
            except TimeoutError:
                raise self._silent() from None
            except OSError:
                raise self._gone() from None
            if not chunk:
                raise self._gone()
            self._buffer += chunk
        line = bytes(self._buffer[:end])
        del self._buffer[: end + 1]
        self._searched = 0
        return line

    def _open(self) -> socket.socket:
        if self._socket is None:
            raise RuntimeError("a Client is open only inside its `with` block")
        return self._socket

    def _nobody(self, words: str) -> Unreachable:
        """No daemon listens. Whether there is one all the same its lock tells."""
        from orchestrator.lock_holder import holder  # noqa: PLC0415  only here

        daemon = holder(Places(self._vault).lock)
        if daemon is None:
            return Unreachable(f"no daemon is running for {self._vault}{words} start one with `aiemp run`")
        return Unreachable(
            f"{daemon} serves {self._vault}, but its control socket is gone; "
            "unless it is just starting or ending, it makes it again within 30 s"
        )

    def _silent(self) -> Unreachable:
        return Unreachable(
            f"the daemon of {self._vault} does not answer (waited {self._timeout:g} s); "
            "see Logs/aiemp.log, and whether its process is stopped or hangs"
        )

    def _gone(self) -> Unreachable:
        return Unreachable(f"the daemon of {self._vault} hung up: it ended, or it refused this user")

    def _nonsense(self, what: str) -> Unreachable:
        return Unreachable(
            f"what answers for {self._vault} does not speak aiemp's protocol ({what}); is it another version?"
        )


def _trusted(path: str) -> None:
    """Refuse a socket that another user could have put there. Root may talk to anyone's daemon."""
    found, folder = os.lstat(path), os.stat(os.path.dirname(path) or ".")
    if not stat.S_ISSOCK(found.st_mode):
        raise Unreachable(f"{path} is no socket; remove it, then start the daemon with `aiemp run`")
    trusted = {0, os.geteuid() or folder.st_uid}
    if found.st_uid not in trusted or folder.st_uid not in trusted:
        raise Unreachable(
            f"{path} belongs to another user: only the user who runs the daemon, and root, may talk to it"
        )
    if stat.S_IMODE(folder.st_mode) & 0o022:
        raise Unreachable(
            f"others may write in {os.path.dirname(path)}, so the socket there may be anyone's; close it to them: "
            f"chmod go-w {os.path.dirname(path)}"
        )


def _connect(path: str, timeout: float) -> socket.socket:
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        connection.settimeout(timeout)
        deadline = time.monotonic() + timeout
        while True:
            try:
                connection.connect(path)
                break
            except BlockingIOError:  # the daemon's queue is full; Linux does not wait for room (connect(2), EAGAIN)
                if time.monotonic() >= deadline:
                    raise TimeoutError from None
                time.sleep(0.02)
    except BaseException:
        connection.close()
        raise
    return connection


def _meaning(error: Any) -> UserError:
    """The daemon's error as the exception whose exit code it stands for."""
    if not isinstance(error, dict):
        return UserError("the daemon reports an error, but not which")
    code, message, data = error.get("code"), str(error.get("message", "the daemon failed")), error.get("data")
    if code in {protocol.UNKNOWN_NAME, protocol.INVALID_PARAMS}:
        return UsageError(message)
    if code == protocol.CONFIG_INVALID:
        problems = data.get("problems") if isinstance(data, dict) else None
        return ConfigInvalid(tuple(str(line) for line in problems) if isinstance(problems, list) else (message,))
    if code == protocol.INVALID_TASK:
        problems = data.get("problems") if isinstance(data, dict) else None
        return InvalidTask(message, [str(line) for line in problems] if isinstance(problems, list) else [])
    if code == protocol.SHUTTING_DOWN:
        return ShuttingDown(message)
    if code == protocol.METHOD_NOT_FOUND:
        return UserError(f"the running daemon does not know this command ({message}); is it an older version?")
    return UserError(message)


class ShuttingDown(UserError):
    """The daemon is on its way out and takes no more orders."""


class InvalidTask(UsageError):
    """A task cannot be as it was described. `problems` are lines: `KEY: what is wrong; what is allowed`."""

    def __init__(self, message: str, problems: list[str]) -> None:
        super().__init__("\n".join([message, *problems]))
        self.problems = problems
