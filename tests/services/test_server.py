"""The control server on a real socket: requests and answers, followers, and the socket itself."""

import os
import shutil
import socket
import stat
from pathlib import Path
from typing import Any

import anyio
import pytest
from control_site import STATUS, Site, client, serving, until

from orchestrator.control import protocol, server
from orchestrator.control.protocol import RpcError
from orchestrator.control.server import ControlServer
from orchestrator.errors import UserError
from orchestrator.events import Bus

# --- requests ---


async def test_a_request_gets_its_answer_and_the_next_one_too(tmp_path: Path) -> None:
    async with serving(tmp_path) as site, client(site) as someone:
        for ident in (1, "two", 3):
            answer = await someone.call(STATUS | {"id": ident})
            assert answer == {"jsonrpc": "2.0", "id": ident, "result": {"watchers": []}}
        assert site.called == [("status", {"names": None})] * 3


@pytest.mark.parametrize(
    ("line", "code"),
    [
        (b"\n", protocol.PARSE_ERROR),
        (b"hello\n", protocol.PARSE_ERROR),
        (b"\xff\xfe\n", protocol.PARSE_ERROR),
        (b"{\n", protocol.PARSE_ERROR),
        (b"[" * 100_000 + b"\n", protocol.PARSE_ERROR),
        (b'{"jsonrpc": "2.0", "id": NaN}\n', protocol.PARSE_ERROR),
        (b"1" * 10_000 + b"\n", protocol.PARSE_ERROR),
        (b"[]\n", protocol.INVALID_REQUEST),
        (b"null\n", protocol.INVALID_REQUEST),
        (b'{"id": 1, "method": "status"}\n', protocol.INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1}\n', protocol.INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": {}, "method": "status"}\n', protocol.INVALID_REQUEST),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "explode"}\n', protocol.METHOD_NOT_FOUND),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "__init__"}\n', protocol.METHOD_NOT_FOUND),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "stop"}\n', protocol.INVALID_PARAMS),
        (b'{"jsonrpc": "2.0", "id": 1, "method": "status", "params": [1]}\n', protocol.INVALID_PARAMS),
    ],
)
async def test_what_makes_no_sense_gets_an_error_and_the_connection_stays(
    tmp_path: Path, line: bytes, code: int
) -> None:
    async with serving(tmp_path) as site, client(site) as someone:
        assert (await someone.call(line))["error"]["code"] == code
        assert (await someone.call(STATUS))["result"] == {"watchers": []}


async def test_a_notification_gets_no_answer_not_even_an_error(tmp_path: Path) -> None:
    async with serving(tmp_path) as site, client(site) as someone:
        site.answers["shutdown"] = RpcError(protocol.FAILED, "no")
        for method in ("shutdown", "explode", "stop", "status"):
            await someone.send({"jsonrpc": "2.0", "method": method})
        assert (await someone.call(STATUS))["id"] == 1
        assert [method for method, _ in site.called] == ["shutdown", "status", "status"]


@pytest.mark.parametrize("answer", [ZeroDivisionError("oh"), {"not JSON": object()}, {"no number": float("nan")}])
async def test_a_bug_in_a_command_is_that_commands_error(tmp_path: Path, answer: Any) -> None:
    async with serving(tmp_path) as site, client(site) as someone:
        site.answers["reload"] = answer
        problem = await someone.call(STATUS | {"method": "reload"})
        assert problem["error"]["code"] == protocol.INTERNAL_ERROR
        assert "reload failed inside the daemon" in problem["error"]["message"]
        await site.works()


async def test_errors_carry_their_data(tmp_path: Path) -> None:
    async with serving(tmp_path) as site, client(site) as someone:
        site.answers["status"] = RpcError(protocol.UNKNOWN_NAME, "no such watcher", {"unknown": ["x"]})
        answer = await someone.call(STATUS)
        assert answer["error"] == {
            "code": protocol.UNKNOWN_NAME,
            "message": "no such watcher",
            "data": {"unknown": ["x"]},
        }


async def test_a_long_request_shows_signs_of_life_and_holds_up_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PROGRESS_EVERY", 0.02)
    async with serving(tmp_path) as site, client(site) as someone:
        await someone.send(STATUS | {"method": "stop", "params": {"names": ["a"]}})
        for _ in range(3):
            assert await someone.receive() == {
                "jsonrpc": "2.0",
                "method": "progress",
                "params": {"text": "stopping"},
            }
        await site.works()
        site.gate.set()
        while (answer := await someone.receive()).get("method") == "progress":
            pass
        assert answer == {"jsonrpc": "2.0", "id": 1, "result": {}}


async def test_a_client_that_goes_away_ends_its_wait(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "PROGRESS_EVERY", 0.01)
    async with serving(tmp_path) as site:
        async with client(site) as someone:
            await someone.send(STATUS | {"method": "stop", "params": {"names": ["a"]}})
            await until(lambda: site.called)
        await until(lambda: site.cancelled == 1)
        await site.works()


async def test_a_half_closed_client_gets_its_answer(tmp_path: Path) -> None:
    async with serving(tmp_path) as site, client(site) as someone:
        await someone.send(STATUS)
        await someone.send(STATUS | {"id": 2})
        await someone.stream.send_eof()
        assert [(await someone.receive())["id"], (await someone.receive())["id"]] == [1, 2]
        assert await someone.ended()


# --- followers ---

FOLLOW = {"jsonrpc": "2.0", "id": 7, "method": "events", "params": {"follow": True}}


async def test_a_follower_gets_the_latest_then_every_new_fact(tmp_path: Path) -> None:
    async with serving(tmp_path) as site, client(site) as follower:
        site.answers["events"] = {"events": ["old"]}
        assert await follower.call(FOLLOW) == {"jsonrpc": "2.0", "id": 7, "result": {"events": ["old"]}}
        for text in ("one", "two"):
            site.say(text)
            told = await follower.receive()
            assert (told["method"], told["params"]["kind"], told["params"]["text"]) == (
                "event",
                "watcher.status",
                text,
            )
            assert "id" not in told


# --- the socket itself ---


def names(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir()]


async def test_only_its_owner_may_open_the_socket_and_it_goes_with_the_server(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        found = os.lstat(site.path)
        assert (stat.S_ISSOCK(found.st_mode), stat.S_IMODE(found.st_mode)) == (True, 0o600)
    assert names(tmp_path) == []


async def test_the_kernel_says_who_is_there() -> None:
    ours, theirs = socket.socketpair(socket.AF_UNIX)
    with ours, theirs:
        assert server.peer_uid(ours) == os.getuid()


async def test_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path) as site:
        monkeypatch.setattr(server, "peer_uid", lambda _: os.getuid() + 1)
        async with client(site) as stranger:
            assert "another user" in (await stranger.receive())["error"]["message"]
            assert await stranger.ended()
        assert site.called == []


async def test_root_is_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async with serving(tmp_path) as site:
        monkeypatch.setattr(server, "peer_uid", lambda _: 0)
        await site.works()


async def test_a_dead_daemons_socket_is_replaced(tmp_path: Path) -> None:
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(tmp_path / "control.sock"))
    dead.listen()
    dead.close()
    async with serving(tmp_path) as site:
        await site.works()


@pytest.mark.parametrize("crowded", [False, True])
async def test_a_living_socket_is_left_alone(tmp_path: Path, *, crowded: bool) -> None:
    path = str(tmp_path / "control.sock")
    with socket.socket(socket.AF_UNIX) as living, socket.socket(socket.AF_UNIX) as waiting:
        living.bind(path)
        living.listen(0)
        if crowded:
            waiting.connect(path)  # its queue is full: it lives, but lets nobody in for now
        with pytest.raises(UserError, match=str(path)):
            await ControlServer(path, Site(path).handle, Bus()).serve()
        assert names(tmp_path) == ["control.sock"]


@pytest.mark.parametrize("kind", ["file", "folder", "link"])
async def test_what_is_no_socket_is_left_alone(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "control.sock"
    if kind == "file":
        path.write_text("mine")
    elif kind == "folder":
        path.mkdir()
    else:
        path.symlink_to(tmp_path / "nowhere")
    with pytest.raises(UserError, match="is no socket; remove or rename it"):
        await ControlServer(str(path), Site(str(path)).handle, Bus()).serve()
    assert names(tmp_path) == ["control.sock"]


async def test_a_socket_that_someone_removed_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LOOK_EVERY", 0.01)
    async with serving(tmp_path) as site:
        async with client(site) as someone:
            os.unlink(site.path)  # noqa: PTH108  places are strings
            await until(lambda: os.path.exists(site.path))  # noqa: PTH110  places are strings
            assert (await someone.call(STATUS))["result"]  # whoever was connected stays so
        await site.works()
    assert not os.path.exists(site.path)  # noqa: ASYNC240, PTH110  nobody else runs any more


async def test_a_socket_appears_only_when_it_can_be_connected_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    make, seen = anyio.create_unix_listener, list[list[str]]()

    async def watched(path: str, **others: Any) -> Any:
        listener = await make(path, **others)
        seen.append(os.listdir(tmp_path))  # noqa: PTH208
        return listener

    monkeypatch.setattr(anyio, "create_unix_listener", watched)
    async with serving(tmp_path) as site:
        assert seen == [["control.new"]]
        assert os.listdir(tmp_path) == ["control.sock"]  # noqa: PTH208
        await site.works()


async def test_a_socket_whose_folder_is_gone_too_is_made_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LOOK_EVERY", 0.01)
    state = tmp_path / ".aiemp"
    state.mkdir(mode=0o700)
    async with serving(state) as site:
        shutil.rmtree(state)
        await until(lambda: os.path.exists(site.path))  # noqa: PTH110  places are strings
        await site.works()
        assert stat.S_IMODE(state.stat().st_mode) == 0o700
