"""`aiempctl add`: words of a command line as a task's table, against a daemon that says what each test needs."""

import io
import json
import sys
from argparse import Namespace
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from ctl import Captured, command_line, run
from fake_daemon import answers, fake_daemon, status_of, task

from orchestrator.cli import aiempctl, completion
from orchestrator.cli.add import next_time
from orchestrator.control import protocol
from orchestrator.control.protocol import RpcError


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A vault, its configuration in the working directory; it is 2026-11-20 23:40 UTC, in Berlin 00:40."""
    with command_line(tmp_path, monkeypatch) as folder:
        yield folder


RETRY = {"max": 3, "initial": "1m", "factor": 2, "max_delay": "15m"}
ADDED = {"task": task("report", schedule="cron 0 9 * * 1-5", next_slot="2026-11-23T08:00:00Z", added=True)}


@pytest.mark.parametrize(
    ("words", "settings"),
    [
        (["--cron", "0 9 * * 1-5", "--", "report", "-x", "--", "--json"],
         {"cron": "0 9 * * 1-5", "command": ["report", "-x", "--", "--json"]}),
        (["--every", "15m", "--prompt", "- look", "--agent", "claude"],
         {"every": "15m", "prompt": "- look", "agent": "claude"}),
        (["--every", "15m", "--prompt=--look", "--agent", "companion", "--agent-id", "agent-1"],
         {"every": "15m", "prompt": "--look", "agent": "companion", "agent_id": "agent-1"}),
        (["--cron", "@daily", "--prompt", "@file $HOME 'x'"], {"cron": "@daily", "prompt": "@file $HOME 'x'"}),
        # What is sent once is disabled after its success, and waits longer between attempts.
        (["--at", "2026-12-24T18:00", "--prompt", "p"],
         {"frequency": "once", "at": "2026-12-24T18:00", "prompt": "p", "max_runs": 1, "retry": RETRY}),
        (["--at", "2026-12-24T18:00", "--prompt", "p", "--max-runs", "0"],
         {"frequency": "once", "at": "2026-12-24T18:00", "prompt": "p", "max_runs": 0, "retry": RETRY}),
        (["--every", "1h", "--start-at", "2026-12-01", "--", "true"],
         {"every": "1h", "start_at": "2026-12-01", "command": ["true"]}),
        (["--cron", "@daily", "--start-at", "8:00", "--", "true"],
         {"cron": "@daily", "start_at": "2026-11-21T08:00:00", "command": ["true"]}),
        (["--every", "1h", "--start-at", "00:40", "--", "true"],
         {"every": "1h", "start_at": "2026-11-22T00:40:00", "command": ["true"]}),
        (["--every", "90", "--timeout", "1.5", "--handler", "handlers.daily:run"],
         {"every": 90, "timeout": 1.5, "handler": "handlers.daily:run"}),
        (["--at", "2026-12-24T18:00", "--", "true"],
         {"frequency": "once", "at": "2026-12-24T18:00", "command": ["true"]}),
        (["--at", "tomorrow", "--", "true"], {"frequency": "once", "at": "tomorrow", "command": ["true"]}),
        # It is 00:40 in Berlin, the zone of the configuration.
        (["--at", "00:30", "--", "true"], {"frequency": "once", "at": "2026-11-22T00:30:00", "command": ["true"]}),
        (["--at", "8:00:30", "--", "true"], {"frequency": "once", "at": "2026-11-21T08:00:30", "command": ["true"]}),
        (["--every", "1h", "--description", "d", "--timeout", "30s", "--priority", "low", "--lane", "l",
          "--max-runs", "3", "--", "true"],
         {"every": "1h", "description": "d", "timeout": "30s", "priority": "low", "lane": "l", "max_runs": 3,
          "command": ["true"]}),
    ],
)  # fmt: skip
def test_add_makes_a_table_of_its_words(
    vault: Path, capsys: Captured, words: list[str], settings: dict[str, Any]
) -> None:
    with fake_daemon(vault, answers(add=ADDED)) as daemon:
        code, out, err = run(capsys, "-c", "supervisor.toml", "add", "report", *words)
    assert (code, err) == (0, "")
    assert daemon.asked == [("add", {"name": "report", "settings": settings, "replace": False})]
    assert out == "report: added, cron 0 9 * * 1-5; next 2026-11-23 08:00:00\n"


PROMPTS = ["a\nb\n", "", "-x $HOME `id` \"'", "ünïcode 日本\r\n", "x" * 100_000]


@pytest.mark.parametrize("text", PROMPTS)
@pytest.mark.parametrize("words", [["--prompt", "-"], ["--prompt-file", "ask me.md"], ["--prompt-file", "-"]])
def test_a_prompt_from_elsewhere_arrives_as_it_is(
    vault: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, words: list[str], text: str
) -> None:
    (vault.parent / "ask me.md").write_bytes(text.encode())
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
    with fake_daemon(vault, answers(add=ADDED)) as daemon:
        assert run(capsys, "add", "ask", "--every", "1h", *words)[0] == 0
    assert daemon.asked[0][1]["settings"] == {"every": "1h", "prompt": text}


@pytest.mark.parametrize(
    ("data", "said"),
    [(b"\xff\xfe", "aiempctl: ask.md is not UTF-8"), (b"x" * (2**20 + 1), "aiempctl: ask.md is larger than 1 MiB; ")],
)
def test_what_is_no_prompt_is_refused(vault: Path, capsys: Captured, data: bytes, said: str) -> None:
    (vault.parent / "ask.md").write_bytes(data)
    with fake_daemon(vault, answers()) as daemon:
        code, out, err = run(capsys, "add", "ask", "--every", "1h", "--prompt-file", "ask.md")
        assert (code, out, err.startswith(said)) == (1, "", True)
        code, out, err = run(capsys, "add", "ask", "--every", "1h", "--prompt-file", "nowhere.md")
        assert (code, out, "nowhere.md" in err) == (1, "", True)
    assert daemon.asked == []


def test_an_agent_in_a_run_means_the_zone_of_its_daemon(
    vault: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIEMP_TIMEZONE", "Asia/Tokyo")  # where it is 08:40 now
    words = ["add", "ask", "--at", "08:30", "--prompt", "p"]
    with fake_daemon(vault, answers(add=ADDED)) as daemon:
        assert run(capsys, *words, "--vault", str(vault))[0] == 0
        assert run(capsys, *words, "-c", "supervisor.toml")[0] == 0  # that is in Berlin, where it is 00:40
    assert [asked[1]["settings"]["at"] for asked in daemon.asked] == ["2026-11-22T08:30:00", "2026-11-21T08:30:00"]


def test_completion_offers_the_options(capsys: Captured) -> None:
    ((_, options, _),) = [verb[1:] for verb in completion.grammar(aiempctl.PROGRAM)[1] if verb[0] == "add"]
    kinds = {flags[-1]: kind for flags, kind, _ in options}
    assert (kinds["--prompt-file"], kinds["--agent"], kinds["--agent-id"]) == ("files", "agents", "anything")
    assert kinds["--start-at"] == kinds["--prompt"] == "anything"
    assert run(capsys, "add", "--help")[0] == 0


def test_completion_knows_the_agents(vault: Path, capsys: Captured) -> None:
    asked = Namespace(verb="_agents", config="supervisor.toml", vault=None)
    with (vault.parent / "supervisor.toml").open("a") as config:
        config.write('[agents.companion]\nkind = "letta"\n')
    assert completion.VERBS["_agents"][1](asked) == 0
    assert capsys.readouterr().out == "companion\nclaude\n"
    with fake_daemon(vault, answers(status={**status_of(), "agents": [{"name": "clerk"}]})):
        completion.VERBS["_agents"][1](asked)
    assert capsys.readouterr().out == "clerk\n"


def test_add_prints_the_task_as_json(vault: Path, capsys: Captured) -> None:
    with fake_daemon(vault, answers(add=ADDED)):
        code, out, err = run(capsys, "add", "--json", "--every", "1h", "report", "--", "true")
        assert (code, json.loads(out), err) == (0, ADDED["task"], "")
    with fake_daemon(vault, answers(add={"task": task("report", schedule="", next_slot=None)})):
        assert run(capsys, "add", "report", "--every", "1h", "--", "true")[1] == "report: added\n"


def test_a_command_beside_the_caller_is_sent_with_its_place(vault: Path, capsys: Captured) -> None:
    (vault.parent / "report.sh").touch()
    (vault.parent / "true").touch()
    words = ["./report.sh", "vault/../report.sh", "./elsewhere.sh", "true"]
    with fake_daemon(vault, answers(add=ADDED)) as daemon:
        for word in words:
            assert run(capsys, "add", "report", "--every", "1h", "--", word, "./report.sh")[0] == 0
    here = str(vault.parent / "report.sh")
    sent = [params["settings"]["command"] for _, params in daemon.asked]
    assert sent == [[program, "./report.sh"] for program in (here, here, "./elsewhere.sh", "true")]


def test_a_zone_that_cannot_be_told_is_the_machines(vault: Path, capsys: Captured) -> None:
    for text in ("", 'timezone = "Nowhere"\n', "timezone = 5\n"):
        (vault.parent / "supervisor.toml").write_text(f'[supervisor]\nvault = "vault"\n{text}')
        with fake_daemon(vault, answers(add=ADDED)) as daemon:
            run(capsys, "add", "report", "--at", "23:50", "--", "true")
        assert daemon.asked[0][1]["settings"]["at"] == "2026-11-20T23:50:00"


def test_what_the_daemon_finds_wrong_is_a_line_each(vault: Path, capsys: Captured) -> None:
    problems = ['tasks.report.cron: is "9"; five fields are needed', "tasks.report.lane: is \x1b"]
    refusal = RpcError(protocol.INVALID_TASK, "report can't be added", {"problems": problems})
    with fake_daemon(vault, answers(add=refusal)):
        code, out, err = run(capsys, "add", "report", "--cron", "9", "--", "true")
    assert (code, out) == (2, "")
    assert err.splitlines() == ["aiempctl: report can't be added", problems[0], r"tasks.report.lane: is \x1b"]
    exists = RpcError(protocol.FAILED, "there is a task report already")
    with fake_daemon(vault, answers(add=exists)):
        assert run(capsys, "add", "report", "--every", "1h", "--", "true") == (1, "", f"aiempctl: {exists.message}\n")
    with fake_daemon(vault, answers(add={})):
        assert run(capsys, "add", "report", "--every", "1h", "--", "true")[0] == 4
    assert run(capsys, "add", "report", "--every", "1h", "--", "true")[0] == 4


@pytest.mark.parametrize(
    "argv",
    [
        ["add"],
        ["add", "x"],
        ["add", "x", "--every", "1h"],
        ["add", "x", "--every", "1h", "--"],
        ["add", "x", "--", "true"],
        ["add", "x", "--every", "1h", "--cron", "@daily", "--", "true"],
        ["add", "x", "--every", "1h", "--at", "08:00", "--", "true"],
        ["add", "x", "--every", "1h", "--prompt", "p", "--", "true"],
        ["add", "x", "--every", "1h", "--prompt", "p", "--handler", "m:f"],
        ["add", "x", "--every", "1h", "--agent", "a", "--", "true"],
        ["add", "x", "--every", "1h", "--agent-id", "a", "--", "true"],
        ["add", "x", "--every", "1h", "--prompt", "p", "--prompt-file", "f"],
        ["add", "x", "--every", "1h", "--prompt"],
        ["add", "x", "--prompt", "p"],
        ["add", "x", "--prompt", "p", "--start-at", "08:00"],
        ["add", "x", "--prompt", "p", "--at", "09:00", "--start-at", "08:00"],
        ["add", "x", "--every", "soon", "--", "true"],
        ["add", "x", "--every", "1h", "--timeout", "-1s", "--", "true"],
        ["add", "x", "--every", "1h", "--priority", "urgent", "--", "true"],
        ["add", "x", "--every", "1h", "--max-runs", "-1", "--", "true"],
        ["add", "x", "./y", "--every", "1h"],
        ["add", "--every", "1h", "--", "x", "true"],
    ],
)
def test_wrong_usage_exits_2(vault: Path, capsys: Captured, argv: list[str]) -> None:
    with fake_daemon(vault, answers()) as daemon:
        code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert f"usage: aiempctl {argv[0]}" in err
    assert daemon.asked == []


@pytest.mark.parametrize(
    ("now", "clock", "moment"),
    [
        ("2026-11-20T06:59:59Z", (8, 0, 0), "2026-11-20T08:00:00"),
        ("2026-11-20T07:00:00Z", (8, 0, 0), "2026-11-21T08:00:00"),
        ("2026-12-31T22:59:00Z", (0, 0, 0), "2027-01-01T00:00:00"),
        ("2026-10-25T00:29:00Z", (2, 30, 0), "2026-10-25T02:30:00"),  # before the repeated hour's first 02:30
        ("2026-10-25T00:45:00Z", (2, 30, 0), "2026-10-26T02:30:00"),  # between the two
        ("2026-10-25T01:10:00Z", (2, 30, 0), "2026-10-26T02:30:00"),  # 02:10 for the second time
        ("2026-03-29T00:45:00Z", (2, 30, 0), "2026-03-29T02:30:00"),  # it will fire at 03:00, right after the gap
        ("2026-03-29T01:00:00Z", (2, 30, 0), "2026-03-30T02:30:00"),
        ("2026-03-29T01:10:00Z", (2, 30, 0), "2026-03-30T02:30:00"),
    ],
)
def test_the_next_such_time(now: str, clock: tuple[int, int, int], moment: str) -> None:
    seconds = datetime.fromisoformat(now).timestamp()
    assert next_time(*clock, zone=ZoneInfo("Europe/Berlin"), now=seconds) == moment


def test_the_next_such_time_needs_no_zone_data_for_utc() -> None:
    assert next_time(0, 0, 1, zone=UTC, now=0.5) == "1970-01-01T00:00:01"
