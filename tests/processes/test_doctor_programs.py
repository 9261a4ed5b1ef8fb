"""Watchers, tasks and agents as they would be started: what is missing, and what to do about it."""

import json
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from examining import Practice, told

from orchestrator.doctor import agents, servers, tasks, watchers
from orchestrator.doctor.finding import Finding, Level

NOW = datetime(2026, 11, 25, tzinfo=UTC)


@pytest.fixture
def practice(tmp_path: Path) -> Practice:
    (tmp_path / "there").mkdir()
    (tmp_path / "there/own.py").touch()
    (tmp_path / "there/pack").mkdir()
    (tmp_path / "there/pack/__init__.py").write_text("raise SystemExit('nothing may be executed')\n")
    (tmp_path / "there/pack/inner.py").touch()
    (tmp_path / "data").touch()
    (tmp_path / "open.env").write_text("A=1\n")
    (tmp_path / "open.env").chmod(0o644)
    (tmp_path / "closed.env").write_text("A=1\n")
    (tmp_path / "closed.env").chmod(0o600)
    return Practice(tmp_path)


def watched(practice: Practice, text: str, **environ: str) -> str:
    return told(list(watchers.look(practice.patient(f'[watchers.w]\ndirectory = "there"\n{text}\n', **environ))))


@pytest.mark.parametrize(
    "text",
    [
        'command = ["sh", "-c", "x"]',
        'command = ["python", "own.py"]',
        'command = ["python", "-m", "own"]',
        'command = ["python", "-m", "pack.inner"]',
        'command = ["python", "-P", "-m", "watchers.filesystem"]',
        'command = ["python", "-X", "dev", "-u", "-m", "json.tool"]',
        'command = ["python", "-c", "x"]',
        f'command = ["{sys.executable}", "-W", "error", "own.py"]',
        'command = ["sh"]\nenv_file = "closed.env"\nrequired_env = ["A"]',
        'command = ["nowhere"]\nenabled = false',
    ],
)
def test_a_watcher_that_can_be_started(practice: Practice, text: str) -> None:
    assert watched(practice, text) == ""


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('command = ["nowhere"]', "nowhere is not on the PATH of this shell -> install it, or correct `command`"),
        ('command = ["./nowhere"]', "/nowhere does not exist, or is out of the reach of"),
        ('command = ["./data"]', "data is no program that this user may run -> chmod +x"),
        ('command = ["python", "other.py"]', "there/other.py does not exist"),
        ('command = ["python", "-m", "other"]', "does not have the module other, nor does"),
        ('command = ["python", "-m", "pack.other"]', "does not have the module pack.other"),
        ('command = ["python", "-P", "-m", "own"]', "does not have the module own ->"),
        ('command = ["python", "-m", "own.inner"]', "does not have the module own.inner"),
        ('command = ["sh"]\nrequired_env = ["A", "B"]', "required_env: A, B not set for this shell"),
        ('command = ["sh"]\nenv_file = "missing.env"', "missing.env: No such file"),
        ('command = ["sh"]\nenv_file = "open.env"', "open.env can be read by everybody -> chmod 600"),
        ('command = ["sh"]\ndirectory = "nowhere"', "directory"),
    ],
)
def test_a_watcher_that_cannot(practice: Practice, text: str, words: str) -> None:
    if "directory" in text:
        found = told(list(watchers.look(practice.patient(f"[watchers.w]\n{text}\n"))))
    else:
        found = watched(practice, text)
    assert words in found
    assert len(found.splitlines()) == 1


def tasked(practice: Practice, text: str) -> str:
    return told(list(tasks.look(practice.patient(text))))


def test_what_tasks_need(practice: Practice) -> None:
    (practice.folder / "handlers").mkdir()
    (practice.folder / "handlers/daily.py").touch()
    well = '[tasks.a]\nhandler = "handlers.daily:run"\n[tasks.b]\ncommand = ["sh", "x"]\n[tasks.c]\nprompt = "x"\n'
    assert tasked(practice, well) == ""
    ill = '[tasks.a]\nhandler = "handlers.weekly:run"\n[tasks.b]\ncommand = ["nowhere"]\n'
    first, second = tasked(practice, ill).splitlines()
    assert f"problem task a: its handler's module handlers.weekly does not exist in {practice.folder}" in first
    assert "problem task b: nowhere is not on the PATH" in second
    assert "aiempctl disable b" in second
    off = "\n".join(f"{line}\nenabled = false" if line.startswith("[") else line for line in ill.splitlines())
    assert tasked(practice, off) == ""


def asked(practice: Practice, text: str, *, agent: str = "a", **environ: str) -> list[Finding]:
    task = f'[tasks.t]\nprompt = "x"\nagent = "{agent}"\n'
    return list(agents.look(practice.patient(task + text, **environ), NOW))


def test_an_agent_that_is_any_command(practice: Practice) -> None:
    practice.program("mine")
    text = '[agents.a]\nkind = "command"\ncommand = ["mine"]\n'
    assert told(asked(practice, text)) == ""
    assert "other is not on the PATH" in told(asked(practice, text.replace("mine", "other")))


@pytest.mark.parametrize(
    ("script", "words"),
    [
        ("exit 1", "does not work: it ended with 1 and said nothing"),
        ("echo broken installation >&2; exit 1", "does not work: broken installation"),
    ],
)
def test_a_claude_that_does_not_work(practice: Practice, script: str, words: str) -> None:
    practice.program("claude", script)
    assert words in told(asked(practice, "[agents.a]\n"))


@pytest.mark.parametrize(
    ("version", "command"),
    [
        ("1.0.0 (Claude Code)", '["claude"]'),
        ("my own wrapper, 3.0.0", '["claude"]'),
        ("2.1.331 (Claude Code)", '["claude", "--model", "opus"]'),
    ],
)
def test_who_might_take_the_question_for_a_prompt_is_not_asked(practice: Practice, version: str, command: str) -> None:
    asked_for = practice.folder / "asked"
    practice.program("claude", f'echo "$*" >> {asked_for}\necho "{version}"')
    found = told(asked(practice, f"[agents.claude]\ncommand = {command}\n", agent="claude"))
    assert "whether it is logged in is not known" in found
    assert all(line.endswith("--version") for line in asked_for.read_text().splitlines())


def test_no_prompt_could_get_out_of_what_is_asked(practice: Practice) -> None:
    told_file = practice.folder / "told"
    practice.program("claude", f'echo "2.1.331 (Claude Code)"; echo "$ANTHROPIC_BASE_URL:$CLAUDECODE" >> {told_file}')
    asked(practice, "[agents.a]\n", CLAUDECODE="1", ANTHROPIC_BASE_URL="https://example.org")
    assert set(told_file.read_text().splitlines()) == {"http://127.0.0.1:9:"}


def test_claude_is_asked_in_the_environment_that_runs_give_it(practice: Practice) -> None:
    told_file = practice.folder / "told"
    variables = "$CLAUDE_CODE_ENTRYPOINT:$CLAUDE_CODE_SESSION_ID:$AIEMP_RUN:$DISABLE_AUTOUPDATER"
    practice.program("claude", f'echo "2.1.331 (Claude Code)"; echo "{variables}" >> {told_file}')
    asked(practice, "[agents.a]\n", CLAUDE_CODE_ENTRYPOINT="cli", CLAUDE_CODE_SESSION_ID="7", AIEMP_RUN="8")
    assert set(told_file.read_text().splitlines()) == {":::1"}


@pytest.mark.parametrize("kind", ["claude", "command"])
def test_an_agent_in_a_relative_folder_of_the_path_is_none(
    practice: Practice, kind: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(practice.folder)
    for place in (practice.vault, practice.folder):
        (place / "relative").mkdir()
        (place / "relative/mine").symlink_to("/bin/true")
    text = f'[agents.a]\nkind = "{kind}"\ncommand = ["mine"]\n'
    assert "mine is not on the PATH" in told(asked(practice, text, PATH=f"relative:{os.defpath}"))


@contextmanager
def server(status: int) -> Iterator[tuple[str, list[str]]]:
    """An HTTP server's address, and the requests that it gets."""
    requests = list[str]()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            requests.append(f"{self.path} {self.headers.get('Authorization')}")
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        thread = Thread(target=httpd.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{httpd.server_port}", requests
        finally:
            httpd.shutdown()
            thread.join()


@pytest.mark.parametrize(("status", "words"), [(200, ""), (404, "no Letta server"), (500, "status 500")])
def test_a_letta_server_is_asked_for_its_health_and_nothing_else(practice: Practice, status: int, words: str) -> None:
    with server(status) as (url, requests):
        text = f'[agents.a]\nkind = "letta"\nbase_url = "{url}/"\nagent_id = "agent-1"\n'
        found = told(asked(practice, text, LETTA_API_KEY="very-secret-value"))
    assert words in found
    assert requests == ["/v1/health/ None"]
    assert "very-secret-value" not in found


@pytest.mark.parametrize("url", ["http://127.0.0.1:1", "https://127.0.0.1:1", "http://127.0.0.1:99999"])
def test_a_letta_server_that_is_not_there(practice: Practice, url: str) -> None:
    assert "can't be reached" in told(
        asked(practice, f'[agents.a]\nkind = "letta"\nbase_url = "{url}"\nagent_id = "agent-1"\n')
    )


def lettas(practice: Practice, url: str, **environ: str) -> str:
    text = f'[agents.a]\nkind = "letta"\nbase_url = "{url}"\nagent_id = "agent-1"\n'
    return told(asked(practice, text, LETTA_API_KEY="very-secret-value", **environ))


@pytest.mark.parametrize(
    ("status", "words"), [(200, ""), (407, "is behind a proxy that wants a login"), (502, "answers with status 502")]
)
def test_a_letta_server_elsewhere_is_asked_through_the_proxy_that_deliveries_take(
    practice: Practice, status: int, words: str
) -> None:
    with server(status) as (proxy, requests):
        found = lettas(practice, "http://letta.invalid", HTTP_PROXY=proxy)
    assert requests == ["http://letta.invalid/v1/health/ None"]
    assert words in found
    assert bool(found) is bool(words)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost"])
def test_one_on_this_machine_is_asked_without_a_proxy(practice: Practice, host: str) -> None:
    with server(200) as (url, requests):
        assert lettas(practice, url.replace("127.0.0.1", host), HTTP_PROXY="http://127.0.0.1:1") == ""
    assert requests == ["/v1/health/ None"]


def test_an_address_that_is_none_is_told_as_that(practice: Practice) -> None:
    assert "http://[::1 can't be reached: InvalidURL" in lettas(practice, "http://[::1")


MCP = """\
import json, sys
for line in sys.stdin:
    asked = json.loads(line)
    answers = {
        "initialize": {"protocolVersion": "2025-11-25", "capabilities": {"tools": {}},
                       "serverInfo": {"name": "mine", "version": "7.8"}},
        "ping": {},
        "tools/list": {"tools": [{"name": "one", "inputSchema": {}}, {"name": "two", "inputSchema": {}}]},
    }
    if "id" in asked:
        print(json.dumps({"jsonrpc": "2.0", "id": asked["id"], "result": answers[asked["method"]]}), flush=True)
"""


def test_mcp_servers_are_started_for_real(practice: Practice) -> None:
    (practice.folder / "mine.py").write_text(MCP)
    servers_of_the_vault = {"gone": {"command": str(practice.folder / "nowhere")}, "odd": {"url": "http://x"}}
    (practice.vault / ".mcp.json").write_text(json.dumps({"mcpServers": servers_of_the_vault}))
    text = f'[mcp.mine]\ncommand = ["{sys.executable}", "{practice.folder}/mine.py"]\n'
    found = list(servers.look(practice.patient(text)))
    assert any(each.check == "mcp mine" and each.message.startswith("it works (7.8, 2 tools, ") for each in found)
    assert "warning mcp gone: it does not work" in told(found)
    assert all(each.level is not Level.PROBLEM for each in found), "agents work without them too"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root could run what another has written")
def test_what_someone_else_has_written_is_not_run_by_root(practice: Practice) -> None:
    practice.program("mine", f"touch {practice.folder}/ran")
    os.chown(practice.vault, 65534, 65534)
    found = told(list(servers.look(practice.patient('[mcp.mine]\ncommand = ["mine"]\n'))))
    assert "the MCP servers (1) are not tried" in found
    assert not (practice.folder / "ran").exists()
