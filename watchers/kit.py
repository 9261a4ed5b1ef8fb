"""What every watcher shares: options, one instance, readiness and heartbeat, the loop, an orderly end.

A watcher is an ordinary program that runs under a supervisor or alone. It subclasses `Watcher`, says in `cycle()` what
one look at the world does, and ends its module with `sys.exit(kit.main(MyWatcher))`.

- Ready (READY=1) is said when the vault is in order, the lock is held and the loop runs.
- The heartbeat (WATCHDOG=1) is sent by the loop itself: while it waits, and at every `progress()` of the work. There
  is no timer beside it, so that a hung watcher falls silent and is restarted.
- SIGTERM and SIGINT let the item at hand be finished; the exit code is 0.
- What a person must mend ends the program with one line and no stack trace: `UserError`. What may pass (a full disk,
  missing rights) is told in STATUS and tried again: `Outcome.trouble`. Everything else is a mistake in the program
  and ends it with a stack trace and exit code 1.
- DRY_RUN, from the supervisor, is about acts that leave the vault (mail, payments, posts): a watcher still senses and
  writes its notes then. `--dry-run` given by hand means more: only show what would be done, change nothing
  (`rehearsal`).
"""

import argparse
import fcntl
import logging
import os
import signal
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import FrameType
from typing import ClassVar, Final, NoReturn

import anyio
from anyio.abc import TaskStatus

from watchers.notify import Notify

log = logging.getLogger(__name__)

BUSY: Final = 75  # EX_TEMPFAIL, as the supervisor ends when another one serves the vault
RETRY_UNSAID: Final = 1.0  # seconds between two attempts to tell a supervisor that could not be reached


class UserError(Exception):
    """Something a person must mend. The message says what is wrong, where, and what to do."""

    def __init__(self, message: str, exit_code: int = 1) -> None:
        super().__init__(message)
        self.exit_code = exit_code


@dataclass(frozen=True, slots=True)
class Options:
    """What every watcher is told. Paths are absolute, times in seconds."""

    vault: Path
    state: Path  # the supervisor's private folder in the vault; locks and ledgers lie there
    interval: float
    once: bool
    dry_run: bool  # no act may leave the vault
    rehearsal: bool  # nothing at all may be changed
    own: argparse.Namespace  # what the watcher's add_arguments() added


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one cycle found: when to look again at the latest (None: after the interval), and what went wrong."""

    again_in: float | None = None
    trouble: str | None = None


class Watcher(ABC):
    """Senses something and writes it into the vault."""

    name: ClassVar[str]  # names the lock: one process of that name serves a vault
    summary: ClassVar[str]  # one line for --help

    def __init__(self, options: Options, notify: Notify) -> None:
        self.options = options
        self.stopped = anyio.Event()
        self._notify = notify
        self._woken = anyio.Event()
        self._status = ""

    @classmethod  # noqa: B027  most watchers have none of their own
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        """Add options of this watcher's own."""

    @abstractmethod
    async def cycle(self) -> Outcome:
        """Look once at everything there is and handle it, item by item.

        Calls `progress()` at least once an item, and stops between two items once `stopped` is set.
        """

    async def sense(self) -> None:
        """Run beside the cycles and call `wake()` whenever a look is worthwhile. Return when `stopped` is set."""
        await self.stopped.wait()

    def wake(self) -> None:
        """Have the next cycle begin at once."""
        self._woken.set()

    def progress(self) -> None:
        """Show that the work goes on. Any thread may call it."""
        self._notify.beat()

    def status(self, text: str) -> None:
        """Tell the supervisor in a few words what is going on (STATUS)."""
        if text != self._status:
            self._status = text
            self._notify.say(STATUS=text)

    def _stop(self) -> None:
        self.stopped.set()
        self.wake()

    async def _live(self) -> int:
        """The whole life, from readiness to the exit code."""
        async with anyio.create_task_group() as signals:
            await signals.start(self._stop_on_signals)
            self._notify.say(READY="1", WATCHDOG="1", STATUS="starting")
            async with anyio.create_task_group() as senses:
                if not self.options.once:
                    senses.start_soon(self.sense)
                try:
                    outcome = await self._cycles()
                finally:
                    self._stop()  # after a mistake too: sense() may wait in a thread that only this ends
                self._notify.say(STOPPING="1", STATUS="stopping")
            signals.cancel_scope.cancel()
        return 1 if self.options.once and outcome.trouble else 0

    async def _cycles(self) -> Outcome:
        trouble = None
        while True:
            self._woken = anyio.Event()  # before the look, so that a change during it is not lost
            if self.stopped.is_set():
                return Outcome()
            outcome = await self.cycle()
            if outcome.trouble:
                if outcome.trouble != trouble:
                    log.warning("%s", outcome.trouble)
                self.status(outcome.trouble)
            trouble = outcome.trouble
            if self.options.once and outcome.again_in is None:
                return outcome
            await self._rest(self.options.interval if outcome.again_in is None else outcome.again_in)

    async def _rest(self, seconds: float) -> None:
        """Wait until something wakes us, at most this long, beating all the while."""
        deadline = time.monotonic() + seconds
        while not self._woken.is_set() and (left := deadline - time.monotonic()) > 0:
            self.progress()
            tick = self._notify.beat_every or left
            if self._notify.unsaid:
                self._notify.say()
                tick = min(tick, RETRY_UNSAID)
            with anyio.move_on_after(min(left, tick)):
                await self._woken.wait()

    async def _stop_on_signals(self, *, task_status: TaskStatus[None]) -> None:
        with anyio.open_signal_receiver(signal.SIGTERM, signal.SIGINT) as signals:
            task_status.started()
            async for number in signals:
                log.info("%s: stopping after the item at hand", number.name)
                self._stop()


def rfc3339_now() -> str:
    """The time of day in UTC to the second, ending in Z (RFC 3339)."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def main(kind: type[Watcher], argv: Sequence[str] | None = None) -> int:
    """Run a watcher as a program and return its exit code: 0, 1 (it failed), 2 (wrong usage), 75 (another one runs)."""
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)  # until the loop takes over: nothing has been begun yet
    options = _options(kind, argv)
    lock = -1
    try:
        _check_vault(options.vault)
        if not options.rehearsal:
            lock = _lock(options.state, kind.name)
        watcher = kind(options, Notify(os.environ.get("NOTIFY_SOCKET"), os.environ.get("WATCHDOG_USEC")))
        code = anyio.run(watcher._live)  # noqa: SLF001  the kit's own part of the class
    except UserError as error:
        print(f"{kind.name}: {error}", file=sys.stderr)
        return error.exit_code
    finally:
        if lock != -1:
            os.close(lock)
    return code


def _options(kind: type[Watcher], argv: Sequence[str] | None) -> Options:
    parser = argparse.ArgumentParser(prog=f"python -m {kind.__module__}", description=kind.summary, allow_abbrev=False)
    add = parser.add_argument
    add("--vault", type=Path, default=os.environ.get("AIEMP_VAULT") or None, help="the vault (default: $AIEMP_VAULT)")
    add("--interval", type=seconds, default=30.0, metavar="SECONDS", help="look at least this often (default: 30)")
    add("--once", action="store_true", help="handle what is there now, then stop")
    dry_run = "only show what would be done, change nothing ($DRY_RUN=true only forbids acts outside the vault)"
    add("--dry-run", action=argparse.BooleanOptionalAction, help=dry_run)
    add("--log-level", choices=("debug", "info", "warning", "error"), default="info", help="default: info")
    kind.add_arguments(parser)
    given = parser.parse_args(argv)
    if given.vault is None:
        parser.error("which vault? Name it with --vault or in $AIEMP_VAULT")
    _log_to_stderr(given.log_level)
    vault = Path(given.vault).absolute()
    by_supervisor = os.environ.get("DRY_RUN", "").lower() == "true"
    return Options(
        vault=vault,
        state=Path(os.environ.get("AIEMP_STATE_DIR") or vault / ".aiemp"),
        interval=given.interval,
        once=given.once,
        dry_run=by_supervisor if given.dry_run is None else given.dry_run,
        rehearsal=bool(given.dry_run),
        own=given,
    )


def seconds(text: str) -> float:
    """A positive number of seconds, for argparse."""
    value = float(text)
    if not 0 < value < 1e9:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds above 0")
    return value


def _check_vault(vault: Path) -> None:
    if not vault.is_dir():
        raise UserError(f"no vault at {str(vault)!r}: create it with `aiemp init`, or name another one with --vault")
    if not os.access(vault, os.R_OK | os.W_OK | os.X_OK):
        raise UserError(f"the vault {str(vault)!r} cannot be written by this user: change its owner or its rights")


def _lock(state: Path, name: str) -> int:
    """Hold the right to serve this vault; the kernel gives it back when the process ends, however it ends."""
    path = state / f"{name}.lock"
    try:
        state.mkdir(mode=0o700, exist_ok=True)
        lock = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise UserError(f"cannot open {str(path)!r}: {error.strerror}; see to its folder's owner and rights") from None
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        holder = os.read(lock, 20).decode(errors="replace").strip()
        os.close(lock)
        raise UserError(
            f"another {name} watcher (PID {holder}) serves this vault already: stop that one first", BUSY
        ) from None
    os.ftruncate(lock, 0)
    os.pwrite(lock, f"{os.getpid()}\n".encode(), 0)
    return lock


def _leave(_signal: int, _frame: FrameType | None) -> NoReturn:
    sys.exit(0)


class _OneLine(logging.Formatter):
    """One line a record, whatever is in it: a file's name must not be able to forge another line."""

    def format(self, record: logging.LogRecord) -> str:
        return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in super().format(record))


def _log_to_stderr(level: str) -> None:
    handler = logging.StreamHandler()
    formatter = _OneLine("%(asctime)s %(levelname)s %(message)s", "%Y-%m-%dT%H:%M:%SZ")
    formatter.converter = time.gmtime
    handler.setFormatter(formatter)
    logging.basicConfig(level=level.upper(), handlers=[handler])
    logging.getLogger("watchfiles").setLevel(logging.WARNING)  # it reports every change
    logging.raiseExceptions = False  # a reader that is gone is no reason to fail
