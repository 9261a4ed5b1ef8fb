"""The daemon that serves the vault, and whatever else would start one or its watchers."""
# pathlib's exists() and is_dir() raise where a folder above is closed to this user; those of os.path say no:
# ruff: noqa: PTH110, PTH118

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from orchestrator import files
from orchestrator.doctor import starters, storage, sync
from orchestrator.doctor.finding import Finding, warning
from orchestrator.doctor.patient import Patient
from orchestrator.processes import bounded

_CRONTAB: Final = 5.0  # seconds
_DUMP_MAX: Final = 16 * 1024 * 1024  # bytes


def look(patient: Patient) -> Iterator[Finding]:
    places, config = patient.places, patient.config
    socket = places.control_socket()
    start = f"aiemp run -c {patient.file}"
    if patient.units:
        start = f"{patient.units[0].systemctl} start {patient.units[0].name}"
    yield from starters.serving(
        patient.holder,
        patient.host,
        start=start,
        silent=patient.silent,
        log=places.daemon_log,
        stale_socket=socket if os.path.exists(socket) else None,
        networked=_shared(places.vault),
    )
    entries = [*_crontab(patient), *_pm2(patient)]
    yield from starters.rivals(patient.units, entries, {} if config is None else config.watchers)


def says(patient: Patient) -> Iterator[Finding]:
    """What a running daemon itself has to complain of: its problems, agents that wait, watchers that it gave up."""
    found = patient.daemon or {}
    supervisor, agents = found.get("supervisor"), _objects(found.get("agents"))
    of_agents = tuple(f"agent {agent.get('name')}:" for agent in agents)  # what these say follows
    lines = supervisor.get("problems") if isinstance(supervisor, dict) else None
    for line in lines if isinstance(lines, list) else []:
        if not str(line).startswith(of_agents):
            yield warning("daemon", f"it says: {line}", "aiempctl status")
    for agent in agents:
        if agent.get("state") in {"held", "spent"}:
            until = f" until {agent['until']}" if agent.get("until") else ""
            message, _, remedy = str(agent.get("reason")).partition("; ")
            text = f"its prompts wait{until}: {message}"
            yield warning(f"agent {agent.get('name')}", text, remedy or "aiempctl run TASK tries at once")
    for watcher in _objects(found.get("watchers")):
        if watcher.get("state") in {"paused", "fatal"}:
            name = watcher.get("name")
            text = f"it is {watcher['state']}: {watcher.get('reason') or 'no reason is known'}"
            yield warning(f"watcher {name}", text, f"aiempctl tail {name}; once that is mended: aiempctl resume {name}")


def _objects(found: object) -> list[dict[str, Any]]:
    return [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []


def _shared(vault: str) -> bool:
    """Whether other machines may have the vault too."""
    try:
        mounts = Path("/proc/self/mounts").read_text(encoding="utf-8", errors="surrogateescape")
    except OSError:
        mounts = ""
    path = os.path.realpath(vault)
    return storage.kind_of(path, mounts) in storage.KINDS or sync.service_of(path) is not None


def _crontab(patient: Patient) -> list[starters.Entry]:
    answer = bounded.ask(["crontab", "-l"], patient.tools, "/", _CRONTAB)
    if isinstance(answer, str) or answer.code != 0:
        return []
    return starters.crontab(answer.out, patient.world.account)


def _pm2(patient: Patient) -> list[starters.Entry]:
    home = patient.world.environ.get("PM2_HOME") or os.path.join(patient.world.environ.get("HOME", "/"), ".pm2")
    try:
        return starters.pm2(json.loads(files.read(f"{home}/dump.pm2", limit=_DUMP_MAX)[0]))
    except (OSError, ValueError, RecursionError):
        return []
