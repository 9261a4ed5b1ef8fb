"""The control server and clients that are slow, rude, many or gone: nobody else notices."""

import json
import os
import resource
import socket
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import anyio
import pytest
from anyio.lowlevel import checkpoint
from control_site import PATIENCE, STATUS, Caller, client, serving, until

from orchestrator.control import protocol, server
from orchestrator.control.server import ControlServer, Progress
from orchestrator.events import Bus

# --- clients that break the rules ---


async def test_a_line_that_is_too_long_is_refused(tmp_path: Path) -> None:
    async with serving(tmp_path) as site, client(site) as someone:
        with pytest.raises((anyio.BrokenResourceError, anyio.ClosedResourceError)):
            await someone.send(b"x" * 64 * protocol.MAX_LINE)
        await site.works()


async def test_a_line_just_within_the_limit_is_taken(tmp_path: Path) -> None:
    async with serving(tmp_path) as site, client(site) as someone:
        line = json.dumps(STATUS).encode()
        padding = b" " * (protocol.MAX_LINE - len(line) - 1)
        assert (await someone.call(line + padding + b"\n"))["result"] == {"watchers": []}


async def test_a_slow_line_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_TIMEOUT", 0.1)
    async with serving(tmp_path) as site, client(site) as someone:
        await someone.send(b'{"jsonrpc"')
        await site.works()
        assert "too long" in (await someone.receive())["error"]["message"]
        assert await someone.ended()


async def test_a_silent_client_is_cut_off(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "IDLE_TIMEOUT", 0.1)
    async with serving(tmp_path) as site, client(site) as someone:
        assert "error" in await someone.receive()
        assert await someone.ended()


async def test_a_client_that_never_reads_is_dropped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "SEND_TIMEOUT", 0.1)
    async with serving(tmp_path) as site, client(site) as someone:
        site.answers["status"] = {"watchers": ["x" * 1000] * 5000}
        await someone.send(STATUS)
        await until(lambda: site.called)
        site.answers["status"] = {"watchers": []}
        await site.works()
        await until(lambda: site.server._clients == 0)
        assert await someone.ended()


async def test_half_an_answer_is_never_followed_by_another_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "PROGRESS_EVERY", 0.01)
    done = anyio.Event()

    async def shout(_method: str, _params: dict[str, Any], progress: Progress) -> Any:
        progress.text = lambda: "x" * 2_000_000  # more than the socket takes at once
        await done.wait()
        return {}

    path = str(tmp_path / "control.sock")
    async with anyio.create_task_group() as tasks:
        await tasks.start(ControlServer(path, shout, Bus()).serve)
        async with await anyio.connect_unix(path) as stream:
            someone = Caller(stream)
            await someone.send(STATUS)
            await stream.receive(1)  # the first sign of life is on its way
            done.set()
            assert b"\n" not in await someone.drained()
        tasks.cancel_scope.cancel()


@pytest.mark.parametrize("silent", [0, 50])
async def test_a_hundred_clients_at_once_are_all_served(tmp_path: Path, silent: int) -> None:
    answered = 0
    async with serving(tmp_path) as site, AsyncExitStack() as stack:
        for _ in range(silent):
            await stack.enter_async_context(client(site))

        async def ask() -> None:
            nonlocal answered
            async with client(site) as someone:
                assert (await someone.call(STATUS))["result"] == {"watchers": []}
                answered += 1

        async with anyio.create_task_group() as tasks:
            for _ in range(100):
                tasks.start_soon(ask)
    assert answered == 100


async def test_who_is_silent_for_longest_makes_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CLIENTS", 3)
    async with serving(tmp_path) as site, client(site) as first, client(site) as second, client(site) as third:
        for each in (first, second, third, first):
            await each.call(STATUS)
        await site.works()
        assert await second.ended()
        await first.call(STATUS)
        await third.call(STATUS)


async def test_when_all_are_busy_the_next_one_is_told_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "MAX_CLIENTS", 2)
    async with serving(tmp_path) as site, client(site) as first, client(site) as second:
        for each in (first, second):
            await each.send(STATUS | {"method": "stop", "params": {"names": ["a"]}})
        await until(lambda: len(site.called) == 2)
        async with client(site) as third:
            assert "too many clients" in (await third.receive())["error"]["message"]
            assert await third.ended()
        for _ in range(50):  # who is gone before it could be told must not matter
            socket_ = socket.socket(socket.AF_UNIX)
            socket_.connect(site.path)
            socket_.close()
            await checkpoint()
        site.gate.set()
        assert [(await first.receive())["id"], (await second.receive())["id"]] == [1, 1]
        await site.works()


async def test_clients_that_leave_at_any_moment_disturb_nobody(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        site.answers["status"] = {"watchers": ["x" * 1000] * 1000}
        for line in (
            b"",
            b"{",
            b"\n",
            json.dumps(STATUS).encode() + b"\n",
            b'{"jsonrpc": "2.0", "method": "status"}\n',
        ):
            for rest in range(5):
                raw = socket.socket(socket.AF_UNIX)
                raw.connect(site.path)
                raw.sendall(line)
                for _ in range(rest):
                    await checkpoint()
                raw.close()
        await site.works()


async def test_without_descriptors_for_more_clients_the_server_lives_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "ACCEPT_PAUSE", 0.01)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    async with serving(tmp_path) as site:
        waiting = socket.socket(socket.AF_UNIX)
        lowest_free = os.dup(0)
        os.close(lowest_free)
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (lowest_free, hard))
            waiting.connect(site.path)
            await anyio.sleep(0.05)
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        with anyio.fail_after(PATIENCE):
            await site.works()
        waiting.close()


FOLLOW = {"jsonrpc": "2.0", "id": 7, "method": "events", "params": {"follow": True}}


async def test_followers_that_leave_disturb_nobody_and_are_forgotten(tmp_path: Path) -> None:
    async with serving(tmp_path) as site:
        for _ in range(20):
            async with client(site) as follower:
                await follower.call(FOLLOW)
            site.say("into the void")  # before the server can have seen that it is gone
            await checkpoint()
            site.say("again")
        await site.works()
        await until(lambda: not site.bus._subscribers)


async def test_a_follower_that_does_not_keep_up_is_dropped_not_lied_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "FOLLOW_QUEUE", 10)
    monkeypatch.setattr(server, "SEND_TIMEOUT", 0.1)
    async with serving(tmp_path) as site, client(site) as follower:
        await follower.call(FOLLOW)
        for _ in range(100):
            site.say("x" * 100_000)
        await until(lambda: not site.bus._subscribers)
        await site.works()
        await follower.drained()


async def test_a_follower_that_stops_reading_and_breaks_the_rules_disturbs_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "SEND_TIMEOUT", 0.3)
    monkeypatch.setattr(server, "REQUEST_TIMEOUT", 0.05)
    async with serving(tmp_path) as site, client(site) as follower:
        await follower.call(FOLLOW)
        site.say("x" * 2_000_000)  # more than the socket takes
        await follower.send(b"no end of line")  # so that an error is to be sent, too
        await until(lambda: not site.bus._subscribers)
        await site.works()
