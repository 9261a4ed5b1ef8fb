"""`aiempctl`: asks a running daemon, tells it what to do, and shows what it says."""

from __future__ import annotations

import sys

from orchestrator.cli.program import Program

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from collections.abc import Sequence

_HERE = "orchestrator.cli."

VERBS = {
    "status": (_HERE + "status", "what runs, since when, and what does not and why"),
    "start": (_HERE + "watchers", "start watchers and wait until they run"),
    "stop": (_HERE + "watchers", "stop watchers and wait until they are gone"),
    "restart": (_HERE + "watchers", "stop and start watchers, and wait until they run"),
    "resume": (_HERE + "watchers", "start what was paused after a crash loop, with a clear record"),
    "signal": (_HERE + "watchers", "send a signal to watchers"),
    "tail": (_HERE + "tail", "the end of a watcher's output; -f goes on as it grows"),
    "reload": (_HERE + "reload", "re-read the configuration; --plan only shows what would change"),
    "tasks": (_HERE + "tasks", "the tasks, when each fires next and how it last ended"),
    "run": (_HERE + "run_task", "run a task now, and print how that ended as JSON"),
    "cancel": (_HERE + "task_orders", "end a run that is queued or under way"),
    "enable": (_HERE + "task_orders", "let tasks fire; lasts beyond a restart of the daemon"),
    "disable": (_HERE + "task_orders", "let tasks no longer fire; lasts beyond a restart of the daemon"),
    "add": (_HERE + "add", "add a task, without touching the configuration"),
    "remove": (_HERE + "task_orders", "take away tasks that were added with add"),
    "history": (_HERE + "history", "the latest runs, and what came of them"),
    "stats": (_HERE + "history", "per task: runs, success rate, durations, cost"),
    "scheduler": (_HERE + "scheduler", "pause: let no more runs start; resume: let them"),
    "events": (_HERE + "events", "what happened lately; -f goes on as things happen"),
    "shutdown": (_HERE + "shutdown", "stop the daemon and all it runs, and wait until it is gone"),
    "completion": (_HERE + "completion", "print the completion script for a shell"),
    "_names": (_HERE + "completion", "the names of the watchers, for completion scripts"),
    "_agents": (_HERE + "completion", "the names of the agents, for completion scripts"),
    "_tasks": (_HERE + "completion", "the names of the tasks, for completion scripts"),
}

PROGRAM = Program("aiempctl", "Talks to the daemon that `aiemp run` started.", VERBS)


def main(argv: Sequence[str] | None = None) -> int:
    """Do what `argv` (default: the process's arguments) says; the exit code is the contract's."""
    return PROGRAM.main(argv)


if __name__ == "__main__":
    sys.exit(main())
