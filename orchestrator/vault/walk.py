"""The files on the disk that patterns mean. All functions block: call them from a worker thread.

Only the folders in which something can match are looked into. Folders that are links are not entered, except where a
pattern names them outright. What vanishes, or may not be read, is passed over.
"""
# Over a large vault pathlib's objects would take longer than the disk:
# ruff: noqa: PTH118

import os
from collections.abc import Iterator

from orchestrator.vault.globs import Globs


def join(vault: str, relative: str) -> str:
    """The path of what lies at `relative`, "" being the vault itself."""
    return os.path.join(vault, relative) if relative else vault


def folders(vault: str, globs: Globs) -> Iterator[tuple[str, list[os.DirEntry[str]]]]:
    """Each folder that can hold matches, relative to the vault, with its entries."""
    ahead, met = globs.bases(), set[str]()
    while ahead:
        folder = ahead.pop()
        if folder in met:
            continue
        met.add(folder)
        try:
            with os.scandir(join(vault, folder)) as found:
                entries = list(found)
        except (OSError, ValueError):  # ValueError: a pattern's name that no file system can hold
            continue
        yield folder, entries
        for entry in entries:
            below = f"{folder}/{entry.name}" if folder else entry.name
            if globs.leads(below) and _is_folder(entry):
                ahead.append(below)


def files(vault: str, globs: Globs) -> Iterator[tuple[str, os.stat_result]]:
    """Each regular file that is meant, relative to the vault, with its state."""
    for folder, entries in folders(vault, globs):
        yield from files_of(folder, entries, globs)


def files_of(folder: str, entries: list[os.DirEntry[str]], globs: Globs) -> Iterator[tuple[str, os.stat_result]]:
    """As `files`, of one folder's entries."""
    for entry in entries:
        path = f"{folder}/{entry.name}" if folder else entry.name
        if globs.matches(path):
            try:
                if entry.is_file(follow_symlinks=False):
                    yield path, entry.stat(follow_symlinks=False)
            except OSError:
                continue


def _is_folder(entry: os.DirEntry[str]) -> bool:
    try:
        return entry.is_dir(follow_symlinks=False)
    except OSError:
        return False
