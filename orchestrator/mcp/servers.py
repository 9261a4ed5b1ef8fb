"""Which MCP servers there are: those of the vault's .mcp.json, and those of [mcp.*]."""

import errno
import os
from collections.abc import Mapping
from typing import Final

from orchestrator import files
from orchestrator.config.model import McpServer
from orchestrator.mcp import declared
from orchestrator.mcp.expansion import Expander, TooLong
from orchestrator.mcp.finding import State
from orchestrator.mcp.server import Server, Transport
from orchestrator.readable import visible

FILE_MAX: Final = 1024 * 1024  # bytes
SERVERS_MAX: Final = 100
LINES_MAX: Final = 20
OTHERS: Final = (
    "the daemon is root, and would run what the vault's owner wants; run it as that user, or give the vault to root"
)
SETTINGS: Final = (".claude/settings.json", ".claude/settings.local.json")


def read(
    vault: str, configured: Mapping[str, McpServer], environ: Mapping[str, str], *, config_folder: str | None = None
) -> tuple[list[Server], list[str]]:
    """Give the servers of [mcp.*], then those of .mcp.json that are not called the same, and lines about what is wrong.

    `environ` is the daemon's; what [mcp.*] calls by a relative path is looked for in `config_folder` first, else in the
    vault. Blocks.
    """
    found, lines = list[Server](), list[str]()
    for each in configured.values():
        found.append(_configured(each, Expander(environ), config_folder or vault, lines))
    declared_there, more = _declared(vault, environ)
    found += [server for server in declared_there if server.name not in configured]
    if is_anothers_choice(vault):
        found = [_not_to_run(server) for server in found]
    lines += more
    if len(found) > SERVERS_MAX:
        lines.append(f"there are {len(found)} MCP servers; only the first {SERVERS_MAX} are looked after")
    if len(lines) > LINES_MAX:
        lines[LINES_MAX - 1 :] = [f"{len(lines) - LINES_MAX + 1} more things are wrong with MCP servers"]
    return found[:SERVERS_MAX], lines


def is_anothers_choice(vault: str) -> bool:
    """Whether we are root, and somebody else decides what these servers are: what they are called, and what lies there.

    They may be of any kind: a URL can send what root's environment has, to wherever it likes.
    """
    try:
        return os.geteuid() == 0 and os.stat(vault).st_uid != 0  # noqa: PTH116  places are strings
    except OSError:
        return False


def marks(vault: str) -> tuple[object, ...]:
    """Give what is another when one of the files is, or their owner: few stat(2) where there is no .mcp.json."""
    first = is_anothers_choice(vault), _mark(vault, declared.FILE)
    return first if first[1] is None else (*first, *(_mark(vault, each) for each in SETTINGS))


def _mark(vault: str, name: str) -> tuple[int, int, int] | None:
    try:
        found = os.stat(os.path.join(vault, name))  # noqa: PTH116, PTH118  places are strings
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size, found.st_ino


def _not_to_run(server: Server) -> Server:
    if server.why_not is not None:
        return server
    return Server(server.name, server.transport, state=State.UNCHECKED, why_not=OTHERS)


def _configured(said: McpServer, expand: Expander, config_folder: str, lines: list[str]) -> Server:
    """Variables are expanded in what leaves the machine, so that no secret has to be written there."""
    transport = Transport.STDIO if said.url is None else Transport.HTTP
    server = Server(said.name, transport, said.command, said.env, timeout=said.timeout, config_folder=config_folder)
    if said.url is None:
        return server
    try:
        url, headers = expand(said.url), tuple((key, expand(value)) for key, value in said.headers)
    except TooLong:
        return Server(said.name, transport, state=State.UNCHECKED, why_not="its url or a header is far too long")
    if expand.missing:
        names = ", ".join(visible(each) for each in expand.missing)[: declared.NAME_MAX]
        lines.append(f"[mcp.{said.name}]: not set in the daemon's environment: {names}; set it and restart the daemon")
    return Server(said.name, transport, url=url, headers=headers, timeout=said.timeout, config_folder=config_folder)


def _declared(vault: str, environ: Mapping[str, str]) -> tuple[list[Server], list[str]]:
    try:
        data = _content(vault, declared.FILE)
    except FileNotFoundError:
        return [], []
    except OSError as error:
        return [], [f"{declared.FILE} is left alone: {error.strerror}"]
    disabled, lines = set[str](), list[str]()
    for name in SETTINGS:
        try:
            disabled |= declared.disabled_names(_content(vault, name))
        except FileNotFoundError:
            pass
        except (OSError, ValueError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is no JSON"
            lines.append(f"which MCP servers {name} disables cannot be told: {why}")
    found, more = declared.servers(data, environ, disabled)
    return found, [*lines, *more]


def _content(vault: str, name: str) -> bytes:
    """Read a file of the vault, also through symlinks within it. Raises OSError."""
    path = os.path.join(vault, name)  # noqa: PTH118  places are strings
    if not os.path.lexists(path):  # a dangling link is a mistake, no file is none
        raise FileNotFoundError
    files.check_inside(path, vault)
    try:
        return files.read(os.path.realpath(path), limit=FILE_MAX)[0]
    except FileNotFoundError as error:
        raise OSError(errno.EINVAL, "a symlink leads nowhere there", path) from error
