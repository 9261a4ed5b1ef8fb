"""The client against daemons that answer well, badly, late or never."""

import os
import socket
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from fake_daemon import answers, fake_daemon

from orchestrator.control import protocol
from orchestrator.control.client import Client, InvalidTask, ShuttingDown
from orchestrator.errors import ConfigInvalid, Unreachable, UsageError, UserError
from orchestrator.lock import VaultLock
from orchestrator.lock_holder import holder


def test_a_call_brings_back_its_result(tmp_path: Path) -> None:
    with fake_daemon(tmp_path, answers(status={"watchers": []}, shutdown={"pid": 3})) as daemon:
        with Client(str(tmp_path)) as client:
            assert client.call("status", {"names": ["in*"]}) == {"watchers": []}
            assert client.call("shutdown") == {"pid": 3}
        assert daemon.asked == [("status", {"names": ["in*"]}), ("shutdown", {})]


def test_progress_prolongs_the_wait_and_is_handed_on(tmp_path: Path) -> None:
    def answer(message: dict[str, Any]) -> Iterator[bytes]:
        for step in range(4):
            yield protocol.notification("progress", {"text": f"step {step}"})
            threading.Event().wait(0.15)
        yield protocol.result(message["id"], {"results": []})

    said: list[dict[str, Any]] = []
    with fake_daemon(tmp_path, answer), Client(str(tmp_path), timeout=0.4) as client:
        assert client.call("stop", {"names": ["all"]}, said.append) == {"results": []}
    assert [each["text"] for each in said] == ["step 0", "step 1", "step 2", "step 3"]


def test_notifications_come_in_order_also_those_before_the_answer(tmp_path: Path) -> None:
    def answer(message: dict[str, Any]) -> Iterator[bytes]:
        yield protocol.notification("event", {"n": 1})
        yield protocol.result(message["id"], {"events": []})
        yield protocol.notification("event", {"n": 2}) + protocol.notification("event", {"n": 3})

    with fake_daemon(tmp_path, answer), Client(str(tmp_path)) as client:
        client.call("events", {"follow": True})
        heard = client.notifications()
        assert [next(heard) for _ in range(3)] == [("event", {"n": n}) for n in (1, 2, 3)]


@pytest.mark.parametrize(
    ("code", "data", "error", "exit_code"),
    [
        (protocol.UNKNOWN_NAME, {"unknown": ["x"], "known": []}, UsageError, 2),
        (protocol.INVALID_PARAMS, None, UsageError, 2),
        (protocol.CONFIG_INVALID, {"problems": ["a:1: b: c", "a:2: d: e"]}, ConfigInvalid, 78),
        (protocol.CONFIG_INVALID, "garbled", ConfigInvalid, 78),
        (protocol.INVALID_TASK, {"problems": ["d: e"]}, InvalidTask, 2),
        (protocol.INVALID_TASK, None, InvalidTask, 2),
        (protocol.FAILED, None, UserError, 1),
        (protocol.SHUTTING_DOWN, None, ShuttingDown, 1),
        (protocol.METHOD_NOT_FOUND, None, UserError, 1),
        (protocol.INTERNAL_ERROR, None, UserError, 1),
        (12345, None, UserError, 1),
    ],
)
def test_every_error_becomes_the_exception_with_its_exit_code(
    tmp_path: Path, code: int, data: Any, error: type[UserError], exit_code: int
) -> None:
    refuse = answers(reload=protocol.RpcError(code, "it will not do", data))
    with fake_daemon(tmp_path, refuse), Client(str(tmp_path)) as client, pytest.raises(UserError) as raised:
        client.call("reload", {"plan": True})
    assert type(raised.value) is error
    assert raised.value.exit_code == exit_code
    if isinstance(raised.value, ConfigInvalid) and data != "garbled":
        assert str(raised.value) == "a:1: b: c\na:2: d: e"
    elif isinstance(raised.value, InvalidTask):
        assert str(raised.value).splitlines() == ["it will not do", *raised.value.problems]
    else:
        assert "it will not do" in str(raised.value)


GARBLED: list[tuple[list[bytes | None], str]] = [
    ([b"HTTP/1.1 400 Bad Request\r\n"], "not JSON"),
    ([b"\xff\xfe\n"], "not JSON"),
    ([b'{"jsonrpc": "2.0", "id": 1, "result": NaN}\n'], "not JSON"),
    ([b"[" * 100_000 + b"\n"], "not JSON"),
    ([b"[]\n"], "one JSON object"),
    ([b'{"id": 1, "result": {}}\n'], "jsonrpc"),
    ([b'{"jsonrpc": "2.0", "id": 99, "result": {}}\n'], "no question"),
    ([b'{"jsonrpc": "2.0", "id": 1, "result": [1]}\n'], "no question"),
    ([b'{"jsonrpc": "2.0", "id": 1}\n'], "no question"),
    ([b'{"jsonrpc": "2.0", "method": 5}\n'], "without a name"),
    ([b'{"jsonrpc": "2.0", "id": 1, "res', None], "hung up"),
    ([None], "hung up"),
]


@pytest.mark.parametrize(("pieces", "said"), GARBLED)
def test_nonsense_and_hanging_up_count_as_unreachable(tmp_path: Path, pieces: list[bytes | None], said: str) -> None:
    with (
        fake_daemon(tmp_path, lambda _: pieces),
        Client(str(tmp_path)) as client,
        pytest.raises(Unreachable, match=said),
    ):
        client.call("status")


def test_an_error_that_is_no_object_is_still_an_error(tmp_path: Path) -> None:
    answer = b'{"jsonrpc": "2.0", "id": 1, "error": "no"}\n'
    with (
        fake_daemon(tmp_path, lambda _: [answer]),
        Client(str(tmp_path)) as client,
        pytest.raises(UserError, match="not which"),
    ):
        client.call("status")


def test_a_line_without_end_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(protocol, "MAX_ANSWER", 1_000_000)

    def flood(_: dict[str, Any]) -> Iterator[bytes]:
        while True:
            yield b"x" * 65_536

    with (
        fake_daemon(tmp_path, flood),
        Client(str(tmp_path)) as client,
        pytest.raises(Unreachable, match="a line of over 1000000 bytes"),
    ):
        client.call("status")


def test_a_long_answer_arrives_whole(tmp_path: Path) -> None:
    text = "ü" * 3_000_000
    with fake_daemon(tmp_path, answers(tail={"text": text})), Client(str(tmp_path)) as client:
        assert client.call("tail", {"name": "x"})["text"] == text


@pytest.mark.parametrize("trickle", [False, True])
def test_silence_has_an_end_also_when_single_bytes_trickle_in(tmp_path: Path, *, trickle: bool) -> None:
    over = threading.Event()

    def silent(_: dict[str, Any]) -> Iterator[bytes]:
        while not over.wait(0.05):
            if trickle:
                yield b"x"

    start = time.monotonic()
    try:
        with (
            fake_daemon(tmp_path, silent),
            Client(str(tmp_path), timeout=0.3) as client,
            pytest.raises(Unreachable, match=r"does not answer \(waited 0\.3 s\)"),
        ):
            client.call("status")
    finally:
        over.set()
    assert time.monotonic() - start < 5


def test_a_full_queue_is_waited_for_and_then_given_up(tmp_path: Path) -> None:
    folder = tmp_path / ".aiemp"
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as first:
        listener.bind(str(folder / "control.sock"))
        listener.listen(0)
        first.connect(str(folder / "control.sock"))
        with pytest.raises(Unreachable, match="does not answer"), Client(str(tmp_path), timeout=0.2) as client:
            client.call("status")


def test_no_socket_a_left_over_one_and_what_is_none(tmp_path: Path) -> None:
    with (
        pytest.raises(Unreachable, match=r"no daemon is running for .*; start one with `aiemp run`"),
        Client(str(tmp_path)),
    ):
        pass
    folder = tmp_path / ".aiemp"
    folder.mkdir(mode=0o700)
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(folder / "control.sock"))
    with pytest.raises(Unreachable, match="ended without clearing up"), Client(str(tmp_path)):
        pass
    (folder / "control.sock").unlink()
    (folder / "control.sock").write_text("")
    with pytest.raises(Unreachable, match="is no socket"), Client(str(tmp_path)):
        pass


@pytest.mark.parametrize("left_over", [True, False])
def test_a_daemon_whose_socket_is_gone_is_told_by_its_lock(tmp_path: Path, *, left_over: bool) -> None:
    folder = tmp_path / ".aiemp"
    folder.mkdir(mode=0o700)
    if left_over:
        with socket.socket(socket.AF_UNIX) as left:
            left.bind(str(folder / "control.sock"))
    moment = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)
    said = (
        rf"a daemon \(pid {os.getpid()}, since 2026-11-20T23:30:00Z\) serves {tmp_path}, but its control socket is gone"
    )
    with (
        VaultLock(str(folder / "lock"), moment),
        pytest.raises(Unreachable, match=said),
        Client(str(tmp_path)),
    ):
        pass
    with pytest.raises(Unreachable, match="no daemon is running"), Client(str(tmp_path)):
        pass  # what its last holder has written is still in the lock, but it is free


@pytest.mark.parametrize("content", [b"", b"\xff", b"[]", b'{"pid": 1}', b"[" * 9999])
def test_a_lock_that_does_not_say_who_holds_it_is_held_all_the_same(tmp_path: Path, content: bytes) -> None:
    lock = tmp_path / "lock"
    assert holder(str(lock)) is None
    with VaultLock(str(lock), datetime(2026, 11, 20, tzinfo=UTC)):
        lock.write_bytes(content)
        assert holder(str(lock)) == "a daemon"


@pytest.mark.parametrize("where", [b"", b"\0", b"\xff", b"/" + b"x" * 300, b"/proc/1/nowhere"])
def test_a_damaged_control_path_is_no_crash(tmp_path: Path, where: bytes) -> None:
    (tmp_path / ".aiemp").mkdir(mode=0o700)
    (tmp_path / ".aiemp" / "control.path").write_bytes(where)
    with pytest.raises(Unreachable), Client(str(tmp_path)):
        pass


def test_a_folder_that_others_may_write_in_is_not_trusted(tmp_path: Path) -> None:
    with fake_daemon(tmp_path, answers(status={})):
        (tmp_path / ".aiemp").chmod(0o777)
        with pytest.raises(Unreachable, match="others may write"), Client(str(tmp_path)):
            pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can give files away")
@pytest.mark.parametrize(("folder", "socket_owner", "trusted"), [(0, 1234, False), (1234, 0, True), (1234, 1234, True)])
def test_root_trusts_a_socket_that_belongs_to_its_folders_owner_or_to_root(
    tmp_path: Path, folder: int, socket_owner: int, *, trusted: bool
) -> None:
    with fake_daemon(tmp_path, answers(status={})):
        os.chown(tmp_path / ".aiemp", folder, folder)
        os.chown(tmp_path / ".aiemp" / "control.sock", socket_owner, socket_owner)
        if trusted:
            with Client(str(tmp_path)) as client:
                assert client.call("status") == {}
        else:
            with pytest.raises(Unreachable, match="belongs to another user"), Client(str(tmp_path)):
                pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become someone else")
@pytest.mark.parametrize(
    ("folder", "socket_owner", "trusted"), [(1234, 1234, True), (1234, 0, True), (1235, 1235, False)]
)
def test_a_user_trusts_only_what_is_theirs_or_roots(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, folder: int, socket_owner: int, *, trusted: bool
) -> None:
    with fake_daemon(tmp_path, answers(status={})):
        os.chown(tmp_path / ".aiemp", folder, folder)
        os.chown(tmp_path / ".aiemp" / "control.sock", socket_owner, socket_owner)
        monkeypatch.setattr(os, "geteuid", lambda: 1234)
        if trusted:
            with Client(str(tmp_path)) as client:
                assert client.call("status") == {}
        else:
            with pytest.raises(Unreachable, match="belongs to another user"), Client(str(tmp_path)):
                pass


def test_a_request_that_no_daemon_reads_is_not_sent(tmp_path: Path) -> None:
    with fake_daemon(tmp_path, answers()) as daemon, Client(str(tmp_path)) as client:
        with pytest.raises(UsageError, match="longer than"):
            client.call("stop", {"names": ["x" * protocol.MAX_LINE]})
        assert daemon.asked == []
