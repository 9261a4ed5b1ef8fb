"""The real machine under the supervisor: processes, their output, their messages."""

import asyncio
import logging
import os
import stat
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, replace

from orchestrator.config.model import WatcherConfig
from orchestrator.errors import UserError
from orchestrator.logs.capture import Capture
from orchestrator.processes import children, procfs
from orchestrator.processes.death import Death
from orchestrator.processes.identity import Identity
from orchestrator.processes.notify import NotifySockets
from orchestrator.processes.programs import Surroundings
from orchestrator.redaction import Redactor
from orchestrator.supervise import launch, usage
from orchestrator.threads import in_thread

log = logging.getLogger(__name__)

LAST_LINES = 3


@dataclass(frozen=True, slots=True)
class Launched:
    """A process as it was started: enough for the next daemon to know it again, and whether it is still up to date."""

    identity: Identity
    fingerprint: str
    dry_run: bool = False  # what its DRY_RUN says


class RealMachine:
    """Implements supervisor.Machine."""

    def __init__(self, around: Surroundings, capture: Capture, sockets: NotifySockets) -> None:
        self.launched: dict[str, Launched] = {}  # by watcher, its latest process
        self._around = around
        self._capture = capture
        self._sockets = sockets
        self._processes = children.Processes()
        self._redactors: dict[str, Redactor] = {}  # by watcher, for the environment of its latest process

    def close(self) -> None:
        """Let go of everything. Processes that still live are not touched."""
        self._processes.close()
        self._sockets.close_all()

    def use_dry_run(self, dry_run: bool) -> None:  # noqa: FBT001  the name says it
        """Tell watchers started from now on whether this is a dry run."""
        self._around = replace(self._around, dry_run=dry_run)

    # --- keeper.Host ---

    def spawn(self, watcher: WatcherConfig) -> int:
        program = launch.program(watcher, self._around, self._sockets.path(watcher.name))
        try:
            self._sockets.open(watcher.name)
            self._capture.open(watcher.name)
            output = self._capture.writer(watcher.name)
        except (OSError, UserError) as error:
            # Nothing about the watcher is wrong: where these lie somebody may have tidied up, or a disk be gone.
            why = error.strerror if isinstance(error, OSError) else error
            raise children.SpawnTrouble(f"its pipe or socket cannot be made: {why}", transient=True) from error
        try:
            self._capture.boundary(watcher.name)
            pid = self._processes.spawn(program, output)
        finally:
            os.close(output)
        self.launched.pop(watcher.name, None)
        self._keep_secrets(watcher.name, program.environ)
        with suppress(OSError):  # no descriptor left: then the next daemon has to find it by its environment
            identity = Identity.of(pid)
            if identity is not None:  # else it is dead already, which will be heard of in a moment
                fingerprint = launch.fingerprint(watcher.launch)
                self.launched[watcher.name] = Launched(identity, fingerprint, self._around.dry_run)
        return pid

    def signal(self, pid: int, number: int) -> None:
        children.signal_group(pid, number)

    def last_lines(self, name: str) -> list[str]:
        try:
            return self._capture.last_lines(name, LAST_LINES)
        except KeyError:  # its pipe could not be made, so nothing was ever said
            return []

    def redact(self, name: str, text: str) -> str:
        redactor = self._redactors.get(name)
        return text if redactor is None else redactor(text)

    def _keep_secrets(self, name: str, environ: Mapping[str, str]) -> None:
        self._redactors.pop(name, None)
        if redactor := Redactor(environ):  # most have none to keep
            self._redactors[name] = redactor

    # --- supervisor.Machine ---

    def adopt(self, name: str, launched: Launched) -> bool:
        """Hear of the death of a process that an earlier daemon started; False when it is gone."""
        try:
            self._processes.adopt(launched.identity.pid)
        except OSError:
            return False
        # Watched first, looked at afterwards: now the PID cannot be passed on to a stranger unheard.
        if not launched.identity.lives():
            self._processes.disown(launched.identity.pid)
            return False
        self.launched[name] = launched
        told = [os.fsdecode(each).partition("=") for each in procfs.environ(launched.identity.pid)]
        self._keep_secrets(name, {key: value for key, _, value in told})
        return True

    def unheard(self, name: str, pid: int) -> bool:
        """Whether an adopted process writes into a pipe of its watcher's that was removed, and would block one day."""
        try:
            output = os.readlink(f"/proc/{pid}/fd/1")  # noqa: PTH115  hot path's neighbour: strings
        except OSError:
            return False
        return output == f"{os.path.realpath(self._around.places.pipe(name))} (deleted)"

    def may_be_ours(self, name: str, pid: int) -> bool:
        """Whether a process writes into its watcher's pipe, as all that an earlier daemon has started do.

        Its environment anybody can write; the pipe only we can open. Where no named pipes can be made, any may be ours.
        """
        if self.unheard(name, pid):
            return True
        with suppress(OSError):
            if os.path.samefile(f"/proc/{pid}/fd/1", self._around.places.pipe(name)):  # noqa: PTH121  strings
                return True
        return not self._has_pipes()

    def _has_pipes(self) -> bool:
        with suppress(OSError), os.scandir(self._around.places.pipes) as entries:
            return any(stat.S_ISFIFO(entry.stat(follow_symlinks=False).st_mode) for entry in entries)
        return False

    def deaths(self) -> Iterable[tuple[int, Death]]:
        return self._processes.ended()

    async def wait_for_death(self) -> None:
        await self._processes.wait()

    def living_groups(self, pids: Collection[int]) -> set[int]:
        return children.living_groups(pids)

    def messages(self) -> Iterator[tuple[str, dict[str, str]]]:
        return self._sockets.messages()

    async def wait_for_message(self) -> None:
        await self._sockets.wait()

    async def settle(self, name: str) -> None:
        with suppress(KeyError):  # its pipe could not be made
            await asyncio.wrap_future(self._capture.settle(name))

    async def tree_rss(self, pids: Sequence[int]) -> Mapping[int, int]:
        return await in_thread(usage.tree_rss, pids)

    def open(self, name: str) -> None:
        try:
            self._sockets.open(name)
            self._capture.open(name)
        except (OSError, UserError) as error:  # tried again when it is started, and then it is its trouble alone
            log.warning("%s: its pipe or socket cannot be made yet: %s", name, error)

    def tidy(self) -> None:
        """Remove the sockets of watchers that an earlier daemon had and this one has not."""
        self._sockets.remove_others()

    def forget(self, name: str) -> None:
        self.launched.pop(name, None)
        self._redactors.pop(name, None)
        self._sockets.close(name)
        self._capture.forget(name)
