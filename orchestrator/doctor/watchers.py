"""Can every enabled watcher be started in the daemon's environment, as it would start it?"""
# pathlib's exists() and is_dir() raise where a folder above is closed to this user; those of os.path say no:
# ruff: noqa: PTH110, PTH118

import os
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from orchestrator.config.model import WatcherConfig
from orchestrator.doctor.commands import Missing, locate, surroundings
from orchestrator.doctor.environment import where_to_set
from orchestrator.doctor.finding import Finding, ok, problem, warning
from orchestrator.doctor.patient import Patient
from orchestrator.processes import bounded, programs
from orchestrator.processes.programs import Unlaunchable
from orchestrator.supervise import launch

CORRECT: Final = "install it, or correct `command`"

_SOCKET: Final = "/"  # stands for the watcher's notify socket, which nobody will use
_IMPORT: Final = 10.0  # seconds for a Python to say whether it has a module
# Looks for a module without executing anything of it, from the folder in argv[2] too, as `python -m` would.
_LOOK: Final = """\
import sys
from importlib.machinery import PathFinder
found, places = "", [*([sys.argv[2]] if sys.argv[2] else []), *sys.path]
for part in sys.argv[1].split("."):
    found = found + "." + part if found else part
    spec = PathFinder.find_spec(found, places)
    if spec is None:
        sys.exit(3)
    places = list(spec.submodule_search_locations or [])
"""
_WITH_VALUE: Final = frozenset("WX")  # Python's options that take the next word


def look(patient: Patient) -> Iterator[Finding]:
    config = patient.config
    for watcher in () if config is None else config.watchers.values():
        if watcher.enabled:
            yield _watcher(watcher, patient)
            yield from _env_file(watcher)


def _watcher(watcher: WatcherConfig, patient: Patient) -> Finding:
    check, command = f"watcher {watcher.name}", watcher.launch.command
    try:
        program = launch.program(watcher, surroundings(patient), _SOCKET)
    except Unlaunchable as error:
        return _unlaunchable(watcher, patient, str(error))
    try:
        path, argv = locate(command, patient, program.directory, program.environ)
    except Missing as missing:
        return problem(check, str(missing), missing.remedy or CORRECT)
    wrong = _python(path, argv, program.directory, program.environ)
    return problem(check, *wrong) if wrong else ok(check, f"can be started: {path}")


def _unlaunchable(watcher: WatcherConfig, patient: Patient, why: str) -> Finding:
    """What the daemon would say, with what this shell can add to it."""
    check, world = f"watcher {watcher.name}", patient.world
    message, _, remedy = why.partition("; ")
    if why.startswith("required_env: "):
        missing = [name for name in watcher.required_env if name in message.replace(",", "").split()]
        here = [name for name in missing if patient.shell.get(name)]
        message += f" for {world.who}" + (f", though this shell has {', '.join(here)}" if here else "")
        remedy = (
            f"write it into a file that the watcher's `env_file` names, or {where_to_set(world, missing[0])}"
            if missing
            else remedy
        )
    elif why.startswith("command "):
        environ = {**programs.inherited(surroundings(patient)), **dict(watcher.launch.env)}
        try:
            locate(watcher.launch.command, patient, str(watcher.launch.directory), environ)
        except Missing as missed:
            message, remedy = str(missed), missed.remedy or CORRECT
    return problem(check, message, remedy or f"correct it in {patient.file}, then: aiempctl reload")


def _env_file(watcher: WatcherConfig) -> Iterator[Finding]:
    file = watcher.launch.env_file
    if file is None:
        return
    try:
        mode = file.stat().st_mode
    except OSError:  # missing: that the watcher can't be started says so
        return
    if mode & (stat.S_IRGRP | stat.S_IROTH):
        who = "everybody" if mode & stat.S_IROTH else "its group"
        yield warning(f"watcher {watcher.name}", f"its env_file {file} can be read by {who}", f"chmod 600 {file}")


def _python(path: str, argv: tuple[str, ...], directory: str, environ: Mapping[str, str]) -> tuple[str, str] | None:
    """What a Python would say that does not find its module or script, and what to do; None when it would."""
    if not Path(path).name.startswith("python"):
        return None
    safe, words = False, iter(argv[1:])
    for word in words:
        if word == "-m":
            module = next(words, "")
            place = "" if safe else directory
            return None if _has(path, module, place, environ) else _no_module(path, module, place)
        if word in {"-c", "-"}:
            return None
        if not word.startswith("-"):
            script = os.path.join(directory, word)
            if os.path.exists(script):
                return None
            return f"{script} does not exist", "put it there, or correct `command` or `directory`"
        safe = safe or "P" in word.split("=")[0] or "I" in word
        if word[-1] in _WITH_VALUE:
            next(words, None)
    return None


def _no_module(path: str, module: str, directory: str) -> tuple[str, str]:
    where = f", nor does {directory}" if directory else ""
    return f"{path} does not have the module {module}{where}", f"install it for {path}, or correct `command`"


def _has(path: str, module: str, directory: str, environ: Mapping[str, str]) -> bool:
    """Whether that Python finds the module; True when it can't be told."""
    answer = bounded.ask([path, "-c", _LOOK, module, directory], environ, "/", _IMPORT)
    return isinstance(answer, str) or answer.code != 3
