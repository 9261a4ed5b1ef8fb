"""`aiempctl shutdown`: ask the daemon to stop, and wait until it has."""

from __future__ import annotations

import time

from orchestrator.cli.arguments import Progress, find_vault, vault_options
from orchestrator.control.client import Client, ShuttingDown
from orchestrator.exits import Exit
from orchestrator.lock_holder import holder_pid
from orchestrator.places import Places
from orchestrator.readable import span

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from typing import Any

    from orchestrator.cli.program import Arguments

_PROBE = 0.05  # seconds between two looks at the lock


def declare(parser: Arguments) -> None:
    vault_options(parser)


def shutdown(args: Namespace) -> int:
    vault = find_vault(args)
    lock = Places(vault).lock
    with Progress() as progress:
        try:
            with Client(vault) as daemon:
                pid = daemon.call("shutdown", on_progress=progress).get("pid")
            who = f"the daemon (pid {pid})" if pid else "the daemon"
        except ShuttingDown:  # someone else asked first: what was wanted happens, and is waited for all the same
            pid = holder_pid(lock)
            who = "the daemon, already stopping,"
        _wait_for(lock, pid, who, progress)
    return Exit.OK


def _wait_for(lock: str, pid: int | None, who: str, progress: Callable[[dict[str, Any]], None]) -> None:
    """Return once `pid` does not hold `lock` any more: the kernel frees it at a daemon's very end, however that comes.

    The next daemon, which a service manager may start at once, is not waited for; nor does anybody wait long for the
    old one, which bounds that itself (`shutdown_timeout`).
    """
    start = time.monotonic()
    while (holder := holder_pid(lock)) is not None:
        pid = pid or holder  # whichever is known; 0: it has not written it down
        if holder not in {0, pid}:
            break
        progress({"text": f"waiting for {who} to end ({span(time.monotonic() - start)})"})
        time.sleep(_PROBE)


VERBS = {"shutdown": (declare, shutdown)}
