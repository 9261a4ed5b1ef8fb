"""Commands for real: what is kept of them, how they end, and that nobody of theirs is left."""

import errno
import os
import signal
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
import pytest
from acting import Stage, dry, gone, new_run, stage
from spawning import PATIENCE, group_lives, until

from orchestrator.config.model import Builtin, Command
from orchestrator.processes.groups import Patience
from orchestrator.processes.printed import OUTPUT_MAX, STDERR_MAX
from orchestrator.schedule.runs import Outcome, Result

SUCCESS, FAILURE = Outcome.SUCCESS, Outcome.FAILURE
linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

FLOOD = """
import os, sys
block, left = b"x" * 99 + b"\\n", 50_000_000
for _ in range(left // (len(block) * 1000)):
    os.write(1, block * 1000)
    os.write(2, block * 1000)
print("done")
"""


SHORT = Patience(stop=0.3)


# --- results ---


@pytest.mark.parametrize(
    ("script", "result"),
    [
        ("echo one; echo two", Result(SUCCESS, "one\ntwo\n")),
        ("printf 'grün € 😀'", Result(SUCCESS, "grün € 😀")),
        ("printf '\\377'", Result(SUCCESS, "\ufffd")),
        ("echo warning >&2", Result(SUCCESS, "")),
        ("exit 0", Result(SUCCESS, "")),
        ("echo one; exit 3", Result(FAILURE, "one\n", "exit code 3")),
        ("echo one; echo no disk >&2; exit 3", Result(FAILURE, "one\n", "exit code 3: no disk")),
        ("kill -KILL $$", Result(FAILURE, "", "killed by SIGKILL")),
        ("cat; echo end", Result(SUCCESS, "end\n")),  # stdin is empty
    ],
)
async def test_how_it_went_and_what_it_said(tmp_path: Path, script: str, result: Result) -> None:
    async with stage(tmp_path) as here:
        assert await here.sh(script) == result


async def test_it_is_no_shell(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        assert (await here.perform(Command(("echo", "$HOME", ">", "*", "a  b")))).output == "$HOME > * a  b\n"


async def test_what_it_finds_when_it_starts(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        script = 'pwd; echo "$AIEMP_TASK $AIEMP_RUN $AIEMP_VAULT $AIEMP_STATE_DIR $DRY_RUN"; echo "$WATCHDOG_USEC"'
        vault = str(here.vault)
        assert (await here.sh(script)).output.splitlines() == [
            vault,
            f"t r1 {vault} {vault}/.aiemp false",
            "",
        ]
        assert (await here.sh("echo $DRY_RUN", dry(new_run()))).output == "true\n"
        here.host.use_dry_run(dry_run=True)
        assert (await here.sh("echo $DRY_RUN")).output == "true\n"


@linux
async def test_its_session_and_descriptors_are_its_own(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        script = "ls /proc/$$/fd; cut -d' ' -f5,6 /proc/$$/stat; echo $$ $$"
        *descriptors, ids, own = (await here.sh(script)).output.splitlines()
        assert descriptors == ["0", "1", "2"]
        assert ids == own


@pytest.mark.parametrize(
    ("command", "said"),
    [
        ("no-such-command", "command 'no-such-command' is not on the PATH"),
        ("/no/such", "command /no/such does not exist"),
        ("./text", "text is not executable; chmod +x it"),
        ("./nul\0", "its command or environment cannot be passed on"),
    ],
)
async def test_what_cannot_be_started_says_why(tmp_path: Path, command: str, said: str) -> None:
    async with stage(tmp_path) as here:
        here.write("text", "echo")
        result = await here.perform(Command((command,)))
        assert result.outcome is FAILURE
        assert said in (result.error or "")
        assert here.nothing_left()


@pytest.mark.parametrize("number", [errno.EAGAIN, errno.EMFILE])
@pytest.mark.parametrize("what", ["spawn", "pipe", "socket"])
async def test_a_machine_that_is_short_of_something_is_a_failure_in_words(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int, what: str
) -> None:
    def refuse(*_: Any, **__: Any) -> Any:
        raise OSError(number, os.strerror(number))

    async with stage(tmp_path) as here:
        with monkeypatch.context() as short:
            short.setattr(
                *{
                    "spawn": (subprocess, "Popen"),
                    "pipe": (os, "pipe"),
                    "socket": (here.host.groups._notify, "open"),
                }[what],
                refuse,
            )
            result = await here.sh("echo hi")
        assert result.outcome is FAILURE
        assert os.strerror(number) in (result.error or "")
        assert here.nothing_left()
        assert (await here.sh("echo hi")).output == "hi\n"


async def test_chores_of_the_daemon_are_called(tmp_path: Path) -> None:
    async def update() -> Result:
        return Result(SUCCESS, "updated")

    async with stage(tmp_path, {"health_update": update}) as here:
        assert await here.perform(Builtin("health_update")) == Result(SUCCESS, "updated")
        assert (await here.perform(Builtin("no_such_chore"))).outcome is FAILURE


# --- output ---


async def test_a_flood_stops_nobody_and_only_its_end_is_kept(tmp_path: Path) -> None:
    beats = 0

    async def beat() -> None:
        nonlocal beats
        while True:
            await anyio.lowlevel.checkpoint()
            beats += 1

    async with stage(tmp_path) as here, anyio.create_task_group() as tasks:
        tasks.start_soon(beat)
        tracemalloc.start()
        result = await here.perform(Command(("python", "-c", FLOOD)))
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
        tasks.cancel_scope.cancel()
    assert (result.outcome, result.error) == (SUCCESS, None)
    first, *lines = result.output.splitlines()
    assert first == f"… {50_000_000 + 5 - 655 * 100 - 5} bytes cut"
    assert lines == ["x" * 99] * 655 + ["done"]
    assert beats > 100  # the loop turned all the time
    assert peak < 4_000_000


async def test_many_at_once_keep_their_outputs_apart(tmp_path: Path) -> None:
    found = {}

    async def one(here: Stage, number: int) -> None:
        found[number] = await here.sh(f"echo {number}; echo {number} >&2; exit {number}", new_run(f"r{number}"))

    async with stage(tmp_path) as here, anyio.create_task_group() as tasks:
        for number in range(1, 41):
            tasks.start_soon(one, here, number)
    assert found == {n: Result(FAILURE, f"{n}\n", f"exit code {n}: {n}") for n in range(1, 41)}


async def test_its_status_is_heard_to_the_last_word(tmp_path: Path) -> None:
    script = """
import os, socket
speaker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
speaker.connect(os.environ["NOTIFY_SOCKET"])
for text in ("READY=1", "STATUS=half\\nREADY=1", "STATUS=" + "ä" * 300):
    speaker.send(text.encode())
"""
    async with stage(tmp_path) as here:
        assert (await here.perform(Command(("python", "-c", script)))).outcome is SUCCESS
        assert here.said == ["half", "ä" * 200]


async def test_half_a_secret_is_not_left_where_something_is_cut(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SOME_TOKEN", "S3CR3T-V4LU3")
    script = f"""
import os, socket, sys
secret = os.environ["SOME_TOKEN"]
speaker = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
speaker.sendto(("STATUS=" + "x" * 195 + secret).encode(), os.environ["NOTIFY_SOCKET"])
sys.stdout.write(secret + "y" * {OUTPUT_MAX - 6})
sys.exit(secret + "z" * {STDERR_MAX - 7})
"""
    async with stage(tmp_path) as here:
        result = await here.perform(Command(("python", "-c", script)))
        assert here.said == ["x" * 195 + "[reda"]
    assert result.output == f"… 12 bytes cut\n{'y' * (OUTPUT_MAX - 6)}"
    assert result.error == f"exit code 1: {'z' * (STDERR_MAX - 7)}"


# --- ends ---

STUBBORN = """
(trap "" TERM; echo $$ > grandchild; exec sleep 1000) &
trap "" TERM
echo begun
echo $$ > leader
while :; do sleep 1000; done
"""


async def test_cancelling_ends_the_whole_group_also_those_who_ignore_sigterm(tmp_path: Path) -> None:
    async with stage(tmp_path, patience=SHORT) as here:
        run = new_run()
        with anyio.CancelScope() as scope:
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(here.sh, STUBBORN, run)
                pid = await here.number("leader")
                await here.number("grandchild")
                scope.cancel()
        assert gone(pid)
        assert run.output == "begun\n"
        assert here.nothing_left()


async def test_who_obeys_sigterm_is_not_waited_for(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        script = "trap 'echo bye > bye; exit 0' TERM; echo $$ > leader; while :; do sleep 0.01; done"
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(here.sh, script)
            pid = await here.number("leader")
            started = anyio.current_time()
            tasks.cancel_scope.cancel()
        assert anyio.current_time() - started < Patience().stop
        assert gone(pid)
        assert (here.vault / "bye").exists()


async def test_a_run_cancelled_before_it_began_starts_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        with anyio.CancelScope() as scope:
            scope.cancel()
            await here.sh("echo hi > begun")
        assert here.nothing_left()
        assert not (here.vault / "begun").exists()


async def test_a_group_is_ended_also_when_nobody_serves_any_more(tmp_path: Path) -> None:
    here = Stage(tmp_path, patience=SHORT)
    async with anyio.create_task_group() as tasks:
        await tasks.start(here.host.serve)
        tasks.start_soon(here.sh, STUBBORN)
        pid = await here.number("leader")
        tasks.cancel_scope.cancel()  # all at once, as after a crash
    assert gone(pid)
    assert here.nothing_left()
    here.host.close()


async def test_killing_all_needs_no_patience(tmp_path: Path) -> None:
    found: list[Result] = []

    async with stage(tmp_path) as here:

        async def run() -> None:
            found.append(await here.sh(STUBBORN))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            pid = await here.number("leader")
            here.host.kill_all()
        assert gone(pid)
    assert found == [Result(FAILURE, "begun\n", "killed by SIGKILL")]


async def test_who_not_even_sigkill_ends_is_left_alone_in_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async with stage(tmp_path, patience=Patience(stop=0.02, kill=0.02)) as here:
        with monkeypatch.context() as deaf:
            deaf.setattr("orchestrator.processes.children.signal_group", lambda *_: None)
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(here.sh, "echo $$ > leader; exec sleep 1000")
                pid = await here.number("leader")
                tasks.cancel_scope.cancel()
        assert f"t: not even SIGKILL ended all of process group {pid}" in caplog.text
        os.kill(pid, signal.SIGKILL)
        await here.sh("exit 0")  # its late death disturbs nobody
        assert gone(pid)


async def test_who_is_killed_from_outside_has_failed(tmp_path: Path) -> None:
    found: list[Result] = []

    async with stage(tmp_path) as here:

        async def run() -> None:
            found.append(await here.sh("sleep 1000 & echo $$ > leader; wait"))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            pid = await here.number("leader")
            os.kill(pid, signal.SIGTERM)
        assert gone(pid)  # the grandchild too
    assert found == [Result(FAILURE, "", "killed by SIGTERM")]


async def test_what_a_leader_leaves_in_its_group_is_ended_before_the_result_is_given(tmp_path: Path) -> None:
    async with stage(tmp_path, patience=SHORT) as here:
        script = '(trap "" TERM; echo ready > ready; exec sleep 1000) & until test -s ready; do :; done; echo $$'
        result = await here.sh(script)
        assert result.outcome is SUCCESS
        assert gone(int(result.output))


@linux
async def test_who_left_the_group_with_its_pipe_is_not_waited_for(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        script = "setsid sh -c 'echo $$ > stray; echo more; exec sleep 1000' & until test -s stray; do :; done; echo hi"
        result = await here.sh(script)
        stray = await here.number("stray")
        try:
            assert sorted(result.output.split()) == ["hi", "more"]
            assert group_lives(stray)
        finally:
            os.killpg(stray, signal.SIGKILL)


@linux
async def test_a_flood_from_who_left_the_group_does_not_hold_the_result_up(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        result = await here.sh("setsid sh -c 'echo $$ > stray; exec yes' & until test -s stray; do :; done; exit 0")
        stray = await here.number("stray")
        await until(lambda: not group_lives(stray))  # its pipe is closed
        assert result.outcome is SUCCESS


async def test_a_descriptor_closed_early_costs_nothing(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        turns = 0
        read = here.host.groups._outputs.read

        def count() -> None:
            nonlocal turns
            turns += 1
            read()

        here.host.groups._outputs.read = count  # type: ignore[method-assign]
        assert (await here.sh("exec >&- 2>&-; sleep 0.2")) == Result(SUCCESS, "")
        assert turns < 10  # an end of file is not read over and over


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


async def test_nothing_is_used_up(tmp_path: Path) -> None:
    async with stage(tmp_path) as here:
        await here.sh("exit 0")
        before = open_files()
        with anyio.fail_after(PATIENCE):
            for _ in range(30):
                await here.sh("echo hi")
        assert open_files() == before
        assert list((here.vault / ".aiemp" / "runs").iterdir()) == []
