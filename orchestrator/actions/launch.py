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
    vault = around.places.vault
    if not os.path.isdir(vault):  # noqa: PTH112  hot path
        raise Unlaunchable(f"the vault {vault} does not exist any more, or is no folder; bring it back")
    environ = programs.inherited(around)
    environ |= programs.told(replace(around, dry_run=around.dry_run or run.dry_run), notify_socket)
    environ |= {"AIEMP_TASK": task.name, "AIEMP_RUN": run.run_id}
    if isinstance(action, Builtin):
        environ |= {"AIEMP_TIMEZONE": timezone, "AIEMP_CONFIG_DIR": around.config_folder}
    executable, argv = programs.find(_command(action), around.config_folder, vault, environ)
    return Program(executable, argv, vault, environ)


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


def _own(module: str, argument: str) -> tuple[str, ...]:
    """A module of ours in a process of its own; with -P, nothing that lies in the vault is taken for it."""
    return (sys.executable, "-P", "-m", module, argument)
