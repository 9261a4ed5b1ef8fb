"""Who holds a vault's lock, asked from outside. Light imports only: `aiempctl` asks when it finds no daemon."""

from __future__ import annotations

import fcntl
import json


def holder_pid(lock: str) -> int | None:
    """The PID of the daemon that holds `lock`; 0 when it has not written it down, None when there is none."""
    content = _content(lock)
    if content is None:
        return None
    try:
        return int(json.loads(content)["pid"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return 0


def holder(lock: str) -> str | None:
    """The daemon that holds `lock`, as `a daemon (pid 7, since 2026-11-20T23:30:00Z)`; None when there is none."""
    content = _content(lock)
    if content is None:
        return None
    try:
        said = json.loads(content)
        return f"a daemon (pid {said['pid']}, since {said['started_at']})"
    except (ValueError, KeyError, TypeError, RecursionError):
        return "a daemon"


def _content(lock: str) -> bytes | None:
    """What the holder has written into the lock; None when nobody holds it, or that can't be told.

    Where nobody does it is taken for an instant.
    """
    try:
        file = open(lock, "rb")  # noqa: PTH123, SIM115  pathlib's import costs more than all this; closed below
    except OSError:
        return None
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return file.read(4096)
    return None
