"""Process groups for real: into files, until they have done enough; and the files themselves."""

import os
import stat
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import anyio
import pytest
from acting import Stage, gone, stage
from spawning import until

from orchestrator.actions.watched import Watched
from orchestrator.clock import SystemClock
from orchestrator.processes import nameless
from orchestrator.processes.children import Program
from orchestrator.processes.death import Death
from orchestrator.processes.groups import Ended, Enough, Groups, Patience
from orchestrator.redaction import NOTHING, Redactor

GRACE = 0.3  # seconds


@asynccontextmanager
async def groups(folder: Path) -> AsyncIterator[tuple[Groups, Stage]]:
    async with stage(folder, patience=Patience(stop=GRACE)) as here:
        yield here.host.groups, here


def sh(here: Stage, script: str) -> Program:
    return Program("/bin/sh", ("sh", "-c", script), str(here.vault), {"PATH": os.environ["PATH"]})


def enough(seconds: float, here: Stage) -> Enough:
    """It has done enough when the file `done` is there."""

    async def tell() -> float | None:
        return seconds if (here.vault / "done").exists() else None

    return tell


# --- into files ---


async def test_what_is_printed_into_a_file_is_there_and_nowhere_else(tmp_path: Path) -> None:
    async with groups(tmp_path) as (made, here):
        with nameless.closing(nameless.nameless_file(here.state)) as file:
            ended = await made.run("t", "k", sh(here, "echo one; echo two >&2"), stdout=file)
            assert nameless.read(file, 100) == b"one\n"
    assert (ended.death, ended.stdout.text(), ended.stderr.text()) == (Death(code=0), "", "two\n")


async def test_as_much_is_kept_as_is_asked_for(tmp_path: Path) -> None:
    async with groups(tmp_path) as (made, here):
        ended = await made.run("t", "k", sh(here, "seq 100000"), keep=10_000_000)
        assert ended.stdout.total == len(ended.stdout.text())
        assert ended.stdout.last_line() == b"100000"


# --- enough ---


async def test_who_has_done_enough_is_ended_with_its_group(tmp_path: Path) -> None:
    async with groups(tmp_path) as (made, here):
        script = '(trap "" TERM; echo $$ > child; exec sleep 1000) & touch done; echo said; exec sleep 1000'
        ended = await made.run("t", "k", sh(here, script), enough=enough(0.0, here))
        assert (ended.death, ended.stdout.text()) == (None, "said\n")
        assert gone(await here.number("child"))


async def test_who_ends_by_itself_meanwhile_is_not_disturbed(tmp_path: Path) -> None:
    async with groups(tmp_path) as (made, here):
        script = "trap 'exit 9' TERM; touch done; sleep 0.8; exit 3"
        ended = await made.run("t", "k", sh(here, script), enough=enough(10.0, here))
        assert ended.death == Death(code=3)


async def test_who_has_not_done_enough_goes_on(tmp_path: Path) -> None:
    async with groups(tmp_path) as (made, here):
        ended = await made.run("t", "k", sh(here, "sleep 1.2; exit 4"), enough=enough(0.0, here))
        assert ended.death == Death(code=4)


async def test_cancelling_within_the_grace_undoes_nothing(tmp_path: Path) -> None:
    async with groups(tmp_path) as (made, here):
        asked = 0

        async def tell() -> float | None:
            nonlocal asked
            asked += 1
            return 0.6

        found: list[Ended] = []
        with anyio.CancelScope() as scope:

            async def run() -> None:
                found.append(await made.run("t", "k", sh(here, "exec sleep 1000"), enough=tell))

            async def cancel() -> None:
                await until(lambda: asked)
                scope.cancel()

            async with anyio.create_task_group() as tasks:
                tasks.start_soon(run)
                tasks.start_soon(cancel)
        assert [each.death for each in found] == [None]


async def test_cancelling_before_that_ends_it_and_tells_what_was_printed(tmp_path: Path) -> None:
    async with groups(tmp_path) as (made, here):
        cut_off: list[Ended] = []

        async def run() -> None:
            program = sh(here, "echo begun; echo $$ > leader; exec sleep 1000")
            await made.run("t", "k", program, enough=enough(0.0, here), when_cancelled=cut_off.append)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            pid = await here.number("leader")
            tasks.cancel_scope.cancel()
        assert gone(pid)
        assert [(each.death, each.stdout.text()) for each in cut_off] == [(Death(signal="SIGTERM"), "begun\n")]


# --- files without a name ---


def test_nobody_else_finds_such_a_file_and_it_is_read_from_its_beginning(tmp_path: Path) -> None:
    for fd in (nameless.nameless_file(str(tmp_path)), nameless.file_in_memory()):
        with nameless.closing(fd, b"ab" * 1_500_000) as file:
            assert list(tmp_path.iterdir()) == []
            assert not os.get_inheritable(file)
            assert (nameless.size(file), nameless.read(file, 3)) == (3_000_000, b"bab")
            assert os.read(file, 2) == b"ab"
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(fd)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere its place decides")
def test_it_is_its_users_alone_and_on_the_disk(tmp_path: Path) -> None:
    with nameless.closing(nameless.nameless_file(str(tmp_path))) as file:
        found = os.fstat(file)
        assert stat.S_IMODE(found.st_mode) == 0o600
        assert (found.st_nlink, found.st_dev) == (0, tmp_path.stat().st_dev)


@pytest.mark.parametrize(
    ("said", "text"),
    [
        ("one\n", "one\n"),
        ("x" * 99_999 + "\n" + "y" * 10, f"… {100_000 + 10 - 65_536} bytes cut\n" + "x" * 65_525 + "\n" + "y" * 10),
        ("a KLMNOPQR b", "a [redacted] b"),
    ],
)
def test_the_end_of_it_is_kept_without_secrets(tmp_path: Path, said: str, text: str) -> None:
    with nameless.closing(nameless.nameless_file(str(tmp_path)), said.encode()) as file:
        assert nameless.end_of(file, Redactor({"A_KEY": "KLMNOPQR"})) == text
        assert nameless.end_of(file, NOTHING).endswith(said[-5:])


# --- looked at while it grows ---


async def test_it_is_looked_at_only_when_it_has_grown(tmp_path: Path) -> None:
    looks: list[bytes] = []

    async def is_whole() -> bool:
        looks.append(nameless.read(file, 100))
        return looks[-1].endswith(b".")

    with nameless.closing(nameless.nameless_file(str(tmp_path))) as file:
        watched = Watched(file, SystemClock(), is_whole, limit=10, grace=5.0)
        assert await watched.enough() is None
        os.write(file, b"half")
        assert [await watched.enough(), await watched.enough()] == [None, None]
        os.write(file, b" a.")
        with anyio.fail_after(5):
            while await watched.enough() is None:  # noqa: ASYNC110  it rests after each look
                await anyio.sleep(0.001)
        assert await watched.enough() == 5.0
        assert looks == [b"half", b"half a."]
        os.write(file, b" and much more")
        assert (await watched.enough(), watched.too_much) == (0.0, False)


async def test_a_look_that_fails_is_made_again(tmp_path: Path) -> None:
    looks = iter([OSError(5, "Input/output error"), None])

    async def is_whole() -> bool:
        if (trouble := next(looks)) is not None:
            raise trouble
        return True

    with nameless.closing(nameless.nameless_file(str(tmp_path)), b"x") as file:
        watched = Watched(file, SystemClock(), is_whole, limit=10, grace=5.0)
        with anyio.fail_after(5):
            while await watched.enough() is None:  # noqa: ASYNC110  it rests after each look
                await anyio.sleep(0.001)


async def test_too_much_without_an_end_is_too_much(tmp_path: Path) -> None:
    async def is_whole() -> bool:
        return True

    with nameless.closing(nameless.nameless_file(str(tmp_path)), b"x" * 11) as file:
        watched = Watched(file, SystemClock(), is_whole, limit=10, grace=5.0)
        assert (await watched.enough(), watched.too_much) == (0.0, True)
