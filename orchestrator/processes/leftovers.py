"""What runs have left behind: processes that go on although their runs are over, or their daemon was killed."""

import os
import signal
from collections.abc import Callable, Collection
from typing import Final

from orchestrator import clock
from orchestrator.processes import procfs
from orchestrator.processes.children import signal_group

RUN: Final = b"AIEMP_RUN="
KILL_PATIENCE: Final = 5.0  # seconds after SIGKILL; who then still lives hangs in the kernel
HURRIED_PATIENCE: Final = 1.0  # … where nobody has the time


def _never() -> bool:
    return False


def end_leftovers(
    state: str, grace: float, of: Collection[str] | None = None, hurried: Callable[[], bool] = _never
) -> set[str]:
    """End every process group of this vault's runs: SIGTERM, `grace` seconds, SIGKILL; give those runs' ids.

    `of`: only these runs'. Whose a process is shows by its environment, whether its leader lives or not, and also when
    it has a session of its own. `hurried`: asked again and again; once true, who still lives is killed without grace.
    Blocks: for a worker thread.
    """
    found = set[str]()
    for number, longest in ((signal.SIGTERM, grace), (signal.SIGKILL, KILL_PATIENCE)):
        signalled = set[int]()
        patience = min(longest, HURRIED_PATIENCE) if hurried() else longest
        until, pause = clock.SystemClock().monotonic() + patience, 0.005
        while left := _groups(state, of):
            if number == signal.SIGTERM and hurried():
                break
            found.update(left.values())
            for group in left.keys() - signalled:  # more of them each time: who is told to end may start others
                signal_group(group, number)
            signalled.update(left)
            if clock.SystemClock().monotonic() >= until:
                break
            clock.pause(pause)
            pause = min(pause * 1.5, 0.1)
    return found


def _groups(state: str, of: Collection[str] | None) -> dict[int, str]:
    """Find the process groups in which somebody of such a run lives, and whose they are."""
    ours = b"AIEMP_STATE_DIR=" + os.fsencode(state)
    mine = {os.getpgrp(), os.getsid(0)}  # a daemon that was started by a run must not end itself
    found = {}
    for pid in procfs.pids():
        process = procfs.stat(pid)
        if process is None or process.dead or mine & {process.group, process.session}:
            continue
        environ = procfs.environ(pid)
        names = [os.fsdecode(each.removeprefix(RUN)) for each in environ if each.startswith(RUN)]
        if ours in environ and len(names) == 1 and (of is None or names[0] in of):
            found[process.group] = names[0]
    return found
