"""Has a file read that Claude Code prints into: right here while that is little, by a process of its own otherwise.

JSON of 20 MB is taken apart in half a second, for which all of the daemon would stand still, also when a thread does
it, and in 70 MB of memory, which the daemon would keep.
"""

import errno
import json
import os
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, Final, TypeVar

import anyio

from orchestrator.actions import answers, launch, results
from orchestrator.actions.answers import PRINTED_MAX, End
from orchestrator.actions.attempt import Attempt
from orchestrator.clock import Clock
from orchestrator.processes import nameless
from orchestrator.processes.children import SpawnTrouble
from orchestrator.processes.groups import Ended, Groups
from orchestrator.redaction import Redactor
from orchestrator.schedule.runs import Result
from orchestrator.threads import in_thread

T = TypeVar("T")

HERE_MAX: Final = 256 * 1024  # bytes that are read in the daemon: a few milliseconds
PATIENCE: Final = 20.0  # seconds that the process gets
MODULE: Final = "orchestrator.actions.answer_child"


class AnswerFile:
    """The file that an attempt's agent prints into, by its descriptor, and what stands in it."""

    def __init__(self, fd: int, attempt: Attempt, groups: Groups, clock: Clock, redact: Redactor) -> None:
        self._fd = fd
        self._attempt = attempt
        self._groups = groups
        self._clock = clock
        self._redact = redact

    async def is_whole(self) -> bool:
        """Whether a complete result stands there. Raises OSError where nobody can tell just now."""
        if nameless.size(self._fd) <= HERE_MAX:
            return await aside(lambda: answers.is_whole(nameless.read(self._fd, HERE_MAX)))
        try:
            return await self._elsewhere(None) is True
        except (SpawnTrouble, ValueError) as error:
            raise OSError(errno.EAGAIN, str(error)) from error

    async def read(self, end: End) -> Result:
        """Tell what came of the prompt; its output as it is kept. Raises OSError."""
        if nameless.size(self._fd) <= HERE_MAX:
            return await aside(lambda: answers.read(nameless.read(self._fd, HERE_MAX), end, self._redact))
        try:
            return answers.result_of(await self._elsewhere(end.as_json()))
        except (SpawnTrouble, ValueError) as error:
            why = f"the {nameless.size(self._fd)} bytes that it printed cannot be read: {error}"
            return results.failure(why, await self.end())

    async def end(self) -> str:
        """Give the end of what was printed, whatever it is. Raises OSError."""
        return await aside(lambda: nameless.end_of(self._fd, self._redact))

    async def empty(self) -> None:
        """Free what the file holds: for much that takes a while."""
        await aside(lambda: nameless.empty(self._fd))

    async def _elsewhere(self, question: Mapping[str, Any] | None) -> Any:
        """Ask a process of its own. Raises OSError, SpawnTrouble, and ValueError where it gives no answer."""
        task, run, around = self._attempt.task, self._attempt.run, self._attempt.around
        program = replace(launch.own_program(MODULE, around, dict(around.environ)), directory=os.sep)
        ended, left = list[Ended](), b""
        with nameless.closing(nameless.file_in_memory(), json.dumps(question).encode()) as call:
            with self._clock.move_on_after(PATIENCE):
                name, enough = f"the reader of what {task.name} has printed", None if question else self._too_much
                ended.append(
                    await self._groups.run(
                        name, f"{run.run_id}-reader", program, stdin=call, stdout=self._fd, enough=enough
                    )
                )
            left = nameless.read(call, nameless.size(call))
        if not ended:
            raise ValueError(f"not within {PATIENCE:g} s")
        if ended[0].death is None or ended[0].death.code != 0:
            raise ValueError(": ".join([str(ended[0].death or "it was stopped"), *ended[0].stderr.last_lines(1)]))
        return json.loads(left)

    async def _too_much(self) -> float | None:
        """While it is looked at, the agent goes on printing: who has printed far too much is looked at no longer."""
        return 0.0 if nameless.size(self._fd) > PRINTED_MAX else None


async def aside(work: Callable[[], T]) -> T:
    """Do what takes milliseconds in a worker thread. Not to be cancelled: the file that it is about is closed then."""
    with anyio.CancelScope(shield=True):
        try:
            found = await in_thread(work)
        except BlockingIOError:  # no thread is left
            found = work()
    return found
