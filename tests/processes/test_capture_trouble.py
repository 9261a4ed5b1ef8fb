"""Logs that cannot be written: their output waits, is complete afterwards, and concerns nobody else."""

import os
import subprocess
import sys
from pathlib import Path

from capturing import FLOOD, Problems, capturing, child, numbers, parts, until

from orchestrator.config.model import LogsConfig

MANY = LogsConfig(max_bytes=200_000, backups=10_000)


def test_a_folder_in_the_logs_place_holds_up_only_its_watcher(tmp_path: Path) -> None:
    problems = Problems()
    with capturing(tmp_path, MANY, problems) as (capture, places):
        blocked = Path(places.watcher_log("blocked"))
        blocked.mkdir(parents=True)
        stuck = child(capture, "blocked", FLOOD, 0, 1_000_000)
        until(lambda: "log:blocked" in problems.now, "a report")
        assert str(blocked) in problems.now["log:blocked"]
        assert "remove or rename" in problems.now["log:blocked"]
        capture.settle("blocked").result(5)  # nobody waits for what cannot happen
        free = child(capture, "free", FLOOD, 0, 1_000_000)
        assert free.wait(10) == 0
        capture.settle("free").result(5)
        assert stuck.poll() is None
        blocked.rmdir()
        assert stuck.wait(20) == 0
        until(lambda: not problems.now, "all clear")
        capture.settle("blocked").result(5)
        for name in ("blocked", "free"):
            found = numbers(b"".join(parts(places.watcher_log(name))))
            assert found == list(range(len(found)))
    assert {key for key, _ in problems.calls} == {"log:blocked"}


def test_the_whole_log_folder_may_go_and_come_back(tmp_path: Path) -> None:
    problems = Problems()
    with capturing(tmp_path, LogsConfig(), problems) as (capture, places):
        child(capture, "w", "print('one')").wait(10)
        capture.settle("w").result(5)
        Path(places.logs).rename(tmp_path / "Gone")
        child(capture, "w", "print('two')").wait(10)
        capture.settle("w").result(5)
        assert Path(places.watcher_log("w")).read_bytes() == b"two\n"
        Path(places.logs).rename(tmp_path / "Gone too")
        Path(places.logs).write_text("no folder")
        child(capture, "w", "print('three')").wait(10)
        until(lambda: bool(problems.now), "a report")
        Path(places.logs).unlink()
        until(lambda: not problems.now, "all clear")
        capture.settle("w").result(5)
        assert Path(places.watcher_log("w")).read_bytes() == b"three\n"


def test_a_vault_that_is_gone_is_never_made_but_waited_for(tmp_path: Path) -> None:
    problems, vault, away = Problems(), tmp_path / "vault", tmp_path / "away"
    vault.mkdir()
    with capturing(vault, LogsConfig(), problems) as (capture, places):
        outputs = []
        for name in ("one", "two"):
            capture.open(name)
            outputs.append(capture.writer(name))
            os.write(outputs[-1], b"early\n")
            capture.settle(name).result(5)
        Path(places.logs).rename(vault / "Logs.old")  # and the folders below the vault have to be made again
        vault.rename(away)
        for output in outputs:
            os.write(output, b"late\n")
        assert capture.add_line(b"own\n")
        until(lambda: sum(each.retry_at is not None for each in capture._troubled) == 3, "all three to wait")
        assert problems.now == {"vault": f"the vault {vault} is gone: put it back; until then the output waits"}
        assert not vault.exists()
        away.rename(vault)
        until(lambda: not problems.now, "all clear")
        for name in ("one", "two"):
            capture.settle(name).result(5)
            assert Path(places.watcher_log(name)).read_bytes() == b"late\n"
        assert Path(places.daemon_log).read_bytes() == b"own\n"
        for output in outputs:
            os.close(output)
    assert {key for key, _ in problems.calls} == {"vault"}


def test_renamed_under_load_every_line_is_whole_in_one_of_the_files(tmp_path: Path) -> None:
    with capturing(tmp_path, LogsConfig(max_bytes=3_000_000, backups=1000)) as (capture, places):
        flood = child(capture, "w", FLOOD, 0, 40_000_000)
        log = Path(places.watcher_log("w"))
        aside: list[Path] = []
        while flood.poll() is None:
            if log.exists() and log.stat().st_size > 500_000:
                aside.append(log.rename(tmp_path / f"aside{len(aside)}"))
        capture.settle("w").result(10)
    # What was begun in a renamed file stands there too, without its newline.
    renamed = [file.read_bytes().rpartition(b"\n")[0] + b"\n" for file in aside]
    found = numbers(b"".join([*renamed, *(parts(str(log)) if log.exists() else [])]))
    assert len(aside) > 2
    assert sorted(found) == list(range(len(found)))


def test_deleted_under_load_it_is_there_again_and_whole_from_then_on(tmp_path: Path) -> None:
    with capturing(tmp_path, LogsConfig(max_bytes=10_000_000, backups=0)) as (capture, places):
        flood = child(capture, "w", FLOOD, 0, 20_000_000)
        log, deleted = Path(places.watcher_log("w")), 0
        while flood.poll() is None and deleted < 20:
            if log.exists():
                log.unlink()
                deleted += 1
        flood.wait(10)
        capture.settle("w").result(10)
        child(capture, "w", "print('1 ' + 'x' * 7)").wait(10)
        capture.settle("w").result(10)
    found = numbers(log.read_bytes())
    assert found[-1] == 1
    assert found[:-1] == list(range(found[0], found[0] + len(found) - 1))


FULL = """
import os, resource, subprocess, sys, threading
from orchestrator.config.model import LogsConfig
from orchestrator.logs.capture import Capture
from orchestrator.places import Places
full = threading.Event()
soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
resource.setrlimit(resource.RLIMIT_FSIZE, (300_001, hard))  # stands in for a full disk: writes are cut short, then fail
capture = Capture(Places(sys.argv[1]), LogsConfig(10_000_000, 3), lambda key, text: full.set() if text else None)
capture.start()
capture.open("w")
output = capture.writer("w")
child = subprocess.Popen([sys.executable, "-S", "-c", sys.argv[2], "0", "1000000"], stdout=output)
os.close(output)
assert full.wait(10)
assert os.path.getsize(Places(sys.argv[1]).watcher_log("w")) == 300_001
assert child.poll() is None
resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
assert child.wait(20) == 0
capture.settle("w").result(10)
capture.close()
"""


def test_a_disk_that_was_full_for_a_while_costs_no_byte(tmp_path: Path) -> None:
    (tmp_path / ".aiemp").mkdir(mode=0o700)
    subprocess.run([sys.executable, "-c", FULL, str(tmp_path), FLOOD], check=True, timeout=40)
    output = (tmp_path / "Logs" / "watchers" / "w.log").read_bytes()
    found = numbers(output)
    assert len(output) >= 1_000_000
    assert found == list(range(len(found)))


def test_the_daemons_own_lines_wait_too_but_not_without_end(tmp_path: Path) -> None:
    problems = Problems()
    with capturing(tmp_path, MANY, problems) as (capture, places):
        Path(places.daemon_log).mkdir(parents=True)
        assert capture.add_line(b"first\n")
        until(lambda: "log" in problems.now, "a report")
        taken = 0
        while capture.add_line(b"z" * 9_999 + b"\n"):
            taken += 1
        assert taken == 104  # a mebibyte
        Path(places.daemon_log).rmdir()
        until(lambda: not problems.now, "all clear")
        assert capture.add_line(b"last\n")
    output = b"".join(parts(places.daemon_log))
    assert output == b"first\n" + (b"z" * 9_999 + b"\n") * taken + b"last\n"
