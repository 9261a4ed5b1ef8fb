"""Which files of a folder are completely written, judged by looking at it again and again. Pure."""

from collections.abc import Mapping
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
