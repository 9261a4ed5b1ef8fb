"""`aiemp`: what needs no running daemon, and the daemon itself."""

from __future__ import annotations

import sys

from orchestrator.cli.program import Program

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from collections.abc import Sequence

VERBS = {
    "init": ("orchestrator.cli.setup", "write supervisor.toml and what the vault lacks; overwrites nothing"),
    "run": ("orchestrator.cli.run", "the daemon, in the foreground; --once for a single cycle"),
    "check": ("orchestrator.cli.setup", "validate the configuration: every error at once"),
    "next": ("orchestrator.cli.next", "the coming slots of tasks, clock changes marked"),
    "doctor": ("orchestrator.cli.doctor", "everything that could stop the employee from working, and what to do"),
    "service": ("orchestrator.cli.setup", "print a service definition for systemd, launchd or pm2"),
}

PROGRAM = Program("aiemp", "Keeps an AI employee's watchers and schedule running on an Obsidian vault.", VERBS)


def main(argv: Sequence[str] | None = None) -> int:
    """Do what `argv` (default: the process's arguments) says; the exit code is the contract's."""
    return PROGRAM.main(argv)


if __name__ == "__main__":
    sys.exit(main())
