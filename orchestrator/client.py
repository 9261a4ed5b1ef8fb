"""The schedule for programs: what `aiempctl add|tasks|run|history …` do, as a small synchronous API.

    from orchestrator.client import TaskClient

    with TaskClient("/home/me/vault") as tasks:
        tasks.register("report", cron="0 9 * * 1-5", command=["/home/me/report.sh"], timeout="5m")
        run = tasks.run_now("report")
        print(run["outcome"], run["output"])

Everything goes through the daemon of that vault, which must be running. Tasks and runs are plain dicts: the objects of
`aiempctl tasks --json` and `aiempctl history --json`. Settings have the names and the form of a [tasks.NAME] table in
supervisor.toml. What goes wrong is raised as an orchestrator.errors.UserError:

- Unreachable: no daemon answers;
- UsageError: there is no task of that name; as InvalidTask, with its `problems`, it says that settings are wrong;
- UserError itself: it was tried and failed, like registering a name that exists.
"""

from __future__ import annotations

import os
from datetime import date, time
from typing import Any

from orchestrator.control.client import Client, InvalidTask
from orchestrator.errors import Unreachable, UserError

TYPE_CHECKING = False  # see control/protocol.py
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Self

__all__ = ["InvalidTask", "TaskClient"]

Record = dict[str, Any]
Records = list[Record]


class TaskClient:
    """The tasks of one vault.

    Each call is a connection of its own, so a client may be kept for as long as one likes, beyond a restart of the
    daemon too, and be used from several threads. Entering its `with` block makes sure that a daemon is there.
    """

    def __init__(self, vault: str | os.PathLike[str]) -> None:
        self._vault = os.path.abspath(vault)  # noqa: PTH100  paths are strings in control/client.py

    def __enter__(self) -> Self:
        with Client(self._vault):
            return self

    def __exit__(
        self, kind: type[BaseException] | None, problem: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Nothing is left open."""

    def register(self, name: str, **settings: Any) -> Record:
        """Add a task and give it as it is now. It is kept in the vault, and outlives the daemon.

        Every key of a [tasks.NAME] table is a setting, so a prompt may be scheduled too, here with its first slot at
        `start_at` and all others counted from there:

            tasks.register("inbox", prompt="Sort /Inbox.", every="2h", start_at="2026-12-01T08:00", agent="claude")
            tasks.register("ask", prompt="Any news?", frequency="once", at="2026-12-24T18:00", max_runs=1,
                           agent="companion", agent_id="agent-…", retry={"max": 3, "initial": "1m"})

        `agent` is one of the configuration's [agents.*] (claude, if not given), `agent_id` one of a Letta server's.
        Times of `at` and `start_at` may be datetimes; without an offset they are in the configuration's timezone.
        With max_runs=1 the second prompt is disabled once it has succeeded; after failures it stays, for `run_now`.

        Raises InvalidTask for settings that make no task, UserError when the name exists.
        """
        return self._task("add", name=name, settings=_written(settings))

    def update(self, name: str, **settings: Any) -> Record:
        """Change these settings of a task that was added, leave the others, and give it as it is now.

        None takes a setting out: `update("report", cron=None, every="2h")`. Tasks of supervisor.toml are changed there.
        """
        task = self.get(name)
        had = task.get("settings")
        if "settings" in task and had is None:
            raise UserError(f"{name} was not added by command; change it in supervisor.toml, then: aiempctl reload")
        if not isinstance(had, dict):
            raise Unreachable("the daemon's answer holds no settings; is it another version?")
        return self._task("add", name=name, settings=_written(had | settings), replace=True)

    def get(self, name: str) -> Record:
        """One task, with its table under "settings"."""
        return self._task("task_get", name=name)

    def list(self) -> Records:  # the commands' own word
        """All tasks, configured and added."""
        return self._records("tasks", "tasks")

    def enable(self, name: str) -> None:
        """Let a task fire. `name` may be a shell glob; so it may for `disable`."""
        self._order("enable", name)

    def disable(self, name: str) -> None:
        """Let a task no longer fire; `run_now` still runs it."""
        self._order("disable", name)

    def remove(self, name: str) -> None:
        """Take away a task that was added. Raises UserError for one of supervisor.toml."""
        self._order("remove", name)

    def run_now(self, name: str, *, wait: bool = True, dry_run: bool = False) -> Record:
        """Run a task and give the run, which may have failed: see its "outcome". Without `wait` only its "run_id"."""
        answer = self._call("run", task=name, wait=wait, dry_run=dry_run)
        return _record(answer, "run") if wait else {"run_id": answer.get("run_id")}

    def history(self, task: str | None = None, *, limit: int = 20, outcome: str | None = None) -> Records:
        """The latest runs, newest first: of one task or of all, with one outcome or any."""
        return self._records("history", "runs", task=task, limit=limit, outcome=outcome)

    def _call(self, method: str, **params: Any) -> Record:
        with Client(self._vault) as daemon:
            return daemon.call(method, params)

    def _task(self, method: str, **params: Any) -> Record:
        return _record(self._call(method, **params), "task")

    def _records(self, method: str, key: str, **params: Any) -> Records:
        found = self._call(method, **params).get(key)
        if not isinstance(found, list) or not all(isinstance(each, dict) for each in found):
            raise Unreachable(f"the daemon's answer holds no list of {key}; is it another version?")
        return found

    def _order(self, method: str, name: str) -> None:
        failed = [each for each in self._records(method, "results", names=[name]) if not each.get("ok")]
        if failed:
            raise UserError("\n".join(f"{each.get('name')}: {each.get('message')}" for each in failed))


def _record(answer: Record, key: str) -> Record:
    found = answer.get(key)
    if not isinstance(found, dict):
        raise Unreachable(f"the daemon's answer holds no {key}; is it another version?")
    return found


def _written(settings: Record) -> Record:
    return {key: _plain(value) for key, value in settings.items() if value is not None}


def _plain(value: Any) -> Any:
    """Dates and times as text, which JSON has no others for."""
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    return value.isoformat() if isinstance(value, (date, time)) else value
