"""MCP servers over HTTP that behave as their path says, in threads of the test's own process."""

import json
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

INFO = {"name": "web", "version": "4.5.6"}
MODERN = "2026-07-28"
JSON = "application/json"
STREAM = "text/event-stream"
SECRET = "s3cret-of-the-header"  # noqa: S105  it is none


class Site(ThreadingHTTPServer):
    """`requests`: the method, the path, the headers in lower case and the message of each."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.requests: list[tuple[str, str, dict[str, str], Any]] = []
        self.over = threading.Event()

    def url(self, path: str) -> str:
        return f"http://127.0.0.1:{self.server_port}/{path}"


@contextmanager
def site() -> Iterator[Site]:
    made = Site()
    thread = threading.Thread(target=made.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield made
    finally:
        made.over.set()
        made.shutdown()
        thread.join()
        made.server_close()


class _Handler(BaseHTTPRequestHandler):
    server: Site
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def do_POST(self) -> None:
        message = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.serve(message)

    def do_GET(self) -> None:
        self.serve(None)

    def do_DELETE(self) -> None:
        self.serve(None)

    def serve(self, message: Any) -> None:
        headers = {name.lower(): value for name, value in self.headers.items()}
        self.server.requests.append((self.command, self.path, headers, message))
        with suppress(ConnectionError):
            getattr(self, self.path.split("/")[1])(message)

    # --- what goes right ---

    def plain(self, message: Any) -> None:
        """One body for each answer, and a session."""
        if message is None or "id" not in message:
            self.reply(202 if self.command == "POST" else 200)
            return
        self.reply(200, _answer(message), {"Mcp-Session-Id": "session-7"})

    def stream(self, message: Any) -> None:
        """Events, with what else can come between them."""
        if message is None or "id" not in message:
            self.reply(202)
            return
        note = {"jsonrpc": "2.0", "method": "notifications/message", "params": {}}
        text = f": hello\n\nid: 1\ndata:\n\nevent: message\ndata: {json.dumps(note)}\n\n"
        body = json.dumps(_answer(message), indent=1).replace("\n", "\r\ndata: ")
        self.reply(200, text + f"event: message\r\ndata: {body}\r\n\r\n", {"Content-Type": STREAM})

    def modern(self, message: Any) -> None:
        if message["method"] == "initialize":
            error = {"code": -32022, "message": "Unsupported", "data": {"supported": [MODERN]}}
            self.reply(400, {"jsonrpc": "2.0", "id": None, "error": error})
            return
        assert self.headers["Mcp-Method"] == message["method"]
        assert self.headers["MCP-Protocol-Version"] == MODERN
        self.reply(200, _answer(message))

    def moved(self, _: Any) -> None:
        self.reply(307, None, {"Location": "/plain/there"})

    # --- what goes wrong ---

    def status(self, _: Any) -> None:
        self.reply(int(self.path.split("/")[2]), {"error": {"message": f"not with {self.headers['Authorization']}"}})

    def away(self, _: Any) -> None:
        self.reply(307, None, {"Location": f"http://localhost:{self.server.server_port}/plain"})

    def around(self, _: Any) -> None:
        self.reply(308, None, {"Location": "/around"})

    def found(self, _: Any) -> None:
        self.reply(302, None, {"Location": "/plain"})

    def page(self, _: Any) -> None:
        self.reply(200, "<html>Welcome</html>", {"Content-Type": "text/html"})

    def empty(self, _: Any) -> None:
        self.reply(200, "", {"Content-Type": STREAM})

    def huge(self, _: Any) -> None:
        self.pour(b"x" * 1_000_000)

    def huge_event(self, _: Any) -> None:
        self.pour(b"data: " + b"x" * 1_000_000 + b"\n", STREAM)

    def chatter(self, _: Any) -> None:
        self.pour(b'data: {"jsonrpc": "2.0", "method": "notifications/message"}\n\n' * 100, STREAM)

    def heartbeat(self, _: Any) -> None:
        """Keeps the stream alive, and says nothing."""
        self.pour(b": still here\n\n", STREAM, 0.05)

    def hung(self, _: Any) -> None:
        self.server.over.wait()

    def torn(self, _: Any) -> None:
        self.reply(200, None, {"Content-Length": "100"})
        self.close_connection = True

    # --- below ---

    def reply(self, status: int, body: Any = None, headers: Mapping[str, str] | None = None) -> None:
        data = body.encode() if isinstance(body, str) else b"" if body is None else json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"Content-Type": JSON, "Content-Length": str(len(data)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(data)

    def pour(self, piece: bytes, kind: str = JSON, pause: float = 0.0) -> None:
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Connection", "close")
        self.end_headers()
        while not self.server.over.is_set():
            self.wfile.write(piece)
            time.sleep(pause)


def _answer(message: Any) -> dict[str, Any]:
    capabilities: dict[str, Any] = {"tools": {}}
    results: dict[str, dict[str, Any]] = {
        "initialize": {"protocolVersion": "2025-06-18", "serverInfo": INFO, "capabilities": capabilities},
        "server/discover": {
            "supportedVersions": [MODERN],
            "capabilities": capabilities,
            "_meta": {"io.modelcontextprotocol/serverInfo": INFO},
        },
        "ping": {},
        "tools/list": {"tools": [{"name": "a"}] * 3},
    }
    return {"jsonrpc": "2.0", "id": message["id"], "result": results[message["method"]]}
