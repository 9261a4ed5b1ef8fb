"""A server that takes messages as Letta does, writes each down, and misbehaves as it is told to."""

import json
import socket
import struct
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any, Final

PATIENCE: Final = 20.0  # seconds that it waits for anything


@dataclass(frozen=True)
class Does:
    """What it does with one request. `takes`: the message is written down as one that the agent got.

    `wait`: seconds before it answers; `cut`: bytes of the answer after which it breaks off; `holds`: it does not hang
    up after that.
    """

    answer: bytes = b""
    takes: bool = True
    reads: bool = True
    reset: bool = False
    cut: int | None = None
    wait: float = 0.0
    holds: bool = False


@dataclass(frozen=True)
class Message:
    """A request that has arrived whole."""

    path: str
    headers: Mapping[str, str]  # the names in small letters
    body: Any

    @property
    def text(self) -> str:
        (message,) = self.body["messages"]
        assert message["role"] == "user"
        return str(message["content"])


def answer(status: int, body: object = b"", **headers: str) -> bytes:
    """Make an HTTP answer; `Retry_After` names a header with a dash."""
    content = body if isinstance(body, bytes) else json.dumps(body).encode()
    head = [f"HTTP/1.1 {status} It is", *(f"{name.replace('_', '-')}: {value}" for name, value in headers.items())]
    if status != 204:
        head += ["Content-Type: application/json", f"Content-Length: {len(content)}"]
    return "\r\n".join([*head, "", ""]).encode() + content


def spoken(*texts: str, stop: str = "end_turn") -> dict[str, Any]:
    """Give the body with which an agent says something, after it has thought."""
    return {
        "messages": [
            {"message_type": "reasoning_message", "reasoning": "…"},
            *({"message_type": "assistant_message", "content": text} for text in texts),
        ],
        "stop_reason": {"message_type": "stop_reason", "stop_reason": stop},
        "usage": {"completion_tokens": 5, "prompt_tokens": 70, "total_tokens": 75, "step_count": 2},
    }


WELL: Final = Does(answer(200, spoken("Done.")))
REFUSED: Final = Does(answer(500, {"detail": "An internal server error occurred"}), takes=False)
HANGS: Final = Does(holds=True)  # takes the message and never says a word


@dataclass
class LettaServer:
    """`does` says for each request, by its number from 0, what is done with it. `taken`: what the agents have got."""

    does: Callable[[int], Does]
    arrived: list[Message] = field(default_factory=list)
    taken: list[str] = field(default_factory=list)
    connections: int = 0

    def __post_init__(self) -> None:
        self._change = threading.Condition()
        self._over = threading.Event()
        self._threads: list[threading.Thread] = []
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self._socket.accept()
            except OSError:  # closed
                return
            number, self.connections = self.connections, self.connections + 1
            thread = threading.Thread(target=self._serve_one, args=(connection, self.does(number)))
            self._threads.append(thread)
            thread.start()

    def close(self) -> None:
        self._over.set()
        with suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)  # wakes who accepts
        self._socket.close()
        for thread in self._threads:
            thread.join(PATIENCE)

    def wait_for(self, count: int, patience: float = PATIENCE) -> None:
        """Return when that many messages have arrived."""
        with self._change:
            assert self._change.wait_for(lambda: len(self.arrived) >= count, patience), self.arrived

    def _serve_one(self, connection: socket.socket, does: Does) -> None:
        connection.settimeout(PATIENCE)
        with connection, suppress(OSError):  # who is killed hangs up
            if does.reads:
                message = _read(connection)
                if message is None:
                    return
                with self._change:
                    self.arrived.append(message)
                    if does.takes:
                        self.taken.append(message.text)
                    self._change.notify_all()
            if does.wait:
                self._over.wait(does.wait)
            connection.sendall(does.answer[: does.cut])
            if does.holds:
                self._over.wait(PATIENCE)
            if does.reset:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


def _read(connection: socket.socket) -> Message | None:
    """Read a request; None when the other side goes before it is whole."""
    data = b""
    while b"\r\n\r\n" not in data:
        if not (piece := connection.recv(65_536)):
            return None
        data += piece
    head, _, body = data.partition(b"\r\n\r\n")
    request, *lines = head.decode().split("\r\n")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
    while len(body) < int(headers["content-length"]):
        if not (piece := connection.recv(65_536)):
            return None
        body += piece
    verb, path, _ = request.split(" ")
    assert verb == "POST"
    return Message(path, headers, json.loads(body))


@contextmanager
def letta_server(does: Does | Callable[[int], Does] = WELL) -> Iterator[LettaServer]:
    server = LettaServer(does if callable(does) else lambda _: does)
    thread = threading.Thread(target=server.serve)
    thread.start()
    try:
        yield server
    finally:
        server.close()
        thread.join(PATIENCE)


def misbehaving(chance: Callable[[], float]) -> Does:
    """Choose what a bad day brings: many 500s, resets and slow answers, and much else now and then."""
    kind = int(chance() * 20)
    if kind < 7:
        return WELL
    if kind < 10:
        return Does(WELL.answer, wait=chance() * 0.5)
    return {
        10: REFUSED,
        11: REFUSED,
        12: REFUSED,
        13: Does(answer(503, b"<html><title>Unavailable</title></html>", Retry_After="1"), takes=False),
        14: Does(answer(429, {"error": {"type": "llm_rate_limit"}}, Retry_After="1"), takes=False),
        15: Does(reads=False, reset=True),
        16: Does(reset=True),
        17: Does(),  # reads it whole and hangs up
        18: Does(WELL.answer, cut=30),
        19: Does(WELL.answer, cut=len(WELL.answer) - 30),
    }[kind]
