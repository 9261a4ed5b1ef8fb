"""What the service manager hears of us, also when it is slow to listen."""

import socket
import threading
import time
from contextlib import closing
from pathlib import Path

import pytest

from orchestrator import sdnotify
from orchestrator.sdnotify import ServiceManager


def filled(address: str) -> tuple[socket.socket, int]:
    """A manager whose socket is full, and with how many messages."""
    manager = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    manager.bind(address)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as other:
        other.setblocking(False)  # noqa: FBT003  socket's own
        for count in range(10_000):
            try:
                other.sendto(b"STATUS=other", address)
            except BlockingIOError:
                return manager, count
    raise AssertionError("it takes whatever comes")


def test_ready_is_heard_by_a_manager_that_comes_to_it_a_little_later(tmp_path: Path) -> None:
    address = str(tmp_path / "notify")
    manager, count = filled(address)
    with manager, closing(ServiceManager(address, None)) as us:
        reader = threading.Timer(0.1, lambda: [manager.recv(4096) for _ in range(count)])
        reader.start()
        us.send(READY="1", STATUS="here")
        reader.join()
        manager.settimeout(10)
        assert manager.recv(4096) == b"READY=1\nSTATUS=here"


def test_nothing_else_waits_and_ready_not_for_ever(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    paused: list[float] = []
    monkeypatch.setattr(sdnotify, "pause", paused.append)
    manager, _ = filled(str(tmp_path / "notify"))
    with manager, closing(ServiceManager(str(tmp_path / "notify"), None)) as us:
        us.send(WATCHDOG="1")
        us.send(STOPPING="1")
        assert paused == []
        us.send(READY="1")
        assert sum(paused) <= 0.5


def test_a_manager_that_is_gone_is_not_waited_for(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sdnotify, "pause", time.sleep)
    monkeypatch.setattr(sdnotify, "READY_PAUSE", 1000.0)
    with closing(ServiceManager(str(tmp_path / "nobody"), None)) as us:
        us.send(READY="1")
