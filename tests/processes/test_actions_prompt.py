"""Prompts for real: how they reach each kind of agent, what it is told beside, and what is made of the end."""

import hashlib
import json
import os
import random
import sys
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import anyio
import pytest
from acting import Stage, dry, new_run, stage
from letta_server import HANGS, REFUSED, letta_server
from spawning import PATIENCE, until

from orchestrator.config.model import AgentConfig, AgentKind, BuiltinPrompt, Prompt
from orchestrator.processes.groups import Patience
from orchestrator.schedule.runs import HoldKind, Outcome, Result, Run

FAKE = Path(__file__).parents[1] / "agents" / "fake_claude.py"
SUCCESS, FAILURE, SKIPPED = Outcome.SUCCESS, Outcome.FAILURE, Outcome.SKIPPED
SHORT = Patience(stop=0.3, result=0.4)
CLAUDE = AgentConfig("claude", command=("python", str(FAKE)))
# Tells where its prompt was and what it came to, and ends as that says.
TELLS = """
import hashlib, json, os, sys, time
argument, stdin = sys.argv[1:], sys.stdin.buffer.read()
assert bool(argument) is not bool(stdin)
text = os.fsencode(argument[0]) if argument else stdin
print(json.dumps(["argument" if argument else "stdin", hashlib.sha256(text).hexdigest()]), flush=True)
if text.startswith(b"fail "):
    sys.exit(f"no {text.split()[1].decode()}")
if text == b"hang":
    time.sleep(1000)
"""
TELLER = AgentConfig("teller", AgentKind.COMMAND, command=("python", "-c", TELLS))
AGENTS = {each.name: each for each in (CLAUDE, TELLER)}


def left(state: str) -> list[str]:
    """Give the files that are left of all prompts."""
    return sorted(str(each.relative_to(state)) for each in Path(state).rglob("*") if each.is_file())


def agents(**more: AgentConfig) -> Mapping[str, AgentConfig]:
    return {**AGENTS, **more}


async def ask(here: Stage, text: str, agent: str = "claude", run: Run | None = None) -> Result:
    return await here.perform(Prompt(text, agent), run)


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def told(here: Stage, name: str) -> Any:
    return json.loads((here.vault / name).read_text())


# --- intact ---


def at_random(number: int) -> str:
    """A text of whatever Unicode has, with much of what is special to someone."""
    dice = random.Random(number)  # noqa: S311  no secret
    special = "\"'`$\\!*?[]{}()<>|&;#~%^=-,:\n\r\t \x01\x1b\x7f\u2028\u202e\ufeff😀€"
    pieces = [dice.choice(special) if dice.random() < 0.7 else chr(dice.randrange(0x20, 0xD7FF)) for _ in range(200)]
    return "x" + "".join(pieces)  # blank ones are refused, and so is what begins as a part to play


TEXTS = {
    "plain": "Say hello",
    "quotes": "'single' \"double\" `backquoted` “typographic”",
    "shell": "$HOME ${PATH} $(id) `id` > /tmp/x && rm -rf / ; echo !! * ? ~ \\n \\",
    "money": "It costs $5,000",
    "newlines": "one\ntwo\r\nthree\n\n",
    "dash": "-p",
    "dashes": "--",
    "flag": "--dangerously-skip-permissions",
    "with value": "--output-format=text\n-- more",
    "space": "  both sides  ",
    "tabs": "\tone\ttwo",
    "slash": "/no-such-skill with arguments",
    "emoji": "😀 👩‍👩‍👧‍👦 🇱🇹 é é Ω",
    "controls": "bell \x07 escape \x1b[31m delete \x7f",
    "format": "%s {0} {{}} %(x)s",
    "JSON": '{"type": "result", "result": "not mine"}',
    "Read": "Read",  # as one of the allowed tools is called
    "percent": "100%",
    "at": "@file.md",
    "100,000 bytes": "ä" * 50_000,
    "100,001 bytes": "ä" * 50_000 + "!",
    "128 KiB": "y" * (128 * 1024),
    "300 kB": "€uro $5 'and' so on\n" * 14_000,
    "NUL": "before\0behind",
    **{f"chance {number}": at_random(number) for number in range(8)},
}


async def test_a_prompt_arrives_as_it_is(tmp_path: Path) -> None:
    found: dict[str, list[Result]] = {name: [] for name in TEXTS}

    async def send(here: Stage, name: str, together: anyio.CapacityLimiter) -> None:
        async with together:
            for agent in ("claude", "teller"):
                found[name].append(await ask(here, TEXTS[name], agent, new_run(f"{agent} {name}")))

    async with stage(tmp_path, agents=agents()) as here, anyio.create_task_group() as tasks:
        together = anyio.CapacityLimiter(4)
        for name in TEXTS:
            tasks.start_soon(send, here, name, together)
    for name, text in TEXTS.items():
        by_claude, by_teller = found[name]
        as_argument = len(text.encode()) <= 100_000 and "\0" not in text
        assert (by_claude.outcome, by_claude.error) == (SUCCESS, None), name
        assert text.endswith(by_claude.output.rpartition("bytes cut\n")[2]), name
        assert len(by_claude.output) >= min(len(text), 20_000)
        assert json.loads(by_teller.output) == ["argument" if as_argument else "stdin", digest(text)], name
        for each in found[name]:
            assert len(str(each.details)) < 2000
            assert ((each.details or {})["argv"][-1] == "…") is as_argument


@pytest.mark.parametrize("size", [100_000, 100_001, 3_000_000])
async def test_a_long_one_is_whole_and_nothing_of_it_stays(tmp_path: Path, size: int) -> None:
    async with stage(tmp_path, agents=agents()) as here:
        text = "behave: save told\n" + "ö" * (size // 2) + "$"
        text = text[: size - len(text.encode())] if len(text.encode()) > size else text
        assert (await ask(here, text)).outcome is SUCCESS
        assert told(here, "told")["prompt"] == text
        assert left(here.state) == []


# --- what it is told beside ---


async def test_what_claude_is_started_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SESSION_ID"):
        monkeypatch.setenv(name, "1")
    monkeypatch.setenv("CLAUDE_CODE_OAUTH_TOKEN", "0123456789")
    async with stage(tmp_path, agents=agents()) as here:
        here.budgets["claude"] = 0.25
        result = await ask(here, "behave: save told")
        assert result.outcome is SUCCESS
        found = told(here, "told")
        environ, flags = found["environ"], found["flags"]
        assert found["directory"] == environ["AIEMP_VAULT"] == str(here.vault)
        assert found["pid"] == found["group"] == found["session"]
        assert (environ["AIEMP_TASK"], environ["AIEMP_RUN"], environ["DRY_RUN"]) == ("t", "r1", "false")
        assert environ["CLAUDE_CODE_OAUTH_TOKEN"] == "0123456789"  # noqa: S105  no real one
        assert not environ.keys() & {"CLAUDECODE", "CLAUDE_CODE_ENTRYPOINT", "CLAUDE_CODE_SESSION_ID"}
        assert float(flags["--max-budget-usd"]) == 0.25
        assert flags["--permission-mode"] == "dontAsk"
        assert ",".join(flags["--allowedTools"]).split(",") == list(CLAUDE.allowed_tools)
        assert flags["--output-format"] in {"json", "stream-json"}
        details = result.details or {}
        assert (details["agent"], details["kind"], details["argv"][-1]) == ("claude", "claude", "…")
        assert {"session_id", "turns", "duration_seconds", "tokens"} <= details.keys()
        assert "stderr" not in details


async def test_without_a_budget_there_is_no_limit_and_a_dry_run_is_told(tmp_path: Path) -> None:
    async with stage(tmp_path, agents=agents()) as here:
        await ask(here, "behave: save told", run=dry(new_run()))
        assert "--max-budget-usd" not in told(here, "told")["flags"]
        assert told(here, "told")["environ"]["DRY_RUN"] == "true"


async def test_what_it_says_on_stderr_is_kept(tmp_path: Path) -> None:
    async with stage(tmp_path, agents=agents()) as here:
        result = await ask(here, "behave: notices")
        assert (result.details or {})["stderr"] == "Debugger attached.\n"


async def test_its_status_texts_are_heard(tmp_path: Path) -> None:
    script = """
import os, socket
socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b"STATUS=thinking", os.environ["NOTIFY_SOCKET"])
"""
    async with stage(tmp_path, agents=agents(a=AgentConfig("a", AgentKind.COMMAND, ("python", "-c", script)))) as here:
        assert (await ask(here, "think", "a")).outcome is SUCCESS
        assert here.said == ["thinking"]


# --- which program it is ---


async def test_what_lies_in_the_vault_is_taken_only_where_its_path_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", "", prepend=os.pathsep)
    monkeypatch.setenv("PATH", ".", prepend=os.pathsep)
    written = AgentConfig("written", command=("./odd-claude",))
    bare = AgentConfig("bare", command=("odd-claude",))
    async with stage(tmp_path, agents=agents(written=written, bare=bare)) as here:
        monkeypatch.chdir(here.vault)
        program = here.write("vault/odd-claude", f'#!/bin/sh\nexec {sys.executable} {FAKE} "$@"\n')
        program.chmod(0o755)
        assert (await ask(here, "behave: json", "written")).outcome is SUCCESS
        result = await ask(here, "behave: json", "bare")
        assert (result.outcome, result.final) == (FAILURE, True)
        assert "command 'odd-claude' is not on the PATH" in (result.error or "")


@pytest.mark.parametrize(
    ("agent", "said"),
    [
        (AgentConfig("a", command=("no-claude",)), "curl -fsSL https://claude.ai/install.sh | bash"),
        (AgentConfig("a", command=("/no/claude",)), "curl -fsSL https://claude.ai/install.sh | bash"),
        (AgentConfig("a", AgentKind.COMMAND, command=("no-agent",)), "command of [agents.a]"),
        (AgentConfig("a", AgentKind.COMMAND, command=("/no/agent",)), "command /no/agent does not exist"),
    ],
)
async def test_a_missing_program_is_a_failure_for_good_that_says_what_to_do(
    tmp_path: Path, agent: AgentConfig, said: str
) -> None:
    async with stage(tmp_path, agents={"a": agent}) as here:
        result = await ask(here, "hi", "a")
        assert (result.outcome, result.final, result.output) == (FAILURE, True, "")
        assert said in (result.error or "")
        assert (result.details or {})["argv"][-1] == "…"


async def test_agents_come_and_go_while_it_runs(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        result = await ask(here, "hi")
        assert (result.outcome, result.final) == (FAILURE, True)
        assert "there is no agent claude any more" in (result.error or "")
        here.host.use_agents(AGENTS)
        assert await ask(here, "hi") == await ask(here, "hi")


async def test_a_vault_that_is_gone_and_a_full_disk_are_other_peoples_fault(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> int:
        raise OSError(28, "No space left on device")

    async with stage(tmp_path, agents=agents()) as here:
        with monkeypatch.context() as full:
            full.setattr("orchestrator.actions.answered.open_for", refuse)
            result = await ask(here, "hi")
            assert (result.outcome, result.final) == (FAILURE, False)
            assert "No space left on device" in (result.error or "")
        here.vault.rename(tmp_path / "elsewhere")
        result = await ask(here, "hi")
        assert (result.outcome, result.final) == (FAILURE, False)
        assert "does not exist any more" in (result.error or "")


# --- commands ---


async def test_the_exit_code_of_a_command_decides(tmp_path: Path) -> None:
    async with stage(tmp_path, agents=agents()) as here:
        well = await ask(here, "do it", "teller")
        assert (well.outcome, well.error) == (SUCCESS, None)
        assert json.loads(well.output) == ["argument", digest("do it")]
        assert well.details == {"agent": "teller", "kind": "command", "argv": ["python", "-c", TELLS, "…"]}
        failed = await ask(here, "fail disk", "teller")
        assert (failed.outcome, failed.error, failed.final) == (FAILURE, "exit code 1: no disk", False)
        assert (failed.details or {})["stderr"] == "no disk\n"


# --- cut off ---


@pytest.mark.parametrize(
    ("text", "agent", "output"),
    [("behave: hang-half", "claude", ""), ("hang", "teller", digest("hang"))],
)
async def test_what_is_known_of_one_that_is_cut_off(tmp_path: Path, text: str, agent: str, output: str) -> None:
    async with stage(tmp_path, agents=agents(), patience=SHORT) as here:
        run = new_run()
        with anyio.move_on_after(1.0) as scope:
            await ask(here, text, agent, run)
        assert scope.cancelled_caught
        assert output in run.output
        assert (run.details or {})["argv"][-1] == "…"


async def test_a_timeout_after_the_result_does_not_take_it_away(tmp_path: Path) -> None:
    async with stage(tmp_path, agents=agents(), patience=Patience(stop=0.3, result=2.0)) as here:
        with anyio.move_on_after(1.5) as scope:  # within the grace
            result = await ask(here, "behave: ignores-term-after-result")
            assert (result.outcome, result.output) == (SUCCESS, "It is done.")
        assert not scope.cancelled_caught


# --- much ---


async def test_much_output_holds_nobody_up(tmp_path: Path) -> None:
    async with stage(tmp_path, agents=agents()) as here:
        await ask(here, "behave: json")
        busy = time.process_time()
        result = await ask(here, "behave: huge")
        busy = time.process_time() - busy
        assert result.outcome is SUCCESS
        assert result.output.endswith("xEND")
        assert len(result.output) < 70_000
        assert (result.details or {})["turns"] == 2
    assert busy < 0.3  # seconds; to take it apart takes two or three times as long, wherever that is done


async def test_a_limit_in_much_output_is_heard_too(tmp_path: Path) -> None:
    async with stage(tmp_path, agents=agents()) as here:
        result = await ask(here, "behave: limit-after-much 3600")
    assert result.hold is not None
    assert result.hold.kind is HoldKind.LIMIT
    assert result.hold.until is not None
    assert result.hold.until.tzinfo is not None


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def test_nothing_is_used_up(tmp_path: Path) -> None:
    async with stage(tmp_path, agents=agents()) as here:
        await ask(here, "hi")
        before, threads = open_files(), threading.active_count()
        with anyio.fail_after(PATIENCE):
            for _ in range(5):
                await ask(here, "hi")
                await ask(here, "y" * 120_000, "teller")
        assert open_files() == before
        assert threading.active_count() <= threads + 1
        assert left(here.state) == []


# --- Letta ---


def companion(url: str, agent_id: str | None = "agent-1") -> Mapping[str, AgentConfig]:
    return {"companion": AgentConfig("companion", AgentKind.LETTA, base_url=url, agent_id=agent_id)}


async def test_a_message_to_letta_is_delivered(tmp_path: Path) -> None:
    with letta_server() as server:
        async with stage(tmp_path, agents=companion(server.url)) as here:
            result = await here.perform(Prompt("Guten Morgen 😀\n$5", "companion"))
            other = await here.perform(Prompt("Hi", "companion", "agent-2"))
        assert [(each.path, each.text) for each in server.arrived] == [
            ("/v1/agents/agent-1/messages", "Guten Morgen 😀\n$5"),
            ("/v1/agents/agent-2/messages", "Hi"),
        ]
    assert (result.outcome, result.output, result.error) == (SUCCESS, "Done.", None)
    details = result.details or {}
    assert (details["agent"], details["kind"], details["delivery"]) == ("companion", "letta", "delivered")
    assert other.outcome is SUCCESS


async def test_one_that_letta_could_not_take_may_be_sent_again(tmp_path: Path) -> None:
    with letta_server(REFUSED) as server:
        async with stage(tmp_path, agents=companion(server.url)) as here:
            result = await here.perform(Prompt("Hi", "companion"))
    assert (result.outcome, result.final, (result.details or {})["delivery"]) == (FAILURE, False, "refused")


async def test_one_that_is_cut_off_may_have_been_delivered(tmp_path: Path) -> None:
    run = new_run()
    with letta_server(HANGS) as server:
        agents = companion(server.url)
        async with stage(tmp_path, agents=agents, patience=SHORT) as here, anyio.create_task_group() as tasks:
            tasks.start_soon(here.perform, Prompt("Hi", "companion"), run)
            await until(lambda: server.arrived)
            tasks.cancel_scope.cancel()
    details = run.details or {}
    assert (details["agent"], details["delivery"]) == ("companion", "unknown")


async def test_a_dry_run_sends_nothing(tmp_path: Path) -> None:
    with letta_server() as server:
        async with stage(tmp_path, agents=companion(server.url)) as here:
            result = await here.perform(Prompt("Hi", "companion"), dry(new_run()))
        assert (result.outcome, result.error) == (SKIPPED, "dry run: not sent")
        assert (result.details or {})["delivery"] == "not sent"
        assert server.connections == 0


@pytest.mark.parametrize(("url", "agent_id"), [("http://127.0.0.1:1", None), ("nonsense", "agent-1")])
async def test_what_makes_no_sense_is_not_tried(tmp_path: Path, url: str, agent_id: str | None) -> None:
    async with stage(tmp_path, agents=companion(url, agent_id)) as here:
        result = await here.perform(Prompt("Hi", "companion"))
    assert (result.outcome, result.final) == (FAILURE, True)
    assert (result.details or {})["agent"] == "companion"


# --- the prompts that come along ---


async def test_a_look_at_the_vault_comes_first(tmp_path: Path) -> None:
    async with stage(tmp_path, agents=agents()) as here:
        nothing = await here.perform(BuiltinPrompt("morning_triage", "claude"))
        assert (nothing.outcome, nothing.output, bool(nothing.error)) == (SKIPPED, "", True)
        here.write("vault/Needs_Action/mail.md", "---\ntype: email\n---\nHello\n")
        missing = await here.perform(BuiltinPrompt("morning_triage", "claude"))
        assert missing.outcome is FAILURE
        assert "Prompts/morning_triage.md" in (missing.error or "")
        here.write("vault/Prompts/morning_triage.md", "Sort what is there. $HOME “ü”\n")
        done = await here.perform(BuiltinPrompt("morning_triage", "claude"))
        assert done.outcome is SUCCESS
        assert done.output.startswith("Sort what is there. $HOME “ü”\n")
        details = done.details or {}
        assert (details["agent"], details["prepared"]) == ("claude", "1 note in Needs_Action")


async def test_its_prompt_may_be_long(tmp_path: Path) -> None:
    async with stage(tmp_path, agents=agents()) as here:
        here.write("vault/Needs_Action/mail.md", "Hello\n")
        text = "behave: save told\n" + "😀\t" * 209_000
        here.write("vault/Prompts/morning_triage.md", text)
        assert (await here.perform(BuiltinPrompt("morning_triage", "claude"))).outcome is SUCCESS
        assert told(here, "told")["prompt"].startswith(text.strip())
