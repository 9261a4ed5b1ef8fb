"""What becomes of a prompt: it goes to its agent, and what the agent says of it is the run's result."""

import json
import logging
import os
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final, assert_never

import anyio

from orchestrator.actions import launch, nameless, results
from orchestrator.actions.answers import PRINTED_MAX, Answer, End
from orchestrator.actions.attempt import Attempt, run_action
from orchestrator.actions.groups import Ended, Groups, Patience, short_of
from orchestrator.actions.leftovers import end_leftovers
from orchestrator.actions.printed import cut
from orchestrator.actions.watched import Watched
from orchestrator.agents import claude, getting
from orchestrator.clock import Clock
from orchestrator.config.model import AgentConfig, AgentKind, Builtin, BuiltinPrompt, Prompt
from orchestrator.processes.children import Program, SpawnTrouble
from orchestrator.processes.death import Death
from orchestrator.processes.programs import Unlaunchable
from orchestrator.redaction import Redactor
from orchestrator.schedule.runs import Outcome, Result
from orchestrator.threads import in_thread

log = logging.getLogger(__name__)

ARGUMENT_MAX: Final = 100_000  # bytes of a prompt that is an argument; Linux takes 128 KiB (execve(2))
CHORE_SAYS_MAX: Final = 8 * 1024 * 1024  # bytes; a prompt of 1 MiB can take that in JSON
ANSWER_MAX: Final = 64 * 1024 * 1024  # bytes of what the Letta child leaves, which must not be cut


class Prompts:
    """Sends prompts to agents. `budget_left`: US dollars that one may still cost today, None where that is open."""

    def __init__(
        self,
        groups: Groups,
        clock: Clock,
        redact: Redactor,
        *,
        agents: Mapping[str, AgentConfig],
        budget_left: Callable[[str], float | None],
        patience: Patience,
    ) -> None:
        self._groups = groups
        self._clock = clock
        self._redact = redact
        self._agents = agents
        self._budget_left = budget_left
        self._patience = patience

    def use_agents(self, agents: Mapping[str, AgentConfig]) -> None:
        """Tell what agents there are for attempts from now on."""
        self._agents = agents

    async def prepare_and_send(self, attempt: Attempt, action: BuiltinPrompt) -> Result:
        """Let the chore of that name look at the vault first; what it has to say to the agent is the prompt."""
        ended = await run_action(self._groups, attempt, Builtin(action.name), keep=CHORE_SAYS_MAX)
        prepared = results.of_chore(ended.death or Death(), ended.stdout, ended.stderr)
        if prepared.outcome is not Outcome.SUCCESS:
            return prepared
        text = results.prompt_of_chore(ended.stdout)
        if text is None:
            return results.failure(f"the chore {action.name} ended without a prompt for the agent", prepared.output)
        result = await self.send(attempt, Prompt(text, action.agent, action.agent_id))
        return replace(result, details={**(result.details or {}), "prepared": prepared.output})

    async def send(self, attempt: Attempt, prompt: Prompt) -> Result:
        """Send a prompt and give what came of it. Cancelling it is as in Groups.run; `run.details` is set then too.

        Raises Unlaunchable and SpawnTrouble where that is not the agent's fault.
        """
        agent = self._agents.get(prompt.agent)
        if agent is None:
            return _final(f"there is no agent {prompt.agent} any more; configure it, or give the task another one")
        match agent.kind:
            case AgentKind.CLAUDE:
                return await self._to_claude(attempt, agent, prompt.text)
            case AgentKind.COMMAND:
                return await self._to_command(attempt, agent, prompt.text)
            case AgentKind.LETTA:
                return await self._to_letta(attempt, agent, prompt)
            case _ as never:
                assert_never(never)

    # --- each kind ---

    async def _to_claude(self, attempt: Attempt, agent: AgentConfig, prompt: str) -> Result:
        text, on_stdin = _passed(prompt)
        argv = claude.argv(agent, None if on_stdin else text, budget_left=self._budget_left(agent.name))
        told = {"agent": agent.name, "kind": agent.kind.value, "argv": list(claude.shown(argv, text))}
        environ = claude.environment(self._environ(attempt))
        with ExitStack() as files:
            state = attempt.around.places.state
            stdin = _content(files, state, prompt) if on_stdin else None
            stdout = _content(files, state)
            answer = Answer(stdout, attempt.around.environ, self._redact)
            watched = Watched(stdout, self._clock, answer.is_whole, limit=PRINTED_MAX, grace=self._patience.result)

            def read(ended: Ended) -> Result:
                try:
                    if watched.too_much:
                        why = f"it printed more than {PRINTED_MAX // 2**20} MiB without coming to an end: stopped"
                        return results.failure(why, answer.end())
                    return answer.read(End(ended.death, ended.stderr.text(), self._clock.now(), attempt.timezone))
                finally:
                    nameless.empty(stdout)

            return await self._through(
                attempt, agent, argv, environ, told, read, stdin=stdin, stdout=stdout, enough=watched.enough
            )

    async def _to_command(self, attempt: Attempt, agent: AgentConfig, prompt: str) -> Result:
        text, on_stdin = _passed(prompt)
        argv = agent.command if on_stdin else (*agent.command, text)
        told = {"agent": agent.name, "kind": agent.kind.value, "argv": list(claude.shown(argv, text))}

        def read(ended: Ended) -> Result:
            return results.of_command(ended.death or Death(), ended.stdout, ended.stderr)

        with ExitStack() as files:
            stdin = _content(files, attempt.around.places.state, prompt) if on_stdin else None
            return await self._through(attempt, agent, argv, self._environ(attempt), told, read, stdin=stdin)

    async def _to_letta(self, attempt: Attempt, agent: AgentConfig, prompt: Prompt) -> Result:
        from orchestrator.agents import letta  # noqa: PLC0415  only who has such an agent has to have it

        told = {"agent": agent.name, "kind": agent.kind.value}
        if attempt.dry_run:
            return Result(Outcome.SKIPPED, error="dry run: not sent", details={**told, "delivery": "not sent"})
        agent_id, environ = prompt.agent_id or agent.agent_id or "", self._environ(attempt)
        try:
            document = letta.request(agent, agent_id, prompt.text, attempt.around.environ, attempt.task.timeout)
        except ValueError as error:
            return replace(_final(str(error)), details=told)
        program = launch.own_program(letta.MODULE, attempt.around, environ)
        with ExitStack() as files:
            try:
                content = json.dumps(document).encode()
                call = files.enter_context(nameless.closing(nameless.file_in_memory(), content))
            except OSError as error:
                raise short_of(error) from error

            def read(ended: Ended) -> Result:
                try:
                    left = nameless.read(call, ANSWER_MAX)
                except OSError:  # then nobody knows whether it was sent
                    left = b""
                found = letta.read(left, ended.death, ended.stderr.text())
                return replace(found, output=cut(self._redact(found.output)))

            return await self._run(attempt, program, told, read, stdin=call)

    # --- what all have in common ---

    def _environ(self, attempt: Attempt) -> dict[str, str]:
        socket = self._groups.socket(attempt.run.run_id)
        return launch.surroundings(attempt.task, attempt.run, attempt.around, socket)

    async def _through(
        self,
        attempt: Attempt,
        agent: AgentConfig,
        argv: tuple[str, ...],
        environ: dict[str, str],
        told: Mapping[str, Any],
        read: Callable[[Ended], Result],
        **how: Any,
    ) -> Result:
        """Run an agent's command. That it is missing is no failure that goes away by itself."""
        try:
            program = launch.agent_program(argv, attempt.around, environ)
            return await self._run(attempt, program, told, read, **how)
        except Unlaunchable:
            why = getting.not_on_path(agent)
        except SpawnTrouble as error:
            if error.transient:
                raise
            why = f"{error}; {getting.how(agent)}"
        return replace(_final(why), details=told)

    async def _run(
        self,
        attempt: Attempt,
        program: Program,
        told: Mapping[str, Any],
        read: Callable[[Ended], Result],
        **how: Any,
    ) -> Result:
        """Run a program to its end, end who left its group, and read what came of it."""
        cut_off = list[Ended]()

        async def result(ended: Ended) -> Result:
            # Not to be cancelled: what ended in time has its result, however long tidying up takes.
            with anyio.CancelScope(shield=True):
                await self._end_strays(attempt)
                found = await _aside(read, ended)
            said = ended.stderr.text()
            return replace(found, details={**told, **(found.details or {}), **({"stderr": said} if said else {})})

        task, run = attempt.task, attempt.run
        try:
            ended = await self._groups.run(
                task.name, run.run_id, program, on_status=attempt.on_status, when_cancelled=cut_off.append, **how
            )
        except anyio.get_cancelled_exc_class():
            for each in cut_off:
                left = await result(each)
                run.output, run.details = left.output, left.details
            raise
        return await result(ended)

    async def _end_strays(self, attempt: Attempt) -> None:
        """End what the agent has started in sessions of their own, as MCP servers and shells in the background are."""
        try:
            await in_thread(end_leftovers, attempt.around.places.state, self._patience.stop, {attempt.run.run_id})
        except OSError as error:
            log.warning("%s: cannot look for what its agent has left: %s", attempt.task.name, error.strerror)


async def _aside(read: Callable[[Ended], Result], ended: Ended) -> Result:
    """Read in a worker thread, for an answer may be large."""
    try:
        return await in_thread(read, ended)
    except BlockingIOError:  # no thread is left
        return read(ended)
    except OSError as error:
        return results.failure(f"what it printed cannot be read: {error.strerror}")


def _passed(prompt: str) -> tuple[str, bool]:
    """Give the prompt as an argument that is its UTF-8 under any locale, and whether it must go to stdin instead."""
    data = prompt.encode(errors="replace")  # lone surrogates have no UTF-8
    return os.fsdecode(data), len(data) > ARGUMENT_MAX or b"\0" in data


def _content(files: ExitStack, folder: str, text: str = "") -> int:
    """Make a nameless file with this text. Raises SpawnTrouble."""
    try:
        return files.enter_context(nameless.closing(nameless.nameless_file(folder), text.encode(errors="replace")))
    except OSError as error:
        raise short_of(error) from error


def _final(why: str) -> Result:
    return replace(results.failure(why), final=True)
