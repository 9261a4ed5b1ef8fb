"""The daemon's process: what it needs before it lives, who may be the one, where its log goes, how it ends."""

import faulthandler
import json
import logging
import sys
from contextlib import ExitStack
from pathlib import Path

import anyio

from orchestrator import groundwork, journal, own_process
from orchestrator.app import Daemon, set_log_level
from orchestrator.clock import SystemClock
from orchestrator.config.model import Config
from orchestrator.errors import UserError
from orchestrator.events import Bus
from orchestrator.exits import Exit
from orchestrator.lock import VaultLock
from orchestrator.logs.capture import Capture
from orchestrator.logs.daemon import DaemonLogHandler, OneLine
from orchestrator.problems import Problems
from orchestrator.reloading import Source

FINE = frozenset({"success", "skipped"})  # outcomes of a run


def run(config_path: str, *, vault: str | None, dry_run: bool | None, watchers: bool, once: bool) -> int:
    """Run the daemon in the foreground until it is told to stop; give the exit code.

    Raises UserError (with its exit code) for what a person must mend before it can start.
    """
    own_process.standard_descriptors()
    source = Source(Path(config_path), None if vault is None else Path(vault), dry_run)
    config = source.load()
    places = groundwork.prepare_vault(config)
    clock = SystemClock()
    own_process.default_signals()
    faulthandler.enable(2)  # systemd's watchdog sends SIGABRT: where it hung is then in the journal
    with VaultLock(places.lock, clock.now()), ExitStack() as cleanup:
        bus = Bus()
        problems = Problems(bus, clock)
        capture = Capture(places, config.logs, problems.put_from_thread)
        daemon = Daemon(source, config, places, clock=clock, bus=bus, problems=problems, capture=capture)
        capture.start()
        cleanup.callback(lambda: capture.close(daemon.time_left()))
        _set_up_logging(config, capture, cleanup)
        summary = None
        try:
            summary = anyio.run(daemon.main, watchers, once)
        except BaseExceptionGroup as group:
            raise _mendable(group) or group from None
    if summary is not None:
        print(json.dumps(summary), flush=True)
    own_process.leave_hanging_threads()
    if once and daemon.cut_short:
        print("aiemp: stopped before the cycle was over", file=sys.stderr)
        return Exit.FAILED
    fine = summary is None or all(run["outcome"] in FINE for run in summary["runs"])
    return Exit.OK if fine else Exit.FAILED


def _mendable(error: BaseException) -> UserError | None:
    """Find the one thing that a person has to mend in what came out of nested task groups, if that is all there is."""
    if isinstance(error, BaseExceptionGroup):
        found = [_mendable(each) for each in error.exceptions]
        return found[0] if all(each is not None for each in found) else None
    return error if isinstance(error, UserError) else None


def _set_up_logging(config: Config, capture: Capture, cleanup: ExitStack) -> None:
    root = logging.getLogger()
    terminal = journal.Terminal()
    terminal.setFormatter(OneLine())
    for handler in (DaemonLogHandler(capture.add_line), terminal):
        root.addHandler(handler)
        cleanup.callback(handler.close)
        cleanup.callback(root.removeHandler, handler)
    set_log_level(config)
