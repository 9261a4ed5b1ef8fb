"""The supervisor on the real machine: real children, real output, real messages."""

import os
import shutil
import signal
import stat
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import pytest
from real_site import AT_ONCE, serving
from spawning import PATIENCE, group_lives, until

from orchestrator.config.model import Ready, Restart
from orchestrator.places import private_folder
from orchestrator.processes.identity import Identity
from orchestrator.redaction import Redactor
from orchestrator.supervise.machine import Launched
from orchestrator.supervise.states import State
from orchestrator.supervise.verdict import Verb


async def test_a_crash_loop_ends_paused_after_six_starts_with_the_last_words_as_reason(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        site.supervisor.add(site.sh("a", "echo start; echo I give up >&2; exit 3", replace(AT_ONCE, start_seconds=1.0)))
        verdict = (await site.ask(Verb.START, "a"))["a"]
        assert not verdict.ok
        await until(lambda: site.state("a") is State.PAUSED)
        await site.supervisor.settle("a")
        assert site.log("a").count("start\n") == 6
        reason = site.supervisor.keepers["a"].reason() or ""
        assert "restarted 5 times" in reason
        assert "exit code 3" in reason
        assert "I give up" in reason


async def test_what_a_watcher_says_is_told_without_its_secrets_and_logged_as_it_was_said(tmp_path: Path) -> None:
    (tmp_path / ".env").write_text("GMAIL_TOKEN='from-the-file'\nMODE=from-the-mode\n")
    script = """
import os, socket, sys
speaker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
speaker.connect(os.environ["NOTIFY_SOCKET"])
said = f"{os.environ['GMAIL_TOKEN']} {os.environ['MODE']}"
speaker.send(b"READY=1\\nSTATUS=" + said.encode())
sys.stdin = open(sys.argv[1])
sys.stdin.read()
sys.exit(said)
"""
    os.mkfifo(tmp_path / "go")
    async with serving(tmp_path) as site:
        policy = replace(AT_ONCE, ready=Ready.NOTIFY, restart=Restart.NEVER)
        command = ("python", "-c", script, str(tmp_path / "go"))
        site.supervisor.add(site.watcher("a", *command, policy=policy, env_file=tmp_path / ".env"))
        assert (await site.ask(Verb.START, "a"))["a"].ok
        assert site.supervisor.keepers["a"].status_text == "[redacted] from-the-mode"
        (tmp_path / "go").write_bytes(b"")
        await until(lambda: site.state("a") is State.EXITED)
        await site.supervisor.settle("a")
        assert (site.supervisor.keepers["a"].reason() or "").endswith("last output: [redacted] from-the-mode")
        assert "from-the-file from-the-mode" in site.log("a")
        site.supervisor.add(site.sh("b", "sleep 1000"))
        await site.ask(Verb.START, "b")
        assert ("b" in site.machine._redactors) is bool(Redactor(os.environ))  # most need no memory for it


async def test_the_killed_are_back_with_another_pid(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        site.supervisor.add(site.watcher("a", "sleep", "1000"))
        await site.ask(Verb.START, "a")
        pids = [site.pid("a")]
        for _ in range(3):
            os.kill(pids[-1], signal.SIGKILL)
            await until(lambda: site.state("a") is State.RUNNING and site.pid("a") not in pids)
            pids.append(site.pid("a"))
        assert site.supervisor.keepers["a"].child.total == 3
        assert [pid for pid in pids if group_lives(pid)] == pids[-1:]


async def test_readiness_status_and_watchdog_are_heard(tmp_path: Path) -> None:
    script = """
import os, socket, sys, time
speaker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
speaker.connect(os.environ["NOTIFY_SOCKET"])
speaker.send(b"READY=1\\nSTATUS=" + os.environ["WATCHDOG_USEC"].encode())
time.sleep(1000)
"""
    async with serving(tmp_path) as site:
        policy = replace(AT_ONCE, ready=Ready.NOTIFY, watchdog=0.2)
        site.supervisor.add(site.watcher("a", "python", "-c", script, policy=policy))
        assert (await site.ask(Verb.START, "a"))["a"].ok
        assert site.supervisor.keepers["a"].status_text == "200000"
        first = site.pid("a")
        await until(lambda: site.supervisor.keepers["a"].child.total > 0)  # it never says WATCHDOG=1
        assert site.supervisor.keepers["a"].pid != first


async def test_nobody_is_left_when_the_leader_obeys_and_its_child_does_not(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        site.supervisor.add(site.sh("a", '(trap "" TERM; echo child ready; exec sleep 1000) & wait'))
        await site.ask(Verb.START, "a")
        await until(lambda: "child ready" in site.log("a"))
        pid = site.pid("a")
        started = anyio.current_time()
        assert (await site.ask(Verb.STOP, "a"))["a"].ok
        assert anyio.current_time() - started >= AT_ONCE.stop_timeout
        assert not group_lives(pid)


async def test_what_a_killed_leader_leaves_ends_before_its_successor_starts(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        site.supervisor.add(site.sh("a", "sleep 1000 & echo ready; wait"))
        await site.ask(Verb.START, "a")
        await until(lambda: "ready" in site.log("a"))
        first = site.pid("a")
        os.kill(first, signal.SIGKILL)
        await until(lambda: site.supervisor.keepers["a"].generation == 2)
        assert not group_lives(first)


@pytest.mark.parametrize(
    ("prepare", "said"),
    [
        (lambda site: site.watcher("a", "no-such-command"), "command 'no-such-command' is not on the PATH"),
        (lambda site: site.watcher("a", "/no/such"), "command /no/such does not exist"),
        (lambda site: site.watcher("a", "true", required_env=("NO_SUCH_KEY",)), "required_env: NO_SUCH_KEY not set"),
        (lambda site: site.watcher("a", "true", env_file=site.vault / "none"), "none: No such file or directory"),
    ],
)
async def test_what_cannot_be_started_is_fatal_and_says_why(tmp_path: Path, prepare: Any, said: str) -> None:
    async with serving(tmp_path) as site:
        site.supervisor.add(prepare(site))
        verdict = (await site.ask(Verb.START, "a"))["a"]
        assert (verdict.ok, site.state("a")) == (False, State.FATAL)
        assert said in verdict.message
        assert said in (site.supervisor.keepers["a"].reason() or "")


async def test_a_hundred_watchers_that_die_at_once_are_all_back(tmp_path: Path) -> None:
    names = [f"w{number}" for number in range(100)]
    async with serving(tmp_path) as site:
        for name in names:
            site.supervisor.add(site.watcher(name, "sleep", "1000"))
        await site.ask(Verb.START, *names)
        before = {name: site.pid(name) for name in names}
        for pid in before.values():
            os.kill(pid, signal.SIGKILL)
        await until(lambda: all(site.supervisor.keepers[name].generation == 2 for name in names))
        assert all(site.state(name) is State.RUNNING for name in names)
        assert not set(before.values()) & {site.pid(name) for name in names}


async def test_without_room_for_a_socket_only_that_watcher_is_in_trouble(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        in_the_way = site.machine._sockets.path("a")
        shutil.copy("/bin/true", in_the_way)  # no socket, so it is left alone
        site.supervisor.add(site.sh("a", "exit 0", replace(AT_ONCE, restart=Restart.NEVER)))
        site.supervisor.add(site.watcher("b", "sleep", "1000"))
        verdicts = await site.ask(Verb.START, "a", "b")
        assert (verdicts["a"].ok, verdicts["b"].ok) == (False, True)
        assert "its pipe or socket cannot be made" in verdicts["a"].message
        os.unlink(in_the_way)  # noqa: PTH108  a string
        assert (await site.ask(Verb.START, "a"))["a"].ok


async def test_a_state_folder_that_someone_removed_is_made_again_at_the_next_start(tmp_path: Path) -> None:
    state = tmp_path / ".aiemp"
    async with serving(tmp_path) as site:
        for name in ("a", "b"):
            site.supervisor.add(site.sh(name, "echo $AIEMP_WATCHER; exec sleep 1000"))
        await site.ask(Verb.START, "a", "b")
        await until(lambda: site.log("a"))
        shutil.rmtree(state)
        os.kill(site.pid("a"), signal.SIGKILL)
        await until(lambda: site.log("a") == "a\na\n")
        assert site.state("a") is State.RUNNING
    assert stat.S_IMODE(state.stat().st_mode) == 0o700
    assert (state / "pipes" / "a").is_fifo()


async def test_what_lies_in_the_sockets_way_makes_nobody_fatal_and_ends_nothing(tmp_path: Path) -> None:
    sockets = tmp_path / ".aiemp" / "notify"
    async with serving(tmp_path) as site:
        site.supervisor.add(site.watcher("a", "sleep", "1000"))
        shutil.rmtree(sockets)
        sockets.write_text("mine")
        verdict = (await site.ask(Verb.START, "a"))["a"]
        assert (verdict.ok, site.state("a")) == (False, State.BACKOFF)
        assert "is not a folder of yours" in verdict.message
        sockets.unlink()
        await until(lambda: site.state("a") is State.RUNNING)


# --- who is who ---


async def test_a_process_has_one_identity_for_life(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        site.supervisor.add(site.watcher("a", "sleep", "1000"))
        await site.ask(Verb.START, "a")
        identity = site.machine.launched["a"].identity
        assert identity == Identity.of(site.pid("a"))
        assert identity.lives()
        assert 0 <= identity.age() < PATIENCE
        assert not replace(identity, start_time=identity.start_time + 1).lives()  # the PID went to another one
        assert not replace(identity, boot_id="another boot").lives()
        await site.ask(Verb.STOP, "a")
        assert not identity.lives()


async def test_an_adoption_that_fails_is_no_adoption(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        site.supervisor.add(site.watcher("a", "sleep", "1000"))
        site.supervisor.add(site.watcher("b", "sleep", "1000"))
        await site.ask(Verb.START, "a")
        identity = site.machine.launched["a"].identity
        stranger = Launched(replace(identity, start_time=identity.start_time + 1), "")
        nobody = Launched(replace(identity, pid=2**22 - 1), "")
        other_vault = tmp_path / "other"
        private_folder(str(other_vault))
        async with serving(other_vault) as other:
            assert not other.machine.adopt("b", stranger)
            assert not other.machine.adopt("b", nobody)
            await site.ask(Verb.STOP, "a")
            assert list(other.machine.deaths()) == []  # not its business
