"""What people and programs ask of tasks: the methods behind `aiempctl tasks`, `run`, `add`, `history` and others."""

from collections.abc import Awaitable, Callable, Sequence
from datetime import timedelta
from fnmatch import filter as matching
from typing import Any

from orchestrator.clock import Clock
from orchestrator.control import protocol
from orchestrator.control.protocol import RpcError
from orchestrator.control.server import Progress
from orchestrator.control.status import StatusSource
from orchestrator.errors import ConfigInvalid, UserError
from orchestrator.schedule.runner import Active
from orchestrator.schedule.runs import Run, Trigger
from orchestrator.schedule.scheduler import Scheduler
from orchestrator.scheduling import Scheduling
from orchestrator.store.runs import RunStore

DUE_SOON = timedelta(seconds=1)  # what `tasks --due` counts as due beside what waits or runs
UNSTORED = "that cannot be written down now, and is forgotten when the daemon ends; see the problems in `status`"
BY_PERSON = "cancelled by command"

Method = Callable[[dict[str, Any], Progress], Awaitable[Any]]


class TaskCommands:
    """Carries out commands about tasks. `ready` returns when the daemon has begun its work, or raises RpcError."""

    def __init__(
        self,
        scheduling: Scheduling,
        status: StatusSource,
        store: RunStore,
        clock: Clock,
        ready: Callable[[], Awaitable[None]],
    ) -> None:
        self._scheduling = scheduling
        self._scheduler: Scheduler = scheduling.scheduler
        self._status = status
        self._store = store
        self._clock = clock
        self._ready = ready
        self.methods: dict[str, Method] = {
            "tasks": self._tasks,
            "task_get": self._task_get,
            "run": self._run,
            "cancel": self._cancel,
            "enable": self._switch(enabled=True),
            "disable": self._switch(enabled=False),
            "add": self._add,
            "remove": self._remove,
            "history": self._history,
            "stats": self._stats,
            "scheduler": self._pause_or_resume,
        }

    def match(self, patterns: Sequence[str]) -> tuple[list[str], list[str]]:
        """Find the tasks that shell globs name, in order, and the patterns that name none."""
        entries = self._scheduler.entries
        found, unknown = set[str](), list[str]()
        for pattern in patterns:
            names = (
                list(entries) if pattern == "all" else [pattern] if pattern in entries else matching(entries, pattern)
            )
            found.update(names)
            if not names and pattern != "all":
                unknown.append(pattern)
        return [name for name in entries if name in found], unknown

    def _names(self, patterns: Sequence[str]) -> list[str]:
        names, unknown = self.match(patterns)
        if unknown:
            known = list(self._scheduler.entries)
            listed = (
                f"there are {', '.join(known[:20])}{' …' if len(known) > 20 else ''}" if known else "there are none"
            )
            text = f"no task is called {', '.join(unknown)}; {listed}"
            raise RpcError(protocol.UNKNOWN_NAME, text, {"unknown": unknown, "known": known[:1000]})
        return names

    async def _tasks(self, params: dict[str, Any], _: Progress) -> Any:
        names = list(self._scheduler.entries) if params["names"] is None else self._names(params["names"])
        if params["due"]:
            soon = self._clock.now() + DUE_SOON
            views = [self._scheduler.view(name) for name in names]
            names = [
                view.entry.name
                for view in views
                if view.active or (view.entry.next is not None and view.entry.next <= soon)
            ]
        return {"tasks": await self._status.tasks(names)}

    async def _task_get(self, params: dict[str, Any], _: Progress) -> Any:
        (name,) = self._one(params["name"])
        return {"task": self._status.board.object(name) | {"settings": await self._scheduling.settings(name)}}

    def _one(self, name: str) -> list[str]:
        if name not in self._scheduler.entries:
            self._names([name.translate({ord(sign): f"[{sign}]" for sign in "*?["})])
        return [name]

    async def _run(self, params: dict[str, Any], progress: Progress) -> Any:
        await self._ready()
        (name,) = self._one(params["task"])
        try:
            active = await self._scheduler.fire(name, Trigger.MANUAL, dry_run=params["dry_run"])
        except UserError as error:
            raise RpcError(protocol.FAILED, f"{name} was not run: {error}") from error
        if not params["wait"]:
            return {"run_id": active.run.run_id}
        progress.text = lambda: _doing(active)
        await active.done.wait()
        return {"run": active.run.as_json()}

    async def _cancel(self, params: dict[str, Any], _: Progress) -> Any:
        await self._ready()
        target = params["target"]
        active = self._scheduler.active_run(target)
        if active is not None:
            found = [active]
        elif target in self._scheduler.entries:
            found = list(self._scheduler.view(target).active)
        elif (run := await self._store.run(target)) is not None:
            return {"results": [_answer(run, ok=False, message=f"is finished already: {run.outcome}")]}
        else:
            self._one(target)  # raises: neither a run nor a task
            found = []
        if not found:
            return {"results": [{"name": target, "task": target, "ok": True, "message": "nothing of it runs or waits"}]}
        for each in found:
            self._scheduler.cancel(each, BY_PERSON)
        for each in found:
            await each.done.wait()
        return {"results": [_answer(each.run, ok=True, message=f"ended: {each.run.outcome}") for each in found]}

    def _switch(self, *, enabled: bool) -> Method:
        async def carry_out(params: dict[str, Any], _: Progress) -> Any:
            await self._ready()
            word, results = "enabled" if enabled else "disabled", []
            for name in self._names(params["names"]):
                changed = self._scheduling.enable(name, enabled=enabled)
                results.append({"name": name, "ok": True, "message": word if changed else f"was {word} already"})
            if not await self._scheduling.remember():
                results = [each | {"ok": False, "message": f"{each['message']}, but {UNSTORED}"} for each in results]
            return {"results": results}

        return carry_out

    async def _add(self, params: dict[str, Any], _: Progress) -> Any:
        await self._ready()
        name = params["name"]
        try:
            await self._scheduling.add(name, params["settings"], instead=params["replace"])
        except ConfigInvalid as error:
            data = {"problems": list(error.problems)}
            raise RpcError(
                protocol.INVALID_TASK, f"{name} was not added: it would not be a valid task", data
            ) from error
        except UserError as error:
            raise RpcError(protocol.FAILED, str(error)) from error
        (name,) = self._one(name)  # another command may have been faster still
        return {"task": self._status.board.object(name)}

    async def _remove(self, params: dict[str, Any], _: Progress) -> Any:
        await self._ready()
        results = []
        for name in self._names(params["names"]):
            try:
                await self._scheduling.remove(name)
            except UserError as error:
                results.append({"name": name, "ok": False, "message": str(error)})
            else:
                results.append({"name": name, "ok": True, "message": "removed"})
        return {"results": results}

    async def _history(self, params: dict[str, Any], _: Progress) -> Any:
        task = params["task"]
        runs = await self._store.history(task, params["limit"], params["outcome"])
        if task is not None and not runs and task not in self._scheduler.entries:
            self._one(task)  # raises, unless there is history of a task that is gone
        return {"runs": [run.as_json() for run in runs]}

    async def _stats(self, _: dict[str, Any], __: Progress) -> Any:
        starts = self._scheduler.spending.starts(self._clock.now())
        return {"stats": [each.as_json() for each in await self._store.statistics(starts)]}

    async def _pause_or_resume(self, params: dict[str, Any], _: Progress) -> Any:
        await self._ready()
        pausing = params["action"] == "pause"
        said = self._scheduler.pause(paused=pausing)
        stored = await self._scheduling.remember()
        state = self._scheduler.state
        message = said or f"was {'paused' if pausing else 'not paused'} already"
        if not pausing and self._scheduler.paused_by_file:
            message += "; but the file PAUSE in the vault keeps it from starting runs until it is removed"
        elif not pausing and state == "paused":
            message += "; but [scheduler] enabled = false in the configuration keeps it from starting runs"
        if not stored:
            raise RpcError(protocol.FAILED, f"{message}, but {UNSTORED}")
        return {"scheduler": state, "message": message}


def _doing(active: Active) -> str:
    said = f": {active.status_text}" if active.status_text else ""
    return f"{active.run.task} {active.run.phase}{said}"


def _answer(run: Run, *, ok: bool, message: str) -> dict[str, Any]:
    return {"name": run.run_id, "task": run.task, "ok": ok, "message": message}
