"""One log file on a real disk: rotation, interrupted rotations, and people who take it away."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from orchestrator.config.model import LogsConfig
from orchestrator.logs.file import Bytes, LogFile

SMALL = LogsConfig(max_bytes=20, backups=3)


def burst(log: LogFile, data: bytes, limits: LogsConfig = SMALL) -> None:
    log.open(limits)
    try:
        supply = Bytes(data)
        while supply.waiting():
            log.fill(supply, supply.waiting(), limits)
    finally:
        log.close()


def parts(path: Path) -> list[bytes]:
    """The log's files, oldest first."""
    older: list[bytes] = []
    while (file := Path(f"{path}.{len(older) + 1}")).exists():
        older.append(file.read_bytes())
    return [*reversed(older), path.read_bytes()]


def names(folder: Path) -> list[str]:
    return sorted(file.name for file in folder.iterdir())


@settings(max_examples=60)
@given(st.lists(st.text(alphabet="ab\n", max_size=30).map(str.encode), max_size=10), st.integers(1, 40))
def test_the_parts_on_disk_hold_every_line_whole(stream: list[bytes], max_bytes: int) -> None:
    with TemporaryDirectory() as folder:
        path = Path(folder, "log")
        log = LogFile(str(path))
        for data in stream:
            burst(log, data, LogsConfig(max_bytes, backups=1000))
        found = parts(path) if stream else [b""]
        assert b"".join(found) == b"".join(stream)
        assert all(part.endswith(b"\n") for part in found[:-1])
        assert all(len(part) <= max_bytes or part.count(b"\n", 0, -1) == 0 for part in found)
        assert not Path(f"{path}.next").exists()


@pytest.mark.parametrize(("backups", "left"), [(0, 1), (1, 2), (3, 4)])
def test_as_many_older_parts_are_kept_as_asked_for(tmp_path: Path, backups: int, left: int) -> None:
    log = LogFile(str(tmp_path / "log"))
    for number in range(10):
        burst(log, b"line %d of the log\n" % number, LogsConfig(20, backups))
    assert len(list(tmp_path.iterdir())) == left
    assert b"".join(parts(tmp_path / "log")) == b"".join(b"line %d of the log\n" % n for n in range(10 - left, 10))


def test_parts_beyond_a_lowered_number_go(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"))
    for _ in range(8):
        burst(log, b"0123456789abcdef\n", LogsConfig(20, 6))
    burst(log, b"0123456789abcdef\n", LogsConfig(20, 2))
    assert names(tmp_path) == ["log", "log.1", "log.2"]


def test_a_begun_line_moves_on_with_its_rest(tmp_path: Path) -> None:
    log = LogFile(str(tmp_path / "log"))
    burst(log, b"first\nsec")
    burst(log, b"ond and so on, well beyond the limit\nthird\n")
    assert parts(tmp_path / "log") == [b"first\n", b"second and so on, well beyond the limit\n", b"third\n"]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        # killed before the old file got its new name
        ({"log": b"first\nsec", "log.next": b"sec"}, [b"first\nsecond\n"]),
        # killed before the new file got its name
        ({"log.1": b"first\nsec", "log.next": b"sec"}, [b"first\n", b"second\n"]),
        # killed before the begun line was taken off the old file
        ({"log.1": b"first\nsec", "log": b"sec"}, [b"first\n", b"second\n"]),
    ],
)
def test_the_next_daemon_finishes_an_interrupted_rotation(
    tmp_path: Path, before: dict[str, bytes], after: list[bytes]
) -> None:
    for name, content in before.items():
        (tmp_path / name).write_bytes(content)
    burst(LogFile(str(tmp_path / "log")), b"ond\n")
    assert parts(tmp_path / "log") == after
    assert not (tmp_path / "log.next").exists()


def test_taken_away_in_the_middle_of_a_line_it_is_whole_in_the_new_file(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "log"
    log = LogFile(str(path))
    burst(log, b"one\ntw")
    path.rename(tmp_path / "old")
    path.parent.rmdir()
    burst(log, b"o\nthr")
    assert path.read_bytes() == b"two\nthr"
    path.write_bytes(b"")
    burst(log, b"ee\n")
    assert path.read_bytes() == b"three\n"
    path.write_bytes(b"edited, no newline")
    burst(log, b"four\n")
    assert path.read_bytes() == b"edited, no newlinefour\n"


def test_through_a_link_the_real_file_rotates_and_dev_null_stays(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "log").symlink_to(tmp_path / "real" / "log")
    log = LogFile(str(tmp_path / "log"))
    for _ in range(3):
        burst(log, b"0123456789abcdef\n")
    assert (tmp_path / "log").is_symlink()
    assert names(tmp_path / "real") == ["log", "log.1", "log.2"]
    (tmp_path / "gone").symlink_to("/dev/null")
    burst(LogFile(str(tmp_path / "gone")), b"0123456789abcdef\n" * 10)
    assert (tmp_path / "gone").is_symlink()
    assert Path("/dev/null").is_char_device()


@settings(max_examples=30)
@given(
    st.lists(st.integers(0, 40_000), max_size=20), st.integers(5_000, 60_000), st.sampled_from([5_000, 20_000, 90_000])
)
def test_long_lines_stay_whole_however_they_come(lengths: list[int], block: int, max_bytes: int) -> None:
    lines = [bytes([97 + number % 26]) * length + b"\n" for number, length in enumerate(lengths)]
    stream = b"".join(lines)
    with TemporaryDirectory() as folder:
        path = Path(folder, "log")
        log = LogFile(str(path))
        for begin in range(0, len(stream), block):
            burst(log, stream[begin : begin + block], LogsConfig(max_bytes, backups=1000))
        found = parts(path) if stream else []
        assert [line for part in found for line in part.splitlines(keepends=True)] == lines
        assert all(len(part) <= max_bytes or part.count(b"\n") == 1 for part in found)
