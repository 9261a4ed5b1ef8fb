"""Programs that a check asks something: bounded in time, with nothing left of them."""

import os
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

KEEP: Final = 256 * 1024  # bytes of what one prints


@dataclass(frozen=True, slots=True)
class Answer:
    """What a program has printed, and how it ended. `code` is None when it had to be ended."""

    code: int | None
    out: str
    err: str


def ask(argv: Sequence[str], environ: Mapping[str, str], directory: str, timeout: float) -> Answer | str:
    """Run `argv` for at most `timeout` seconds. A text where it cannot be started: why.

    What it prints goes to files: a pipe that something it has started holds open would keep us waiting.
    """
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        try:
            process = subprocess.Popen(
                argv,
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=err,
                env=dict(environ),
                cwd=directory,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:  # ValueError: a NUL in a word
            return error.strerror or str(error) if isinstance(error, OSError) else str(error)
        code: int | None = None
        try:
            code = process.wait(timeout)
        except subprocess.TimeoutExpired:
            pass
        finally:
            with suppress(ProcessLookupError, PermissionError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        printed = []
        for file in (out, err):
            file.seek(0)
            printed.append(file.read(KEEP).decode(errors="replace"))
    return Answer(code, printed[0], printed[1])
