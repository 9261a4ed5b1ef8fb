"""An environment for each measured program, made once and kept in the user's cache; every module is precompiled."""

import os
import shutil
import subprocess
import sys
import venv
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from benchmarks.progress import say

CHECKOUT: Final = Path(__file__).resolve().parent.parent
CHILD_SOURCE: Final = Path(__file__).resolve().parent / "child.c"

# What pip installs for each, and the distribution whose version the report names.
DISTRIBUTIONS: Final[Mapping[str, tuple[tuple[str, ...], str]]] = {
    "aiemp": ((str(CHECKOUT),), "aiemp"),
    "supervisord": (("supervisor",), "supervisor"),
    "circus": (("circus",), "circus"),
    "apscheduler": (("apscheduler<4",), "apscheduler"),
}
# Inherited by everything that is measured; PYTHON…, AIEMP_…, DRY_RUN and NOTIFY_SOCKET would change what is measured.
KEPT_VARIABLES: Final = ("HOME", "LANG", "LC_ALL", "PATH", "TMPDIR", "USER", "XDG_RUNTIME_DIR")


class SetupFailed(Exception):
    """A program can't be measured here; says why."""


@dataclass(frozen=True, slots=True)
class Program:
    """An installed supervisor."""

    name: str
    bin: Path
    version: str


def clean_environment() -> dict[str, str]:
    return {key: os.environ[key] for key in KEPT_VARIABLES if key in os.environ}


def default_cache() -> Path:
    base = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Path(base).expanduser() / "aiemp-benchmarks" / f"python{version}"


def prepare(name: str, cache: Path, ready_made: Path | None) -> Program:
    """Install `name` unless it is there; aiemp is installed anew from the checkout, unless `ready_made` has it.

    Raises SetupFailed.
    """
    if name == "bare":
        return Program(name, Path(sys.executable).parent, sys.version.split()[0])
    wanted, distribution = DISTRIBUTIONS[name]
    folder = ready_made or cache / name
    python = folder / "bin" / "python"
    if ready_made is None and (name == "aiemp" or not (folder / "installed").exists()):
        say(f"installing {name} into {folder}")
        if not python.exists():
            venv.create(folder, with_pip=True, symlinks=True, clear=True)
        # A checkout has the same version today as yesterday: without --force-reinstall pip would leave the old code.
        for arguments in (wanted, ("--force-reinstall", "--no-deps", *wanted)) if name == "aiemp" else (wanted,):
            pip = [str(python), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", *arguments]
            _run(pip, f"pip could not install {name}")
        (folder / "installed").touch()
    _compile(python, ready_made)
    script = f"import importlib.metadata; print(importlib.metadata.version({distribution!r}))"
    return Program(name, folder / "bin", _run([str(python), "-c", script], f"{name} is not in {folder}").strip())


def _compile(python: Path, ready_made: Path | None) -> None:
    """Write bytecode for all that the environment holds; the harness can't know what a program will import."""
    script = "import sysconfig; print(sysconfig.get_path('purelib')); print(sysconfig.get_path('stdlib'))"
    paths = _run([str(python), "-c", script], f"{python} does not run").splitlines()
    sources = [CHECKOUT / package for package in ("orchestrator", "watchers")] if ready_made else []
    # Some libraries ship files for other versions of Python, which don't compile: the exit code says nothing.
    subprocess.run(
        [str(python), "-m", "compileall", "-q", *paths, *map(str, sources)],
        env=clean_environment(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        check=False,
    )


def _run(command: list[str], failure: str) -> str:
    try:
        done = subprocess.run(command, env=clean_environment(), capture_output=True, text=True, check=False)
    except OSError as error:
        raise SetupFailed(f"{failure}: {error}") from error
    if done.returncode != 0:
        raise SetupFailed(f"{failure}: {' '.join(done.stderr.split()[-60:])}")
    return done.stdout


def build_child(folder: Path) -> Path:
    """Compile the supervised program: static where the C library allows it, so that its own start costs the least.

    Raises SetupFailed without a C compiler.
    """
    compiler = os.environ.get("CC") or shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")
    if compiler is None:
        raise SetupFailed("no C compiler (cc, gcc, clang or $CC) is there; it makes the supervised program")
    target = folder / "child"
    command = [compiler, "-O2", "-o", str(target), str(CHILD_SOURCE)]
    try:
        _run([*command, "-static"], "cc")
    except SetupFailed:
        _run(command, f"{compiler} can't compile {CHILD_SOURCE.name}")
    return target
