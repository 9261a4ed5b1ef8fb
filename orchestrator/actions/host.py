"""Runs what tasks do: each attempt as a process group of its own, of which nobody is left when it is over."""

from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import assert_never

import anyio
import anyio.abc
import anyio.lowlevel

from orchestrator.actions import handler, results
from orchestrator.actions.attempt import Attempt, run_action
from orchestrator.actions.prompts import Prompts
from orchestrator.clock import Clock
from orchestrator.config.model import AgentConfig, Builtin, BuiltinPrompt, Command, Handler, Prompt, TaskConfig
from orchestrator.processes.children import SpawnTrouble
from orchestrator.processes.death import Death
from orchestrator.processes.groups import Groups, Patience, short_of
from orchestrator.processes.notify import NotifySockets
from orchestrator.processes.programs import Surroundings, Unlaunchable
from orchestrator.redaction import NOTHING, Redactor
from orchestrator.schedule.runs import Result, Run

Chore = Callable[[], Awaitable[Result]]


def _without_budget(_: str) -> float | None:
    return None


class ActionHost:
    """Makes attempts. `on_builtin`: the built-ins that are no process, by name.

    `budget_left`: US dollars that an agent may still cost today, None where that is open. `redact` takes secrets out of
    whatever is cut, before it is. `serve` has to run while `perform` does.
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
        agents: Mapping[str, AgentConfig] | None = None,
        budget_left: Callable[[str], float | None] = _without_budget,
        patience: Patience | None = None,
    ) -> None:
        self._around = around
        self._timezone = timezone
        self._on_builtin = on_builtin
        patience = patience or Patience()
        self.groups = Groups(notify, clock, redact, patience=patience)
        self._prompts = Prompts(
            self.groups, clock, redact, agents=agents or {}, budget_left=budget_left, patience=patience
        )

    def close(self) -> None:
        """Let go of everything. Processes that still live are not touched."""
        self.groups.close()

    def tidy(self) -> None:
        """Remove the sockets of an earlier daemon's runs, of which nobody is left."""
        self.groups.tidy()

    def use_dry_run(self, dry_run: bool) -> None:  # noqa: FBT001  the name says it
        """Tell runs started from now on whether this is a dry run."""
        self._around = replace(self._around, dry_run=dry_run)

    def use_timezone(self, timezone: str) -> None:
        """Tell runs started from now on in which zone people's clocks are."""
        self._timezone = timezone

    def use_agents(self, agents: Mapping[str, AgentConfig]) -> None:
        """Tell runs started from now on what agents there are."""
        self._prompts.use_agents(agents)

    async def serve(self, *, task_status: anyio.abc.TaskStatus[None] = anyio.TASK_STATUS_IGNORED) -> None:
        """Hear of what runs until cancelled. Ends nothing."""
        await self.groups.serve(task_status=task_status)

    def kill_all(self) -> None:
        """Kill every process of every run, at once; see Groups.kill_all."""
        self.groups.kill_all()

    async def perform(self, task: TaskConfig, run: Run, *, on_status: Callable[[str], None]) -> Result:
        """Make one attempt at what `task` does. Whatever goes wrong in it is a Result that says so.

        Cancelling it ends the whole process group, see Groups.run; `run.output` then holds what was printed, and
        `run.details` what is known of a prompt. A prompt that was answered by then has its result all the same.
        """
        await anyio.lowlevel.checkpoint_if_cancelled()
        attempt = Attempt(task, run, self._around, self._timezone, on_status)
        try:
            match task.action:
                case Builtin(name=name) if (chore := self._on_builtin.get(name)) is not None:
                    return await chore()
                case Builtin() as action:
                    ended = await run_action(self.groups, attempt, action)
                    return results.of_chore(ended.death or Death(), ended.stdout, ended.stderr)
                case Command() as action:
                    ended = await run_action(self.groups, attempt, action)
                    return results.of_command(ended.death or Death(), ended.stdout, ended.stderr)
                case Handler() as action:
                    return await self._run_handler(attempt, action)
                case Prompt() as action:
                    return await self._prompts.send(attempt, action)
                case BuiltinPrompt() as action:
                    return await self._prompts.prepare_and_send(attempt, action)
                case _ as never:
                    assert_never(never)
        except (Unlaunchable, SpawnTrouble) as error:
            return results.failure(str(error))

    async def _run_handler(self, attempt: Attempt, action: Handler) -> Result:
        with ExitStack() as files:
            try:
                call = files.enter_context(handler.call(attempt.task, action, attempt.run, attempt.around))
            except OSError as error:
                raise short_of(error) from error
            ended = await run_action(self.groups, attempt, action, stdin=call)
            return results.of_handler(ended.death or Death(), ended.stdout, ended.stderr, handler.returned(call))
