"""Real processes: how they are started, that their ends are heard of, and that nobody of a group is left."""

import gc
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio
import pytest
from spawning import PATIENCE, Land, group_is_gone, group_lives, land, orphan, until

from orchestrator.processes.children import (
    Program,
    SpawnTrouble,
    signal_group,
    signal_name,
    spawn,
)
from orchestrator.processes.death import Death
from orchestrator.processes.procfs import group_members

linux = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")


@pytest.fixture
def site(tmp_path: Path) -> Iterator[Land]:
    with land(tmp_path) as made:
        yield made


# --- deaths ---


@pytest.mark.parametrize(
    ("script", "death"),
    [
        ("exit 0", Death(code=0)),
        ("exit 1", Death(code=1)),
        ("exit 255", Death(code=255)),
        ("exit 137", Death(code=137)),
        ("kill -TERM $$", Death(signal="SIGTERM")),
        ("kill -KILL $$", Death(signal="SIGKILL")),
        ("kill -USR1 $$", Death(signal="SIGUSR1")),
        ("ulimit -c 0; kill -SEGV $$", Death(signal="SIGSEGV")),
    ],
)
async def test_a_death_is_told_with_its_code_or_signal(site: Land, script: str, death: Death) -> None:
    assert await site.death(site.sh(script)) == death


async def test_a_death_is_heard_of_at_once(site: Land) -> None:
    pid = site.spawn("/bin/sleep", "1000")
    clock = anyio.current_time
    fastest = float("inf")
    for _ in range(5):
        killed = clock()
        os.kill(pid, signal.SIGKILL)
        assert await site.death(pid) == Death(signal="SIGKILL")
        fastest = min(fastest, clock() - killed)
        pid = site.spawn("/bin/sleep", "1000")
    assert fastest < 0.1


def test_signals_have_names() -> None:
    assert (signal_name(9), signal_name(signal.SIGRTMIN + 3)) == ("SIGKILL", f"signal {signal.SIGRTMIN + 3}")


async def test_a_hundred_deaths_at_once_are_all_told_and_leave_nothing(site: Land) -> None:
    before, threads = open_files(), threading.active_count()
    pids = [site.spawn("/bin/sleep", "1000") for _ in range(100)]
    for pid in pids:
        os.kill(pid, signal.SIGKILL)
    for pid in pids:
        assert await site.death(pid) == Death(signal="SIGKILL")
    assert open_files() <= before  # fewer, when somebody's earlier ones are collected meanwhile
    assert threading.active_count() == threads
    assert not any(map(known, pids))


async def test_no_exit_code_goes_to_someone_else(site: Land) -> None:
    expected = {}
    for number in range(200):
        expected[site.sh(f"exit {number}")] = Death(code=number)
        if number % 20 == 0:
            gc.collect()  # the leftovers of `subprocess.Popen` would ask for the code here,
            run_true()  # or here
    for pid, death in expected.items():
        assert await site.death(pid) == death


def open_files() -> int:
    return len(list(Path("/dev/fd").iterdir()))


def run_true() -> None:
    subprocess.run(["/bin/true"], check=True)


def assert_no_children() -> None:
    with pytest.raises(ChildProcessError):
        os.waitpid(-1, os.WNOHANG)


def known(pid: int) -> bool:
    """Whether the kernel still knows of this process, be it a zombie."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


# --- what a process finds when it starts ---


async def test_its_session_and_group_are_its_own(site: Land) -> None:
    pid = site.spawn("/bin/sleep", "1000")
    assert (os.getsid(pid), os.getpgid(pid)) == (pid, pid)


async def test_stdin_is_empty_and_the_rest_goes_to_the_log(site: Land) -> None:
    assert await site.run("cat; echo out; echo err >&2") == ["out", "err"]


@linux
async def test_nothing_beyond_stderr_is_inherited(site: Land) -> None:
    extra = [os.open("/dev/null", os.O_RDONLY) for _ in range(3)]
    try:
        for fd in extra:
            os.set_inheritable(fd, True)  # noqa: FBT003  os's own
        assert await site.run("ls /proc/$$/fd") == ["0", "1", "2"]
    finally:
        for fd in extra:
            os.close(fd)
    assert (await site.run("readlink /proc/$$/fd/0"))[-1] == "/dev/null"


async def test_the_umask_is_ours(site: Land) -> None:
    old = os.umask(0o027)
    try:
        assert await site.run("umask") == ["0027"]
    finally:
        os.umask(old)


async def test_environment_and_directory_are_as_told(site: Land, tmp_path: Path) -> None:
    pid = site.spawn("/bin/sh", "-c", 'echo "$X"; pwd; env | wc -l', directory=str(tmp_path), X="a  $b")
    assert await site.death(pid) == Death(code=0)
    first, second, count = site.output().splitlines()
    assert (first, second) == ("a  $b", str(tmp_path))
    assert int(count) <= 4  # PATH, X, and PWD and _ of the shell


@linux
def test_signals_are_at_their_defaults_whatever_the_daemon_inherited(tmp_path: Path) -> None:
    script = """
import os, signal
for number in (signal.SIGINT, signal.SIGHUP, signal.SIGUSR1, signal.SIGQUIT, signal.SIGCHLD):
    signal.signal(number, signal.SIG_IGN)
signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM, signal.SIGUSR2})
from orchestrator import own_process
from orchestrator.processes.children import Program, spawn
own_process.default_signals()
pid = spawn(Program("/bin/grep", ("grep", "-E", "Sig(Ign|Blk)", "/proc/self/status"), "/", {}), 1)
assert os.waitpid(pid, 0)[1] == 0
"""
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=PATIENCE, check=True)
    masks = dict(line.split(":\t") for line in found.stdout.splitlines())
    # Signals 32 and 33 are glibc's own: its posix_spawn ignores them in every child, and nobody else can change them.
    assert {name: int(mask, 16) & ~(0b11 << 31) for name, mask in masks.items()} == {"SigBlk": 0, "SigIgn": 0}


# --- the end of a whole group ---

# The leader obeys SIGTERM, its child ignores it.
STUBBORN_CHILD = """(trap "" TERM; echo child ready; exec sleep 1000) & echo leader ready; wait"""


async def test_a_group_outlives_its_leader_until_it_is_killed(site: Land) -> None:
    pid = site.sh(STUBBORN_CHILD)
    await site.said("leader ready")
    await site.said("child ready")
    signal_group(pid, signal.SIGTERM)
    assert await site.death(pid) == Death(signal="SIGTERM")
    assert group_lives(pid)
    signal_group(pid, signal.SIGKILL)
    await group_is_gone(pid)
    signal_group(pid, signal.SIGKILL)  # nobody is there any more: nothing happens


async def test_a_signal_reaches_the_whole_group(site: Land) -> None:
    pid = site.sh("(sleep 1000 & sleep 1000 & wait) & echo ready; wait")
    await site.said("ready")
    await until(lambda: len(group_members(pid)) == 4 or sys.platform != "linux")
    signal_group(pid, signal.SIGTERM)
    await site.death(pid)
    await group_is_gone(pid)


async def test_a_stopped_process_obeys_too(site: Land) -> None:
    pid = site.spawn("/bin/sleep", "1000")
    os.kill(pid, signal.SIGSTOP)
    signal_group(pid, signal.SIGTERM)
    assert await site.death(pid) == Death(signal="SIGTERM")


@linux
async def test_the_dead_that_nobody_has_reaped_do_not_live(site: Land) -> None:
    pid = site.sh("exit 0")
    with anyio.fail_after(PATIENCE):
        await site.processes.wait()
    assert known(pid)  # a zombie
    assert not group_lives(pid)
    assert await site.death(pid) == Death(code=0)
    assert not group_lives(pid)


@linux
@pytest.mark.parametrize("name", ["a) Z 1 1", "((", ") R", "x y z", "\n"])
async def test_no_name_of_a_process_deceives(site: Land, tmp_path: Path, name: str) -> None:
    program = tmp_path / name
    program.symlink_to("/bin/sleep")
    pid = site.spawn(str(program), "1000")
    assert group_lives(pid)
    assert group_members(pid) == [pid]


# --- what cannot be started ---


def script(path: Path, content: str, mode: int = 0o755) -> str:
    path.write_text(content)
    path.chmod(mode)
    return str(path)


@pytest.mark.parametrize(
    ("prepare", "directory", "said"),
    [
        (lambda folder: str(folder / "x"), "/", "command {0} does not exist"),
        (lambda folder: script(folder / "x", "#!/bin/sh\n", 0o644), "/", "{0} is not executable; chmod +x it"),
        (lambda folder: script(folder / "x", "echo hi\n"), "/", "{0} is no program: its first line does not name"),
        (lambda folder: script(folder / "x", ""), "/", "{0} is no program"),
        (lambda folder: script(folder / "x", "#!/no/such\n"), "/", "{0} wants the interpreter /no/such"),
        (lambda folder: script(folder / "x", "#! /no/such -x\n"), "/", "{0} wants the interpreter /no/such"),
        (str, "/", "command {0} is a folder"),
        (lambda _: "/bin/true", "/no/such/folder", "directory /no/such/folder does not exist or is no folder"),
        (lambda _: "/bin/true", "/bin/true", "directory /bin/true does not exist or is no folder"),
        (lambda folder: f"{script(folder / 'f', '')}/x", "/", "{0}: Not a directory"),
    ],
)
async def test_the_sentence_says_what_is_wrong(
    site: Land,
    tmp_path: Path,
    prepare: Callable[[Path], str],
    directory: str,
    said: str,
) -> None:
    command = prepare(tmp_path)
    with pytest.raises(SpawnTrouble) as trouble:
        site.spawn(command, directory=directory)
    assert str(trouble.value).startswith(said.format(command))
    assert not trouble.value.transient


async def test_too_many_arguments_are_no_reason_to_try_again(site: Land) -> None:
    with pytest.raises(SpawnTrouble, match="too long") as trouble:
        site.spawn("/bin/true", "x" * 10_000_000)
    assert not trouble.value.transient


@linux
async def test_a_program_that_is_being_written_is_worth_another_try(site: Land, tmp_path: Path) -> None:
    path = tmp_path / "program"
    shutil.copy("/bin/true", path)
    with path.open("r+b"), pytest.raises(SpawnTrouble) as trouble:
        site.spawn(str(path))
    assert trouble.value.transient
    assert await site.death(site.spawn(str(path))) == Death(code=0)


def test_without_descriptors_it_is_trouble_that_passes_and_no_process_is_left() -> None:
    script_ = """
import json, os, resource, sys
from orchestrator.processes.children import Processes, Program, SpawnTrouble
processes, found = Processes(), []
soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
for free in range(8):
    before = len(os.listdir("/dev/fd"))
    probe = [os.dup(0) for _ in range(free + 1)]
    for fd in probe:
        os.close(fd)
    resource.setrlimit(resource.RLIMIT_NOFILE, (probe[-1], hard))
    try:
        pid = processes.spawn(Program("/bin/sleep", ("sleep", "1000"), "/", {}), 1)
        os.killpg(pid, 9)
        os.waitpid(pid, 0)
        found.append("spawned")
    except SpawnTrouble as trouble:
        found.append("passes" if trouble.transient else f"stays: {trouble}")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
    try:
        os.waitpid(-1, os.WNOHANG)
        found[-1] += ", but a process is left"
    except ChildProcessError:
        pass
    processes.close()
    processes = Processes()
    if len(os.listdir("/dev/fd")) != before:
        found[-1] += ", but a descriptor is left"
print(json.dumps(found))
"""
    done = subprocess.run([sys.executable, "-c", script_], capture_output=True, text=True, timeout=PATIENCE, check=True)
    found = json.loads(done.stdout)
    assert set(found) == {"passes", "spawned"}
    assert found == sorted(found)  # with too few of them not, with enough it works


async def test_a_spawn_that_fails_leaves_nothing(site: Land) -> None:
    before = open_files()
    for _ in range(20):
        with pytest.raises(SpawnTrouble):
            site.spawn("/no/such/program")
    assert open_files() == before
    assert_no_children()


# --- processes of others ---


async def test_the_death_of_an_adopted_process_is_heard_of(site: Land) -> None:
    pid = orphan("exec sleep 1000")
    site.pids.append(pid)
    site.processes.adopt(pid)
    os.kill(pid, signal.SIGKILL)
    assert await site.death(pid) == Death()  # how, only its parent learns


async def test_an_adoption_taken_back_is_heard_of_no_more(site: Land) -> None:
    pid, other = orphan("exec sleep 1000"), site.spawn("/bin/sleep", "1000")
    site.pids.append(pid)
    before = open_files()
    site.processes.adopt(pid)
    site.processes.disown(pid)
    assert open_files() == before
    for each in (pid, other):
        os.kill(each, signal.SIGKILL)
    await site.death(other)
    await group_is_gone(pid)
    assert list(site.processes.ended()) == []
    assert site.deaths.keys() == {other}


@linux
async def test_an_adopted_ones_number_may_be_a_living_childs_by_now(site: Land) -> None:
    pid, child = orphan("exec sleep 1000"), site.spawn("/bin/sleep", "1000")
    site.pids.append(pid)
    site.processes.adopt(pid)
    known = site.processes._watch._pids
    known.update({pidfd: child for pidfd, watched in known.items() if watched == pid})  # as when it was given anew
    os.kill(pid, signal.SIGKILL)
    with anyio.fail_after(PATIENCE):
        await site.processes.wait()
    assert site.processes.ended() == [(child, Death())]  # told at once, without waiting for the child's end
    os.kill(child, signal.SIGKILL)
    assert await site.death(child) == Death(signal="SIGKILL")


def test_who_is_gone_cannot_be_adopted(site: Land) -> None:
    pid = spawn(Program("/bin/true", ("true",), "/", {}), 1)
    os.waitpid(pid, 0)
    with pytest.raises(OSError, match="No such process"):
        site.processes.adopt(pid)
