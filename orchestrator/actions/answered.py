"""The files that Claude Code prints its answers into: an answer outlives a daemon that is killed before it has read it.

Done twice, a prompt is paid for twice, and whatever it does in the world is done twice. So the next daemon takes an
answer that is there for what came of the run. All functions block.
"""
# Paths are strings, as in places.py:
# ruff: noqa: PTH108, PTH118, PTH208

import logging
import os
from collections.abc import Collection
from contextlib import suppress
from typing import Final

from orchestrator.actions import answers
from orchestrator.actions.answers import PRINTED_MAX, End
from orchestrator.places import private_folder
from orchestrator.processes import nameless
from orchestrator.redaction import Redactor
from orchestrator.schedule.runs import Result

log = logging.getLogger(__name__)

FOLDER: Final = "answers"


def open_for(state: str, run_id: str) -> int:
    """Make an empty file for a run's answer; give its descriptor. Raises OSError, and UserError for a wrong folder."""
    folder = os.path.join(state, FOLDER)
    private_folder(folder)
    flags = os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
    return os.open(os.path.join(folder, run_id), flags, 0o600)


def forget(state: str, run_id: str) -> None:
    """Remove a run's file: what stood there is told."""
    with suppress(OSError):
        os.unlink(os.path.join(state, FOLDER, run_id))


def left_behind(state: str, of: Collection[str], end: End, redact: Redactor) -> dict[str, Result]:
    """Read the whole answers that a killed daemon's runs `of` these ids have left. What is of no such run is removed.

    `forget` is for who has told of them.
    """
    found = dict[str, Result]()
    try:
        names = os.listdir(os.path.join(state, FOLDER))
    except OSError:  # nobody has ever asked Claude
        return found
    for name in names:
        path = os.path.join(state, FOLDER, name)
        try:
            if name in of:
                with nameless.closing(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_CLOEXEC)) as fd:
                    printed = nameless.read(fd, PRINTED_MAX)
                if answers.is_whole(printed):
                    found[name] = answers.read(printed, end, redact)
            else:
                os.unlink(path)
        except OSError as error:
            log.warning("%s: %s", path, error.strerror)
    return found
