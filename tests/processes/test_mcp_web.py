"""Checks of MCP servers over HTTP, most of which behave badly."""

import os
import sys
from pathlib import Path

import anyio
import pytest
from mcp_checking import Bench, bench, without_times
from mcp_web import SECRET, Site, site

from orchestrator.mcp import check
from orchestrator.mcp.finding import Finding, State
from orchestrator.mcp.now import check_now
from orchestrator.mcp.server import Server, Transport

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
pytest.importorskip("httpx2", reason="the extra `http` is not installed")

OK, FAILED, TIMEOUT, LOGIN = State.OK, State.FAILED, State.TIMEOUT, State.LOGIN
LOST = "it redirects in a way that loses what is sent"
TABLE: tuple[tuple[str, State, str], ...] = (
    ("plain", OK, ""),
    ("stream", OK, ""),
    ("modern", OK, ""),
    ("moved", OK, ""),
    ("status/401", LOGIN, "it wants a sign-in (401 not with [redacted]); sign in with /mcp in claude"),
    ("status/403", LOGIN, "it wants a sign-in (403 not with [redacted])"),
    ("status/404", FAILED, "HTTP 404 not with [redacted]; is the path in its url right?"),
    ("status/500", FAILED, "HTTP 500 not with [redacted]"),
    ("away", FAILED, "it redirects to http://localhost; if that is right, write it as the url"),
    ("around", FAILED, "its redirects go in a circle"),
    ("found", FAILED, LOST),
    ("page", FAILED, "its answer to initialize came to an end without being one"),
    ("empty", FAILED, "its answer to initialize came to an end without being one"),
    ("huge", FAILED, "it talks without end"),
    ("huge_event", FAILED, "it talks without end"),
    ("chatter", FAILED, "it talks without end, without answering initialize"),
    ("torn", FAILED, "its connection fails: RemoteProtocolError"),
    ("heartbeat", TIMEOUT, "no answer to initialize within 3 s"),
    ("hung", TIMEOUT, "no answer to initialize within 3 s"),
)


def web(at: Site, path: str, timeout: float = 40.0) -> Server:
    headers = (("Authorization", f"Bearer {SECRET}"),)
    return Server(path, Transport.HTTP, url=at.url(path), headers=headers, timeout=timeout)


async def test_every_behaviour_is_found_out_in_time(tmp_path: Path) -> None:
    found, limiter = dict[str, Finding](), anyio.CapacityLimiter(6)

    async def one(here: Bench, at: Site, path: str, timeout: float) -> None:
        async with limiter:
            found[path] = await here.another_checker()(web(at, path, timeout))

    with site() as at:
        async with bench(tmp_path) as here, anyio.create_task_group() as tasks:
            for path, state, _ in reversed(TABLE):  # the slowest first
                tasks.start_soon(one, here, at, path, 3.0 if state is TIMEOUT else 40.0)
        requests = at.requests
    for path, state, said in TABLE:
        each = found[path]
        assert each.state is state, each
        if state is OK:
            assert without_times(each) == Finding(path, "http", OK, "4.5.6", 3)
        else:
            assert (each.error or "").startswith(said), each
            assert SECRET not in (each.error or "")
    assert {headers["host"] for _, _, headers, _ in requests} == {f"127.0.0.1:{at.server_port}"}


async def test_what_is_sent(tmp_path: Path) -> None:
    with site() as at:
        async with bench(tmp_path) as here:
            await here.check(web(at, "plain"))
        requests = at.requests
    assert [(method, message and message["method"]) for method, _, _, message in requests] == [
        ("POST", "initialize"),
        ("POST", "notifications/initialized"),
        ("POST", "ping"),
        ("POST", "tools/list"),
        ("DELETE", None),
    ]
    for number, (_, _, headers, _) in enumerate(requests):
        assert headers["accept"] == "application/json, text/event-stream"
        assert headers["authorization"] == f"Bearer {SECRET}"
        assert headers.get("mcp-session-id") == ("session-7" if number else None)
        assert headers.get("mcp-protocol-version") == ("2025-06-18" if number else None)


@pytest.mark.parametrize(
    ("url", "header", "said"),
    [
        ("http://127.0.0.1:1/mcp", "x", "127.0.0.1:1 cannot be reached (ConnectError"),
        ("http://no-such-host.invalid/?key=s3cret-of-the-url", "x", "no-such-host.invalid cannot be reached"),
        ("http://[::1", "x", "its url or a header cannot be sent: InvalidURL"),
        ("http://127.0.0.1:1/", "grün—", "its url or a header cannot be sent: UnicodeEncodeError"),
    ],
)
async def test_what_cannot_be_reached_says_why(tmp_path: Path, url: str, header: str, said: str) -> None:
    async with bench(tmp_path) as here:
        found = await here.check(Server("s", Transport.HTTP, url=url, headers=(("X-Key", header),), timeout=40.0))
    assert found.state is FAILED
    assert (found.error or "").startswith(said)
    assert "s3cret" not in (found.error or "")


async def test_a_secret_that_would_be_cut_is_taken_out_first(tmp_path: Path) -> None:
    secret = "k" * 400
    with site() as at:
        async with bench(tmp_path) as here:
            found = await here.check(
                Server(
                    "s", Transport.HTTP, url=at.url("status/500"), headers=(("Authorization", secret),), timeout=40.0
                )
            )
    assert found.error == "HTTP 500 not with [redacted]"


@pytest.mark.parametrize(
    ("environ", "said"),
    [
        ({"HTTPS_PROXY": "http://[::1"}, "its url or a header cannot be sent: "),
        ({"SSL_CERT_FILE": "/nowhere"}, "its connection fails: FileNotFoundError"),
    ],
)
async def test_an_environment_that_lets_nothing_out_is_told(tmp_path: Path, environ: dict[str, str], said: str) -> None:
    async with bench(tmp_path, **environ) as here:
        found = await here.check(Server("s", Transport.HTTP, url="https://mcp.invalid/", timeout=40.0))
    assert (found.error or "").startswith(said), found


async def test_a_header_with_a_line_break_is_not_sent(tmp_path: Path) -> None:
    with site() as at:
        async with bench(tmp_path) as here:
            found = await here.check(
                Server("s", Transport.HTTP, url=at.url("plain"), headers=(("X-Key", "two\r\nHost: lines"),))
            )
        assert at.requests == []
    assert (found.error or "").startswith("its url or a header cannot be sent: LocalProtocolError")


def test_without_the_client_it_says_what_to_install(tmp_path: Path) -> None:
    (tmp_path / "httpx2.py").write_text("raise ModuleNotFoundError('no', name='httpx2')\n")
    here = Bench(tmp_path)
    here.groups.close()
    (found,) = check_now(
        [Server("s", Transport.HTTP, url="http://127.0.0.1:1/")],
        str(here.vault),
        {**os.environ, "PYTHONPATH": str(tmp_path)},
    )
    assert (found.state, found.error) == (FAILED, check.NO_CLIENT)
