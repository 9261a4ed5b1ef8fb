"""The switch that can be thrown from anywhere the vault is synchronized to: a file of that name stops the schedule."""

import os
import stat
from typing import Final

NAMES: Final = ("PAUSE", "PAUSE.md")  # the second is one that Obsidian can make and sync


def pause_file(vault: str) -> str | None:
    """Give the name of the file in the vault's root that says that nothing may start by itself. Two lstat calls.

    A folder of that name says nothing, and neither does a vault that is gone.
    """
    for name in NAMES:
        try:
            found = os.lstat(os.path.join(vault, name))  # noqa: PTH118  before every start of a run
        except OSError:
            continue
        if not stat.S_ISDIR(found.st_mode):
            return name
    return None
