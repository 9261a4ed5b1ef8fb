"""Children's output arrives in their logs: all of it, in order, line by line, whatever happens to the daemon."""

import asyncio
import os
import shutil
import stat
import subprocess
import sys
import threading
import time
import tracemalloc
from pathlib import Path

import pytest
from capturing import FLOOD, capturing, child, numbers, parts, until
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from orchestrator.config.model import LogsConfig
from orchestrator.errors import UserError
from orchestrator.logs.file import LogFile
from orchestrator.places import Places

MANY = LogsConfig(max_bytes=200_000, backups=10_000)


def test_floods_arrive_whole_across_many_rotations(tmp_path: Path) -> None:
    with capturing(tmp_path, MANY) as (capture, places):
        children = {name: child(capture, name, FLOOD, 0, 10_000_000) for name in ("a", "b", "c")}
        for process in children.values():
            assert process.wait(30) == 0
        for name in children:
            capture.settle(name).result(10)
    for name in children:
        files = parts(places.watcher_log(name))
        assert len(files) > 40
        assert all(len(file) <= MANY.max_bytes and file.endswith(b"\n") for file in files)
        found = numbers(b"".join(files))
        assert found == list(range(len(found)))
        assert sum(map(len, files)) >= 10_000_000


def test_a_line_of_10_mb_stays_whole_and_costs_no_memory(tmp_path: Path) -> None:
    script = (
        "import os\nos.write(1, b'short\\n')\nfor _ in range(160): os.write(1, b'y' * 62500)\nos.write(1, b'\\nend\\n')"
    )
    with capturing(tmp_path, LogsConfig()) as (capture, places):
        tracemalloc.start()
        try:
            assert child(capture, "a", script).wait(30) == 0
            capture.settle("a").result(10)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
    files = parts(places.watcher_log("a"))
    assert files == [b"short\n", b"y" * 10_000_000 + b"\n", b"end\n"]
    assert peak < 1_000_000


def test_a_missing_newline_comes_before_the_next_process_output(tmp_path: Path) -> None:
    with capturing(tmp_path, LogsConfig()) as (capture, places):
        for text in ("a", "b\\n", "", "c", "d"):
            assert child(capture, "w", f"print('{text}', end='')").wait(10) == 0
        capture.settle("w").result(5)
    assert Path(places.watcher_log("w")).read_bytes() == b"a\nb\nc\nd"


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.text(alphabet="ab\n", max_size=8).map(str.encode), max_size=8))
def test_boundaries_are_exact_however_fast_processes_follow(tmp_path: Path, outputs: list[bytes]) -> None:
    with capturing(tmp_path, LogsConfig()) as (capture, places):
        capture.open("w")
        for output in outputs:
            capture.boundary("w")
            fd = capture.writer("w")
            os.write(fd, output)
            os.close(fd)
        capture.settle("w").result(5)
        printed = [output for output in outputs if output]
        wanted = b"".join(o if o.endswith(b"\n") else o + b"\n" for o in printed[:-1]) + b"".join(printed[-1:])
        found = Path(places.watcher_log("w")).read_bytes() if printed else b""
        Path(places.watcher_log("w")).unlink(missing_ok=True)
        assert found == wanted


def test_boundaries_in_the_middle_of_a_flood_lose_nothing(tmp_path: Path) -> None:
    with capturing(tmp_path, MANY) as (capture, places):
        process = child(capture, "w", FLOOD, 0, 20_000_000)
        while process.poll() is None:
            capture.boundary("w")
            time.sleep(0.0005)
        capture.settle("w").result(10)
    # A boundary falls anywhere; a newline in the middle of a line is right there, as if a process had ended.
    found = b"".join(parts(places.watcher_log("w"))).replace(b"\n", b"")
    wanted, number, size = [], 0, 20_000_000
    while size > 0:
        wanted.append(b"%d %s" % (number, b"x" * (number * 7 % 150)))
        size -= len(wanted[-1]) + 1
        number += 1
    assert found == b"".join(wanted)


def test_settled_means_that_the_last_lines_are_known_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    in_the_log, go_on = threading.Event(), threading.Event()
    learn = LogFile._learn

    def learn_late(log: LogFile, count: int) -> None:
        in_the_log.set()
        assert go_on.wait(10)
        learn(log, count)

    monkeypatch.setattr(LogFile, "_learn", learn_late)
    with capturing(tmp_path, LogsConfig()) as (capture, _):
        child(capture, "w", "import os; os.write(1, b'the end\\n')").wait(10)
        assert in_the_log.wait(10)
        settled = capture.settle("w")
        assert not settled.done()
        go_on.set()
        settled.result(10)
        assert capture.last_lines("w", 1) == ["the end"]


def test_the_last_lines_are_the_current_processs(tmp_path: Path) -> None:
    with capturing(tmp_path, LogsConfig()) as (capture, _):
        capture.open("w")
        assert capture.last_lines("w", 3) == []
        child(capture, "w", "print('one\\ntwo\\n\\x1b[1mthree')").wait(10)
        capture.settle("w").result(5)
        assert capture.last_lines("w", 2) == ["two", "\\x1b[1mthree"]
        capture.boundary("w")
        assert capture.last_lines("w", 2) == []
        child(capture, "w", "print('z' * 5000)").wait(10)
        capture.settle("w").result(5)
        (line,) = capture.last_lines("w", 2)
        assert line.startswith("…z")
        assert len(line) < 4100


DAEMON = """
import sys, time
from orchestrator.config.model import LogsConfig
from orchestrator.logs.capture import Capture
from orchestrator.places import Places
capture = Capture(Places(sys.argv[1]), LogsConfig(200_000, 10_000), print)
capture.start()
capture.open("w")
print("ready", flush=True)
time.sleep(60)
"""


def test_daemons_killed_during_a_flood_lose_and_double_nothing(tmp_path: Path) -> None:
    with capturing(tmp_path, MANY) as (capture, _):
        capture.open("w")
        output = capture.writer("w")
    # `output` stays open here: what is in a pipe that nobody has open is gone.
    with subprocess.Popen([sys.executable, "-S", "-c", FLOOD, "0", "300000000"], stdout=output) as flood:
        for kill in range(15):
            with subprocess.Popen([sys.executable, "-c", DAEMON, str(tmp_path)], stdout=subprocess.PIPE) as daemon:
                assert daemon.stdout is not None
                assert daemon.stdout.readline() == b"ready\n"
                time.sleep(kill * 0.0007)  # waits for nothing: the moment of death is what is tried
                daemon.kill()
        assert flood.poll() is None
        flood.kill()
    with capturing(tmp_path, MANY) as (capture, places):
        capture.open("w")
        capture.settle("w").result(10)
    os.close(output)
    whole, _, _ = b"".join(parts(places.watcher_log("w"))).rpartition(b"\n")
    found = numbers(whole)
    assert len(found) > 10_000
    assert found == list(range(len(found)))


def test_a_removed_pipe_is_made_again_for_the_next_process(tmp_path: Path) -> None:
    with capturing(tmp_path, LogsConfig()) as (capture, places):
        child(capture, "w", "print('one', end='')").wait(10)
        Path(places.pipes, "w").unlink()
        child(capture, "w", "print('two')").wait(10)
        capture.settle("w").result(5)
        assert stat.S_IMODE(Path(places.pipes, "w").stat().st_mode) == 0o600
    assert Path(places.watcher_log("w")).read_bytes() == b"one\ntwo\n"


def test_a_removed_state_folder_is_made_again_for_the_next_pipe(tmp_path: Path) -> None:
    with capturing(tmp_path, LogsConfig()) as (capture, places):
        child(capture, "w", "print('one')").wait(10)
        shutil.rmtree(places.state)
        child(capture, "w", "print('two')").wait(10)
        capture.settle("w").result(5)
        assert Path(places.pipes, "w").is_fifo()
        assert stat.S_IMODE(Path(places.state).stat().st_mode) == 0o700
    assert Path(places.watcher_log("w")).read_bytes() == b"one\ntwo\n"


def test_a_name_that_would_lead_out_of_the_folder_gets_no_pipe(tmp_path: Path) -> None:
    with capturing(tmp_path, LogsConfig()) as (capture, _), pytest.raises(UserError, match="cannot be a file's name"):
        capture.open("../lock")
    assert not (tmp_path / ".aiemp" / "lock").exists()


def test_whoever_wakes_the_thread_writes_to_no_descriptor_that_it_has_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, unguarded = os.write, list[bytes]()
    with capturing(tmp_path, LogsConfig()) as (capture, _):

        def watched(fd: int, data: bytes) -> int:
            if fd == capture._wake_write and not capture._lock.locked():
                unguarded.append(data)  # from here on the thread may end, and the number be another file's
            return write(fd, data)

        monkeypatch.setattr(os, "write", watched)
        for number in range(20):
            capture.add_line(b"line %d\n" % number)
    assert unguarded == []


def test_without_named_pipes_plain_ones_do(tmp_path: Path) -> None:
    with capturing(tmp_path, LogsConfig()) as (capture, places):
        Path(places.pipes, "w").mkdir()  # in the way of a FIFO, as a file system without them would be
        child(capture, "w", "print('one')").wait(10)
        capture.settle("w").result(5)
        assert Path(places.watcher_log("w")).read_bytes() == b"one\n"


def test_where_the_kernel_cannot_splice_output_is_read_and_written(tmp_path: Path) -> None:
    with capturing(tmp_path, MANY) as (capture, places):
        capture.open("w")
        capture._sources["w"].pipe._splices = False  # as on macOS
        assert child(capture, "w", FLOOD, 0, 3_000_000).wait(30) == 0
        capture.settle("w").result(10)
    found = numbers(b"".join(parts(places.watcher_log("w"))))
    assert found == list(range(len(found)))
    assert len(found) > 10_000


def test_what_is_forgotten_is_drained_and_its_pipe_removed(tmp_path: Path) -> None:
    with capturing(tmp_path, MANY) as (capture, places):
        child(capture, "w", "print('x' * 50000)").wait(10)
        capture.forget("w")
        assert not Path(places.pipes, "w").exists()
        child(capture, "w", "print('again')").wait(10)
        capture.settle("w").result(5)
    assert b"".join(parts(places.watcher_log("w"))) == b"x" * 50000 + b"\nagain\n"


def test_nothing_is_left_open_or_running_after_close(tmp_path: Path) -> None:
    def held() -> int:
        return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0

    before = held(), threading.active_count()
    with capturing(tmp_path, LogsConfig()) as (capture, _):
        for number in range(20):
            capture.open(f"w{number}")
        capture.forget("w3")
        child(capture, "w5", "print('hello')").wait(10)
    assert (held(), threading.active_count()) == before


def test_the_daemons_own_lines_come_in_order_also_after_the_end(tmp_path: Path) -> None:
    with capturing(tmp_path, LogsConfig(max_bytes=500, backups=1000)) as (capture, places):
        for number in range(1000):
            assert capture.add_line(b"line %d\n" % number)
    capture.add_line(b"line 1000\n")
    files = parts(places.daemon_log)
    assert b"".join(files) == b"".join(b"line %d\n" % number for number in range(1001))
    assert all(len(file) <= 500 for file in files)


async def test_a_flood_does_not_hold_up_the_event_loop_or_a_quiet_watcher(tmp_path: Path) -> None:
    with capturing(tmp_path, LogsConfig(max_bytes=1_000_000, backups=1)) as (capture, places):
        flood = child(capture, "flood", FLOOD, 0, 10**12)
        try:
            capture.open("quiet")
            delays, settled = [], []
            fd = capture.writer("quiet")
            for _ in range(200):
                begun = time.perf_counter()
                await asyncio.sleep(0.001)
                delays.append(time.perf_counter() - begun - 0.001)
                os.write(fd, b"hello\n")
                begun = time.perf_counter()
                await asyncio.wait_for(asyncio.wrap_future(capture.settle("quiet")), 5)
                settled.append(time.perf_counter() - begun)
            os.close(fd)
        finally:
            flood.kill()
            flood.wait()
    assert sorted(delays)[100] < 0.02  # generous: machines that run tests are busy
    assert sorted(settled)[100] < 0.05
    assert parts(places.watcher_log("quiet")) == [b"hello\n" * 200]


@pytest.mark.skipif(sys.platform != "linux", reason="counts context switches in /proc")
def test_an_idle_thread_does_not_wake(tmp_path: Path) -> None:
    with capturing(tmp_path, LogsConfig()) as (capture, _):
        for number in range(100):
            capture.open(f"w{number}")
        capture.settle("w0").result(5)
        status = Path(f"/proc/self/task/{capture._thread.native_id}/status")

        def switches() -> str:
            return next(line for line in status.read_text().splitlines() if line.startswith("voluntary"))

        def counts(pause: float) -> set[str]:
            found = set()
            for _ in range(4):
                found.add(switches())
                time.sleep(pause)
            return found

        until(lambda: len(counts(0.02)) == 1, "quiet")
        assert len(counts(0.2)) == 1


def test_places_are_made_where_they_are_missing(tmp_path: Path) -> None:
    with capturing(tmp_path, LogsConfig()) as (capture, _):
        child(capture, "w", "print('hello')").wait(10)
    assert Path(Places(str(tmp_path)).watcher_log("w")).read_bytes() == b"hello\n"
    assert stat.S_IMODE((tmp_path / ".aiemp" / "pipes").stat().st_mode) == 0o700
