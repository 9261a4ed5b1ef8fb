"""From a task's action to a program that can be started, or the sentence that says why it can't be."""

import os
import sys
from dataclasses import replace
from typing import assert_never

from orchestrator.config.model import Builtin, Command, Handler, TaskConfig
from orchestrator.processes import programs
from orchestrator.processes.children import Program
from orchestrator.processes.programs import Surroundings, Unlaunchable
from orchestrator.schedule.runs import Run


def program(
    task: TaskConfig,
    action: Command | Handler | Builtin,
    run: Run,
    around: Surroundings,
    *,
    timezone: str,
    notify_socket: str,
) -> Program:
    """Make the final argv, directory and environment of a run's process. Raises Unlaunchable."""
    environ = surroundings(task, run, around, notify_socket)
    if isinstance(action, Builtin):
        environ |= {"AIEMP_TIMEZONE": timezone, "AIEMP_CONFIG_DIR": around.config_folder}
    vault = around.places.vault
    executable, argv = programs.find(_command(action), around.config_folder, vault, environ)
    return Program(executable, argv, vault, environ)


def agent_program(command: tuple[str, ...], around: Surroundings, environ: dict[str, str]) -> Program:
    """Make what an agent's command comes to. Raises Unlaunchable when the PATH does not have it.

    What the PATH names by a relative folder does not count: it would be whatever lies in the vault.
    """
    vault = around.places.vault
    executable, argv = programs.find(command, around.config_folder, vault, programs.absolute_path(environ))
    return Program(executable, argv, vault, environ)


def own_program(module: str, around: Surroundings, environ: dict[str, str]) -> Program:
    """Make a program out of a module of ours."""
    argv = _own(module)
    return Program(argv[0], argv, around.places.vault, environ)


def surroundings(task: TaskConfig, run: Run, around: Surroundings, notify_socket: str) -> dict[str, str]:
    """Make the environment of a run's processes, whatever they are. Raises Unlaunchable when there is no vault."""
    vault = around.places.vault
    if not os.path.isdir(vault):  # noqa: PTH112  hot path
        raise Unlaunchable(f"the vault {vault} does not exist any more, or is no folder; bring it back")
    environ = programs.inherited(around)
    environ |= programs.told(replace(around, dry_run=around.dry_run or run.dry_run), notify_socket)
    return environ | {"AIEMP_TASK": task.name, "AIEMP_RUN": run.run_id}


def _command(action: Command | Handler | Builtin) -> tuple[str, ...]:
    match action:
        case Command(argv=argv):
            return argv
        case Handler(module=module, function=function):  # the names are for people who look at `ps`
            return _own("orchestrator.actions.handler_child", f"{module}:{function}")
        case Builtin(name=name):
            return _own("orchestrator.actions.chores", name)
        case _ as never:
            assert_never(never)


def _own(module: str, *arguments: str) -> tuple[str, ...]:
    """A module of ours in a process of its own; with -P, nothing that lies in the vault is taken for it."""
    return (sys.executable, "-P", "-m", module, *arguments)
