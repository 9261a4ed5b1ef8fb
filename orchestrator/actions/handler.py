"""What goes between the daemon and a handler's process: the call one way, what came of it the other way."""

import json
import os
from typing import Final

from orchestrator.actions.nameless import file_in_memory
from orchestrator.config.model import Handler, TaskConfig
from orchestrator.processes.programs import Surroundings
from orchestrator.schedule.runs import Run, precise

RETURNED_MAX: Final = 1024 * 1024  # bytes; more than the output that is kept can take in JSON


class Call:
    """A nameless file that the child gets as its stdin, where it finds the call and leaves what came of it.

    Unlike a pipe it needs nobody who reads, is never full, and says nothing false when the child is killed: what was
    not written whole is no JSON.
    """

    def __init__(self, task: TaskConfig, handler: Handler, run: Run, around: Surroundings) -> None:
        """Raises OSError when no file can be had."""
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
        self.fd = file_in_memory()
        try:
            os.pwrite(self.fd, json.dumps(document).encode(), 0)
        except OSError:
            self.close()
            raise

    def returned(self) -> bytes:
        """What lies there now: the child's answer, or still the call."""
        return os.pread(self.fd, RETURNED_MAX, 0)

    def close(self) -> None:
        os.close(self.fd)
