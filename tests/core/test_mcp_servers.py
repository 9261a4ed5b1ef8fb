"""Which MCP servers an .mcp.json and the configuration name, read as Claude Code reads it."""

import json
import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from orchestrator.config.model import McpServer
from orchestrator.mcp import declared, servers
from orchestrator.mcp.expansion import TEXT_MAX, Expander, TooLong
from orchestrator.mcp.finding import State
from orchestrator.mcp.server import Server, Transport, from_json
from orchestrator.readable import visible

ENVIRON = {"TOKEN": "t0", "EMPTY": "", "HOME": "/home/a"}
STDIO, HTTP, SSE = Transport.STDIO, Transport.HTTP, Transport.SSE


def read(entries: object, *, disabled: tuple[str, ...] = (), **environ: str) -> tuple[list[Server], list[str]]:
    data = json.dumps({"mcpServers": entries}).encode()
    return declared.servers(data, {**ENVIRON, **environ}, disabled)


@pytest.mark.parametrize(
    ("entry", "server"),
    [
        ({"command": "npx"}, Server("s", STDIO, ("npx",))),
        (
            {
                "type": "stdio",
                "command": "${HOME}/x",
                "args": ["-t", "${TOKEN}", "$TOKEN"],
                "env": {"B": "${N:-d}", "A": ""},
            },
            Server("s", STDIO, ("/home/a/x", "-t", "t0", "$TOKEN"), (("A", ""), ("B", "d"))),
        ),
        ({"type": "http", "url": "https://x.org/${TOKEN}"}, Server("s", HTTP, url="https://x.org/t0")),
        (
            {"type": "streamable-http", "url": "http://x", "headers": {"Authorization": "Bearer ${TOKEN}"}},
            Server("s", HTTP, url="http://x", headers=(("Authorization", "Bearer t0"),)),
        ),
        ({"type": "sse", "url": " http://x ", "timeout": 5, "oauth": {}}, Server("s", SSE, url="http://x")),
        ({"command": "x", "disabled": True, "alwaysLoad": True}, Server("s", STDIO, ("x",))),  # not Claude Code's
    ],
)
def test_what_entries_mean(entry: dict[str, Any], server: Server) -> None:
    assert read({"s": entry}) == ([server], [])


@pytest.mark.parametrize(
    ("entry", "line"),
    [
        ({"url": "http://x"}, 'has a url but no type, which Claude Code refuses; write "type": "http"'),
        ({"type": "htp", "url": "http://x"}, "type is one of stdio, http, streamable-http, sse, not htp"),
        ({"type": 7}, "type is one of"),
        ({}, "command is missing"),
        ({"command": " "}, "command is missing"),
        ({"command": ["npx"]}, "command is no text"),
        ({"command": "x", "args": "y"}, "args is no list of texts"),
        ({"command": "x", "args": [1]}, "args is no list of texts"),
        ({"command": "x", "env": {"A": 1}}, "env is no object whose values are texts"),
        ({"command": "x", "env": {"A=B": "1"}}, "a variable in env has no name, or one with ="),
        ({"command": "x\0"}, "command is no text"),
        ({"command": "x", "args": ["\0"]}, "args is no list of texts"),
        ({"command": "x", "env": {"A": "\0"}}, "env has a NUL in it"),
        ({"type": "http", "url": "x.org"}, "url does not begin with http:// or https://"),
        ({"type": "http", "url": "http://x", "headers": []}, "headers is no object whose values are texts"),
        ("npx", "is no object"),
        (None, "is no object"),
        ({"command": "x", "args": ["${HOME}" * TEXT_MAX]}, f"one of its values has more than {TEXT_MAX} characters"),
    ],
)
def test_a_wrong_entry_is_told_and_the_rest_goes_on(entry: object, line: str) -> None:
    found, lines = read({"a": {"command": "x"}, "s": entry, "z": {"command": "y"}})
    assert [each.name for each in found] == ["a", "z"]
    (said,) = lines
    assert said.startswith(f".mcp.json: server s: {line}")


@pytest.mark.parametrize("name", ["", "a\nb", "x" * 101, "workspace", "Claude Browser", "\x1b[31m"])
def test_names_that_are_none(name: str) -> None:
    found, (line,) = read({name: {"command": "x"}})
    assert found == []
    assert line.isprintable()


def test_an_address_that_is_not_there_yet_is_no_server() -> None:
    assert read({"s": {"type": "http", "url": "${NOT_YET:-}"}}) == ([], [])


def test_what_is_not_set_stays_as_it_is_and_is_told() -> None:
    (server,), (line,) = read({"s": {"command": "x", "args": ["${NO}", "${NO}"], "env": {"A": "${NOR}"}}})
    assert server.command == ("x", "${NO}", "${NO}")
    assert server.env == (("A", "${NOR}"),)
    assert line == (
        ".mcp.json: server s: not set in the daemon's environment: NO, NOR; "
        "set it, or write a default: ${NAME:-default}"
    )


@pytest.mark.parametrize(
    ("text", "expanded"),
    [
        ("${TOKEN}${TOKEN}", "t0t0"),
        ("${EMPTY:-x}", ""),  # it is set
        ("${NO:-}", ""),
        ("${NO:-a:-b}", "a:-b"),
        ("${TOKEN", "${TOKEN"),
        ("$TOKEN ${} $${TOKEN}", "$TOKEN ${} $t0"),
    ],
)
def test_how_variables_are_expanded(text: str, expanded: str) -> None:
    expand = Expander(ENVIRON)
    assert expand(text) == expanded
    assert not expand.missing


def test_what_is_expanded_does_not_grow_without_bounds() -> None:
    with pytest.raises(TooLong):
        Expander({"BIG": "x" * 1000})("${BIG}" * 100_000)


def test_who_is_not_checked_says_why() -> None:
    found, lines = read(
        {
            "off": {"command": "x", "env": {"A": "${NO}"}},
            "helped": {"type": "http", "url": "http://x", "headersHelper": "get-token"},
            "socket": {"type": "ws", "url": "ws://x"},
        },
        disabled=("off", "other"),
    )
    assert [(each.name, each.state, bool(each.why_not)) for each in found] == [
        ("off", State.DISABLED, True),
        ("helped", State.UNCHECKED, True),
        ("socket", State.UNCHECKED, True),
    ]
    assert lines == []


@pytest.mark.parametrize(
    ("said", "seconds"),
    [("5000", 5.0), ("", 30.0), ("0", 30.0), ("-1", 30.0), ("x", 30.0), ("999999999", 600.0), ("²", 30)],
)
def test_claude_codes_time_for_a_start_counts(said: str, seconds: float) -> None:
    assert read({"s": {"command": "x"}}, MCP_TIMEOUT=said)[0][0].timeout == seconds


@pytest.mark.parametrize(
    ("data", "line"),
    [
        (b"\0" * 100, ".mcp.json has NUL bytes in it"),
        (b"\xff", ".mcp.json is not UTF-8"),
        (b"", ".mcp.json is no JSON: line 1, column 1"),
        (b'{"mcpServers": {\n"a": }}', ".mcp.json is no JSON: line 2, column 6"),
        (b"[" * 100_000, ".mcp.json is no JSON that anybody could mean"),
        (b"[]", '.mcp.json has no object "mcpServers"'),
        (b'{"servers": {}}', '.mcp.json has no object "mcpServers"'),
        (b'{"mcpServers": []}', '.mcp.json has no object "mcpServers"'),
    ],
)
def test_a_file_that_is_none(data: bytes, line: str) -> None:
    found, (said,) = declared.servers(data, ENVIRON, ())
    assert found == []
    assert said.startswith(line)


def test_a_byte_order_mark_does_no_harm() -> None:
    assert declared.servers(b'\xef\xbb\xbf{"mcpServers": {}}', ENVIRON, ()) == ([], [])


_KEYS = st.sampled_from(["mcpServers", "command", "args", "env", "type", "url", "headers", "s"])
_documents = st.recursive(
    st.none() | st.text(max_size=9) | st.integers(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_KEYS, inner, max_size=4),
)


@given(st.binary(max_size=200) | _documents.map(lambda value: json.dumps({"mcpServers": value}).encode()))
@example(b'{"mcpServers":{"m":{"type":"\\ud823\\udcd6"}}}')  # nobody knows how that character is printed
@example(b'{"mcpServers":{"m":{"type":"\\u001b[31m\\u202e"}}}')
def test_whatever_a_file_holds_it_is_told_in_lines(data: bytes) -> None:
    found, lines = declared.servers(data, ENVIRON, ())
    assert all(visible(line) == line for line in lines)
    assert all(from_json(json.loads(json.dumps(each.as_json()))) == each for each in found)


# --- with the vault around it ---


def write(vault: Path, names: list[str], **more: object) -> Path:
    path = vault / ".mcp.json"
    path.write_text(json.dumps({"mcpServers": {name: {"command": name} for name in names}, **more}))
    return path


def names(vault: Path, configured: dict[str, McpServer] | None = None) -> tuple[list[str], list[str]]:
    found, lines = servers.read(str(vault), configured or {}, ENVIRON)
    return [each.name for each in found], lines


def test_the_configuration_comes_first_and_wins(tmp_path: Path) -> None:
    write(tmp_path, ["a", "b"])
    mcp = {
        "b": McpServer("b", ("python", "${TOKEN}"), timeout=3.0),
        "c": McpServer("c", url="http://x/${TOKEN}", headers=(("H", "${TOKEN} ${NO}"),)),
    }
    found, lines = servers.read(str(tmp_path), mcp, ENVIRON, config_folder="/c")
    assert found == [
        Server("b", STDIO, ("python", "${TOKEN}"), timeout=3.0, config_folder="/c"),
        Server("c", HTTP, url="http://x/t0", headers=(("H", "t0 ${NO}"),), config_folder="/c"),
        Server("a", STDIO, ("a",)),
    ]
    assert lines == ["[mcp.c]: not set in the daemon's environment: NO; set it and restart the daemon"]


def test_without_the_file_there_is_nothing(tmp_path: Path) -> None:
    assert names(tmp_path) == ([], [])
    assert servers.marks(str(tmp_path)) == (False, None)


ROOT = pytest.mark.skipif(os.geteuid() != 0, reason="only root could run what another has written")


@ROOT
def test_root_runs_nothing_that_the_vaults_owner_has_written(tmp_path: Path) -> None:
    write(tmp_path, ["a"], mcpServers={"a": {"command": "a", "env": {"K": "${TOKEN}"}}, "b": {"type": "ws"}})
    web = {"c": McpServer("c", url="http://x/${TOKEN}")}
    before = servers.marks(str(tmp_path))
    os.chown(tmp_path, 65534, 65534)
    found, lines = servers.read(str(tmp_path), web, ENVIRON)
    assert servers.marks(str(tmp_path)) != before
    other = "aiemp cannot check servers of type ws"
    assert found == [
        Server("c", HTTP, state=State.UNCHECKED, why_not=servers.OTHERS),
        Server("a", STDIO, state=State.UNCHECKED, why_not=servers.OTHERS),
        Server("b", HTTP, state=State.UNCHECKED, why_not=other),
    ]
    assert lines == []


def test_settings_disable_servers(tmp_path: Path) -> None:
    write(tmp_path, ["a", "b", "c"])
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude/settings.json").write_text('{"disabledMcpjsonServers": ["a", 7]}')
    (tmp_path / ".claude/settings.local.json").write_text('{"disabledMcpjsonServers": ["b"]}')
    found, lines = servers.read(str(tmp_path), {}, ENVIRON)
    assert [each.state for each in found] == [State.DISABLED, State.DISABLED, State.UNCHECKED]
    assert lines == []
    (tmp_path / ".claude/settings.json").write_text("{")
    found, lines = servers.read(str(tmp_path), {}, ENVIRON)
    assert [each.state for each in found] == [State.UNCHECKED, State.DISABLED, State.UNCHECKED]
    assert lines == ["which MCP servers .claude/settings.json disables cannot be told: it is no JSON"]


def test_links_within_the_vault_are_followed_and_others_are_not(tmp_path: Path) -> None:
    vault = tmp_path / "vault"
    vault.mkdir()
    write(tmp_path, ["out"])
    real = write(vault, ["in"]).rename(vault / "real.json")
    (vault / ".mcp.json").symlink_to(real)
    assert names(vault) == (["in"], [])
    (vault / ".mcp.json").unlink()
    (vault / ".mcp.json").symlink_to(tmp_path / ".mcp.json")
    assert names(vault) == ([], [".mcp.json is left alone: a symlink leads out of the vault there"])
    (vault / ".mcp.json").unlink()
    (vault / ".mcp.json").symlink_to(vault / "nowhere")
    assert names(vault) == ([], [".mcp.json is left alone: a symlink leads nowhere there"])


def test_what_is_no_file_or_far_too_large_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / ".mcp.json"
    os.mkfifo(path)
    assert names(tmp_path) == ([], [".mcp.json is left alone: Not a regular file"])
    path.unlink()
    path.write_bytes(b" " * (servers.FILE_MAX + 1))
    assert names(tmp_path) == ([], [f".mcp.json is left alone: Larger than {servers.FILE_MAX} bytes"])
    path.unlink()
    path.mkdir()
    assert len(names(tmp_path)[1]) == 1


def test_there_may_be_a_hundred(tmp_path: Path) -> None:
    write(tmp_path, [f"s{number}" for number in range(150)])
    found, lines = names(tmp_path)
    assert len(found) == 100
    assert lines == ["there are 150 MCP servers; only the first 100 are looked after"]


def test_there_are_no_more_lines_than_anybody_reads(tmp_path: Path) -> None:
    write(tmp_path, ["" + "x" * (101 + number) for number in range(150)])
    _, lines = names(tmp_path)
    assert len(lines) == servers.LINES_MAX
    assert lines[-1] == "131 more things are wrong with MCP servers"


def test_every_change_of_a_file_is_another_mark(tmp_path: Path) -> None:
    vault = str(tmp_path)
    seen = [servers.marks(vault)]
    path = write(tmp_path, ["a"])
    seen.append(servers.marks(vault))
    path.rename(tmp_path / "old")
    write(tmp_path, ["a"])
    seen.append(servers.marks(vault))
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude/settings.json").write_text("{}")
    seen.append(servers.marks(vault))
    assert len(set(seen)) == len(seen)
