"""Which program a command means, and what a child is told of the world: one answer for watchers and for tasks."""

import os
import shutil
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from orchestrator.places import Places

# What systemd or an outer supervisor meant for the daemon alone, and what says whose process it is: a daemon that is
# itself some other daemon's task must not pass that on, or its watchers would be ended as that task's leavings.
NOT_INHERITED: Final = frozenset(
    {
        "NOTIFY_SOCKET",
        "WATCHDOG_USEC",
        "WATCHDOG_PID",
        "LISTEN_FDS",
        "LISTEN_PID",
        "LISTEN_FDNAMES",
        "MAINPID",
        "INVOCATION_ID",
        "JOURNAL_STREAM",
        "SYSTEMD_EXEC_PID",
        "AIEMP_WATCHER",
        "AIEMP_TASK",
        "AIEMP_RUN",
    }
)


class Unlaunchable(Exception):
    """A program cannot be started as it is configured; the message says why and what to do."""


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What every child of this daemon is told about the world."""

    places: Places
    config_folder: str
    dry_run: bool
    environ: Mapping[str, str]  # the daemon's own


def inherited(around: Surroundings) -> dict[str, str]:
    """Give what a child finds of the daemon's own environment."""
    return {key: value for key, value in around.environ.items() if key not in NOT_INHERITED}


def told(around: Surroundings, notify_socket: str) -> dict[str, str]:
    """Give the variables that say the same to every child of this daemon; nothing else may override them."""
    return {
        "AIEMP_VAULT": around.places.vault,
        "AIEMP_STATE_DIR": around.places.state,
        "DRY_RUN": "true" if around.dry_run else "false",
        "PYTHONUNBUFFERED": "1",
        "NOTIFY_SOCKET": notify_socket,
    }


def absolute_path(environ: Mapping[str, str]) -> dict[str, str]:
    """Give `environ` with a PATH of absolute folders only: what a relative one names would be whatever lies there."""
    folders = environ.get("PATH", os.defpath).split(os.pathsep)
    return {**environ, "PATH": os.pathsep.join(filter(os.path.isabs, folders))}


def find(
    command: tuple[str, ...], config_folder: str, directory: str, environ: Mapping[str, str]
) -> tuple[str, tuple[str, ...]]:
    """Give the executable and the argv of `command` for a child with this directory and environment.

    Raises Unlaunchable when the PATH does not have it. A path that leads nowhere is left for the kernel to refuse.
    """
    name = command[0]
    if name == "python":
        # Python looks for itself, and so for its packages, by argv[0]: a bare "python" is searched for on the PATH,
        # where another one than the daemon's may be found.
        return sys.executable, (sys.executable, *command[1:])
    if os.sep in name:
        beside = os.path.join(config_folder, name)  # noqa: PTH118  hot path
        inside = os.path.join(directory, name)  # noqa: PTH118  hot path
        return (beside if os.path.exists(beside) or not os.path.exists(inside) else inside), command  # noqa: PTH110
    found = shutil.which(name, path=environ.get("PATH", os.defpath))
    if found is None:
        raise Unlaunchable(f"command {name!r} is not on the PATH; install it or write its full path")
    return (found if os.path.isabs(found) else os.path.join(directory, found)), command  # noqa: PTH117, PTH118
