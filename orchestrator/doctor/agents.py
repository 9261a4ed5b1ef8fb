"""The agents that prompts are sent to: are they there, logged in and reachable? Nothing is spent, no prompt is sent."""
# pathlib's exists() and is_dir() raise where a folder above is closed to this user; those of os.path say no:
# ruff: noqa: PTH110, PTH118

import importlib.util
import json
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Final
from urllib.parse import urlsplit

from orchestrator import reach
from orchestrator.agents import claude as claude_agent
from orchestrator.agents import letta as letta_agent
from orchestrator.config.model import AgentConfig, AgentKind, TaskConfig
from orchestrator.doctor import claude, letta
from orchestrator.doctor.commands import Missing, locate, surroundings
from orchestrator.doctor.finding import Finding, Level, ok, problem
from orchestrator.doctor.patient import Patient
from orchestrator.processes import bounded, programs

_ASK: Final = 10.0  # seconds for one question to an agent's command
_REACH: Final = 5.0  # seconds for a server's answer
_ASK_SERVER: Final = (sys.executable, "-P", "-m", "orchestrator.agents.letta_reach")
# Whatever wrapper stands behind the command, and whatever it takes `auth status` for: no prompt gets out to be paid.
_MUTE: Final = {"ANTHROPIC_BASE_URL": "http://127.0.0.1:9", "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1"}


def look(patient: Patient, now: datetime) -> Iterator[Finding]:
    """`now` is aware, in UTC."""
    config, used = patient.config, patient.prompting()
    for agent in () if config is None else config.agents.values():
        tasks = used.get(agent.name, [])
        for finding in _agent(agent, tasks, patient, now):
            yield finding if tasks else _of_no_consequence(finding)


def _of_no_consequence(finding: Finding) -> Finding:
    """The same as something to know: no enabled task sends a prompt to this agent."""
    return Finding(finding.check, Level.OK, f"{finding.message} (no enabled task uses it)")


def _agent(agent: AgentConfig, tasks: Sequence[TaskConfig], patient: Patient, now: datetime) -> Iterator[Finding]:
    check = f"agent {agent.name}"
    if agent.kind is AgentKind.LETTA:
        yield from _letta(check, agent, patient)
        return
    environ = programs.inherited(surroundings(patient))
    try:
        path, argv = locate(agent.command, patient, patient.places.vault, programs.absolute_path(environ))
    except Missing as missing:
        needed = f"; {', '.join(task.name for task in tasks)} can't run without it" if tasks else ""
        install = claude.INSTALL if agent.kind is AgentKind.CLAUDE else "install it, or correct `command`"
        yield problem(check, f"{missing}{needed}", missing.remedy or install)
        return
    if agent.kind is AgentKind.COMMAND:
        yield ok(check, f"{path} is there")
        return
    yield from _claude(check, path, argv, claude_agent.environment(environ), patient.places.vault, now)
    yield from claude.settings(check, agent, as_root=patient.world.uid == 0)


def _claude(
    check: str, path: str, argv: tuple[str, ...], environ: Mapping[str, str], vault: str, now: datetime
) -> Iterator[Finding]:
    quiet = {**environ, **_MUTE}
    printed = bounded.ask([path, *argv[1:], "--version"], quiet, vault, _ASK)
    if isinstance(printed, str) or printed.code != 0:
        why = printed if isinstance(printed, str) else _last_line(printed)
        remedy = (
            "try `claude --version` and `claude doctor` as the daemon's user, or install it anew: " + claude.INSTALL
        )
        yield problem(check, f"{path} does not work: {why}", remedy)
        return
    status = without_key = None
    # With options of its own before them, the words might not be taken for a command.
    if claude.may_be_asked(printed.out) and not any(word.startswith("-") for word in argv[1:]):
        status = _status(path, argv, quiet, vault)
        if environ.get(claude.API_KEY):
            without = {name: value for name, value in quiet.items() if name != claude.API_KEY}
            without_key = _status(path, argv, without, vault)
    folder = environ.get("CLAUDE_CONFIG_DIR") or os.path.join(environ.get("HOME", "/"), ".claude")
    credentials = os.path.exists(os.path.join(folder, ".credentials.json"))
    it = claude.Installed(path, printed.out.strip(), environ, status, without_key, credentials)
    yield from claude.judge(check, it, now)


def _status(path: str, argv: tuple[str, ...], environ: Mapping[str, str], vault: str) -> claude.Said:
    answer = bounded.ask([path, *argv[1:], "auth", "status"], environ, vault, _ASK)
    return claude.Said(None, "") if isinstance(answer, str) else claude.Said(answer.code, answer.out)


def _last_line(answer: bounded.Answer) -> str:
    if answer.code is None:
        return f"it gave no answer within {_ASK:g} s"
    return answer.last_words()[:200] or f"it ended with {answer.code} and said nothing"


def _letta(check: str, agent: AgentConfig, patient: Patient) -> Iterator[Finding]:
    environ = patient.world.environ
    try:
        call = letta_agent.request(agent, agent.agent_id or "agent-any", "", environ, _REACH)
    except ValueError as error:
        message, _, remedy = str(error).partition("; ")
        yield problem(check, message, remedy or f"correct [agents.{agent.name}] in {patient.file}")
        return
    server = str(call["server"])
    client = importlib.util.find_spec(reach.CLIENT) is not None
    yield from letta.judge(
        check,
        agent,
        url=server,
        reached=_reach(server, programs.inherited(surroundings(patient))) if client else None,
        key=bool(environ.get(agent.api_key_env)),
        local=reach.is_this_machine(_host(server)),
    )


def _host(server: str) -> str | None:
    try:
        return urlsplit(server).hostname
    except ValueError:  # brackets that are none of an address
        return None


def _reach(server: str, environ: Mapping[str, str]) -> letta.Reached:
    """Ask the server for its health, which it tells without a key, in a process as a delivery is one."""
    answer = bounded.ask([*_ASK_SERVER, server + letta.HEALTH, f"{_REACH:g}"], environ, "/", _REACH + _ASK)
    if isinstance(answer, str):
        return letta.Reached(None, answer)
    try:
        return letta.Reached(**json.loads(answer.out))
    except (ValueError, TypeError):  # it has ended otherwise than by printing that
        return letta.Reached(None, _last_line(answer))
