"""All checks, one after the other: each bounded in time, and none taken down by another's failure."""
# pathlib's exists() and is_dir() raise where a folder above is closed to this user; those of os.path say no:
# ruff: noqa: PTH110

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Final

from orchestrator.clock import SystemClock
from orchestrator.config import zones
from orchestrator.doctor import (
    agents,
    configuration,
    daemons,
    environment,
    operation,
    servers,
    sync,
    tasks,
    timekeeping,
    vault,
    watchers,
)
from orchestrator.doctor.finding import Finding, Level, warning
from orchestrator.doctor.intake import admit
from orchestrator.doctor.patient import Patient
from orchestrator.doctor.world import name_of
from orchestrator.processes import bounded
from orchestrator.redaction import Redactor
from orchestrator.schedule import switch

Look = Callable[[Patient], Iterable[Finding]]
Announce = Callable[[str], None]

_ADMISSION: Final = 20.0  # seconds
_ASK: Final = 5.0  # seconds for timedatectl
_MCP_MAX: Final = 90.0  # seconds for all servers together
_MCP_MARGIN: Final = 15.0  # seconds to end what a server leaves
_EACH: Final = 60.0  # seconds for any other check


@dataclass(frozen=True, slots=True)
class Check:
    """`what` says while it lasts what is looked at; `configured`: it makes sense with a valid configuration only."""

    name: str
    what: str
    look: Look
    configured: bool = True
    seconds: float = _EACH


@dataclass(slots=True)
class _Done:
    """What a check has found so far, and what it has failed of. Filled by its thread."""

    findings: list[Finding] = field(default_factory=list)
    error: BaseException | None = None


def examine(file: str, shell: Mapping[str, str], directory: str, announce: Announce) -> Iterator[Finding]:
    """Everything that is found on the configuration `file`; `announce` hears what is looked at.

    `shell` is the environment and `directory` the folder that doctor was called in.
    """
    announce("who runs the daemon")
    admitted = list[Patient]()
    done = _bounded(lambda: admitted.append(admit(file, shell, directory)), _ADMISSION)
    if done is None or done.error is not None:
        yield replace(_unfinished("vault", None if done is None else done.error, _ADMISSION), level=Level.PROBLEM)
        return
    patient = admitted[0]
    redact = Redactor({**shell, **patient.world.environ})
    for check in _checks(patient):
        if check.configured and patient.config is None:
            continue
        announce(check.what)
        for finding in _made(check, patient):
            remedy = None if finding.remedy is None else redact(finding.remedy)
            yield replace(finding, message=redact(finding.message), remedy=remedy)


def _checks(patient: Patient) -> list[Check]:
    checks = [
        Check("configuration", "the configuration", configuration.look, configured=False),
        Check("environment", "the daemon's environment", _environment, configured=False),
        Check("operation", "whether it is paused", _operation),
        Check("time", "the clock", _time, configured=False),
        Check("watchers", "the watchers", watchers.look),
        Check("tasks", "the tasks", tasks.look),
        Check("agents", "the agents", lambda found: agents.look(found, SystemClock().now())),
        Check("mcp", "the MCP servers, which are started for it", servers.look, seconds=_seconds_for_servers(patient)),
    ]
    if patient.vault is None:
        return checks
    of_vault = [
        Check("vault", "the vault", vault.look, configured=False),
        Check("disk", "the vault's disk", vault.disk, configured=False),
        Check("dashboard", "the Dashboard", vault.dashboard, configured=False),
        Check("database", "the database", vault.database, configured=False),
        Check("sync", "programs that sync the vault", sync.look, configured=False),
        Check("daemon", "the daemon", daemons.look, configured=False),
        Check("daemon", "what the daemon says", daemons.says, configured=False),
    ]
    return [*checks[:2], *of_vault, *checks[2:]]


def _seconds_for_servers(patient: Patient) -> float:
    """They have a time-out each; those of `.mcp.json` are counted when they are read, so there is room for some."""
    configured = () if patient.config is None else patient.config.mcp.values()
    return max(_MCP_MAX, sum(server.timeout + _MCP_MARGIN for server in configured))


def _made(check: Check, patient: Patient) -> list[Finding]:
    """What a check finds, and that it could not be made where it could not."""
    done = _Done()

    def look() -> None:
        for finding in check.look(patient):
            done.findings.append(finding)

    ended = _bounded(look, check.seconds)
    if ended is None or ended.error is not None:
        return [*done.findings, _unfinished(check.name, None if ended is None else ended.error, check.seconds)]
    return done.findings


def _unfinished(name: str, error: BaseException | None, seconds: float) -> Finding:
    if error is None:
        text = f"this check did not end within {seconds:g} s: a disk or a program hangs"
        return warning(name, text, "see whether `ls` of the vault and of the home folder answers")
    text = f"this check could not be made ({type(error).__name__}: {error})"
    return warning(name, text, "call it again; if that does not help, please report it")


def _bounded(work: Callable[[], object], seconds: float) -> _Done | None:
    """Do it in a thread of its own; None when it is not done in time, and the thread is left to itself."""
    done = _Done()

    def attempt() -> None:
        try:
            work()
        except Exception as error:  # noqa: BLE001  a check's failure is a finding
            done.error = error

    thread = threading.Thread(target=attempt, name="doctor", daemon=True)
    thread.start()
    thread.join(seconds)
    return None if thread.is_alive() else done


def _environment(patient: Patient) -> Iterator[Finding]:
    owner: tuple[int, str] | None = None
    if patient.vault is not None and os.path.exists(patient.vault):
        uid = Path(patient.vault).stat().st_uid
        owner = uid, name_of(uid)
    return environment.judge(patient.world, us=os.geteuid(), vault_owner=owner)


def _operation(patient: Patient) -> Iterator[Finding]:
    if patient.config is not None:
        name = switch.pause_file(patient.places.vault)
        file = None if name is None else str(Path(patient.places.vault, name))
        yield from operation.judge(
            patient.config, pause_file=file, paused=patient.paused, environ=patient.world.environ
        )


def _time(patient: Patient) -> Iterator[Finding]:
    answer = bounded.ask(["timedatectl", "show", "-p", "NTPSynchronized", "--value"], patient.tools, "/", _ASK)
    said = "" if isinstance(answer, str) or answer.code != 0 else answer.out.strip()
    clock = timekeeping.Clock(
        now=SystemClock().now(),
        zone=None if patient.config is None else patient.config.timezone,
        machine=zones.machine({}),
        zones_known=zones.exists("Europe/Berlin"),
        synchronised={"yes": True, "no": False}.get(said),
    )
    return timekeeping.judge(clock)
