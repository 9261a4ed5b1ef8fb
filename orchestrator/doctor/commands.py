"""Is a command there for the daemon? Where it is not: is it elsewhere, where this shell would find it?"""
# pathlib's exists() and is_dir() raise where a folder above is closed to this user; those of os.path say no:
# ruff: noqa: PTH110, PTH113

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from orchestrator.doctor.environment import where_to_set
from orchestrator.doctor.patient import Patient
from orchestrator.processes import programs
from orchestrator.processes.programs import Surroundings, Unlaunchable

# Where installers put programs that a service's PATH does not name, below the home folder and elsewhere.
_USUAL: Final = (
    ".local/bin",
    ".claude/local",
    ".npm-global/bin",
    ".bun/bin",
    "bin",
    "/usr/local/bin",
    "/opt/homebrew/bin",
    "/snap/bin",
)


class Missing(Exception):
    """The command is not there for the daemon. `remedy` is None where only who knows the program can tell."""

    def __init__(self, message: str, remedy: str | None = None) -> None:
        super().__init__(message)
        self.remedy = remedy


def surroundings(patient: Patient) -> Surroundings:
    """What the daemon's children are told; needs a valid configuration."""
    dry_run = patient.config is not None and patient.config.dry_run
    return Surroundings(patient.places, str(patient.folder), dry_run, patient.world.environ)


def locate(
    command: tuple[str, ...], patient: Patient, directory: str, environ: Mapping[str, str]
) -> tuple[str, tuple[str, ...]]:
    """The program's path and its argv, as the daemon would start it. Raises Missing."""
    try:
        path, argv = programs.find(command, str(patient.folder), directory, environ)
    except Unlaunchable:
        raise _not_on_path(command[0], patient, environ) from None
    shown = os.path.normpath(path)
    if not os.path.exists(path):
        raise Missing(f"{shown} does not exist, or is out of the reach of {patient.world.account}")
    if not os.path.isfile(path) or not os.access(path, os.X_OK):
        raise Missing(f"{shown} is no program that this user may run", f"chmod +x {shown}, or correct `command`")
    return path, argv


def _not_on_path(name: str, patient: Patient, environ: Mapping[str, str]) -> Missing:
    world, path = patient.world, environ.get("PATH", "")
    text = f"{name} is not on the PATH of {world.who}"
    elsewhere = _elsewhere(name, patient)
    if elsewhere is None:
        return Missing(text)
    folder = os.path.dirname(elsewhere)  # noqa: PTH120  a string it stays
    remedy = (
        f"write its full path into `command`, or {where_to_set(world, 'PATH', f'{folder}:{path}' if path else folder)}"
    )
    return Missing(f"{text} ({path or 'which is empty'}), but it is at {elsewhere}", remedy)


def _elsewhere(name: str, patient: Patient) -> str | None:
    """Where this shell finds it, or where it usually is."""
    homes = {home for home in (patient.world.environ.get("HOME"), patient.shell.get("HOME")) if home}
    folders = [str(Path(home, folder)) for home in sorted(homes) for folder in _USUAL]
    shell = programs.absolute_path({"PATH": "", **patient.shell})["PATH"]
    return shutil.which(name, path=shell) or shutil.which(name, path=os.pathsep.join(folders))
