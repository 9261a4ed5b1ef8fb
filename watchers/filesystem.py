"""The watcher of the Inbox: every file that is completely written there moves to Needs_Action, with a note beside it.

    python -m watchers.filesystem --vault VAULT [--once] [--dry-run] [--settle 0.5]

A file is complete when its size and time have not changed for `--settle` seconds and, where the system can tell,
nobody has it open for writing. Hidden files, links, special files, sub-folders, downloads on their way (`.part`,
`.crdownload`) and editors' backups and locks (`NAME~`, `~$NAME`) are left as they are. Moving within the vault is no
outside act, so DRY_RUN=true does not stop it; `--dry-run` given by hand does. `watchers.drops` says why no kill loses
or doubles anything.
"""

import argparse
import errno
import fcntl
import logging
import os
import signal
import stat
import sys
import time
from pathlib import Path
from typing import Final

import anyio
from anyio import from_thread, to_thread

from watchers import kit
from watchers.drops import Drops
from watchers.notify import Notify
from watchers.settling import Holdoff, Seen, Settling, left_alone

log = logging.getLogger(__name__)

# watchfiles looks for news every STEP_MS, also when there is none: this is our idle cost, four wake-ups a second. A
# change is known after one to two steps.
STEP_MS: Final = 250
BLIND_INTERVAL: Final = 2.0  # seconds between looks while the system cannot tell us about changes


class FilesystemWatcher(kit.Watcher):
    """Moves complete files from Inbox to Needs_Action."""

    name = "filesystem"
    summary = (
        "Move every file that is completely written into the vault's Inbox to Needs_Action, with a note beside it."
    )

    def __init__(self, options: kit.Options, notify: Notify) -> None:
        super().__init__(options, notify)
        self._inbox = options.vault / "Inbox"
        self._needs_action = options.vault / "Needs_Action"
        self._drops = Drops(self._inbox, self._needs_action, self.progress)
        self._settling = Settling(options.own.settle)
        self._holdoff = Holdoff(options.interval)
        self._looks = 0
        self._moved = 0
        self._interrupted = True  # something may lie half-way: after a kill, or after an error
        self._stuck: list[OSError] = []  # why what lies half-way could not be finished
        self._told: dict[str, str] = {}  # what was said about a file last, so as not to repeat it
        self._watched: int | None = None  # the inode of the Inbox that changes are reported of
        if sys.platform == "linux":
            signal.signal(signal.SIGIO, signal.SIG_IGN)  # see _written_to(); it would end the process

    @classmethod
    def add_arguments(cls, parser: argparse.ArgumentParser) -> None:
        settle = "a file is complete when it has not changed for so long (default: 0.5)"
        parser.add_argument("--settle", type=kit.seconds, default=0.5, metavar="SECONDS", help=settle)

    async def cycle(self) -> kit.Outcome:
        self._looks += 1
        try:
            settled, waiting = await to_thread.run_sync(self._look)
        except OSError as error:
            return kit.Outcome(trouble=f"cannot look into the Inbox: {_reason(error)}")
        troubles = [_reason(error) for error in self._stuck]
        for name in settled:
            if self.stopped.is_set():
                break
            self.progress()
            if (why := self._holdoff.reason(name, time.monotonic())) is not None:
                troubles.append(why)
                continue
            try:
                done = await to_thread.run_sync(self._handle, name)
            except OSError as error:
                self._interrupted = True
                self._holdoff.failed(name, _reason(error), time.monotonic())
                troubles.append(_reason(error))
                self._tell(name, f"cannot be moved, is tried again: {_reason(error)}", logging.WARNING)
            else:
                if not done:
                    waiting.append(name)
        return self._outcome(waiting, troubles)

    async def sense(self) -> None:
        blind = False
        while not self.stopped.is_set():
            reason = None
            try:
                self._watched = self._inbox.stat().st_ino
                reason = await self._hear_of_changes()
            except FileNotFoundError:
                pass  # the next look makes a new one
            except (OSError, ValueError) as error:  # no inotify watch is left for us; the vault's path is no UTF-8
                reason = str(error)
            if reason and not blind:
                log.warning("no notice of changes, looking every %g s instead: %s", BLIND_INTERVAL, reason)
            blind = reason is not None
            self.wake()
            with anyio.move_on_after(BLIND_INTERVAL if blind else 1):
                await self.stopped.wait()

    async def _hear_of_changes(self) -> str | None:
        """Wake up at every change in the Inbox, until it is replaced; the reason, if changes cannot be heard at all."""
        # Loaded here, after readiness: what is dropped meanwhile is found by the look that _Until causes.
        from watchfiles import awatch  # noqa: PLC0415
        from watchfiles._rust_notify import WatchfilesRustInternalError  # noqa: PLC0415  exported nowhere else

        until, reason = _Until(self), None
        try:
            async for _ in awatch(
                self._inbox,
                watch_filter=None,
                debounce=STEP_MS,
                step=STEP_MS,
                rust_timeout=0,
                recursive=False,
                stop_event=until,
            ):
                self.wake()
        except* WatchfilesRustInternalError as errors:
            # Once it runs, a file's name that is no UTF-8 ends it for good, and a new one is made.
            if not until.asked:
                reason = str(errors.exceptions[0])
        return reason

    def inbox_replaced(self) -> bool:
        """Whether the folder that changes are reported of is no longer the Inbox."""
        try:
            return self._inbox.stat().st_ino != self._watched
        except OSError:
            return True

    def _look(self) -> tuple[list[str], list[str]]:
        """Take up what was interrupted; then the names that have settled, oldest first, and those still to wait for."""
        if not self.options.rehearsal:
            self._inbox.mkdir(exist_ok=True)
            self._needs_action.mkdir(exist_ok=True)
            if self._interrupted:
                finished, self._stuck = self._drops.resume(kit.rfc3339_now())
                self._interrupted = bool(self._stuck)
                for moved in finished:
                    self._moved += 1
                    log.info("%r moved to %r with %r, after an interruption", moved.source, moved.file, moved.note)
        present = _files_in(self._inbox)
        self._told = {name: said for name, said in self._told.items() if name in present}
        self._holdoff.keep(present)
        settled, waiting = self._settling.look(present, time.monotonic())
        settled.sort(key=lambda name: (present[name].modified_ns, name))
        return settled, waiting

    def _handle(self, name: str) -> bool:
        """Move one settled file. False when it must wait longer."""
        if _written_to(self._inbox / name):
            self._tell(name, "is still open for writing", logging.INFO)
            return False
        if self.options.rehearsal:
            file, note = self._drops.plan(name)
            self._tell(name, f"would move to {file!r} with {note!r}", logging.INFO)
            return True
        moved = self._drops.take(name, kit.rfc3339_now())
        if moved:
            self._moved += 1
            log.info("%r moved to %r with %r", moved.source, moved.file, moved.note)
        return True

    def _outcome(self, waiting: list[str], troubles: list[str]) -> kit.Outcome:
        trouble = None
        if troubles:
            trouble = f"{_files(len(troubles))} cannot be moved: {troubles[0]}"
        elif waiting:
            self.status(f"{_files(self._moved)} moved, {len(waiting)} still being written")
        else:
            self.status(f"{_files(self._moved)} moved, waiting")
        again_in = self.options.own.settle if waiting else None
        if self.options.once and self._looks > 1:
            for name in waiting:
                log.info("%r is still being written, left for the next time", name)
            again_in = None
        return kit.Outcome(again_in, trouble)

    def _tell(self, name: str, what: str, level: int) -> None:
        if self._told.get(name) != what:
            self._told[name] = what
            log.log(level, "%r %s", name, what)


class _Until:
    """Ends awatch(), which asks at every step, in its thread: when we stop, or the Inbox is another folder now.

    The first time it asks, the watch has just been set up: what came before must be looked for.
    """

    def __init__(self, watcher: FilesystemWatcher) -> None:
        self._watcher = watcher
        self._over = False
        self.asked = False

    def set(self) -> None:
        """What awatch() does when it is cancelled."""
        self._over = True

    def is_set(self) -> bool:
        if not self.asked:
            self.asked = True
            from_thread.run_sync(self._watcher.wake)
        return self._over or self._watcher.stopped.is_set() or self._watcher.inbox_replaced()


def _files_in(folder: Path) -> dict[str, Seen]:
    """The regular files that are meant for us."""
    present = {}
    with os.scandir(folder) as entries:
        for entry in entries:
            if left_alone(entry.name):
                continue
            try:
                found = entry.stat(follow_symlinks=False)
            except FileNotFoundError:
                continue
            if stat.S_ISREG(found.st_mode):
                present[entry.name] = Seen(found.st_ino, found.st_size, found.st_mtime_ns)
    return present


def _written_to(path: Path) -> bool:
    """Whether someone has the file open for writing; False where this cannot be told.

    Linux grants a read lease only on a file that nobody has open for writing (fcntl(2), F_SETLEASE: EAGAIN), and only
    to its owner. It is given back at once; should someone open the file for writing just then, they wait for that, and
    we get a SIGIO.
    """
    if sys.platform != "linux":
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
    except OSError:
        return False  # gone or unreadable: moving it will tell
    try:
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_RDLCK)
        fcntl.fcntl(descriptor, fcntl.F_SETLEASE, fcntl.F_UNLCK)
    except OSError as error:
        return error.errno == errno.EAGAIN
    finally:
        os.close(descriptor)
    return False


def _files(number: int) -> str:
    return "1 file" if number == 1 else f"{number} files"


def _reason(error: OSError) -> str:
    return f"{error.strerror or error} ({error.filename!r})" if error.filename else str(error.strerror or error)


if __name__ == "__main__":
    sys.exit(kit.main(FilesystemWatcher))
