"""Files are replaced whole or not at all, on a real file system."""

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator import files


def names(folder: Path) -> list[str]:
    return sorted(entry.name for entry in folder.iterdir())


def descriptors() -> int:
    """How many files this process has open; 0 where the system does not tell."""
    return len(list(Path("/proc/self/fd").iterdir())) if sys.platform == "linux" else 0


def test_folders_are_made_below_a_home_that_is_there_and_never_the_home(tmp_path: Path) -> None:
    home = tmp_path / "home"
    with pytest.raises(FileNotFoundError) as raised:
        files.make_folder(f"{home}/one/two", within=str(home))
    assert raised.value.filename == str(home)
    assert names(tmp_path) == []
    home.mkdir()
    for _ in range(2):
        files.make_folder(f"{home}/one/two", within=str(home))
    assert (home / "one" / "two").is_dir()
    (home / "file").touch()
    with pytest.raises(NotADirectoryError):
        files.make_folder(f"{home}/file/two", within=str(home))


def test_replaces_what_was_expected(tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    files.replace(file, b"one")
    files.replace(file, b"two", expect=b"one")
    assert file.read_bytes() == b"two"
    assert names(tmp_path) == ["a.md"]


def test_refuses_what_another_program_wrote_meanwhile(tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_bytes(b"theirs")
    with pytest.raises(files.Changed):
        files.replace(file, b"ours", expect=b"read before")
    assert file.read_bytes() == b"theirs"
    file.unlink()
    with pytest.raises(files.Changed):
        files.replace(file, b"ours", expect=b"theirs")
    assert names(tmp_path) == []


def test_a_symlink_put_in_its_place_is_a_change(tmp_path: Path) -> None:
    (tmp_path / "other").write_bytes(b"same")
    (tmp_path / "a.md").symlink_to("other")
    with pytest.raises(files.Changed):
        files.replace(tmp_path / "a.md", b"ours", expect=b"same")
    assert (tmp_path / "a.md").is_symlink()
    assert names(tmp_path) == ["a.md", "other"]


@pytest.mark.parametrize("mode", [0o600, 0o640, 0o666, 0o755])
def test_keeps_the_mode(tmp_path: Path, mode: int) -> None:
    file = tmp_path / "a.md"
    file.write_bytes(b"one")
    file.chmod(mode)
    files.replace(file, b"two", expect=b"one")
    assert stat.S_IMODE(file.stat().st_mode) == mode


def test_a_private_file_is_private_again_whatever_it_had_become(tmp_path: Path) -> None:
    file = tmp_path / "a.toml"
    file.write_bytes(b"one")
    file.chmod(0o644)
    files.replace(file, b"two", mode=0o600, keep=False)
    assert (file.read_bytes(), stat.S_IMODE(file.stat().st_mode)) == (b"two", 0o600)


@pytest.mark.skipif(os.getuid() != 0, reason="only root gives files away")
def test_keeps_the_owner(tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_bytes(b"one")
    os.chown(file, 1234, 2345)
    files.replace(file, b"two")
    assert (file.stat().st_uid, file.stat().st_gid) == (1234, 2345)


@pytest.mark.skipif(sys.platform != "linux", reason="Python reads extended attributes on Linux only")
def test_keeps_extended_attributes(tmp_path: Path) -> None:
    file = tmp_path / "a.md"
    file.write_bytes(b"one")
    try:
        os.setxattr(file, "user.tag", b"red")
    except OSError as error:
        pytest.skip(f"no extended attributes here: {error}")
    files.replace(file, b"two")
    assert os.getxattr(file, "user.tag") == b"red"


def test_a_new_file_has_the_umasks_mode(tmp_path: Path) -> None:
    before = os.umask(0o027)
    try:
        files.create(tmp_path / "a", b"x")
        files.replace(tmp_path / "b", b"x")
    finally:
        os.umask(before)
    assert [stat.S_IMODE((tmp_path / name).stat().st_mode) for name in "ab"] == [0o640, 0o640]


@pytest.mark.parametrize("what", ["file", "empty", "folder", "dangling"])
def test_create_never_overwrites(tmp_path: Path, what: str) -> None:
    there = tmp_path / "a.md"
    match what:
        case "file":
            there.write_bytes(b"mine")
        case "empty":
            there.touch()
        case "folder":
            there.mkdir()
        case _:
            there.symlink_to("nowhere")
    before = there.lstat()
    with pytest.raises(FileExistsError):
        files.create(there, b"new")
    assert there.lstat() == before
    assert names(tmp_path) == ["a.md"]


def test_create_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: object, **__: object) -> None:  # as FAT says; no such file system can be mounted in a test
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    files.create(tmp_path / "a.md", b"new")
    assert (tmp_path / "a.md").read_bytes() == b"new"
    with pytest.raises(FileExistsError):
        files.create(tmp_path / "a.md", b"newer")
    assert (tmp_path / "a.md").read_bytes() == b"new"
    assert names(tmp_path) == ["a.md"]


@pytest.mark.parametrize(("write", "name"), [(files.replace, "a.md"), (files.create, "b.md")])
def test_a_failed_write_leaves_nothing_behind(tmp_path: Path, write: Callable[[Path, bytes], None], name: str) -> None:
    """The limit on a file's size makes write(2) fail half-way, as a full disk does."""
    (tmp_path / "a.md").write_bytes(b"mine")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (4096, limits[1]))
    try:
        with pytest.raises(OSError, match="File too large"):
            write(tmp_path / name, b"x" * 10_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert names(tmp_path) == ["a.md"]
    assert (tmp_path / "a.md").read_bytes() == b"mine"


def test_the_longest_name_still_works(tmp_path: Path) -> None:
    file = tmp_path / ("ä" * 126 + ".md")
    files.create(file, b"one")
    files.replace(file, b"two", expect=b"one")
    assert names(tmp_path) == [file.name]


@pytest.mark.parametrize("kind", ["fifo", "folder", "symlink"])
def test_reads_regular_files_only_and_never_hangs(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "x"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(__file__)
    before = descriptors()
    with pytest.raises(OSError) as caught:  # noqa: PT011  the number is checked below
        files.read(path)
    assert caught.value.errno in {errno.EINVAL, errno.ELOOP}
    assert descriptors() == before


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    code = """
import os, signal, sys
from orchestrator import files
os.fsync = lambda fd: os.kill(os.getpid(), signal.SIGKILL)
files.replace(sys.argv[1], b"new")
"""
    file = tmp_path / "a.md"
    file.write_bytes(b"mine")
    (tmp_path / ".a.md.swp").touch()
    assert subprocess.run([sys.executable, "-c", code, str(file)], check=False).returncode == -signal.SIGKILL
    assert file.read_bytes() == b"mine"
    (leftover,) = set(names(tmp_path)) - {"a.md", ".a.md.swp"}
    assert leftover.startswith(".a.md.")
    files.remove_leftovers(file)
    assert names(tmp_path) == [".a.md.swp", "a.md"]


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells who has a file open")
def test_who_has_a_file_open_for_writing_shows(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert not files.open_for_writing(path)
    path.write_bytes(b"")
    for mode in ("r+b", "ab", "wb"):
        with path.open(mode):
            assert files.open_for_writing(path)
        assert not files.open_for_writing(path)
    with path.open("rb"):
        assert not files.open_for_writing(path)
    os.mkfifo(tmp_path / "fifo")
    assert not files.open_for_writing(tmp_path / "fifo")


def test_what_is_raised_at_the_last_moment_leaves_everything_as_it_was(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"old")

    def refuse() -> None:
        raise KeyError

    with pytest.raises(KeyError):
        files.replace(tmp_path / "file", b"new", last=refuse)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == {"file": b"old"}
