"""Exit codes of both programs: the contract's table, LSB and sysexits(3) where those have a number."""

from enum import IntEnum


class Exit(IntEnum):
    OK = 0
    FAILED = 1  # it was tried and failed; stderr says why
    USAGE = 2  # wrong usage, an unknown watcher or task
    NOT_RUNNING = 3  # `status`: something that should be running is not
    UNREACHABLE = 4  # no daemon answers
    BUSY = 75  # another daemon already serves this vault (EX_TEMPFAIL)
    CONFIG = 78  # the configuration is invalid (EX_CONFIG)
