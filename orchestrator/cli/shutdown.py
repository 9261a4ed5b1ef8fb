"""`aiempctl shutdown`: ask the daemon to stop, and wait until it has."""

from __future__ import annotations

import time

from orchestrator.cli.arguments import Progress, find_vault, vault_options
from orchestrator.control.client import Client, ShuttingDown
from orchestrator.exits import Exit
from orchestrator.lock_holder import is_held
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
    with Progress() as progress:
        try:
            with Client(vault) as daemon:
                pid = daemon.call("shutdown", on_progress=progress).get("pid")
            who = f"the daemon (pid {pid})" if pid else "the daemon"
        except ShuttingDown:  # someone else asked first: what was wanted happens, and is waited for all the same
            who = "the daemon, already stopping,"
        _wait_for(Places(vault).lock, who, progress)
    return Exit.OK


def _wait_for(lock: str, who: str, progress: Callable[[dict[str, Any]], None]) -> None:
    """Return once nobody holds `lock`: the kernel frees it at the daemon's very end, however that comes.

    How long that takes the daemon bounds itself (`shutdown_timeout`).
    """
    start = time.monotonic()
    while is_held(lock):
        progress({"text": f"waiting for {who} to end ({span(time.monotonic() - start)})"})
        time.sleep(_PROBE)


VERBS = {"shutdown": (declare, shutdown)}
