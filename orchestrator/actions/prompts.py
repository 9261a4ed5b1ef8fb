"""What becomes of a prompt: it goes to its agent, and what the agent says of it is the run's result."""

import json
import logging
import os
from collections.abc import Awaitable, Callable, Mapping
from contextlib import ExitStack
from dataclasses import replace
from typing import Any, Final, assert_never

import anyio

from orchestrator.actions import answered, launch, results
from orchestrator.actions.answer_file import AnswerFile, aside
from orchestrator.actions.answers import PRINTED_MAX, End
from orchestrator.actions.attempt import Attempt, run_action
from orchestrator.actions.watched import Watched
from orchestrator.agents import claude, getting
from orchestrator.clock import Clock
from orchestrator.config.model import AgentConfig, AgentKind, Builtin, BuiltinPrompt, Prompt
from orchestrator.errors import UserError
from orchestrator.processes import nameless
from orchestrator.processes.children import Program, SpawnTrouble
from orchestrator.processes.death import Death
from orchestrator.processes.groups import Ended, Groups, Patience, short_of
from orchestrator.processes.printed import cut
from orchestrator.processes.programs import Unlaunchable
from orchestrator.redaction import Redactor
from orchestrator.schedule.runs import Outcome, Result

log = logging.getLogger(__name__)

Read = Callable[[Ended], Awaitable[Result]]  # tells what came of a prompt

ARGUMENT_MAX: Final = 100_000  # bytes of a prompt that is an argument; Linux takes 128 KiB (execve(2))
CHORE_SAYS_MAX: Final = 8 * 1024 * 1024  # bytes; a prompt of 1 MiB can take that in JSON
ANSWER_MAX: Final = 64 * 1024 * 1024  # bytes of what the Letta child leaves, which must not be cut


def _never(_: Result) -> bool:
    return False


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
        """Send a prompt and give what came of it.

        Cancelling it is as in Groups.run; `run.details` is set then too. But what was done and paid for by then is not
        thrown away: where a whole answer stands there, that is given, and nothing is raised.

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
            stdout = _answer(files, state, attempt.run.run_id)
            answer = AnswerFile(stdout, attempt, self._groups, self._clock, self._redact)
            watched = Watched(stdout, self._clock, answer.is_whole, limit=PRINTED_MAX, grace=self._patience.result)

            async def read(ended: Ended) -> Result:
                try:
                    if watched.too_much:
                        why = f"it printed more than {PRINTED_MAX // 2**20} MiB without coming to an end: stopped"
                        return results.failure(why, await answer.end())
                    return await answer.read(End(ended.death, ended.stderr.text(), self._clock.now(), attempt.timezone))
                finally:
                    await answer.empty()

            def is_whole(found: Result) -> bool:
                return found.cost_usd is not None or "subtype" in (found.details or {})  # only a result has one

            how = {"stdin": stdin, "stdout": stdout, "enough": watched.enough}
            return await self._through(attempt, agent, argv, environ, told, read, is_whole, **how)

    async def _to_command(self, attempt: Attempt, agent: AgentConfig, prompt: str) -> Result:
        text, on_stdin = _passed(prompt)
        argv = agent.command if on_stdin else (*agent.command, text)
        told = {"agent": agent.name, "kind": agent.kind.value, "argv": list(claude.shown(argv, text))}

        async def read(ended: Ended) -> Result:
            return results.of_command(ended.death or Death(), ended.stdout, ended.stderr)

        with ExitStack() as files:
            stdin = _content(files, attempt.around.places.state, prompt) if on_stdin else None
            environ = claude.environment(self._environ(attempt))  # it may well be a script around Claude Code
            return await self._through(attempt, agent, argv, environ, told, read, stdin=stdin)

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

            def read_here(ended: Ended) -> Result:
                try:
                    left = nameless.read(call, ANSWER_MAX)
                except OSError:  # then nobody knows whether it was sent
                    left = b""
                found = letta.read(left, ended.death, ended.stderr.text())
                return replace(found, output=cut(self._redact(found.output)))

            async def read(ended: Ended) -> Result:
                return await aside(lambda: read_here(ended))

            def is_whole(found: Result) -> bool:
                return "duration_seconds" in (found.details or {})  # known when the answer has come to its end

            return await self._run(attempt, program, told, read, is_whole, stdin=call)

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
        read: Read,
        is_whole: Callable[[Result], bool] = _never,
        **how: Any,
    ) -> Result:
        """Run an agent's command. That it is missing is no failure that goes away by itself."""
        try:
            program = launch.agent_program(argv, attempt.around, environ)
            return await self._run(attempt, program, told, read, is_whole, **how)
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
        read: Read,
        is_whole: Callable[[Result], bool],
        **how: Any,
    ) -> Result:
        """Run a program to its end, end who left its group, and read what came of it.

        `is_whole`: whether that is a result that stands, though the program was cut off after it.
        """
        task, run, cut_off = attempt.task, attempt.run, list[Ended]()
        try:
            ended = await self._groups.run(
                task.name, run.run_id, program, on_status=attempt.on_status, when_cancelled=cut_off.append, **how
            )
        except SpawnTrouble:
            raise  # nobody was started
        except anyio.get_cancelled_exc_class():
            run.details = told
            for each in cut_off:
                left = await self._result(attempt, each, told, read)
                if is_whole(left):
                    return left
                run.output, run.details = left.output, left.details
            raise
        except BaseException:
            await self._end_strays(attempt)
            raise
        return await self._result(attempt, ended, told, read)

    async def _result(self, attempt: Attempt, ended: Ended, told: Mapping[str, Any], read: Read) -> Result:
        """Tidy up and read. Not to be cancelled: what ended in time has its result, however long this takes."""
        found = results.failure("what it printed was not read: there was no time left for that")
        await self._end_strays(attempt)
        with self._groups.patiently():
            try:
                found = await read(ended)
            except OSError as error:
                found = results.failure(f"what it printed cannot be read: {error.strerror}")
        said = ended.stderr.text()
        return replace(found, details={**told, **(found.details or {}), **({"stderr": said} if said else {})})

    async def _end_strays(self, attempt: Attempt) -> None:
        """End what the agent has started in sessions of their own, as MCP servers and shells in the background are."""
        try:
            await self._groups.end_strays(attempt.around.places.state, attempt.run.run_id, self._patience.stop)
        except OSError as error:
            log.warning("%s: cannot look for what its agent has left: %s", attempt.task.name, error.strerror)


def _passed(prompt: str) -> tuple[str, bool]:
    """Give the prompt as an argument that is its UTF-8 under any locale, and whether it must go to stdin instead."""
    data = prompt.encode(errors="replace")  # lone surrogates have no UTF-8
    return os.fsdecode(data), len(data) > ARGUMENT_MAX or b"\0" in data


def _answer(files: ExitStack, state: str, run_id: str) -> int:
    """Make the file for a run's answer, which is there for as long as the attempt lasts. Raises SpawnTrouble."""
    try:
        fd = files.enter_context(nameless.closing(answered.open_for(state, run_id)))
    except (OSError, UserError) as error:
        raise short_of(error) from error
    files.callback(answered.forget, state, run_id)
    return fd


def _content(files: ExitStack, folder: str, text: str = "") -> int:
    """Make a nameless file with this text. Raises SpawnTrouble."""
    try:
        return files.enter_context(nameless.closing(nameless.nameless_file(folder), text.encode(errors="replace")))
    except OSError as error:
        raise short_of(error) from error


def _final(why: str) -> Result:
    return replace(results.failure(why), final=True)
