"""Which files changed: hears it from the system where that is possible, else looks at all of them now and then.

Everything here blocks and belongs into one worker thread at a time. Of watchfiles only its watching of single folders
is used: which folders these are is found by a walk of our own, since its own would also go into links (for ever, where
two lead to each other), hidden folders and our own database; and its polling sees a file's time in whole seconds.
"""
# Paths are strings, as the system names them in each change:
# ruff: noqa: PTH116, PTH120

import os
import stat
import threading
from collections.abc import Mapping
from typing import TYPE_CHECKING, Final

from orchestrator.clock import Clock
from orchestrator.vault import walk
from orchestrator.vault.globs import Globs

if TYPE_CHECKING:
    from watchfiles._rust_notify import RustNotify

STEP_MS: Final = 250  # a change is known after one to two of these; also our idle cost, four wake-ups a second
CHECK_MS: Final = 5000  # how often to see whether the watched folders are still those in their places
LAST_MS: Final = 20  # for what one watch has heard when another takes its place
ROUNDS: Final = 5  # of taking up new folders in a row, which may come up faster than that
LOOK_EVERY: Final = 2.0  # seconds between looks at all files, where the system does not tell
RETRY: Final = 60.0  # seconds until the system is asked again to tell
SLACK: Final = 1.0  # seconds; a file system's clock is a little behind, and may be another machine's
FAULTS: Final = 3  # in a row, until we look instead of listening

_DELETED: Final = 3  # watchfiles.Change.deleted

Identity = tuple[int, int]  # device and inode


class Unheard(Exception):
    """The system does not tell of changes; the message says why, and what to do."""


class Fault(Exception):
    """What was heard is lost; one has to listen anew."""


class Listening:
    """The system tells of changes in the folders that it was asked to watch."""

    def __init__(self, vault: str, globs: Globs) -> None:
        """Raises Unheard."""
        self._make, self._internal_error = _rust_notify()
        self._vault = vault
        self._real = os.path.realpath(vault)  # how macOS names it in changes
        self._globs = globs
        self._notify: RustNotify | None = None
        self._watched: dict[str, Identity] = {}
        self._fresh: set[str] = set()  # watched folders, what is in which is new to us
        self._take_up(new=False)

    def use(self, globs: Globs) -> set[str]:
        """Listen for these from now on; give what changed meanwhile. Raises Unheard or Fault."""
        self._globs = globs
        return self._take_up(new=False)

    def look(self, stop: threading.Event) -> set[str]:
        """Wait for changes, for a few seconds or until `stop`; give the files, relative to the vault.

        Raises Unheard or Fault.
        """
        if self._notify is None or self._fresh:  # folders came and went faster than they could be taken up
            stop.wait(STEP_MS / 1000)
            return self._take_up(new=self._notify is not None)
        changes = self._hear(self._notify, STEP_MS, CHECK_MS, stop)
        changed, other = self._judge(changes) if changes else (set[str](), self._moved())
        return changed | self._take_up(new=True) if other else changed

    def close(self) -> None:
        if self._notify is not None:
            self._notify.close()
            self._notify = None

    def _hear(
        self, notify: "RustNotify", step: int, timeout: int, stop: threading.Event | None
    ) -> set[tuple[int, str]]:
        """Give what changed; nothing when there was nothing for `timeout` ms, or when it is to stop."""
        try:
            heard = notify.watch(step, step, timeout, stop)
        except self._internal_error as error:  # a name that is no UTF-8: it tells of nothing else any more
            raise Fault(str(error)) from error
        return set() if isinstance(heard, str) else heard

    def _judge(self, changes: set[tuple[int, str]]) -> tuple[set[str], bool]:
        """Tell the files that changed, and whether folders came or went."""
        changed, other = set[str](), False
        for kind, path in changes:
            relative = self._relative(path)
            if relative is None:  # the vault itself, or beside or above it, which is watched while it is not there
                other |= f"{self._vault}/".startswith(f"{path}/")
            elif kind == _DELETED:
                other |= walk.join(self._vault, relative) in self._watched
            elif self._globs.matches(relative) or self._globs.leads(relative):
                mode = _mode(path)
                if stat.S_ISREG(mode):
                    if self._globs.matches(relative):
                        changed.add(relative)
                elif stat.S_ISDIR(mode):
                    other |= walk.join(self._vault, relative) not in self._watched and self._globs.leads(relative)
                else:  # a link is entered only on the way to a pattern's own folder
                    other |= any(f"{base}/".startswith(f"{relative}/") for base in self._globs.bases())
        return changed, other

    def _relative(self, path: str) -> str | None:
        for vault in (self._vault, self._real):
            if path.startswith(f"{vault}/"):
                return path[len(vault) + 1 :]
        return None

    def _moved(self) -> bool:
        """Whether another folder lies where one is watched, or none: of a rename above it nobody tells."""
        return any(self._watched.get(path) != identity for path, identity in self._bases().items())

    def _bases(self) -> dict[str, Identity]:
        """Find the folders that patterns begin with; for one that is not there, the nearest that is above it."""
        found = dict[str, Identity]()
        for base in self._globs.bases():
            path = walk.join(self._vault, base)
            while (identity := _identity(path)) is None and path != os.path.dirname(path):
                path = os.path.dirname(path)
            if identity is not None:
                found[path] = identity
        return found

    def _take_up(self, *, new: bool) -> set[str]:
        """Watch the folders that are there now; give the files that changed meanwhile.

        With `new`, all that folders hold which were not watched before counts as changed. A folder that comes to be
        after it was looked for and before the one above it is watched is found in the next round.

        Raises Unheard or Fault.
        """
        changed, contents = set[str](), dict[str, tuple[str, list[os.DirEntry[str]]]]()
        for _ in range(ROUNDS):
            found, contents = self._bases(), {}
            for folder, entries in walk.folders(self._vault, self._globs):
                path = walk.join(self._vault, folder)
                if (identity := _identity(path)) is not None:
                    found[path] = identity
                    contents[path] = (folder, entries)
            if found == self._watched:
                break
            fresh = {path for path, identity in found.items() if self._watched.get(path) != identity}
            heard = self._watch(found)
            if heard is None:
                continue
            changed |= heard
            if new:
                self._fresh |= fresh
            new = True
        else:
            return changed
        for path in self._fresh & contents.keys():
            changed.update(name for name, _ in walk.files_of(*contents[path], self._globs))
        self._fresh.clear()
        return changed

    def _watch(self, folders: Mapping[str, Identity]) -> set[str] | None:
        """Have these folders watched instead of those before; give the last that was heard of those.

        None when one of them has gone meanwhile. Raises Unheard or Fault.
        """
        try:
            notify = self._make(list(folders), False, False, 0, False, False)  # noqa: FBT003  it has no names for them
        except FileNotFoundError:
            return None
        except (OSError, ValueError, self._internal_error) as error:
            raise Unheard(_reason(error)) from error
        old, self._notify, self._watched = self._notify, notify, dict(folders)
        if old is None:
            return set()
        try:
            return self._judge(self._hear(old, LAST_MS, LAST_MS, None))[0]
        finally:
            old.close()


class Looking:
    """We look at all the files ourselves, again and again."""

    def __init__(self, vault: str, globs: Globs, every: float) -> None:
        """Files are looked at every so many seconds."""
        self._vault = vault
        self._globs = globs
        self._every = every
        self._files = self._look(globs)

    def use(self, globs: Globs) -> set[str]:
        """As Listening.use."""
        before, known = self._files, self._globs
        self._files, self._globs = self._look(globs), globs
        return {
            path
            for path, state in self._files.items()
            if (before[path] != state if path in before else known.matches(path))
        }

    def look(self, stop: threading.Event) -> set[str]:
        """As Listening.look."""
        stop.wait(self._every)
        return self.use(self._globs)

    def close(self) -> None:
        """Nothing is held."""

    def _look(self, globs: Globs) -> dict[str, tuple[int, int, int]]:
        return {
            path: (found.st_mtime_ns, found.st_size, found.st_ino) for path, found in walk.files(self._vault, globs)
        }


class Watch:
    """Learns of changes by listening; while that can't be done, by looking.

    `problem`: one line for a person about why it only looks, None when it listens.
    """

    def __init__(self, vault: str, clock: Clock, environ: Mapping[str, str]) -> None:
        self.problem: str | None = None
        self._vault = vault
        self._clock = clock
        self._every, self._only_looking = _polling(environ)
        self._way: Listening | Looking | None = None
        self._patterns: frozenset[str] = frozenset()
        self._sure_until: float | None = None  # Unix time up to which no change was missed
        self._faults = 0
        self._ask_again = 0.0  # monotonic

    def look(self, globs: Globs, stop: threading.Event) -> set[str]:
        """Wait for changes, for a few seconds or until `stop`; give the patterns that changed files are meant by."""
        began = self._clock.now().timestamp()
        try:
            changed = self._look(globs, stop)
        except Unheard as unheard:
            self.problem = str(unheard)
            changed = self._only_look(globs)
        except Fault as fault:
            self._faults += 1
            self._drop()
            if self._faults < FAULTS:
                return set()
            self.problem = f"{fault}; rename what is named so"
            changed = self._only_look(globs)
        self._sure_until = began
        return {pattern for path in changed for pattern in globs.matching(path)}

    def close(self) -> None:
        """Let go of what the system holds for us. Not while a `look` goes on."""
        self._drop()

    def _look(self, globs: Globs, stop: threading.Event) -> set[str]:
        if self._way is None or self._may_ask_again():
            return self._begin(globs)
        if self._patterns != globs.patterns:
            self._patterns = globs.patterns
            return self._way.use(globs)
        changed = self._way.look(stop)
        self._faults = 0
        return changed

    def _may_ask_again(self) -> bool:
        return self.problem is not None and self._clock.monotonic() >= self._ask_again

    def _begin(self, globs: Globs) -> set[str]:
        """Listen, or look where that is wished for; give what changed since it was last looked or listened."""
        before = self._way
        if self._only_looking:
            self._way = Looking(self._vault, globs, self._every)
        else:
            self._way = Listening(self._vault, globs)
        self.problem = None
        self._patterns = globs.patterns
        return self._missed(globs) if before is None else before.use(globs)

    def _only_look(self, globs: Globs) -> set[str]:
        """Look instead of listening, for a while."""
        self._ask_again = self._clock.monotonic() + RETRY
        if isinstance(self._way, Looking):
            return self._way.use(globs)
        self._drop()
        self._way = Looking(self._vault, globs, self._every)
        self._patterns = globs.patterns
        return self._missed(globs)

    def _missed(self, globs: Globs) -> set[str]:
        """The files that changed while nobody listened or looked; none at the very beginning."""
        if self._sure_until is None:
            return set()
        since = self._sure_until - SLACK
        # The inode's change time: unlike the file's own it can't be set, and a rename sets it too.
        return {path for path, found in walk.files(self._vault, globs) if found.st_ctime >= since}

    def _drop(self) -> None:
        if self._way is not None:
            self._way.close()
            self._way = None


def _rust_notify() -> "tuple[type[RustNotify], type[Exception]]":
    """What watchfiles is made of, and its own error. It takes 1.8 MiB, and without `on_change` nobody needs it."""
    from watchfiles._rust_notify import RustNotify, WatchfilesRustInternalError  # noqa: PLC0415

    return RustNotify, WatchfilesRustInternalError


def _identity(path: str) -> Identity | None:
    """Which folder lies there; None when there is none."""
    try:
        found = os.stat(path)
    except (OSError, ValueError):
        return None
    return (found.st_dev, found.st_ino) if stat.S_ISDIR(found.st_mode) else None


def _mode(path: str) -> int:
    """What lies there, links not followed; 0 when nothing does any more."""
    try:
        return os.lstat(path).st_mode
    except OSError:
        return 0


def _polling(environ: Mapping[str, str]) -> tuple[float, bool]:
    """How often to look, and whether never to listen: as watchfiles' own variables say."""
    delay = environ.get("WATCHFILES_POLL_DELAY_MS", "")
    every = max(1, int(delay)) / 1000 if delay.isdecimal() and len(delay) < 10 else LOOK_EVERY
    return every, environ.get("WATCHFILES_FORCE_POLLING", "").lower() not in {"", "false", "disable", "disabled"}


def _reason(error: Exception) -> str:
    """Why the system does not tell of changes, and what to do about it."""
    text = str(error)
    if isinstance(error, UnicodeError):
        return "a folder's name is no UTF-8; rename it"
    if "MaxFilesWatch" in text or "No space left" in text:  # inotify_add_watch(2): ENOSPC
        return "no more folders may be watched; raise the limit, sysctl fs.inotify.max_user_watches"
    if "Too many open files" in text:  # inotify_init1(2): EMFILE
        return "nothing more may be watched; raise the limits, sysctl fs.inotify.max_user_instances and ulimit -n"
    return text
