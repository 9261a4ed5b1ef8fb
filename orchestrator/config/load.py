"""supervisor.toml -> Config, or every problem in it at once."""

from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import Any, Final

from orchestrator.config import agents, find, schema, tasks, zones
from orchestrator.config.check import Problem, check, nearest
from orchestrator.config.locate import KeyPath, locate
from orchestrator.config.model import (
    Backoff,
    Config,
    CrashLoop,
    Launch,
    LogsConfig,
    Policy,
    SchedulerConfig,
    WatcherConfig,
)
from orchestrator.config.references import check_references, check_twins
from orchestrator.config.syntax import parse
from orchestrator.config.values import shown
from orchestrator.config.wording import dotted, problem, quoted
from orchestrator.errors import ConfigInvalid

_DRY_RUN: Final = {"true": True, "false": False, "1": True, "0": False}
_POLICY: Final = frozenset(field.name for field in fields(Policy)) - {"backoff", "crash_loop", "expected_exit_codes"}
_PLAIN: Final = frozenset(("enabled", "autostart", "required_env"))  # a watcher's keys that are taken as they are


def load(file: Path, *, environ: Mapping[str, str], vault: Path | None = None, dry_run: bool | None = None) -> Config:
    """The configuration in `file`; `vault` (--vault) and `dry_run` (--dry-run) win over what it says.

    Of `environ`, DRY_RUN wins over the file (true or false in any case, 1 or 0; anything else is a problem, since
    guessing could act for real), and TZ may name the machine's time zone. Reads the file and the machine's time zone,
    nothing else: neither the vault nor any program needs to exist.

    Raises ConfigInvalid with every problem, in the file's order.
    """
    name = str(file)
    text = find.read(name)
    document = parse(name, text)
    given, problems = check(schema.FILE, document)
    supervisor = given.get("supervisor", {})
    watchers: Mapping[str, Mapping[str, Any]] = given.get("watchers", {})
    if dry_run is None:
        dry_run = _dry_run(environ, supervisor, problems)
    _check_timezone(supervisor, problems)
    problems += check_twins("watchers", _names(document, "watchers"))
    problems += check_references("watchers", "depends_on", watchers, _names(document, "watchers"))
    _check_backoffs(watchers, problems)
    scheduler = replace(SchedulerConfig(), **given.get("scheduler", {}))
    folder = find.folder_of(name)
    found_agents, wrong = agents.read_agents(given.get("agents", {}))
    servers, wrong_servers = agents.read_servers(given.get("mcp", {}))
    problems += wrong + wrong_servers
    said: Mapping[str, Mapping[str, Any]] = given.get("tasks", {})
    around = tasks.Around(Path(folder), found_agents, scheduler.handler_packages)
    read, wrong = tasks.read(said, document.get("tasks"), around)
    problems += wrong
    if problems:
        raise ConfigInvalid(lines(name, text, problems))

    if vault is None:
        place = Path(find.absolute(folder, supervisor.get("vault", find.DEFAULT_VAULT)))
    else:
        place = Path(find.from_here(str(vault)))
    crash_loop = replace(CrashLoop(), **supervisor.get("crash_loop", {}))
    return Config(
        file=Path(find.from_here(name)),
        vault=place,
        timezone=supervisor.get("timezone") or zones.machine(environ),
        dry_run=dry_run,
        logs=replace(LogsConfig(), **supervisor.get("logs", {})),
        watchers={name: _watcher(name, said, folder, place, crash_loop) for name, said in watchers.items()},
        scheduler=scheduler,
        tasks=read,
        agents=found_agents,
        mcp=servers,
        **{key: supervisor[key] for key in ("shutdown_timeout", "log_level") if key in supervisor},
    )


def _watcher(name: str, said: Mapping[str, Any], folder: str, vault: Path, crash_loop: CrashLoop) -> WatcherConfig:
    """The record of one watcher: what the file does not say stays as model.py has it."""

    def path(key: str) -> Path | None:
        return Path(find.absolute(folder, said[key])) if key in said else None

    policy = replace(
        Policy(
            backoff=_backoff(said.get("backoff", {})),
            crash_loop=replace(crash_loop, **said.get("crash_loop", {})),
            expected_exit_codes=frozenset(said.get("expected_exit_codes", Policy().expected_exit_codes)),
        ),
        **{key: value for key, value in said.items() if key in _POLICY},
    )
    launch = Launch(
        command=said["command"],
        directory=path("directory") or vault,
        env=tuple(sorted(said.get("env", {}).items())),
        env_file=path("env_file"),
        **{key: said[key] for key in ("memory_limit",) if key in said},
    )
    return WatcherConfig(
        name=name,
        launch=launch,
        policy=policy,
        depends_on=tuple(dict.fromkeys(said.get("depends_on", ()))),
        **{key: value for key, value in said.items() if key in _PLAIN},
    )


def _backoff(said: Mapping[str, Any]) -> Backoff:
    """A first wait beyond the default `max` lifts it: what is written wins over what is not."""
    backoff = replace(Backoff(), **said)
    return backoff if "max" in said else replace(backoff, max=max(backoff.max, backoff.initial))


def _dry_run(environ: Mapping[str, str], supervisor: Mapping[str, Any], problems: list[Problem]) -> bool:
    said = environ.get("DRY_RUN")
    if not said:  # unset, or empty, which scripts use for the same
        return bool(supervisor.get("dry_run", False))
    if said.lower() not in _DRY_RUN:
        text = f"the environment's DRY_RUN is {quoted(said)}; true or false is allowed there, or unset it"
        problems.append(Problem(("supervisor", "dry_run"), text))
    return _DRY_RUN.get(said.lower(), True)


def _check_timezone(supervisor: Mapping[str, Any], problems: list[Problem]) -> None:
    name = supervisor.get("timezone")
    if name is None or zones.exists(name):
        return
    known = zones.known()
    if not known:
        allowed = "this machine has no time zones at all: install its tzdata package"
    else:
        close = nearest(name, sorted(known))
        allowed = f"did you mean {quoted(close)}?" if close else 'an IANA name is needed, like "Europe/Berlin"'
    problems.append(Problem(("supervisor", "timezone"), f"is {shown(name)}, which is no time zone here; {allowed}"))


def _names(document: Mapping[str, Any], section: str) -> Mapping[str, object]:
    """What the file has there, right or wrong: also what has problems of its own can be referred to."""
    found = document.get(section)
    return found if isinstance(found, dict) else {}


def _check_backoffs(watchers: Mapping[str, Mapping[str, Any]], problems: list[Problem]) -> None:
    for name, said in watchers.items():
        backoff = said.get("backoff", {})
        initial = backoff.get("initial", Backoff().initial)
        if "initial" in backoff and backoff.get("max", initial) < initial:
            text = f"is less than `initial`, {initial:g} s; a duration of at least that is needed"
            problems.append(Problem(("watchers", name, "backoff", "max"), text))


def lines(file: str, text: str, problems: list[Problem]) -> tuple[str, ...]:
    """One line for each problem of the document in `text`, in its order."""
    where = locate(text)

    def line(path: KeyPath) -> int:
        while path and path not in where:  # a missing key: its table's line
            path = path[:-1]
        return where.get(path, 1)

    found = sorted(((line(one.path), one) for one in problems), key=lambda pair: pair[0])
    return tuple(problem(file, number, dotted(one.path), one.text) for number, one in found)
