"""A daemon's socket without the daemon: says what a test tells it to, word by word."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from orchestrator.control import protocol

# From a request to what is sent, piece by piece; None hangs up.
Answer = Callable[[dict[str, Any]], Iterable[bytes | None]]


class FakeDaemon:
    """Listens in `vault`/.aiemp/control.sock. What was asked is in `asked`, as (method, complete params)."""

    def __init__(self, answer: Answer) -> None:
        self._answer = answer
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self._open: list[socket.socket] = []

    def listen(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:  # closed at the test's end
                return
            self._open.append(connection)
            threading.Thread(target=self._serve, args=[connection], daemon=True).start()

    def hang_up(self) -> None:
        for connection in self._open:
            connection.close()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection, connection.makefile("rb") as lines:
                for line in lines:
                    message = protocol.decode(line)
                    self.asked.append(protocol.called(message))
                    for piece in self._answer(message):
                        if piece is None:
                            connection.shutdown(socket.SHUT_RDWR)
                            return
                        connection.sendall(piece)
        except OSError:  # the client has gone, as some tests want
            pass


@contextmanager
def fake_daemon(vault: Path, answer: Answer) -> Iterator[FakeDaemon]:
    """Serve `vault` until the block's end."""
    folder = vault / ".aiemp"
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    path = folder / "control.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()
        daemon = FakeDaemon(answer)
        thread = threading.Thread(target=daemon.listen, args=[listener], daemon=True)
        thread.start()
        try:
            yield daemon
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            daemon.hang_up()
            thread.join(5)
            path.unlink()


def answers(**results: Any) -> Answer:
    """An answer of its own for each method; an RpcError is sent as the error that it is."""

    def answer(message: dict[str, Any]) -> Iterator[bytes]:
        found = results[message["method"]]
        if isinstance(found, protocol.RpcError):
            yield protocol.error(message["id"], found)
        else:
            yield protocol.result(message["id"], found)

    return answer


def watcher(name: str, state: str = "running", **changes: Any) -> dict[str, Any]:
    """A watcher's object in status."""
    running = state == "running"
    return {
        "name": name,
        "state": state,
        "pid": 12 if running else None,
        "uptime_seconds": 7500.4 if running else None,
        "since": "2026-11-20T23:30:00Z",
        "ready": running,
        "status_text": None,
        "restarts": 0,
        "restarts_in_window": 0,
        "last_exit": None,
        "reason": None,
        "cpu_percent": 0.12 if running else None,
        "rss_bytes": 12_690_000 if running else None,
        "adopted": False,
        "wanted": state not in {"stopped", "exited"},
        **changes,
    }


def task(name: str, **changes: Any) -> dict[str, Any]:
    """A task's object in `tasks`."""
    return {
        "name": name,
        "enabled": True,
        "state": "idle",
        "next_slot": "2026-11-21T07:00:00Z",
        "last_run": {
            "run_id": "3f2a9c01d4e7",
            "outcome": "success",
            "slot": "2026-11-20T07:00:00Z",
            "started_at": "2026-11-20T07:00:00.004Z",
            "duration_seconds": 1.0,
        },
        "description": "",
        "schedule": "daily at 08:00",
        "priority": "normal",
        "lane": None,
        "action": "./triage.sh",
        "status_text": None,
        "added": False,
        "runs_left": None,
        **changes,
    }


def finished_run(task_name: str, outcome: str = "success", **changes: Any) -> dict[str, Any]:
    """A run's object in `history`."""
    return {
        "run_id": "3f2a9c01d4e7",
        "task": task_name,
        "slot": "2026-11-20T07:00:00Z",
        "started_at": "2026-11-20T07:00:00.004Z",
        "duration_seconds": 4.219,
        "outcome": outcome,
        "attempts": 1,
        "trigger": "schedule",
        "output": "",
        "error": None,
        "cost_usd": None,
        **changes,
    }


def status_of(*watchers: dict[str, Any], tasks: Sequence[dict[str, Any]] = (), **supervisor: Any) -> dict[str, Any]:
    """A status object."""
    return {
        "supervisor": {
            "state": "running",
            "pid": 7,
            "version": "0.1.0",
            "uptime_seconds": 86_400 * 3 + 7200.5,
            "vault": "/vault",
            "dry_run": True,
            "scheduler": "idle",
            "problems": [],
            **supervisor,
        },
        "watchers": list(watchers),
        "tasks": list(tasks),
        "agents": [],
        "mcp": [],
        "vault": {
            "inbox": 1,
            "needs_action": 2,
            "plans": 0,
            "pending_approval": 0,
            "approved": 0,
            "rejected": 0,
            "done": 40,
        },
    }
