"""One daemon a vault: an flock(2) on `.aiemp/lock`. What is written in the file informs people and proves nothing."""

import fcntl
import json
import os
import socket
from contextlib import suppress
from datetime import datetime
from types import TracebackType
from typing import Self

from orchestrator.clock import pause, rfc3339
from orchestrator.errors import UserError, VaultBusy

TRIES = 5


class VaultLock:
    """Held while the block lasts; the kernel lets go of it when the process ends, however it ends."""

    def __init__(self, path: str, now: datetime) -> None:
        self._path = path
        self._now = now
        self._fd = -1

    def __enter__(self) -> Self:
        """Take the lock. Raises VaultBusy, naming who holds it."""
        try:
            self._fd = os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
        except OSError as error:
            raise UserError(f"the lock {self._path} cannot be opened: {error.strerror}") from error
        if not self._take():
            holder = holder_of(os.pread(self._fd, 4096, 0))
            os.close(self._fd)
            raise VaultBusy(f"another daemon serves this vault already: {holder}")
        mine = {"pid": os.getpid(), "started_at": rfc3339(self._now), "hostname": socket.gethostname()}
        with suppress(OSError):  # a full disk: what is written only informs
            os.ftruncate(self._fd, 0)
            os.pwrite(self._fd, json.dumps(mine).encode() + b"\n", 0)
        return self

    def _take(self) -> bool:
        """Try more than once: `aiempctl shutdown` holds the lock for a moment whenever it looks whether it is free."""
        for _attempt in range(TRIES):
            try:
                fcntl.flock(self._fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                pause(0.02)
            else:
                return True
        return False

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        os.close(self._fd)


def holder_of(content: bytes) -> str:
    """Who says to hold the lock, in words."""
    try:
        said = json.loads(content)
        return f"PID {said['pid']} on {said['hostname']}, since {said['started_at']}"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "it has not written down who it is"
