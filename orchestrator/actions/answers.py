"""Reads what Claude Code has printed into a file: right here while that is little, in a process of its own otherwise.

JSON of 20 MB is taken apart in half a second, for which all of the daemon would stand still, also when a thread does
it, and in 70 MB of memory, which the daemon would keep.
"""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Final
from zoneinfo import ZoneInfo

from orchestrator.actions import nameless, results
from orchestrator.actions.printed import cut
from orchestrator.processes.death import Death
from orchestrator.redaction import Redactor
from orchestrator.schedule.runs import Hold, HoldKind, Outcome, Result

PRINTED_MAX: Final = 64 * 1024 * 1024  # bytes
HERE_MAX: Final = 256 * 1024  # bytes that are read in the daemon: a few milliseconds
PATIENCE: Final = 20.0  # seconds that the process gets


@dataclass(frozen=True, slots=True)
class End:
    """How its process ended, what that said on stderr, and when and where that is."""

    death: Death | None
    stderr: str
    now: datetime
    zone: str  # IANA name


class Answer:
    """One such file. `environ`: the daemon's own, with the secrets that are taken out of what is read.

    What is asked of it blocks: for a worker thread.
    """

    def __init__(self, fd: int, environ: Mapping[str, str], redact: Redactor) -> None:
        self._fd = fd
        self._environ = environ
        self._redact = redact

    def is_whole(self) -> bool:
        """Whether a complete result stands there. Raises OSError."""
        if nameless.size(self._fd) <= HERE_MAX:
            from orchestrator.agents import claude_answer  # noqa: PLC0415  much that only who uses it has to have

            return claude_answer.is_whole(nameless.read(self._fd, HERE_MAX))
        try:
            return self._elsewhere(None) is True
        except (subprocess.SubprocessError, ValueError):
            return False  # the next look, or who reads it, may tell more

    def read(self, end: End) -> Result:
        """Tell what came of the prompt; its output as it is kept. Raises OSError."""
        if nameless.size(self._fd) <= HERE_MAX:
            return read(nameless.read(self._fd, HERE_MAX), end, self._redact)
        question = asdict(end) | {"now": end.now.isoformat()}
        try:
            found = self._elsewhere(question)
            hold = found["hold"]
            if hold is not None:
                until = None if hold["until"] is None else datetime.fromisoformat(hold["until"])
                hold = Hold(HoldKind(hold["kind"]), hold["why"], until)
            return Result(**found | {"outcome": Outcome(found["outcome"]), "hold": hold})
        except (subprocess.SubprocessError, ValueError) as error:
            why = f"the {nameless.size(self._fd)} bytes that it printed cannot be read: {error}"
            return results.failure(why, nameless.end_of(self._fd, self._redact))

    def end(self) -> str:
        """Give the end of what was printed, whatever it is. Raises OSError."""
        return nameless.end_of(self._fd, self._redact)

    def _elsewhere(self, question: Mapping[str, Any] | None) -> Any:
        argv = [sys.executable, "-P", "-m", "orchestrator.actions.answer_child", json.dumps(question)]
        done = subprocess.run(
            argv,
            stdin=self._fd,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=self._environ,
            timeout=PATIENCE,
            check=True,
        )
        return json.loads(done.stdout)


def read(printed: bytes, end: End, redact: Redactor) -> Result:
    """Tell what came of a prompt; its output as it is kept."""
    from orchestrator.agents import claude_answer  # noqa: PLC0415

    zone = ZoneInfo(end.zone)
    found = claude_answer.read(printed, end.stderr, end.death, now=end.now, zone=zone)
    return replace(found, output=cut(redact(found.output)))
