"""One daemon a vault, with real processes as the others."""

import json
import os
import signal
import socket
import stat
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.errors import UserError, VaultBusy
from orchestrator.exits import Exit
from orchestrator.lock import VaultLock, holder_of

NOW = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
PATIENCE = 10.0  # seconds

HOLDER = """
import sys, time
from datetime import datetime, UTC
from orchestrator.lock import VaultLock
with VaultLock(sys.argv[1], datetime.now(UTC)):
    print("ready", flush=True)
    sys.stdin.read()
"""


def holder(path: Path) -> subprocess.Popen[bytes]:
    """Another process that has the lock."""
    process = subprocess.Popen([sys.executable, "-c", HOLDER, str(path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert process.stdout.readline() == b"ready\n"
    return process


def test_who_holds_the_lock_writes_down_who_it_is(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text("what an earlier one, with a longer name, has left" * 10)
    with VaultLock(str(path), NOW):
        assert json.loads(path.read_text()) == {
            "pid": os.getpid(),
            "started_at": "2026-11-20T23:30:00Z",
            "hostname": socket.gethostname(),
        }
    with VaultLock(str(path), NOW):
        pass


def test_the_lock_is_private_and_not_inherited(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with VaultLock(str(path), NOW) as lock:
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert not os.get_inheritable(lock._fd)


def test_a_second_process_is_refused_and_told_who_holds_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as other:
        with pytest.raises(VaultBusy, match=f"PID {other.pid} on ") as refused, VaultLock(str(path), NOW):
            pass
        assert refused.value.exit_code is Exit.BUSY
        assert json.loads(path.read_text())["pid"] == other.pid  # what the holder wrote stays
        other.communicate(timeout=PATIENCE)
    with VaultLock(str(path), NOW):
        pass


def test_a_kill_lets_go_of_it(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with holder(path) as other:
        other.send_signal(signal.SIGKILL)
        assert other.wait(PATIENCE) == -signal.SIGKILL
    assert path.exists()
    with VaultLock(str(path), NOW):
        assert json.loads(path.read_text())["pid"] == os.getpid()


def test_a_pid_in_the_file_proves_nothing(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    path.write_text(json.dumps({"pid": os.getppid(), "started_at": "…", "hostname": "…"}))
    with VaultLock(str(path), NOW):
        pass


@pytest.mark.parametrize("kind", ["folder", "link"])
def test_what_is_no_lock_file_is_named(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "lock"
    path.mkdir() if kind == "folder" else path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(UserError, match=str(path)), VaultLock(str(path), NOW):
        pass
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"{", b"[]", b"7", b"null", b'{"pid": 1}', b"[" * 4096, b'"' + b"x" * 4000]
)
def test_whatever_stands_in_the_file_is_put_into_words(content: bytes) -> None:
    assert holder_of(content) == "it has not written down who it is"


def test_the_holder_in_words() -> None:
    said = {"pid": 12, "started_at": "2026-11-20T23:30:00Z", "hostname": "desk"}
    assert holder_of(json.dumps(said).encode()) == "PID 12 on desk, since 2026-11-20T23:30:00Z"
