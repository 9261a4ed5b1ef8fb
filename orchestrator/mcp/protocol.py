"""PURE. A talk with an MCP server, as its client has it: what to say to what comes in, and what came of it all."""

import json
from collections.abc import Iterator, Mapping
from enum import Enum
from typing import Any, Final

from orchestrator import __version__

# https://modelcontextprotocol.io/specification: a talk begins with `initialize` in all versions before the last one,
# which has no beginning. For a process that speaks both, the first message says which it is.
VERSIONS: Final = ("2025-11-25", "2025-06-18", "2025-03-26", "2024-11-05")
MODERN_VERSION: Final = "2026-07-28"
WRONG_VERSION: Final = -32022
UNKNOWN_METHOD: Final = -32601

PAGES_MAX: Final = 100
TOOLS_MAX: Final = 10_000
LINES_MAX: Final = 10_000  # messages that are not what is waited for
NOISE_MAX: Final = 1024 * 1024  # bytes of them
ENDLESS: Final = "it talks without end"
_WORDS_MAX: Final = 300  # characters of what a server says of an error
_NAME_MAX: Final = 100  # characters of a version

Message = dict[str, Any]


class Era(Enum):
    """Which of the two ways to talk."""

    LEGACY = "legacy"
    MODERN = "modern"


class Talk:
    """One talk, from the first message until `over`: then either `error` says what is wrong, or nothing is.

    Times are in seconds on any clock.
    """

    def __init__(self, era: Era = Era.LEGACY) -> None:
        self.era = era
        self.over = False
        self.error: str | None = None
        self.wants_modern = False  # the server knows only the other way
        self.waits_for = ""  # the method whose answer comes next
        self.spoken: str | None = None  # the protocol's version, once that is known
        self.version: str | None = None  # the server's own
        self.tools = 0
        self.latency: float | None = None  # seconds
        self._id = 0
        self._asked_at = 0.0
        self._pages = 0
        self._cursors = set[str]()
        self._has_tools = False
        self._lines = self._noise = 0  # since the last message that was waited for

    def begin(self, now: float) -> Message:
        """Give the first message to send."""
        if self.era is Era.MODERN:
            self.spoken = MODERN_VERSION
            return self._ask("server/discover", {}, now)
        said = {
            "protocolVersion": VERSIONS[0],
            "capabilities": {},
            "clientInfo": {"name": "aiemp", "version": __version__},
        }
        return self._ask("initialize", said, now)

    def hear(self, data: bytes, now: float) -> list[Message]:
        """Take one line, or one body, of the server's; give what to answer. What is no message only counts as noise."""
        said = _parse(data)
        replies, expected = list[Message](), False
        for message in said if isinstance(said, list) else [said]:
            if self.over or not isinstance(message, dict):
                continue
            if "method" in message:
                replies += _reply(message)
            elif self._is_answer(message):
                expected = True
                replies += self._answered(message, now)
        self._count(0 if expected else len(data), expected=expected)
        return replies

    def _is_answer(self, message: Message) -> bool:
        if "error" in message and message.get("id") is None:  # it could not even read what was asked
            return True
        found = message.get("id")
        return type(found) is int and found == self._id and ("result" in message or "error" in message)

    def _count(self, size: int, *, expected: bool) -> None:
        self._lines, self._noise = (0, 0) if expected else (self._lines + 1, self._noise + size)
        if not self.over and (self._lines > LINES_MAX or self._noise > NOISE_MAX):
            self._fail(f"{ENDLESS}, without answering {self.waits_for}")

    # --- answers ---

    def _answered(self, message: Message, now: float) -> Iterator[Message]:
        if "error" in message:
            yield from self._refused(message["error"], now)
            return
        result = message["result"]
        if not isinstance(result, dict):
            self._fail(f"its answer to {self.waits_for} is no object")
            return
        match self.waits_for:
            case "initialize":
                yield from self._initialized(result, now)
            case "server/discover":
                yield from self._discovered(result, now)
            case "ping":
                self.latency = now - self._asked_at
                yield from self._list_tools({}, now)
            case _:
                yield from self._listed(result, now)

    def _refused(self, error: Any, now: float) -> Iterator[Message]:
        code = error.get("code") if isinstance(error, dict) else None
        if self.waits_for == "initialize" and (code == WRONG_VERSION or _names_modern(error)):
            self.wants_modern = self.over = True
        elif self.waits_for == "ping" and code == UNKNOWN_METHOD:  # an answer all the same
            self.latency = now - self._asked_at
            yield from self._list_tools({}, now)
        else:
            self._fail(f"it refuses {self.waits_for}: {_in_words(error)}")

    def _initialized(self, result: Message, now: float) -> Iterator[Message]:
        spoken = result.get("protocolVersion")
        if spoken not in VERSIONS:
            self._fail(
                f"it speaks version {_text(spoken, _NAME_MAX)} of the protocol; aiemp knows {', '.join(VERSIONS)}"
            )
            return
        self.spoken = spoken
        self._meet(result, result.get("serverInfo"))
        yield {"jsonrpc": "2.0", "method": "notifications/initialized"}
        yield self._ask("ping", None, now)

    def _discovered(self, result: Message, now: float) -> Iterator[Message]:
        versions = result.get("supportedVersions")
        if not isinstance(versions, list) or MODERN_VERSION not in versions:
            self._fail(f"it speaks versions of the protocol that aiemp does not know: {_text(versions, _NAME_MAX)}")
            return
        about = result.get("_meta")
        self._meet(result, about.get("io.modelcontextprotocol/serverInfo") if isinstance(about, dict) else None)
        self.latency = now - self._asked_at
        yield from self._list_tools({}, now)

    def _meet(self, result: Message, info: Any) -> None:
        version = info.get("version") if isinstance(info, dict) else None
        self.version = _text(version, _NAME_MAX) if version not in (None, "") else None
        capabilities = result.get("capabilities")
        self._has_tools = isinstance(capabilities, dict) and isinstance(capabilities.get("tools"), dict)

    def _list_tools(self, more: Message, now: float) -> Iterator[Message]:
        if self._has_tools:
            yield self._ask("tools/list", more, now)
        else:  # clients do not ask then
            self.over = True

    def _listed(self, result: Message, now: float) -> Iterator[Message]:
        tools, cursor = result.get("tools"), result.get("nextCursor")
        if not isinstance(tools, list):
            self._fail("its answer to tools/list has no list of tools")
            return
        if self.era is Era.MODERN and not self._pages:
            self.latency = now - self._asked_at  # there is no ping any more, and the first answer has a start in it
        self.tools += len(tools)
        self._pages += 1
        if cursor is None:
            self.over = True
        elif not isinstance(cursor, str) or cursor in self._cursors:
            self._fail("the pages of its tools/list go in a circle")
        elif self._pages >= PAGES_MAX or self.tools > TOOLS_MAX:
            self._fail("its list of tools has no end")
        else:
            self._cursors.add(cursor)
            yield from self._list_tools({"cursor": cursor}, now)

    # --- words ---

    def _ask(self, method: str, params: Message | None, now: float) -> Message:
        self._id += 1
        self._asked_at = now
        self.waits_for = method
        message: Message = {"jsonrpc": "2.0", "id": self._id, "method": method}
        if self.era is Era.MODERN:
            params = {**(params or {}), "_meta": _META}
        if params is not None:
            message["params"] = params
        return message

    def _fail(self, why: str) -> None:
        self.over, self.error = True, why


_META: Final = {
    "io.modelcontextprotocol/protocolVersion": MODERN_VERSION,
    "io.modelcontextprotocol/clientInfo": {"name": "aiemp", "version": __version__},
    "io.modelcontextprotocol/clientCapabilities": {},
}


def _parse(data: bytes) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def _reply(message: Mapping[str, Any]) -> Iterator[Message]:
    """Answer what the server asks of its client: that it is there, and that it can do nothing for it."""
    if "id" not in message:
        return
    reply: Message = {"jsonrpc": "2.0", "id": message["id"]}
    if message["method"] == "ping":
        yield {**reply, "result": {}}
    else:
        yield {**reply, "error": {"code": UNKNOWN_METHOD, "message": "Method not found"}}


def _names_modern(error: Any) -> bool:
    data = error.get("data") if isinstance(error, dict) else None
    supported = data.get("supported") if isinstance(data, dict) else None
    return isinstance(supported, list) and MODERN_VERSION in supported and not set(VERSIONS) & set(map(str, supported))


def _in_words(error: Any) -> str:
    if not isinstance(error, dict):
        return _text(error, _WORDS_MAX)
    return f"{_text(error.get('message'), _WORDS_MAX)} ({_text(error.get('code'), _NAME_MAX)})"


def _text(value: Any, longest: int) -> str:
    return " ".join(str(value).split())[:longest]
