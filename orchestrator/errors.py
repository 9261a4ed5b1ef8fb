"""Errors that are a person's to mend: each carries the sentence they read and the exit code the program ends with."""

from orchestrator.exits import Exit


class UserError(Exception):
    """Something a person can mend. Shown as its message alone, never as a stack trace.

    The message says what is wrong, where, and what to do.
    """

    exit_code = Exit.FAILED


class UsageError(UserError):
    """The words of a command make no sense: unknown name, bad option."""

    exit_code = Exit.USAGE


class ConfigInvalid(UserError):
    """The configuration cannot be used. `problems` are lines: `FILE:LINE: KEY: what is wrong; what is allowed`."""

    exit_code = Exit.CONFIG

    def __init__(self, problems: tuple[str, ...]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


class VaultBusy(UserError):
    """Another daemon holds this vault's lock."""

    exit_code = Exit.BUSY


class Unreachable(UserError):
    """No daemon answers on this vault's control socket."""

    exit_code = Exit.UNREACHABLE
