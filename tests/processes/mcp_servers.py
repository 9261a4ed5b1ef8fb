"""MCP servers over pipes that behave as the first argument says, most of them badly. Run as a program."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

INFO = {"name": "played", "version": "1.2.3"}
TOOL = {"name": "a", "inputSchema": {"type": "object"}}
LEGACY = "2025-11-25"
MODERN = "2026-07-28"


def say(message: dict[str, Any]) -> None:
    print(json.dumps({"jsonrpc": "2.0", **message}), flush=True)


def answer(asked: dict[str, Any], result: object) -> None:
    say({"id": asked["id"], "result": result})


def refuse(asked: dict[str, Any], code: int, message: str, data: object = None) -> None:
    say({"id": asked["id"], "error": {"code": code, "message": message, "data": data}})


def asked() -> Any:
    """The next message; an orderly end when there is none."""
    line = sys.stdin.readline()
    if not line:
        raise SystemExit(0)
    return json.loads(line)


def initialized(version: str = LEGACY, capabilities: dict[str, Any] | None = None) -> None:
    message = asked()
    assert message["method"] == "initialize", message
    assert message["params"]["protocolVersion"] == LEGACY
    assert message["params"]["capabilities"] == {}
    capabilities = {"tools": {}} if capabilities is None else capabilities
    answer(message, {"protocolVersion": version, "serverInfo": INFO, "capabilities": capabilities})
    assert asked() == {"jsonrpc": "2.0", "method": "notifications/initialized"}


def served(pages: int = 1, tools: int = 2) -> None:
    """Answer properly until the end."""
    page = 0
    while True:
        message = asked()
        if message.get("method") == "ping":
            answer(message, {})
        elif message.get("method") == "tools/list":
            assert message.get("params", {}).get("cursor") == (f"page {page}" if page else None)
            page += 1
            more = {"nextCursor": f"page {page}"} if page < pages else {}
            answer(message, {"tools": [TOOL] * tools, **more})


def good() -> None:
    initialized()
    served()


def pages() -> None:
    initialized()
    served(pages=3)


def old() -> None:
    initialized(version="2024-11-05")
    served()


def future() -> None:
    initialized(version="2031-01-01")
    served()


def without_tools() -> None:
    initialized(capabilities={"prompts": {}})
    message = asked()
    assert message["method"] == "ping"
    answer(message, {})
    asked()
    print("asked for tools that it has not announced", file=sys.stderr)


def without_ping() -> None:
    initialized()
    refuse(asked(), -32601, "Method not found")
    served()


def deaf_to_ping() -> None:
    initialized()
    asked()
    while True:
        asked()


def hung() -> None:
    print("loading a very large model", file=sys.stderr, flush=True)
    while True:
        asked()


def stubborn() -> None:
    """Answers, but does not end when it should."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    try:
        good()
    except SystemExit:
        while True:
            time.sleep(1000)


def deaf() -> None:
    """Reads nothing, answers nothing, ends for nothing."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    while True:
        time.sleep(1000)


def ends_on_sigterm() -> None:
    try:
        good()
    except SystemExit:
        time.sleep(1000)


def dies() -> None:
    print("Traceback (most recent call last):\nModuleNotFoundError: No module named 'time_server'", file=sys.stderr)
    raise SystemExit(3)


def killed() -> None:
    initialized()
    os.kill(os.getpid(), signal.SIGKILL)


def silent() -> None:
    """Closes its output, and lives on."""
    os.close(1)
    while True:
        time.sleep(1000)


def tells_secret() -> None:
    secrets = os.environ["PLAYED_API_KEY"], os.environ["OTHER_TOKEN"]
    print(f"cannot sign in with {' or '.join(secrets)}", file=sys.stderr)
    raise SystemExit(1)


def flood() -> None:
    block = b"x" * 1_000_000
    for _ in range(100):
        os.write(1, block)
    served()


def flood_of_errors() -> None:
    for _ in range(100):
        os.write(2, b"y" * 999_999 + b"\n")
    good()


def chatter() -> None:
    while True:
        say({"method": "notifications/message", "params": {"level": "info", "data": "still here"}})


def junk() -> None:
    print("Welcome to the played server!\n{not json\n[]\n\n" + "[" * 5000 + "\n" + "9" * 5000, flush=True)
    os.write(1, b"\xff\xfe\n")
    good()


def asks() -> None:
    """Asks its client for things, answers what is older later, and answers what nobody asked."""
    say({"method": "notifications/tools/list_changed"})
    say({"id": 0, "method": "roots/list"})
    say({"id": "p", "method": "ping"})
    first = asked()
    assert asked() == {"jsonrpc": "2.0", "id": 0, "error": {"code": -32601, "message": "Method not found"}}
    assert asked() == {"jsonrpc": "2.0", "id": "p", "result": {}}
    say({"id": 99, "result": {}})
    say({"id": str(first["id"]), "result": {}})
    answer(first, {"protocolVersion": LEGACY, "serverInfo": INFO, "capabilities": {"tools": {}}})
    asked()
    served()


def asks_without_end() -> None:
    number = 0
    while True:
        number += 1
        say({"id": number, "method": "ping", "params": {"filler": "z" * 1000}})


def refuses() -> None:
    refuse(asked(), -32602, "no\nsuch\x1b[31m client")
    served()


def circle() -> None:
    initialized()
    while True:
        message = asked()
        answer(message, {"tools": [TOOL], "nextCursor": "again"} if message["method"] == "tools/list" else {})


def endless_pages() -> None:
    initialized()
    served(pages=10**9)


def modern() -> None:
    """Knows only the way without a beginning, and only in a process that was never talked to otherwise."""
    message = asked()
    if message["method"] == "initialize":
        refuse(message, -32022, "Unsupported protocol version", {"supported": [MODERN]})
    while message["method"] == "initialize":
        message = asked()
    about = message["params"]["_meta"]
    assert about["io.modelcontextprotocol/protocolVersion"] == MODERN
    assert about["io.modelcontextprotocol/clientCapabilities"] == {}
    capabilities: dict[str, Any] = {"tools": {}}
    told = {"io.modelcontextprotocol/serverInfo": INFO}
    answer(message, {"supportedVersions": [MODERN], "capabilities": capabilities, "_meta": told})
    message = asked()
    assert message["method"] == "tools/list"
    answer(message, {"tools": [TOOL] * 4})
    asked()


def leaves_a_daemon() -> None:
    """Starts something that leaves its session and group, holds its pipes open, and ignores SIGTERM."""
    subprocess.Popen(
        [sys.executable, "-c", "import signal, time; signal.signal(15, signal.SIG_IGN); time.sleep(1000)"],
        start_new_session=True,
    )
    good()


def leaves_a_daemon_and_dies() -> None:
    subprocess.Popen([sys.executable, "-c", "import time; time.sleep(1000)"], start_new_session=True)
    raise SystemExit(4)


def tells_surroundings() -> None:
    names = ["CLAUDE_PROJECT_DIR", "AIEMP_VAULT", "DRY_RUN", "PLAYED", "CLAUDECODE", "NOTIFY_SOCKET", "AIEMP_TASK"]
    told = [os.environ.get(name, "-") for name in names]
    print(" ".join([str(Path.cwd()), *told, *sys.argv[2:]]), file=sys.stderr)
    raise SystemExit(1)


def main() -> None:
    behaviour: Callable[[], None] = globals()[sys.argv[1]]
    try:
        behaviour()
    except BrokenPipeError:
        os._exit(0)


if __name__ == "__main__":
    main()
