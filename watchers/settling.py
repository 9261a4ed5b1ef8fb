"""Which files of a folder are completely written, and which may be tried again, judged by looking at it. Pure."""

from collections.abc import Container, Mapping
from dataclasses import dataclass
from typing import Final

UNFINISHED: Final = (".part", ".crdownload")  # downloads on their way: Firefox, Chromium


def left_alone(name: str) -> bool:
    """Whether a file of this name is not meant for us: hidden, a download on its way, an editor's backup or lock."""
    return name.startswith((".", "~$")) or name.endswith("~") or name.lower().endswith(UNFINISHED)


@dataclass(frozen=True, slots=True)
class Seen:
    """What changes when a file is written or replaced."""

    inode: int
    size: int
    modified_ns: int


class Settling:
    """Remembers when each file last changed, by the looker's own clock: a writer's or a file server's may be wrong."""

    def __init__(self, settle: float) -> None:
        """`settle` is the time in seconds for which a file must not have changed."""
        self._settle = settle
        self._since: dict[str, tuple[Seen, float]] = {}

    def look(self, present: Mapping[str, Seen], now: float) -> tuple[list[str], list[str]]:
        """Of all files `present` at `now` (monotonic seconds), those that have settled, and those to wait for."""
        self._since = {
            name: known if (known := self._since.get(name)) and known[0] == seen else (seen, now)
            for name, seen in present.items()
        }
        settled: list[str] = []
        waiting: list[str] = []
        for name, (_, since) in self._since.items():
            (settled if now - since >= self._settle else waiting).append(name)
        return settled, waiting


class Holdoff:
    """Leaves alone for a while what has failed, each time in a row for twice as long.

    What is put back after a failure is a change in the folder like any other. Without this it would be taken up again
    at once, and go round in a circle as fast as the disk allows.
    """

    def __init__(self, longest: float) -> None:
        """`longest` is in seconds."""
        self._longest = longest
        self._failed: dict[str, tuple[float, float, str]] = {}  # until when, after how long a wait, and why

    def failed(self, name: str, why: str, now: float) -> None:
        """It has failed at `now` (monotonic seconds)."""
        _, before, _ = self._failed.get(name, (0.0, 0.5, ""))
        wait = min(2 * before, self._longest)
        self._failed[name] = (now + wait, wait, why)

    def keep(self, names: Container[str]) -> None:
        """Forget whatever is none of `names` any more."""
        self._failed = {name: failed for name, failed in self._failed.items() if name in names}

    def reason(self, name: str, now: float) -> str | None:
        """Why it is to be left alone at `now`; None when it may be tried."""
        until, _, why = self._failed.get(name, (now, 0.0, ""))
        return why if now < until else None
