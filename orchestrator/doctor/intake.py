"""Finds out everything that the checks start from, and takes on the daemon's account where that is possible."""

import os
import pwd
import socket
import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

from orchestrator.config import added, find
from orchestrator.config.load import load
from orchestrator.config.model import Config, TaskConfig
from orchestrator.control.client import Client
from orchestrator.doctor import world as worlds
from orchestrator.doctor.patient import Holder, Patient, Source, World
from orchestrator.errors import ConfigInvalid, UserError
from orchestrator.places import Places
from orchestrator.schedule.gate import PAUSED
from orchestrator.store import read_only

_ANSWER: Final = 5.0  # seconds for the daemon


@dataclass(frozen=True, slots=True)
class _Remembered:
    """What people have said by command, as the database has it."""

    enabled: Mapping[str, bool]
    paused: bool


def admit(file: str, shell: Mapping[str, str], directory: str) -> Patient:
    """Everything there is to know of the configuration `file`. `directory` is the one that doctor was called in.

    Called as root, this process becomes the daemon's user for good: nothing of that user's may run as root, and what
    is looked at is then what the daemon can do.
    """
    file = find.from_here(file)
    vault: str | None = None
    with suppress(ConfigInvalid):
        vault = find.vault_of(file)
    places = None if vault is None else Places(vault)
    held = Holder(held=False) if places is None else worlds.holder(places.lock)
    units = worlds.installed(file, shell.get("HOME", ""))
    world = worlds.find(held, units, shell, directory)
    become(world)
    config, invalid = _load(file, world.environ)
    patient = Patient(file, shell, world, held, units, vault, config, invalid, socket.gethostname())
    if places is None:
        return patient
    if held.held and held.hostname in {"", patient.host}:
        patient = _with_answer(patient, places.vault)
    return patient if config is None else _with_tasks(patient, config, places)


def become(world: World) -> None:
    """Have this process run as the daemon's user, if it is root's and the daemon is not."""
    if os.geteuid() != 0 or world.uid == 0 or world.source is Source.SHELL:
        return
    try:
        account = pwd.getpwuid(world.uid)
        os.initgroups(account.pw_name, account.pw_gid)
        os.setgid(account.pw_gid)
    except KeyError:  # a number without a name
        os.setgroups([])
        os.setgid(world.uid)
    os.setuid(world.uid)


def _load(file: str, environ: Mapping[str, str]) -> tuple[Config | None, tuple[str, ...]]:
    try:
        return load(Path(file), environ=environ), ()
    except ConfigInvalid as invalid:
        return None, invalid.problems


def _with_answer(patient: Patient, vault: str) -> Patient:
    try:
        with Client(vault, timeout=_ANSWER) as daemon:
            return replace(patient, daemon=daemon.call("status", {}))
    except UserError as error:
        return replace(patient, silent=str(error))


def _with_tasks(patient: Patient, config: Config, places: Places) -> Patient:
    found = added.load_all(places.state, config)
    said = _remembered(places.database)
    tasks = _enabled([*config.tasks.values(), *found.tasks], said.enabled)
    return replace(patient, tasks=tasks, broken_tasks=found.problems, paused=said.paused)


def _enabled(tasks: Sequence[TaskConfig], said: Mapping[str, bool]) -> list[TaskConfig]:
    return [task for task in tasks if said.get(task.name, task.enabled)]


def _remembered(database: str) -> _Remembered:
    """What the database has; nothing where it can't be read, which a check of its own tells."""
    try:
        with closing(read_only.connect(database)) as connection:
            rows: list[Any] = connection.execute("SELECT name, enabled FROM tasks WHERE enabled IS NOT NULL").fetchall()
            paused = connection.execute("SELECT value FROM settings WHERE key = ?", (PAUSED,)).fetchone()
    except sqlite3.Error:
        return _Remembered({}, paused=False)
    return _Remembered({name: bool(enabled) for name, enabled in rows}, paused=paused is not None)
