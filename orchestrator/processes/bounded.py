"""Programs that are asked something, without a daemon: bounded in time, with nothing left of them. Blocks."""

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

    def last_words(self) -> str:
        """The last line that it has printed, on stderr if there is one there."""
        return next(iter((self.err.strip() or self.out.strip()).splitlines()[-1:]), "")


def ask(
    argv: Sequence[str], environ: Mapping[str, str], directory: str, timeout: float, *, stdin: bytes = b""
) -> Answer | str:
    """Run `argv` for at most `timeout` seconds. A text where it cannot be started: why.

    What it prints goes to files: a pipe that something it has started holds open would keep us waiting.
    """
    with tempfile.TemporaryFile() as given, tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        given.write(stdin)
        given.seek(0)
        try:
            process = subprocess.Popen(
                argv,
                stdin=given,
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
