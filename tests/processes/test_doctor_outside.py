"""What a check asks a program is bounded, and no check takes the others down."""

import os
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
from examining import Practice, told
from harness import alive, until

from orchestrator.doctor import examination
from orchestrator.doctor.examination import Check
from orchestrator.doctor.finding import Finding, ok
from orchestrator.doctor.patient import Patient
from orchestrator.processes import bounded

ENVIRON = {"PATH": os.defpath}


@pytest.fixture
def practice(tmp_path: Path) -> Practice:
    return Practice(tmp_path)


def ask(script: str, timeout: float = 30.0) -> bounded.Answer:
    answer = bounded.ask(["/bin/sh", "-c", script], ENVIRON, "/", timeout)
    assert isinstance(answer, bounded.Answer)
    return answer


def test_an_answer() -> None:
    assert ask("echo out; echo err >&2; exit 3") == bounded.Answer(3, "out\n", "err\n")
    assert ask("read line; echo got $line; pwd").out == "got\n/\n", "nobody types anything"


def test_what_it_is_given_and_its_last_words() -> None:
    answer = bounded.ask(["/bin/sh", "-c", "cat; echo first >&2; echo last >&2"], ENVIRON, "/", 30.0, stdin=b"given")
    assert answer == bounded.Answer(0, "given", "first\nlast\n")
    assert (bounded.Answer(0, "a\nb\n", "").last_words(), bounded.Answer(1, "", "\n").last_words()) == ("b", "")
    assert ask("echo out; echo err >&2").last_words() == "err"


def test_one_that_hangs_is_ended_with_all_that_it_started(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    answer = ask(f"sleep 1000 & echo $! > {pid}; echo begun; wait", timeout=1.0)
    assert answer == bounded.Answer(None, "begun\n", "")
    until(lambda: not alive(int(pid.read_text())), "its end")  # killed, it may still be on its way out


def test_nothing_that_it_leaves_behind_lives_on(tmp_path: Path) -> None:
    pid = tmp_path / "pid"
    assert ask(f"sleep 1000 & echo $! > {pid}; echo done").out == "done\n"
    until(lambda: not alive(int(pid.read_text())), "its end")  # killed, it may still be on its way out


def test_a_flood_is_cut() -> None:
    assert len(ask(f"head -c {bounded.KEEP + 1000} /dev/zero").out) == bounded.KEEP


@pytest.mark.parametrize("argv", [["/nowhere/program"], ["/etc/passwd"], ["a\0b"]])
def test_one_that_cannot_be_started(argv: list[str]) -> None:
    why = bounded.ask(argv, ENVIRON, "/", 5.0)
    assert isinstance(why, str)
    assert why


def made(practice: Practice, *, hangs: bool) -> list[Finding]:
    forever = threading.Event()

    def look(_: Patient) -> Iterator[Finding]:
        yield ok("one", "this much was found")
        if hangs:
            forever.wait()
        raise RuntimeError("a bug")

    try:
        return examination._made(Check("one", "it", look, seconds=0.2), practice.patient())
    finally:
        forever.set()


def test_a_check_that_fails_is_a_finding_beside_what_it_found(practice: Practice) -> None:
    first, second = made(practice, hangs=False)
    assert first.message == "this much was found"
    assert "could not be made (RuntimeError: a bug)" in second.message


def test_a_check_that_hangs_is_a_finding_beside_what_it_found(practice: Practice) -> None:
    first, second = made(practice, hangs=True)
    assert first.message == "this much was found"
    assert "did not end within 0.2 s" in second.message


def test_every_secret_is_taken_out(practice: Practice) -> None:
    practice.patient("[watchers.a]\ncommand = ['/nowhere/very-secret-value']\n")
    environ = practice.environ | {"MY_TOKEN": "very-secret-value"}
    found = list(examination.examine(str(practice.folder / "supervisor.toml"), environ, "/", lambda _: None))
    assert "/nowhere/[redacted] does not exist, or" in told(found)
    assert "very-secret-value" not in str(found)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
def test_root_becomes_the_daemons_user_for_good() -> None:
    program = """\
import os
from orchestrator.doctor.intake import become
from orchestrator.doctor.patient import Source, World
become(World(Source.SHELL, {}, 65534, "", "/", ""))
print(os.getresuid())
become(World(Source.DAEMON, {}, 65534, "", "/", ""))
print(os.getresuid(), os.getresgid()[0] != 0, 0 in os.getgroups())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout.splitlines() == ["(0, 0, 0)", "(65534, 65534, 65534) True False"]
