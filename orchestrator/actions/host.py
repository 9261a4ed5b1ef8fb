"""Runs what tasks do: each attempt as a process group of its own, of which nobody is left when it is over."""

import logging
import signal
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from typing import Final, assert_never

import anyio
import anyio.abc
import anyio.lowlevel

from orchestrator.actions import launch, results
from orchestrator.actions.handler import Call
from orchestrator.actions.outputs import Outputs, Stream
from orchestrator.actions.printed import OUTPUT_MAX, STDERR_MAX
from orchestrator.clock import Clock
from orchestrator.config.model import Builtin, BuiltinPrompt, Command, Handler, Prompt, TaskConfig
from orchestrator.errors import UserError
from orchestrator.processes import children
from orchestrator.processes.death import Death
from orchestrator.processes.notify import NotifySockets
from orchestrator.processes.programs import Surroundings, Unlaunchable
from orchestrator.redaction import NOTHING, Redactor
from orchestrator.schedule.runs import Result, Run

log = logging.getLogger(__name__)

STOP_GRACE: Final = 5.0  # seconds between SIGTERM and SIGKILL
KILL_PATIENCE: Final = 10.0  # seconds after SIGKILL; who then still lives is another user's, or hangs in the kernel
STATUS_TEXT_MAX: Final = 200  # characters

Chore = Callable[[], Awaitable[Result]]


@dataclass(slots=True)
class _Process:
    """A run's process and what it has said."""

    pid: int
    stdout: Stream
    stderr: Stream
    on_status: Callable[[str], None]
    death: Death | None = None
    group_lives: bool = True
    died: anyio.Event = field(default_factory=anyio.Event)


class ActionHost:
    """All processes of all runs. `on_builtin`: the built-ins that are no process, by name.

    `redact` takes secrets out of whatever is cut, before it is. `serve` has to run while `perform` does.
    """

    def __init__(
        self,
        around: Surroundings,
        notify: NotifySockets,
        clock: Clock,
        on_builtin: Mapping[str, Chore],
        *,
        timezone: str,
        redact: Redactor = NOTHING,
    ) -> None:
        self._around = around
        self._notify = notify  # its names are run ids, and nobody else listens to it
        self._clock = clock
        self._timezone = timezone
        self._on_builtin = on_builtin
        self._processes = children.Processes()
        self._redact = redact
        self._outputs = Outputs(redact)
        self._running: dict[str, _Process] = {}  # by run id
        self._leaders: dict[int, _Process] = {}  # by PID, those that live

    def close(self) -> None:
        """Let go of everything. Processes that still live are not touched."""
        self._outputs.close_all()
        self._processes.close()
        self._notify.close_all()

    def tidy(self) -> None:
        """Remove the sockets of an earlier daemon's runs, of which nobody is left."""
        self._notify.remove_others()

    def use_dry_run(self, dry_run: bool) -> None:  # noqa: FBT001  the name says it
        """Tell runs started from now on whether this is a dry run."""
        self._around = replace(self._around, dry_run=dry_run)

    def use_timezone(self, timezone: str) -> None:
        """Tell chores started from now on in which zone people's clocks are."""
        self._timezone = timezone

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
        for run_id, fields in self._notify.messages():
            process = self._running.get(run_id)
            if process is not None and "STATUS" in fields:
                # Cut last: half a secret would not be known again.
                process.on_status(self._redact(fields["STATUS"])[:STATUS_TEXT_MAX])

    async def _hear_output(self) -> None:
        while True:
            await self._outputs.wait()
            self._outputs.read()
            await anyio.lowlevel.checkpoint()

    # --- running ---

    async def perform(self, task: TaskConfig, run: Run, *, on_status: Callable[[str], None]) -> Result:
        """Make one attempt at what `task` does. Whatever goes wrong in it is a Result that says so.

        Cancelling it ends the whole process group, SIGTERM, STOP_GRACE, SIGKILL, and returns when nobody of it lives;
        `run.output` then holds what was printed.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        try:
            match task.action:
                case Builtin(name=name) if (chore := self._on_builtin.get(name)) is not None:
                    return await chore()
                case Builtin() as action:
                    process, death = await self._run(task, action, run, on_status)
                    return results.of_chore(death, process.stdout.tail, process.stderr.tail)
                case Command() as action:
                    process, death = await self._run(task, action, run, on_status)
                    return results.of_command(death, process.stdout.tail, process.stderr.tail)
                case Handler() as action:
                    return await self._run_handler(task, action, run, on_status)
                case Prompt() | BuiltinPrompt():
                    return results.failure("prompts are not run by this version")
                case _ as never:
                    assert_never(never)
        except (Unlaunchable, children.SpawnTrouble) as error:
            return results.failure(str(error))

    async def _run_handler(
        self, task: TaskConfig, handler: Handler, run: Run, on_status: Callable[[str], None]
    ) -> Result:
        try:
            call = Call(task, handler, run, self._around)
        except OSError as error:
            raise _short(error) from error
        try:
            process, death = await self._run(task, handler, run, on_status, stdin=call.fd)
            return results.of_handler(death, process.stdout.tail, process.stderr.tail, call.returned())
        finally:
            call.close()

    async def _run(
        self,
        task: TaskConfig,
        action: Command | Handler | Builtin,
        run: Run,
        on_status: Callable[[str], None],
        stdin: int | None = None,
    ) -> tuple[_Process, Death]:
        """Run the action's process until nobody of its group is left. Raises Unlaunchable or SpawnTrouble."""
        process = self._start(task, action, run, on_status, stdin)
        self._running[run.run_id] = self._leaders[process.pid] = process
        try:
            await process.died.wait()
        except anyio.get_cancelled_exc_class():
            await self._see_off(task.name, process)
            self._let_go(run, process)
            run.output = process.stdout.tail.text()
            raise
        await self._see_off(task.name, process)
        self._let_go(run, process)
        assert process.death is not None  # noqa: S101  it was waited for
        return process, process.death

    def _start(
        self,
        task: TaskConfig,
        action: Command | Handler | Builtin,
        run: Run,
        on_status: Callable[[str], None],
        stdin: int | None,
    ) -> _Process:
        socket = self._notify.path(run.run_id)
        program = launch.program(task, action, run, self._around, timezone=self._timezone, notify_socket=socket)
        with ExitStack() as undo:
            try:
                undo.callback(self._notify.close, run.run_id)
                self._notify.open(run.run_id)
                stdout = self._outputs.open(OUTPUT_MAX)
                undo.callback(self._outputs.close, stdout)
                stderr = self._outputs.open(STDERR_MAX)
                undo.callback(self._outputs.close, stderr)
            except (OSError, UserError) as error:
                raise _short(error) from error
            pid = self._processes.spawn(program, stdout.writer, stderr.writer, stdin)
            undo.pop_all()
        stdout.close_writer()
        stderr.close_writer()
        return _Process(pid, stdout, stderr, on_status)

    def _let_go(self, run: Run, process: _Process) -> None:
        self._listen()
        del self._running[run.run_id]
        self._leaders.pop(process.pid, None)
        self._notify.close(run.run_id)
        self._outputs.close(process.stdout)
        self._outputs.close(process.stderr)

    # --- ending ---

    def kill_all(self) -> None:
        """Kill every process of every run, at once."""
        for process in self._running.values():
            if process.group_lives:
                children.signal_group(process.pid, signal.SIGKILL)

    async def _see_off(self, task: str, process: _Process) -> None:
        """End whoever of the process's group still lives, and return when nobody does. Not to be cancelled."""
        with anyio.CancelScope(shield=True):
            for number, patience in ((signal.SIGTERM, STOP_GRACE), (signal.SIGKILL, KILL_PATIENCE)):
                if process.group_lives:
                    children.signal_group(process.pid, number)
                    with self._clock.move_on_after(patience):
                        await self._nobody_left(process)
        if process.group_lives:
            log.error("%s: not even SIGKILL ended all of process group %d; aiemp leaves it alone", task, process.pid)

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


def _short(error: OSError | UserError) -> children.SpawnTrouble:
    why = error.strerror if isinstance(error, OSError) else str(error)
    return children.SpawnTrouble(f"its pipes or socket cannot be made: {why}", transient=True)
