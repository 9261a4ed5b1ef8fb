"""The control socket: what it answers, who gets in, and who cannot disturb anybody there."""

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from harness import PATIENCE, PATIENT, SLEEPER, Site

pytestmark = PATIENT


@contextmanager
def connected(site: Site) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(PATIENCE)
        client.connect(str(site.vault / ".aiemp/control.sock"))
        yield client


def everything(client: socket.socket) -> bytes:
    """All that still comes until the other side hangs up."""
    came = b""
    try:
        while more := client.recv(65_536):
            came += more
    except ConnectionResetError:  # so does who closes a connection with something unread in it
        pass
    return came


def test_it_speaks_json_rpc(site: Site) -> None:
    site.start(text=SLEEPER)
    site.wait_for("sleeper", "running")

    def ask(lines: Any, message: dict[str, Any]) -> dict[str, Any]:
        client.sendall(json.dumps(message).encode() + b"\n")
        answer: dict[str, Any] = json.loads(lines.readline())
        return answer

    with connected(site) as client, client.makefile("rb") as lines:
        answer = ask(lines, {"jsonrpc": "2.0", "id": 7, "method": "status"})
        assert (answer["jsonrpc"], answer["id"]) == ("2.0", 7)
        assert set(answer) == {"jsonrpc", "id", "result"}
        assert answer["result"]["watchers"][0]["name"] == "sleeper"
        answer = ask(lines, {"jsonrpc": "2.0", "id": "a", "method": "stop", "params": {"names": ["sleeper"]}})
        assert answer["id"] == "a"
        assert "result" in answer
        answer = ask(lines, {"jsonrpc": "2.0", "id": 8, "method": "nonesuch"})
        assert (answer["id"], answer["error"]["code"]) == (8, -32601)
        answer = ask(lines, {"jsonrpc": "2.0", "id": 9, "method": "stop", "params": {"names": ["nobody"]}})
        assert answer["id"] == 9
        assert "nobody" in answer["error"]["message"]
    assert site.watcher("sleeper")["state"] == "stopped"


def test_what_is_no_request_gets_an_error(site: Site) -> None:
    site.start(text=SLEEPER)
    for junk in (
        b"\n",
        b"[]\n",
        b"not json\n",
        b"7\n",
        b'{"jsonrpc":"2.0","id":1}\n',
        b"\xff\xfe\n",
        b"[" * 9999 + b"\n",
    ):
        with connected(site) as client, client.makefile("rb") as lines:
            client.sendall(junk)
            assert set(json.loads(lines.readline())) == {"jsonrpc", "id", "error"}, junk
    with connected(site) as client:
        client.sendall(b'{"jsonrpc":"2.0",')  # and goes away
    assert site.ctl("status").returncode == 0


def test_who_sends_too_much_is_cut_off(site: Site) -> None:
    site.start(text=SLEEPER)
    begun = time.monotonic()
    with connected(site) as client:
        sent = 0
        try:
            while sent < 64 << 20:
                sent += client.send(b"x" * 65_536)
        except (BrokenPipeError, ConnectionResetError):
            pass
        assert 1 << 20 <= sent < 8 << 20  # a megabyte, and what fits into the buffers between
        came = everything(client)
    assert came == b"" or "at most 1048576 bytes" in json.loads(came)["error"]["message"]
    assert time.monotonic() - begun < 9  # for its length, not for its slowness
    assert site.ctl("status").returncode == 0


def test_who_is_slow_is_cut_off_and_holds_up_nobody_meanwhile(site: Site) -> None:
    site.start(text=SLEEPER)
    begun = time.monotonic()
    with connected(site) as client, connected(site) as silent:
        client.sendall(b'{"jsonrpc": "2.0", "id": 1, ')
        client.settimeout(0.5)
        came, asked, cut = b"", 0, False
        while not cut:
            assert site.ctl("status").returncode == 0
            asked += 1
            assert time.monotonic() - begun < 20
            try:
                client.sendall(b" ")  # a byte now and then does not help
                came += client.recv(65_536)
                cut = True
            except TimeoutError:
                pass
            except ConnectionError:
                cut = True
        assert asked > 3
        assert time.monotonic() - begun > 8
        came += everything(client)
        assert came == b"" or "too long" in json.loads(came)["error"]["message"]
        silent.sendall(b'{"jsonrpc":"2.0","id":1,"method":"status"}\n')  # who has not begun yet may take its time
        assert b"result" in silent.recv(65_536)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_another_user_does_not_get_in() -> None:
    # Not below pytest's folders, which are closed to others: here nothing but the daemon itself keeps a stranger out.
    folder = Path(tempfile.mkdtemp(dir="/tmp"))
    site = Site(folder)
    try:
        site.start(text=SLEEPER)
        path = site.vault / ".aiemp/control.sock"
        for each in (folder, site.vault, site.vault / ".aiemp"):
            each.chmod(0o755)
        path.chmod(0o666)  # as if a careless person had opened everything: the daemon asks the kernel who it is
        asks = (
            "import os, socket, sys\n"
            "os.setgroups([]); os.setgid(int(sys.argv[2])); os.setuid(int(sys.argv[2]))\n"
            "s = socket.socket(socket.AF_UNIX)\ns.settimeout(30)\ns.connect(sys.argv[1])\n"
            'try: s.sendall(b\'{"jsonrpc":"2.0","id":1,"method":"status"}\\n\')\n'
            "except BrokenPipeError: pass  # sent away before\n"
            "print(s.makefile().readline())"
        )

        def ask(uid: int) -> dict[str, Any]:
            asked = subprocess.run(
                [sys.executable, "-c", asks, str(path), str(uid)],
                cwd="/",
                capture_output=True,
                text=True,
                timeout=PATIENCE,
                check=True,
            )
            answer: dict[str, Any] = json.loads(asked.stdout)
            return answer

        assert "result" in ask(0)
        refused = ask(65534)
        assert "result" not in refused
        assert "another user" in refused["error"]["message"]
        assert site.status()["supervisor"]["state"] == "running"
    finally:
        site.clean_up()
        shutil.rmtree(folder)
