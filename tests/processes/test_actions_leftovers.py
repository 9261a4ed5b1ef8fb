"""What a killed daemon's runs have left: ended before the next daemon runs anything, and nobody else is."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from spawning import PATIENCE, group_lives, orphan

from orchestrator.processes.leftovers import end_leftovers

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")

# A daemon that performs the shell script it is given as run r1, until it is killed.
DAEMON = """
import sys, anyio
from pathlib import Path
sys.path.append(sys.argv[1])
from acting import stage

async def main():
    async with stage(Path(sys.argv[2])) as here:
        await here.sh(sys.argv[3])

anyio.run(main)
"""
IGNORES = 'trap "" TERM; '


@pytest.fixture
def processes() -> Iterator[list[int]]:
    """Process groups to end after the test, whatever comes of it."""
    found: list[int] = []
    yield found
    for pid in found:
        if group_lives(pid):
            os.killpg(pid, signal.SIGKILL)


def killed_daemon(folder: Path, script: str, *names: str) -> list[int]:
    """Kill a daemon in the middle of a run; give the PIDs that its script wrote into these files of the vault."""
    argv = [sys.executable, "-c", DAEMON, str(Path(__file__).parent), str(folder), script]
    with subprocess.Popen([*argv], stdin=subprocess.DEVNULL) as daemon:
        files = [folder / "vault" / name for name in names]
        try:
            wait_until_written(files)
        finally:
            daemon.kill()
    return [int(file.read_text()) for file in files]


def wait_until_written(files: list[Path]) -> None:
    script = 'for f in "$@"; do until test -s "$f"; do sleep 0.01; done; done'
    subprocess.run(["/bin/sh", "-c", script, "sh", *files], check=True, timeout=PATIENCE)


def ended(folder: Path, *, grace: float = 5.0, of: set[str] | None = None) -> set[str]:
    return end_leftovers(str(folder / "vault" / ".aiemp"), grace=grace, of=of)


def test_a_run_whose_daemon_was_killed_is_ended(tmp_path: Path, processes: list[int]) -> None:
    pids = killed_daemon(tmp_path, "echo $$ > leader; sleep 1000 & wait", "leader")
    processes += pids
    assert group_lives(*pids)
    assert ended(tmp_path) == {"r1"}
    assert not group_lives(*pids)
    assert ended(tmp_path) == set()


def test_who_ignores_sigterm_is_killed_after_the_grace(tmp_path: Path, processes: list[int]) -> None:
    script = f"{IGNORES} echo $$ > leader; while :; do sleep 1000; done"
    processes += killed_daemon(tmp_path, script, "leader")
    assert ended(tmp_path, grace=0.1) == {"r1"}
    assert not any(map(group_lives, processes))


def test_who_has_lost_the_leader_or_left_the_session_is_ended_too(tmp_path: Path, processes: list[int]) -> None:
    script = """
    echo $$ > leader
    (echo $$ > group; exec sleep 1000) &
    setsid sh -c 'echo $$ > stray; exec sleep 1000' &
    until test -s stray; do :; done
    exec sleep 1000
    """
    leader, stray = killed_daemon(tmp_path, script, "leader", "stray")
    processes += [leader, stray]
    os.kill(leader, signal.SIGKILL)
    assert ended(tmp_path) == {"r1"}
    assert not any(map(group_lives, processes))


def test_who_is_started_meanwhile_is_ended_too(tmp_path: Path, processes: list[int]) -> None:
    script = """
    exec 2>/dev/null  # where it writes else nobody reads any more
    trap 'setsid sleep 1000 & echo $! > late; exit' TERM
    echo $$ > leader
    while :; do sleep 0.01; done
    """
    processes += killed_daemon(tmp_path, script, "leader")
    assert ended(tmp_path) == {"r1"}
    processes.append(int((tmp_path / "vault" / "late").read_text()))
    assert not any(map(group_lives, processes))


@pytest.mark.parametrize(
    "environ",
    [
        {"AIEMP_STATE_DIR": "{vault}/.aiemp"},
        {"AIEMP_STATE_DIR": "{vault}/.aiemp", "AIEMP_WATCHER": "w"},
        {"AIEMP_STATE_DIR": "{vault}/other/.aiemp", "AIEMP_RUN": "r1"},
        {"AIEMP_STATE_DIR": "{vault}/.aiemp/", "AIEMP_RUN": "r1"},
        {"AIEMP_RUN": "r1"},
    ],
)
def test_nobody_else_is(tmp_path: Path, processes: list[int], environ: dict[str, str]) -> None:
    told = {key: value.format(vault=tmp_path / "vault") for key, value in environ.items()}
    processes.append(orphan("exec sleep 1000", **told))
    assert ended(tmp_path) == set()
    assert group_lives(processes[0])


def test_only_the_runs_that_are_asked_for(tmp_path: Path, processes: list[int]) -> None:
    state = str(tmp_path / "vault" / ".aiemp")
    processes += [orphan("exec sleep 1000", AIEMP_STATE_DIR=state, AIEMP_RUN=f"r{number}") for number in range(2)]
    assert ended(tmp_path, of={"r1", "r2"}) == {"r1"}
    assert list(map(group_lives, processes)) == [True, False]
    assert ended(tmp_path) == {"r0"}


def test_a_daemon_that_a_run_has_started_does_not_end_itself(tmp_path: Path) -> None:
    state = str(tmp_path / "vault" / ".aiemp")
    code = f"from orchestrator.processes.leftovers import end_leftovers as end; print(end({state!r}, grace=1))"
    environ = dict(os.environ) | {"AIEMP_STATE_DIR": state, "AIEMP_RUN": "r1"}
    done = subprocess.run(
        [sys.executable, "-c", code], env=environ, capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert done.stdout == "set()\n"
