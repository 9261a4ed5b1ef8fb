"""The sockets that watchers talk to: real datagrams, in the words of sd_notify(3)."""

import os
import socket
import stat
from collections.abc import Iterator
from pathlib import Path

import anyio
import pytest

from orchestrator.errors import UserError
from orchestrator.places import SUN_PATH_MAX
from orchestrator.processes.notify import PER_TURN, NotifySockets, parse

PATIENCE = 10.0  # seconds


@pytest.fixture
def sockets(tmp_path: Path) -> Iterator[NotifySockets]:
    made = NotifySockets(str(tmp_path / "notify"))
    yield made
    made.close_all()


def say(path: str, message: bytes) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
        speaker.connect(path)
        speaker.send(message)


@pytest.mark.parametrize(
    ("datagram", "fields"),
    [
        (b"READY=1", {"READY": "1"}),
        (b"READY=1\nSTATUS=at work\n", {"READY": "1", "STATUS": "at work"}),
        (b"STATUS=a=b", {"STATUS": "a=b"}),
        (b"STATUS=", {"STATUS": ""}),
        (b"STATUS=one\nSTATUS=two", {"STATUS": "two"}),
        (b"nonsense\n\nWATCHDOG=1", {"WATCHDOG": "1"}),
        ("STATUS=é\u2028READY=1".encode(), {"STATUS": "é\u2028READY=1"}),
        (b"STATUS=a\rREADY=1", {"STATUS": "a\rREADY=1"}),
        (b"STATUS=\xff\xfe", {"STATUS": "\ufffd\ufffd"}),
        (b"", {}),
        (b"\0" * 100, {}),
    ],
)
def test_messages(datagram: bytes, fields: dict[str, str]) -> None:
    assert parse(datagram) == fields


async def test_everyone_is_heard_and_known_by_their_own_socket(sockets: NotifySockets) -> None:
    for name in ("a", "b"):
        sockets.open(name)
    say(sockets.path("a"), b"STATUS=I am b")
    say(sockets.path("b"), b"READY=1")
    with anyio.fail_after(PATIENCE):
        await sockets.wait()
    assert dict(sockets.messages()) == {"a": {"STATUS": "I am b"}, "b": {"READY": "1"}}
    assert list(sockets.messages()) == []


async def test_waiting_ends_when_someone_speaks(sockets: NotifySockets) -> None:
    sockets.open("a")
    with anyio.fail_after(PATIENCE):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(sockets.wait)
            await anyio.lowlevel.checkpoint()
            say(sockets.path("a"), b"READY=1")


def test_only_its_owner_may_speak(sockets: NotifySockets) -> None:
    sockets.open("a")
    found = Path(sockets.path("a")).stat()
    assert (stat.S_ISSOCK(found.st_mode), stat.S_IMODE(found.st_mode)) == (True, 0o600)
    assert stat.S_IMODE(Path(sockets.path("a")).parent.stat().st_mode) == 0o700


def test_a_flood_of_one_does_not_drown_the_others(sockets: NotifySockets) -> None:
    for name in ("flood", "a"):
        sockets.open(name)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
        speaker.setblocking(False)  # noqa: FBT003  socket's own
        speaker.connect(sockets.path("flood"))
        for _ in range(10 * PER_TURN):
            try:
                speaker.send(b"STATUS=again")
            except BlockingIOError:
                break  # the kernel takes no more (net.unix.max_dgram_qlen)
    say(sockets.path("a"), b"READY=1")
    heard = [name for name, _ in sockets.messages()]
    assert "a" in heard
    assert heard.count("flood") <= PER_TURN


def test_messages_that_are_too_long_are_cut(sockets: NotifySockets) -> None:
    sockets.open("a")
    say(sockets.path("a"), b"STATUS=" + b"x" * 100_000)
    ((_, fields),) = sockets.messages()
    assert set(fields["STATUS"]) == {"x"}
    assert len(fields["STATUS"]) < 5000


def test_descriptors_that_come_along_are_not_kept(sockets: NotifySockets) -> None:
    sockets.open("a")
    before = len(list(Path("/dev/fd").iterdir()))
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as speaker:
        speaker.connect(sockets.path("a"))
        socket.send_fds(speaker, [b"READY=1"], [0, 1, 2])
    assert list(sockets.messages()) == [("a", {"READY": "1"})]
    assert len(list(Path("/dev/fd").iterdir())) == before


def test_the_address_outlives_the_daemon(tmp_path: Path) -> None:
    folder = str(tmp_path / "notify")
    first = NotifySockets(folder)
    first.open("a")
    path = first.path("a")
    # Killed: nobody closes, the socket file stays. The next daemon takes its place.
    second = NotifySockets(folder)
    second.open("a")
    assert second.path("a") == path
    say(path, b"READY=1")
    assert list(second.messages()) == [("a", {"READY": "1"})]
    second.close_all()
    first.close_all()


def test_opening_twice_and_closing_strangers_does_nothing(sockets: NotifySockets) -> None:
    sockets.open("a")
    say(sockets.path("a"), b"READY=1")
    sockets.open("a")
    sockets.close("b")
    assert list(sockets.messages()) == [("a", {"READY": "1"})]


def test_a_closed_socket_is_gone(sockets: NotifySockets) -> None:
    sockets.open("a")
    sockets.close("a")
    assert not Path(sockets.path("a")).exists()
    with pytest.raises(FileNotFoundError):
        say(sockets.path("a"), b"READY=1")
    sockets.open("a")
    say(sockets.path("a"), b"READY=1")
    assert list(sockets.messages()) == [("a", {"READY": "1"})]


@pytest.mark.parametrize("anew", [False, True])
def test_what_is_heard_may_close_whom_else_was_to_be_heard(sockets: NotifySockets, *, anew: bool) -> None:
    for name in ("a", "b"):
        sockets.open(name)
        say(sockets.path(name), b"STATUS=1")
        say(sockets.path(name), b"STATUS=2")
    heard = []
    for name, _ in sockets.messages():
        heard.append(name)
        for each in ("a", "b"):
            sockets.close(each)
            if anew:
                sockets.open(each)
    assert len(heard) == 1
    assert list(sockets.messages()) == []


def test_a_file_in_the_way_is_left_alone(sockets: NotifySockets) -> None:
    Path(sockets.path("a")).write_text("mine")
    with pytest.raises(OSError, match="in use"):
        sockets.open("a")
    assert Path(sockets.path("a")).read_text() == "mine"


@pytest.mark.parametrize("name", ["../a", "a/b", "/a", "", ".", ".."])
def test_a_name_that_would_lead_elsewhere_is_refused(sockets: NotifySockets, name: str) -> None:
    with pytest.raises(UserError, match="cannot be a file's name"):
        sockets.open(name)


def test_a_folder_that_someone_removed_is_made_again_with_the_one_that_it_lay_in(tmp_path: Path) -> None:
    state = tmp_path / "vault" / ".aiemp"
    state.mkdir(parents=True)
    sockets = NotifySockets(str(state / "notify"))
    sockets.open("a")
    state.rename(tmp_path / "away")
    sockets.open("a")
    say(sockets.path("a"), b"READY=1")
    assert list(sockets.messages()) == [("a", {"READY": "1"})]
    state.parent.rename(tmp_path / "no vault")
    with pytest.raises(FileNotFoundError):  # a vault is never made anew
        sockets.open("a")
    sockets.close_all()


def test_long_names_get_short_addresses_of_their_own(sockets: NotifySockets) -> None:
    names = ["x" * 99, "x" * 98 + "y"]
    paths = {sockets.path(name) for name in names}
    assert len(paths) == 2
    for name in names:
        assert len(os.fsencode(sockets.path(name))) <= SUN_PATH_MAX
        sockets.open(name)
        say(sockets.path(name), b"READY=1")
    assert {name for name, _ in sockets.messages()} == set(names)


def test_what_a_killed_daemon_left_is_removed_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "notify"
    killed = NotifySockets(str(folder))
    for name in ("gone", "kept"):
        killed.open(name)
    (folder / "file").touch()
    sockets = NotifySockets(str(folder))
    sockets.open("kept")
    sockets.remove_others()
    assert {path.name for path in folder.iterdir()} == {"kept", "file"}
    sockets.close_all()
    killed.close_all()
