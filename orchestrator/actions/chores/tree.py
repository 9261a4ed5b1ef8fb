"""Files of the vault, looked for in a folder and all below it."""

import os
from collections.abc import Collection
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(slots=True)
class Tree:
    """Regular files in the order of their paths, and sentences about folders that can't be looked into."""

    files: list[Path] = field(default_factory=list)
    troubles: list[str] = field(default_factory=list)


def look(folder: Path, *, without: Collection[str] = ()) -> Tree:
    """Everything in `folder`, which may be missing, and below; but neither what is hidden nor what links lead to.

    `without` are sub-folders of `folder` itself, in lower case, that are left out in whatever case.
    """
    tree = Tree()
    folders = [folder]
    while folders:
        inside = folders.pop()
        try:
            with os.scandir(inside) as entries:
                for entry in entries:
                    if entry.name.startswith("."):
                        continue
                    if entry.is_file(follow_symlinks=False):
                        tree.files.append(inside / entry.name)
                    elif entry.is_dir(follow_symlinks=False) and not (
                        inside == folder and entry.name.lower() in without
                    ):
                        folders.append(inside / entry.name)
        except FileNotFoundError:
            pass
        except OSError as error:
            tree.troubles.append(f"{inside} can't be looked into: {error.strerror}; see to its owner and rights")
    tree.files.sort()
    return tree
