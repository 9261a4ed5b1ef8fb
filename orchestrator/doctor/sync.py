"""Does another program sync the vault, and does it leave our own folder alone?"""
# pathlib's exists() and is_dir() raise where a folder above is closed to this user; those of os.path say no:
# ruff: noqa: PTH110, PTH118

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from orchestrator.doctor.finding import Finding, ok, warning
from orchestrator.doctor.patient import Patient
from orchestrator.processes import bounded

CHECK: Final = "sync"

_WHY: Final = "its database and sockets must not be synced: copies come back damaged or out of date"
_AWAY: Final = "it can't leave a folder out: keep the vault outside, and sync it with Syncthing or Obsidian Sync"
# How each service is told to leave `.aiemp` alone.
REMEDIES: Final[Mapping[str, str]] = {
    "Syncthing": "echo /.aiemp >> {root}/.stignore (with the vault's own path before it where the vault lies deeper)",
    "Dropbox": "attr -s com.dropbox.ignored -V 1 {state} (macOS: xattr -w com.dropbox.ignored 1 {state})",
    "iCloud": "xattr -w 'com.apple.fileprovider.ignore#P' 1 {state}",
    "OneDrive": _AWAY,
    "Google Drive": _AWAY,
    "Nextcloud": "add .aiemp under Settings, Ignored Files Editor",
}
_IGNORED: Final = ("user.com.dropbox.ignored", "com.dropbox.ignored", "com.apple.fileprovider.ignore#P")
_PARTS: Final = (
    (re.compile(r"Mobile Documents|com~apple~CloudDocs|iCloud~md~obsidian|iCloud Drive"), "iCloud"),
    (re.compile(r"Dropbox(?: \(.+\))?"), "Dropbox"),
    (re.compile(r"OneDrive(?:[ -].+)?"), "OneDrive"),
    (re.compile(r"Google ?Drive(?:-.+)?|My Drive"), "Google Drive"),
    (re.compile(r"Nextcloud"), "Nextcloud"),
)
_MARKS: Final = {".stfolder": "Syncthing", ".dropbox.cache": "Dropbox", ".nextcloudsync.log": "Nextcloud"}
# `note.sync-conflict-20261125-….md`, `note (conflicted copy 2026-11-25).md`, `note (Amy's conflicted copy …).md`.
_CONFLICT: Final = re.compile(r".*\.sync-conflict-.*|.* \((?:.* )?conflicted copy.*", re.IGNORECASE)
# What iCloud and Google Drive make of a file of ours that they have met twice: `Dashboard 2.md`, `Dashboard (1).md`.
_TWICE: Final = re.compile(r"(?:Dashboard|Company_Handbook|Business_Goals|PAUSE|aiemp)(?: \d+| \(\d+\))(?:\..*)?")
_GIT: Final = 5.0  # seconds


def look(patient: Patient) -> Iterator[Finding]:
    vault, state = os.path.realpath(patient.places.vault), patient.places.state
    if (found := service_of(vault)) is not None:
        service, root = found
        if _left_out(service, root, state):
            yield ok(CHECK, f"{service} syncs the vault and leaves .aiemp out")
        else:
            text = f"{service} syncs the vault, .aiemp too: {_WHY}"
            yield warning(CHECK, text, REMEDIES[service].format(root=root, state=state))
    copies = [str(Path(folder, name)) for folder in (vault, state) for name in conflicts(_names(folder))]
    if copies:
        shown = ", ".join(copies[:5]) + (f" and {len(copies) - 5} more" if len(copies) > 5 else "")
        text = f"a sync program met two versions and kept both: {shown}"
        yield warning(CHECK, text, "move what you need out of them into the file itself, then delete them")
    yield from _git(patient, vault)


def service_of(path: str) -> tuple[str, str] | None:
    """Which service syncs the absolute `path`, and the folder that it syncs."""
    folders = [Path(path), *Path(path).parents]
    for folder in folders:
        for mark, service in _MARKS.items():
            if os.path.exists(os.path.join(folder, mark)):
                return service, str(folder)
    for folder in folders:
        for pattern, service in _PARTS:
            if pattern.fullmatch(folder.name):
                return service, str(folder)
    return None


def conflicts(names: list[str]) -> list[str]:
    """Those of a folder's names that a sync program has given to a second version of a file."""
    return [name for name in names if _CONFLICT.fullmatch(name) or _TWICE.fullmatch(name)]


def _names(folder: str) -> list[str]:
    try:
        return sorted(path.name for path in Path(folder).iterdir())
    except OSError:
        return []


def _left_out(service: str, root: str, state: str) -> bool:
    if service == "Syncthing":
        lines = _lines(Path(root, ".stignore"))
        relative = os.path.relpath(os.path.realpath(state), root)
        return any(_ignores(line, relative) for line in lines)
    if not hasattr(os, "getxattr"):  # only Linux's Python reads them
        return False
    for name in _IGNORED:
        try:
            if os.getxattr(state, name, follow_symlinks=False):
                return True
        except OSError:
            continue
    return False


def _ignores(line: str, relative: str) -> bool:
    pattern = re.sub(r"^(?:\(\?[id]\))*", "", line.strip()).rstrip("/")
    return pattern in {".aiemp", f"/{relative}", relative, "**/.aiemp", ".*"}


def _lines(file: Path) -> list[str]:
    try:
        return file.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return []


def _git(patient: Patient, vault: str) -> Iterator[Finding]:
    """Obsidian's git plugin commits all that is not ignored, every few minutes."""
    if not any(os.path.exists(os.path.join(folder, ".git")) for folder in (Path(vault), *Path(vault).parents)):
        return
    answer = bounded.ask(["git", "-C", vault, "check-ignore", "-q", ".aiemp/aiemp.db"], patient.tools, "/", _GIT)
    if isinstance(answer, str) or answer.code not in {0, 1}:
        ignored = any(line.strip().strip("/") == ".aiemp" for line in _lines(Path(vault, ".gitignore")))
    else:
        ignored = answer.code == 0
    if ignored:
        yield ok(CHECK, "the vault is in git, and .aiemp is ignored there")
    else:
        text = f"the vault is in git, and .aiemp is not ignored there: {_WHY}"
        remedy = f"echo .aiemp/ >> {vault}/.gitignore && git -C {vault} rm -r --cached --ignore-unmatch -q .aiemp"
        yield warning(CHECK, text, remedy)
