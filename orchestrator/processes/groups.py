"""Process groups that run to their end: each starts as one process in a session of its own, and leaves nobody."""

import logging
import math
import signal
from collections.abc import Awaitable, Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Final

import anyio
import anyio.abc
import anyio.lowlevel

from orchestrator.clock import Clock
from orchestrator.errors import UserError
from orchestrator.processes import children
from orchestrator.processes.death import Death
from orchestrator.processes.leftovers import end_leftovers
from orchestrator.processes.notify import NotifySockets
from orchestrator.processes.outputs import Outputs, Stream
from orchestrator.processes.printed import OUTPUT_MAX, STDERR_MAX, Tail
from orchestrator.redaction import NOTHING, Redactor
from orchestrator.threads import in_thread

log = logging.getLogger(__name__)

LOOK: Final = 0.5  # seconds between two questions whether a process has done enough
STATUS_TEXT_MAX: Final = 200  # characters

Enough = Callable[[], Awaitable[float | None]]


@dataclass(frozen=True, slots=True)
class Patience:
    """How long who is to end is waited for, in seconds."""

    stop: float = 5.0  # between SIGTERM and SIGKILL
    kill: float = 10.0  # after SIGKILL; who then still lives is another user's, or hangs in the kernel
    result: float = 5.0  # after an agent's result


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended and what it printed. `death` is None where it had done enough, so that we ended it."""

    death: Death | None
    stdout: Tail
    stderr: Tail


def _ignore(_: object) -> None:
    pass


@dataclass(slots=True)
class _Process:
    """The leader of a group, and what the group has said."""

    name: str
    pid: int
    stdout: Stream | None
    stderr: Stream
    on_status: Callable[[str], None]
    death: Death | None = None
    group_lives: bool = True
    died: anyio.Event = field(default_factory=anyio.Event)

    def ended(self, death: Death | None) -> Ended:
        return Ended(death, Tail(OUTPUT_MAX) if self.stdout is None else self.stdout.tail, self.stderr.tail)


class Groups:
    """All groups that run. `redact` takes secrets out of whatever is cut, before it is.

    `serve` has to run while `run` does.
    """

    def __init__(
        self, notify: NotifySockets, clock: Clock, redact: Redactor = NOTHING, *, patience: Patience | None = None
    ) -> None:
        self._notify = notify  # its names are the groups' keys, and nobody else listens to it
        self._clock = clock
        self._redact = redact
        self._patience = patience or Patience()
        self._processes = children.Processes()
        self._outputs = Outputs(redact)
        self._running: dict[str, _Process] = {}  # by key
        self._leaders: dict[int, _Process] = {}  # by PID, those that live
        self._hurried = False  # who is to end is killed
        self._given_up = False
        self._waits: set[anyio.CancelScope] = set()  # that only giving up cancels

    def close(self) -> None:
        """Let go of everything. Processes that still live are not touched."""
        self._outputs.close_all()
        self._processes.close()
        self._notify.close_all()

    def tidy(self) -> None:
        """Remove the sockets of an earlier daemon's groups, of which nobody is left."""
        self._notify.remove_others()

    def socket(self, key: str) -> str:
        """Give the address that the group with this key tells its status at (NOTIFY_SOCKET)."""
        return self._notify.path(key)

    # --- hearing ---

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Hear of deaths, messages and output until cancelled. Ends nothing."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._hear_deaths)
            tasks.start_soon(self._hear_messages)
            tasks.start_soon(self._hear_output)
            task_status.started()

    async def _hear_deaths(self) -> None:
        while True:
            await self._processes.wait()
            self._bury()
            await anyio.lowlevel.checkpoint()

    def _bury(self) -> None:
        deaths = self._processes.ended()
        if deaths:
            self._listen()  # what a process said before it died counts
        # Asked for now: later the number might be a stranger's group.
        survivors = children.living_groups([pid for pid, _ in deaths])
        for pid, death in deaths:
            process = self._leaders.pop(pid, None)
            if process is not None:  # else SIGKILL took so long that nobody waits any more
                process.death = death
                process.group_lives = pid in survivors
                process.died.set()

    async def _hear_messages(self) -> None:
        while True:
            await self._notify.wait()
            self._listen()
            await anyio.lowlevel.checkpoint()

    def _listen(self) -> None:
        for key, fields in self._notify.messages():
            process = self._running.get(key)
            if process is not None and "STATUS" in fields:
                # Cut last: half a secret would not be known again.
                process.on_status(self._redact(fields["STATUS"])[:STATUS_TEXT_MAX])

    async def _hear_output(self) -> None:
        while True:
            await self._outputs.wait()
            self._outputs.read()
            await anyio.lowlevel.checkpoint()

    # --- running ---

    async def run(
        self,
        name: str,
        key: str,
        program: children.Program,
        *,
        stdin: int | None = None,
        stdout: int | None = None,
        keep: int = OUTPUT_MAX,
        on_status: Callable[[str], None] = _ignore,
        enough: Enough | None = None,
        when_cancelled: Callable[[Ended], None] = _ignore,
    ) -> Ended:
        """Run `program` until nobody of its group is left. `name` is for people, `key` must be nobody else's meanwhile.

        `stdin`, `stdout`: descriptors in place of /dev/null and of a pipe, of whose bytes the last `keep` are kept.
        `enough`: asked twice a second for how many seconds the process may go on; None: no end is in sight.
        Cancelling ends the whole group, SIGTERM, `Patience.stop`, SIGKILL, and returns when nobody of it lives;
        `when_cancelled` then learns what was printed. What `enough` raises ends the group too. Raises SpawnTrouble.
        """
        if self._hurried:
            raise children.SpawnTrouble("nothing is started any more: everything is just being killed", transient=True)
        process = self._start(name, key, program, stdin, stdout, keep, on_status)
        self._running[key] = self._leaders[process.pid] = process
        try:
            by_itself = await self._ends_by_itself(process, enough)
        except BaseException as error:  # whatever it is, nobody is left behind
            await self._see_off(process)
            self._let_go(key, process)
            if isinstance(error, anyio.get_cancelled_exc_class()):
                when_cancelled(process.ended(process.death))
            raise
        await self._see_off(process)
        self._let_go(key, process)
        return process.ended(process.death if by_itself else None)

    def _start(
        self,
        name: str,
        key: str,
        program: children.Program,
        stdin: int | None,
        stdout: int | None,
        keep: int,
        on_status: Callable[[str], None],
    ) -> _Process:
        with ExitStack() as undo:
            try:
                undo.callback(self._notify.close, key)
                self._notify.open(key)
                printed = None
                if stdout is None:
                    printed = self._outputs.open(keep)
                    undo.callback(self._outputs.close, printed)
                stderr = self._outputs.open(STDERR_MAX)
                undo.callback(self._outputs.close, stderr)
            except (OSError, UserError) as error:
                raise short_of(error) from error
            writer = stdout if printed is None else printed.writer
            assert writer is not None  # noqa: S101  one of the two is there
            pid = self._processes.spawn(program, writer, stderr.writer, stdin)
            undo.pop_all()
        for stream in (printed, stderr):
            if stream is not None:
                stream.close_writer()
        return _Process(name, pid, printed, stderr, on_status)

    async def _ends_by_itself(self, process: _Process, enough: Enough | None) -> bool:
        """Wait for the process's end, or until it has done enough; tell whether it was the former."""
        if enough is None:
            await process.died.wait()
            return True
        until = math.inf  # monotonic seconds
        with anyio.CancelScope() as scope:
            while not process.died.is_set() and (left := until - self._clock.monotonic()) > 0:
                with self._clock.move_on_after(min(left, LOOK)):
                    await process.died.wait()
                if not process.died.is_set() and (more := await enough()) is not None:
                    until = min(until, self._clock.monotonic() + more)
                    scope.shield = True  # it is over in time: what it has done is not to be undone by a time-out now
        return process.died.is_set()

    def _let_go(self, key: str, process: _Process) -> None:
        self._listen()
        del self._running[key]
        self._leaders.pop(process.pid, None)
        self._notify.close(key)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                self._outputs.close(stream)

    # --- ending ---

    @contextmanager
    def patiently(self) -> Iterator[None]:
        """Keep cancellation from the block, until `give_up`; then the block is left."""
        with anyio.CancelScope(shield=True) as scope:
            if self._given_up:
                scope.cancel()
            self._waits.add(scope)
            try:
                yield
            finally:
                self._waits.discard(scope)

    async def end_strays(self, state: str, run_id: str, grace: float) -> None:
        """End who carries a run in its environment though it left its group. Not to be cancelled. Raises OSError."""
        with self.patiently():
            await in_thread(end_leftovers, state, grace, {run_id}, lambda: self._hurried)

    def give_up(self) -> None:
        """There is no time left to wait for anybody's end: leave those who not even SIGKILL has ended yet."""
        self._given_up = True
        for scope in tuple(self._waits):
            scope.cancel()

    def kill_all(self) -> None:
        """Kill every process of every group at once, and from now on whoever is to end; nothing is started any more."""
        self._hurried = True
        for process in self._running.values():
            if process.group_lives:
                children.signal_group(process.pid, signal.SIGKILL)

    async def _see_off(self, process: _Process) -> None:
        """End whoever of the group still lives, and return when nobody does. Not to be cancelled."""
        with self.patiently():
            for number, patience in ((signal.SIGTERM, self._patience.stop), (signal.SIGKILL, self._patience.kill)):
                if process.group_lives and not (self._hurried and number == signal.SIGTERM):
                    children.signal_group(process.pid, number)
                    with self._clock.move_on_after(patience):
                        await self._nobody_left(process)
        if process.group_lives:
            log.error(
                "%s: not even SIGKILL ended all of process group %d; aiemp leaves it alone", process.name, process.pid
            )

    async def _nobody_left(self, process: _Process) -> None:
        """Wait for the group's end. Looks for itself too, for `serve` may be cancelled together with the run."""
        pause = 0.005
        while process.group_lives:
            with self._clock.move_on_after(pause):
                if process.death is None:
                    await process.died.wait()
                else:
                    await anyio.sleep_forever()  # the kernel tells nobody of the last descendant's end
            pause = min(pause * 1.5, 0.25)
            self._bury()
            if process.death is not None:
                process.group_lives = bool(children.living_groups([process.pid]))


def short_of(error: OSError | UserError) -> children.SpawnTrouble:
    """Say that the machine is short of what goes between it and a process."""
    why = error.strerror if isinstance(error, OSError) else str(error)
    return children.SpawnTrouble(f"its pipes, files or socket cannot be made: {why}", transient=True)
