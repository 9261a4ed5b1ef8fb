"""What goes between the daemon and a handler's process: the call one way, what came of it the other way.

A nameless file that the child gets as its stdin, where it finds the call and leaves what came of it. Unlike a pipe it
needs nobody who reads, is never full, and says nothing false when the child is killed: what was not written whole is
no JSON.
"""

import json
from contextlib import AbstractContextManager
from typing import Final

from orchestrator.config.model import Handler, TaskConfig
from orchestrator.processes import nameless
from orchestrator.processes.programs import Surroundings
from orchestrator.schedule.runs import Run, precise

RETURNED_MAX: Final = 1024 * 1024  # bytes; more than the output that is kept can take in JSON


def call(task: TaskConfig, handler: Handler, run: Run, around: Surroundings) -> AbstractContextManager[int]:
    """Make the file with the call; closed at the end. Raises OSError when no file can be had."""
    document = {
        "module": handler.module,
        "function": handler.function,
        "folder": None if handler.folder is None else str(handler.folder),
        "context": {
            "task_id": task.name,
            "run_id": run.run_id,
            "scheduled_time": precise(run.slot),
            "attempt": max(run.attempts, 1),
            "vault": around.places.vault,
            "dry_run": around.dry_run or run.dry_run,
        },
    }
    return nameless.closing(nameless.file_in_memory(), json.dumps(document).encode())


def returned(call: int) -> bytes:
    """What lies there now: the child's answer, or still the call."""
    return nameless.read(call, RETURNED_MAX)
