"""The daemon's own logs beside its main one: whole lines, each in its file, whatever lies there already."""

import subprocess
import sys
import threading
from pathlib import Path

import pytest
from capturing import Problems, capturing, parts, until

from orchestrator.config.model import LogsConfig
from orchestrator.places import Places

KEY = "task-log"


def text(path: str) -> bytes:
    return Path(path).read_bytes() if Path(path).exists() else b""


def test_every_line_goes_to_its_own_file_from_any_thread(tmp_path: Path) -> None:
    with capturing(tmp_path, LogsConfig()) as (capture, places):
        add = capture.own_log(KEY, places.task_log)
        others = [threading.Thread(target=add, args=(b"from thread %d\n" % number,)) for number in range(4)]
        for other in others:
            other.start()
        for number in range(100):
            assert add(b"run %d\n" % number)
            assert capture.add_line(b"line %d\n" % number)
        for other in others:
            other.join()
    assert add(b"after the end\n")
    lines = text(places.task_log).splitlines()
    assert sorted(line for line in lines if line.startswith(b"from")) == [b"from thread %d" % n for n in range(4)]
    assert [line for line in lines if line.startswith(b"run")] == [b"run %d" % n for n in range(100)]
    assert lines[-1] == b"after the end"
    assert text(places.daemon_log) == b"".join(b"line %d\n" % n for n in range(100))


def test_it_is_cut_between_lines_and_older_parts_are_kept(tmp_path: Path) -> None:
    with capturing(tmp_path, LogsConfig(max_bytes=50, backups=2)) as (capture, places):
        add = capture.own_log(KEY, places.task_log)
        for number in range(20):
            add(b'{"run": %02d, "status": "ok"}\n' % number)
    assert parts(places.task_log) == [b'{"run": %02d, "status": "ok"}\n' % number for number in (17, 18, 19)]


@pytest.mark.parametrize(
    ("there", "then"),
    [
        (b'{"run": 1}\n{"ru', b'{"run": 1}\n{"ru\n'),  # a crash or a full disk cut it
        (b"\xff\x00 no JSON\n", b"\xff\x00 no JSON\n"),
        (b"edited by hand", b"edited by hand\n"),
        (b"", b""),
    ],
)
def test_a_half_line_in_the_file_spoils_no_other(tmp_path: Path, there: bytes, then: bytes) -> None:
    Path(Places(str(tmp_path)).logs).mkdir()
    Path(Places(str(tmp_path)).task_log).write_bytes(there)
    with capturing(tmp_path, LogsConfig()) as (capture, places):
        add = capture.own_log(KEY, places.task_log)
        add(b'{"run": 2}\n')
        add(b'{"run": 3}\n')
    assert text(places.task_log) == then + b'{"run": 2}\n{"run": 3}\n'


def test_deleted_or_edited_while_the_daemon_runs_it_goes_on(tmp_path: Path) -> None:
    with capturing(tmp_path, LogsConfig()) as (capture, places):
        add = capture.own_log(KEY, places.task_log)
        add(b"one\n")
        until(lambda: text(places.task_log) == b"one\n", "the first line")
        Path(places.task_log).unlink()
        add(b"two\n")
        until(lambda: text(places.task_log) == b"two\n", "a new file")
        Path(places.task_log).write_bytes(b"two\nan edi")
        add(b"three\n")
    assert text(places.task_log) == b"two\nan edi\nthree\n"


def test_one_that_cannot_be_written_waits_and_holds_up_no_other(tmp_path: Path) -> None:
    problems = Problems()
    with capturing(tmp_path, LogsConfig(), problems) as (capture, places):
        add = capture.own_log(KEY, places.task_log)
        Path(places.task_log).mkdir(parents=True)
        assert add(b"one\n")
        until(lambda: KEY in problems.now, "a report")
        assert places.task_log in problems.now[KEY]
        assert capture.add_line(b"a line\n")
        until(lambda: text(places.daemon_log) == b"a line\n", "the other log")
        assert add(b"two\n")
        Path(places.task_log).rmdir()
        until(lambda: not problems.now, "all clear")
    assert text(places.task_log) == b"one\ntwo\n"
    assert {key for key, _ in problems.calls} == {KEY}


FULL = """
import os, resource, sys, threading
from orchestrator.config.model import LogsConfig
from orchestrator.logs.capture import Capture
from orchestrator.places import Places
full, well = threading.Event(), threading.Event()
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # stands in for a full disk: the second line is cut at byte 100
capture = Capture(Places(sys.argv[1]), LogsConfig(), lambda key, text: (full if text else well).set())
capture.start()
add = capture.own_log("task-log", Places(sys.argv[1]).task_log)
for letter in b"abc":
    assert add(bytes([letter]) * 69 + b"\\n")
assert full.wait(10)
assert os.path.getsize(Places(sys.argv[1]).task_log) == 100
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
assert well.wait(20)
capture.close()
"""


def test_a_line_that_a_full_disk_cut_is_completed(tmp_path: Path) -> None:
    (tmp_path / ".aiemp").mkdir(mode=0o700)
    subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], check=True, timeout=40)
    assert text(Places(str(tmp_path)).task_log) == b"".join(bytes([letter]) * 69 + b"\n" for letter in b"abc")
