"""PURE. What the text of an .mcp.json says, read as Claude Code reads it: servers, and a line for each mistake."""

import json
from collections.abc import Collection, Mapping
from typing import Any, Final

from orchestrator.mcp.expansion import TEXT_MAX, Expander, TooLong
from orchestrator.mcp.finding import State
from orchestrator.mcp.server import Server, Transport
from orchestrator.readable import visible

FILE: Final = ".mcp.json"
NAME_MAX: Final = 100  # characters
TIMEOUT: Final = 30.0  # seconds that Claude Code gives a server to start, unless MCP_TIMEOUT says otherwise
TIMEOUT_MAX: Final = 600.0
# Names that Claude Code keeps for servers of its own: it skips others that are called so.
RESERVED: Final = frozenset({"workspace", "claude-in-chrome", "computer-use", "Claude Preview", "Claude Browser"})

_TRANSPORTS: Final = {
    "stdio": Transport.STDIO,
    "http": Transport.HTTP,
    "streamable-http": Transport.HTTP,
    "sse": Transport.SSE,
}


class _Wrong(Exception):
    """Why an entry is no server."""


def servers(data: bytes, environ: Mapping[str, str], disabled: Collection[str]) -> tuple[list[Server], list[str]]:
    """Give the file's servers in its order, and what is wrong in it; the rest of a wrong file goes on.

    `disabled`: the names that Claude Code's settings switch off.
    """
    try:
        entries = _entries(data)
    except _Wrong as wrong:
        return [], [f"{FILE} {wrong}"]
    timeout = _timeout(environ)
    found, lines = list[Server](), list[str]()
    for name, said in entries.items():
        expand = Expander(environ)
        try:
            server = _server(name, said, expand, timeout)
        except _Wrong as wrong:
            lines.append(f"{FILE}: server {_short(name)}: {wrong}")
            continue
        except TooLong:
            lines.append(f"{FILE}: server {_short(name)}: one of its values has more than {TEXT_MAX} characters")
            continue
        if server is None:
            continue
        if name in disabled:
            server = _not_to_check(server, State.DISABLED, "Claude Code's settings disable it (disabledMcpjsonServers)")
        found.append(server)
        if expand.missing and server.why_not is None:
            names = ", ".join(visible(each) for each in expand.missing)
            lines.append(
                f"{FILE}: server {_short(name)}: not set in the daemon's environment: {names[:NAME_MAX]}; set it, or "
                "write a default: ${NAME:-default}"
            )
    return found, lines


def disabled_names(data: bytes) -> frozenset[str]:
    """Read which servers of .mcp.json a settings file of Claude Code switches off. Raises ValueError."""
    try:
        said = json.loads(data)
    except RecursionError as error:
        raise ValueError(str(error)) from error
    names = said.get("disabledMcpjsonServers") if isinstance(said, dict) else None
    return frozenset(each for each in names if isinstance(each, str)) if isinstance(names, list) else frozenset()


def _entries(data: bytes) -> dict[str, Any]:
    if b"\0" in data:
        raise _Wrong("has NUL bytes in it, as a crash leaves them; write it anew")
    try:
        said = json.loads(data.decode("utf-8-sig"))
    except UnicodeDecodeError:
        raise _Wrong("is not UTF-8; save it as that") from None
    except json.JSONDecodeError as error:
        raise _Wrong(f"is no JSON: line {error.lineno}, column {error.colno}: {error.msg}") from None
    except (ValueError, RecursionError):
        raise _Wrong("is no JSON that anybody could mean") from None
    entries = said.get("mcpServers") if isinstance(said, dict) else None
    if not isinstance(entries, dict):
        raise _Wrong('has no object "mcpServers"; write {"mcpServers": {"NAME": {"command": "…"}}}')
    return entries


def _server(name: str, said: Any, expand: Expander, timeout: float) -> Server | None:
    """None: there is none yet, only a place for it."""
    if not name or len(name) > NAME_MAX or not name.isprintable():
        raise _Wrong(f"that is no name: it takes 1 to {NAME_MAX} printable characters")
    if name in RESERVED:
        raise _Wrong("Claude Code keeps this name for a server of its own; choose another")
    if not isinstance(said, dict):
        raise _Wrong('is no object; write {"command": "…"} or {"type": "http", "url": "…"}')
    kind = said.get("type", "stdio")
    if kind == "ws":
        return _not_to_check(Server(name, Transport.HTTP), State.UNCHECKED, "aiemp cannot check servers of type ws")
    transport = _TRANSPORTS.get(kind) if isinstance(kind, str) else None
    if transport is None:
        raise _Wrong(f"type is one of {', '.join(_TRANSPORTS)}, not {visible(kind)[:NAME_MAX]}")
    if transport is Transport.STDIO:
        if "command" not in said and "url" in said:
            raise _Wrong('has a url but no type, which Claude Code refuses; write "type": "http"')
        command = (_text(said, "command"), *_texts(said, "args"))
        if not command[0].strip():
            raise _Wrong("command is missing")
        expanded = tuple(expand(each) for each in command)
        env = tuple((key, expand(value)) for key, value in _pairs(said, "env"))
        if any(not key or "=" in key for key, _ in env):
            raise _Wrong("a variable in env has no name, or one with =")
        return Server(name, transport, command=expanded, env=env, timeout=timeout)
    url = expand(_text(said, "url")).strip()
    if not url:
        return None
    headers = tuple((key, expand(value)) for key, value in _pairs(said, "headers"))
    server = Server(name, transport, url=url, headers=headers, timeout=timeout)
    if "headersHelper" in said:
        why = "its headers come from a program (headersHelper), which aiemp does not run"
        return _not_to_check(server, State.UNCHECKED, why)
    if not url.startswith(("http://", "https://")):
        raise _Wrong("url does not begin with http:// or https://")
    return server


def _not_to_check(server: Server, state: State, why: str) -> Server:
    """Without what it would take to check it: nothing needs to know that."""
    return Server(server.name, server.transport, state=state, why_not=why)


def _text(said: Mapping[str, Any], key: str) -> str:
    value = said.get(key, "")
    if not isinstance(value, str) or "\0" in value:
        raise _Wrong(f"{key} is no text")
    return value


def _texts(said: Mapping[str, Any], key: str) -> list[str]:
    value = said.get(key, [])
    if not isinstance(value, list) or not all(isinstance(each, str) and "\0" not in each for each in value):
        raise _Wrong(f"{key} is no list of texts")
    return value


def _pairs(said: Mapping[str, Any], key: str) -> list[tuple[str, str]]:
    value = said.get(key, {})
    if not isinstance(value, dict) or not all(isinstance(each, str) for each in value.values()):
        raise _Wrong(f"{key} is no object whose values are texts")
    if any("\0" in word for pair in value.items() for word in pair):
        raise _Wrong(f"{key} has a NUL in it")
    return sorted(value.items())


def _timeout(environ: Mapping[str, str]) -> float:
    said = environ.get("MCP_TIMEOUT", "")  # milliseconds
    if not (said.isascii() and said.isdigit() and len(said) < 10 and int(said)):
        return TIMEOUT
    return min(int(said) / 1000, TIMEOUT_MAX)


def _short(name: str) -> str:
    return visible(name[:NAME_MAX]) or '""'
