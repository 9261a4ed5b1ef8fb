"""`tail`: the end of a log and what comes after it, across rotations, deletions and truncations."""

import os
import random
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from capturing import FLOOD, capturing, child, numbers

from orchestrator.config.model import LogsConfig
from orchestrator.logs.file import Bytes, LogFile
from orchestrator.logs.follow import follow, last_lines

LIMITS = LogsConfig(max_bytes=20, backups=5)


def write(log: LogFile, data: bytes, limits: LogsConfig = LIMITS) -> None:
    log.open(limits)
    supply = Bytes(data)
    while supply.waiting():
        log.fill(supply, supply.waiting(), limits)
    log.close()


def collect(blocks: Iterator[bytes], end: bytes) -> bytes:
    """What is followed, until it ends with `end`."""
    found = b""
    for block in blocks:
        found += block
        if found.endswith(end):
            return found
    raise AssertionError(found)


@pytest.mark.parametrize("count", range(8))
def test_the_last_lines_come_from_older_parts_too(tmp_path: Path, count: int) -> None:
    log = LogFile(str(tmp_path / "log"))
    lines = [b"line %d is long\n" % number for number in range(5)]
    write(log, b"".join(lines) + b"begun")
    assert (tmp_path / "log.4").exists()
    assert last_lines(log.path, count) == b"".join([*lines, b"begun"][-count:] if count else [])


def test_a_large_log_is_read_from_its_end(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"a" * 400_000 + b"\n" + b"b" * 300_000 + b"\n\nend\n")
    assert last_lines(str(tmp_path / "log"), 2) == b"\nend\n"
    assert last_lines(str(tmp_path / "log"), 3) == b"b" * 300_000 + b"\n\nend\n"
    assert len(last_lines(str(tmp_path / "log"), 9)) == 700_007
    assert last_lines(str(tmp_path / "none"), 9) == b""


def test_what_a_crash_left_twice_is_shown_once(tmp_path: Path) -> None:
    (tmp_path / "log.1").write_bytes(b"one\ntw")
    (tmp_path / "log").write_bytes(b"two\n")
    assert last_lines(str(tmp_path / "log"), 5) == b"one\ntwo\n"


def test_followed_through_rotations_no_line_is_missed_or_repeated(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"))
    write(log, b"zero\none\ntw")
    blocks = follow(log.path, 2, pause=0.001)
    assert next(blocks) == b"one\n"
    write(log, b"o\n")
    assert next(blocks) == b"two\n"
    write(log, b"three and a ha")
    write(log, b"lf, far too long for the limit\nfour\nfive ........\nsix .........\nseven ...")
    write(log, b"....\neight\n")
    assert collect(blocks, b"eight\n") == (
        b"three and a half, far too long for the limit\nfour\nfive ........\nsix .........\nseven .......\neight\n"
    )


def test_a_line_that_is_not_ended_yet_is_shown_after_a_while_and_never_again(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"))
    write(log, b"one\nName")
    blocks = follow(log.path, 2, pause=0.001)
    assert [next(blocks), next(blocks)] == [b"one\n", b"Name"]
    write(log, b"? ")
    assert next(blocks) == b"? "
    write(log, b"Ann\nA")
    assert [next(blocks), next(blocks)] == [b"Ann\n", b"A"]
    write(log, b"ge? ")  # and now its part is full: the line moves on into the next one
    assert next(blocks) == b"ge? "
    write(log, b"a line that is far too long\nnext\n")
    assert collect(blocks, b"next\n") == b"a line that is far too long\nnext\n"
    assert (tmp_path / "log.1").exists()


@pytest.mark.parametrize("seed", range(20))
def test_shown_in_whatever_pieces_it_is_all_there_once(tmp_path: Path, seed: int) -> None:
    chosen = random.Random(seed)  # noqa: S311  no secret
    limits = LogsConfig(max_bytes=chosen.choice([1, 5, 20]), backups=1000)
    log = LogFile(str(tmp_path / "log"))
    written, number = b"0\n", 0
    write(log, written, limits)
    blocks = follow(log.path, 1, pause=0.001)
    shown = next(blocks)
    while len(written) < 150:
        number += 1
        piece = str(number).encode() + b"\n" * (chosen.random() < 0.4)
        write(log, piece, limits)
        written += piece
        while chosen.random() < 0.6 and len(shown) < len(written):
            shown += next(blocks)
        assert written.startswith(shown)
    while len(shown) < len(written):
        shown += next(blocks)
    assert shown == written


def test_a_begun_line_counts_as_one_and_is_not_asked_for_with_none(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"))
    write(log, b"one\nbeg")
    assert next(follow(log.path, 1, pause=0.001)) == b"beg"
    blocks = follow(log.path, 0, pause=0.001)

    def goes_on() -> None:
        time.sleep(0.05)
        write(log, b"un\n")

    other = threading.Thread(target=goes_on)
    other.start()
    assert next(blocks) == b"begun\n"
    other.join()


def test_a_begun_line_that_was_shown_and_is_taken_away_ends_there(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(b"one\nbegun")
    blocks = follow(str(path), 1, pause=0.001)
    assert next(blocks) == b"begun"
    path.write_bytes(b"new\n")
    assert [next(blocks), next(blocks)] == [b"\n", b"new\n"]


def test_it_says_when_older_parts_are_gone_before_they_were_read(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"))
    gaps: list[None] = []
    write(log, b"zero\n")
    blocks = follow(log.path, 1, pause=0.001, on_gap=lambda: gaps.append(None))
    assert next(blocks) == b"zero\n"
    for number in range(20):
        write(log, b"line number %d\n" % number)
    found = collect(blocks, b"number 19\n")
    # Number 0 is in the file that was held open; 1 to 13 were in parts that are deleted.
    assert found == b"".join(b"line number %d\n" % number for number in [0, *range(14, 20)])
    assert len(gaps) == 1


def test_emptied_deleted_or_not_there_yet(tmp_path: Path) -> None:
    path = tmp_path / "log"
    waiting = follow(str(path), 10, pause=0.001)
    write(log := LogFile(str(path)), b"first\n")
    assert next(waiting) == b"first\n"
    path.write_bytes(b"")
    write(log, b"2\n")
    assert next(waiting) == b"2\n"
    path.unlink()
    write(log, b"third\nfour")
    assert next(waiting) == b"third\n"
    path.rename(tmp_path / "elsewhere")
    write(log, b"th\n")
    assert next(waiting) == b"fourth\n"


def test_a_deleted_logs_older_parts_are_not_taken_for_news(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"))
    write(log, b"an old line\nanother one\n")
    os.utime(tmp_path / "log.1", (1, 1))
    blocks = follow(log.path, 1, pause=0.001)
    assert next(blocks) == b"another one\n"
    (tmp_path / "log").unlink()
    write(log, b"new\n")
    assert next(blocks) == b"new\n"


def test_nothing_stays_open(tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("counts descriptors in /proc")
    log = LogFile(str(tmp_path / "log"))

    def descriptors() -> set[str]:
        return {file.name for file in Path("/proc/self/fd").iterdir()}

    before = descriptors()
    write(log, b"one\ntwo\n")
    blocks = follow(log.path, 1, pause=0.001)
    next(blocks)
    write(log, b"line of its own\n" * 4)
    next(blocks)
    blocks.close()
    assert descriptors() == before


FOLLOWER = """
import sys
from orchestrator.logs.follow import follow
for block in follow(sys.argv[1], 1000, on_gap=lambda: print("gap", file=sys.stderr)):
    sys.stdout.buffer.write(block)
    sys.stdout.flush()
    if block.endswith(b"-1 " + b"x" * 143 + b"\\n"):
        break
"""


def test_a_flood_is_followed_across_hundreds_of_rotations(tmp_path: Path) -> None:
    with capturing(tmp_path, LogsConfig(max_bytes=50_000, backups=10_000)) as (capture, places):
        child(capture, "w", "print('0 ')").wait(10)
        capture.settle("w").result(5)
        command = [sys.executable, "-c", FOLLOWER, places.watcher_log("w")]
        with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as follower:
            assert follower.stdout is not None
            assert follower.stdout.readline() == b"0 \n"
            assert child(capture, "w", FLOOD, 1, 15_000_000).wait(30) == 0
            child(capture, "w", "print('-1 ' + 'x' * 143)").wait(10)
            output, errors = follower.communicate(timeout=30)
    found = numbers(output)
    assert errors == b""
    assert found[-1] == -1
    assert found[:-1] == list(range(1, len(found)))
