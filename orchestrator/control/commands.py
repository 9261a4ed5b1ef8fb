"""The one door: every verb of `aiempctl` as a method, used alike by the socket and by whatever else comes to knock."""

import os
import signal
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import anyio

from orchestrator.control import protocol
from orchestrator.control.protocol import RpcError
from orchestrator.control.readiness import Stoppable, ready
from orchestrator.control.server import Progress
from orchestrator.control.status import StatusSource
from orchestrator.control.task_commands import TaskCommands
from orchestrator.errors import ConfigInvalid, UserError
from orchestrator.logs.follow import last_lines
from orchestrator.places import Places
from orchestrator.supervise.changes import Change, Kind
from orchestrator.supervise.supervisor import Supervisor
from orchestrator.supervise.verdict import Verb, Verdict, View
from orchestrator.threads import in_thread

ENDS = frozenset({Kind.RESTART, Kind.REMOVED, Kind.STOP})  # what ends a process
SLACK = 10.0  # seconds that a command may take beyond what the watchers' own time limits explain


class Daemon(Stoppable, Protocol):
    """What commands ask of the daemon as a whole."""

    async def reload(self, *, plan: bool) -> tuple[list[Change], list[str]]:
        """Read the configuration again; give the watchers' changes and the changed settings. Raises ConfigInvalid."""
        ...

    def task_changes(self) -> dict[str, Any]:
        """Give what the last reload or plan of one comes to for tasks: `tasks`, and `notes` for a person."""
        ...

    async def remember(self) -> None:
        """Return when the watchers' states are on disk, or a second has passed."""
        ...

    def shut_down(self) -> None:
        """Begin to stop in order."""
        ...

    async def events(self, limit: int) -> list[dict[str, Any]]: ...


class Commands:
    """Carries out commands. Each gives a JSON value or raises RpcError."""

    def __init__(
        self, daemon: Daemon, supervisor: Supervisor, status: StatusSource, places: Places, tasks: TaskCommands
    ) -> None:
        self._daemon = daemon
        self._supervisor = supervisor
        self._status = status
        self._places = places
        self._tasks = tasks
        self._methods: dict[str, Callable[[dict[str, Any], Progress], Awaitable[Any]]] = {
            "status": self._show_status,
            "start": self._verb(Verb.START),
            "stop": self._verb(Verb.STOP),
            "restart": self._verb(Verb.RESTART),
            "resume": self._verb(Verb.RESUME),
            "signal": self._signal,
            "tail": self._tail,
            "reload": self._reload,
            "events": self._events,
            "shutdown": self._shutdown,
            **tasks.methods,
        }

    async def handle(self, method: str, params: dict[str, Any], progress: Progress) -> Any:
        """Carry out one checked call (see protocol.called)."""
        return await self._methods[method](params, progress)

    def _names(self, patterns: Sequence[str]) -> list[str]:
        names, unknown = self._supervisor.match(patterns)
        if unknown:
            known = list(self._supervisor.keepers)
            listed = f"there are {', '.join(known)}" if known else "there are none"
            raise RpcError(
                protocol.UNKNOWN_NAME,
                f"no watcher is called {', '.join(unknown)}; {listed}",
                {"unknown": unknown, "known": known},
            )
        return names

    def _meant(self, verb: Verb, patterns: Sequence[str]) -> list[str]:
        """As `_names`; but `all` and globs don't mean the disabled ones where something is to be started."""
        keepers = self._supervisor.keepers
        names = self._names(patterns)
        return [name for name in names if verb is Verb.STOP or name in patterns or keepers[name].config.enabled]

    async def _ready(self) -> None:
        await ready(self._daemon)

    async def _show_status(self, params: dict[str, Any], _: Progress) -> Any:
        patterns = params["names"]
        if patterns is None:
            return await self._status.whole()
        watchers, no_watchers = self._supervisor.match(patterns)
        tasks, no_tasks = self._tasks.match(patterns)
        if set(no_watchers) & set(no_tasks):
            self._names(no_watchers)  # raises, with what there is
        return await self._status.whole(watchers, tasks)

    def _verb(self, verb: Verb) -> Callable[[dict[str, Any], Progress], Awaitable[Any]]:
        async def carry_out(params: dict[str, Any], progress: Progress) -> Any:
            await self._ready()
            asked = self._supervisor.ask(verb, self._meant(verb, params["names"]), person=True)
            progress.text = lambda: self._doing(verb, asked)
            timeout = params["timeout"] if params["timeout"] is not None else self._patience(asked)
            results = await self._outcome(verb, asked, timeout)
            await self._daemon.remember()  # what is acknowledged is on disk, should the daemon be killed now
            return {"results": results}

        return carry_out

    async def _outcome(self, verb: Verb, asked: dict[str, int | None], timeout: float) -> list[dict[str, Any]]:  # noqa: ASYNC109  a manual clock's
        verdicts = await self._supervisor.wait(verb, asked, timeout)
        return [self._result(name, verdicts[name]) for name in asked]

    def _patience(self, names: Iterable[str]) -> float:
        """Seconds after which something must have come of it, by the watchers' own limits, one after the other."""
        keepers = self._supervisor.keepers
        policies = [keepers[name].config.policy for name in names if name in keepers]
        return SLACK + sum(each.stop_timeout + max(each.start_seconds, each.ready_timeout) for each in policies)

    def _doing(self, verb: str, asked: dict[str, int | None]) -> str:
        keepers = self._supervisor.keepers
        states = [f"{name} {keepers[name].state}" for name in asked if name in keepers]
        return f"{verb}: {', '.join(states[:5])}{' …' if len(states) > 5 else ''}"

    def _result(self, name: str, verdict: Verdict) -> dict[str, Any]:
        keeper = self._supervisor.keepers.get(name)
        return {
            "name": name,
            "ok": verdict.ok,
            "state": "stopped" if keeper is None else keeper.state.value,
            "pid": None if keeper is None else keeper.pid,
            "message": verdict.message,
        }

    async def _signal(self, params: dict[str, Any], _: Progress) -> Any:
        await self._ready()
        number = signal_number(params["signal"])
        names = self._names(params["names"])
        return {"results": [self._result(name, self._supervisor.signal(name, number)) for name in names]}

    async def _tail(self, params: dict[str, Any], _: Progress) -> Any:
        names = self._names([params["name"]])
        if len(names) != 1:
            listed = ", ".join(names) or "none"
            raise RpcError(protocol.INVALID_PARAMS, f"tail shows one watcher at a time, not {listed}")
        path = self._places.watcher_log(names[0])
        await self._supervisor.settle(names[0])
        text = await in_thread(last_lines, path, params["lines"])
        return {"name": names[0], "path": path, "text": text.decode("utf-8", errors="replace")}

    async def _reload(self, params: dict[str, Any], progress: Progress) -> Any:
        await self._ready()
        before = {name: self._supervisor.view(name) for name in self._supervisor.keepers}
        try:
            changes, settings = await self._daemon.reload(plan=params["plan"])
        except ConfigInvalid as error:
            raise RpcError(
                protocol.CONFIG_INVALID,
                "the configuration is invalid; nothing was changed",
                {"problems": error.problems},
            ) from error
        except UserError as error:
            raise RpcError(protocol.FAILED, str(error)) from error
        results = [] if params["plan"] else await self._settled(changes, before, progress)
        return {
            "plan": params["plan"],
            "changes": [
                {
                    "name": change.name,
                    "change": change.kind.value,
                    "keys": list(change.keys),
                    "pid": before[change.name].pid if change.kind in ENDS else None,
                    "reason": change.reason,
                }
                for change in changes
            ],
            "settings": settings,
            "results": results,
            **self._daemon.task_changes(),
        }

    async def _settled(
        self, changes: Sequence[Change], before: Mapping[str, View], progress: Progress
    ) -> list[dict[str, Any]]:
        """Wait until those that a reload stops are gone and those that it starts are up; say what became of each."""
        stopped: dict[str, int | None] = {}
        started: dict[str, int | None] = {}
        for change in changes:
            generation = before[change.name].generation if change.name in before else 0
            if change.kind is Kind.REMOVED or (change.kind is Kind.STOP and change.reason is None):
                stopped[change.name] = generation
            elif change.kind in {Kind.RESTART, Kind.START} or (
                change.kind is Kind.ADDED
                and (keeper := self._supervisor.keepers.get(change.name)) is not None
                and keeper.config.enabled
                and keeper.config.autostart
            ):
                started[change.name] = generation + 1
        progress.text = lambda: self._doing("reload", stopped | started)
        timeout = self._patience(stopped | started)
        results: dict[Verb, list[dict[str, Any]]] = {}

        async def wait(verb: Verb, asked: dict[str, int | None]) -> None:
            results[verb] = await self._outcome(verb, asked, timeout)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(wait, Verb.STOP, stopped)
            tasks.start_soon(wait, Verb.RESTART, started)
        await self._daemon.remember()
        return results[Verb.STOP] + results[Verb.RESTART]

    async def _events(self, params: dict[str, Any], _: Progress) -> Any:
        return {"events": await self._daemon.events(params["limit"])}

    async def _shutdown(self, _: dict[str, Any], __: Progress) -> Any:
        self._daemon.shut_down()
        return {"pid": os.getpid()}


def signal_number(text: str) -> int:
    """`HUP`, `SIGHUP` or `1` as a number. Raises RpcError."""
    name = text.upper()
    name = name if name.startswith("SIG") else f"SIG{name}"
    try:
        return signal.Signals(int(text)) if text.isdigit() else signal.Signals[name]
    except (KeyError, ValueError):
        raise RpcError(protocol.INVALID_PARAMS, f"there is no signal {text!r}; write HUP, SIGHUP or 1") from None
