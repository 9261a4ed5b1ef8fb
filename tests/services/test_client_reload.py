"""`aiempctl reload` against a daemon that says what each test needs: what it prints of changes and failures."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from ctl import Captured, command_line, run
from fake_daemon import answers, fake_daemon

from orchestrator.control import protocol
from orchestrator.control.protocol import RpcError


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A vault, and its configuration in the working directory."""
    with command_line(tmp_path, monkeypatch) as folder:
        yield folder


CHANGES = {
    "plan": True,
    "changes": [
        {"name": "inbox", "change": "restart", "keys": ["command", "env"], "pid": 12},
        {"name": "new", "change": "added", "keys": [], "pid": None},
        {"name": "old", "change": "removed", "keys": [], "pid": 13},
        {"name": "mail", "change": "update", "keys": ["restart"], "pid": 14},
        {"name": "same", "change": "unchanged", "keys": [], "pid": 15},
    ],
    "settings": ["supervisor.log_level"],
}


PLANNED = """\
inbox: would restart, pid 12 (command, env)
new: would be added
old: would be stopped and removed, pid 13
mail: would change without a restart (restart)
supervisor.log_level: would change
1 unchanged
"""


def test_reload_says_what_would_change_and_what_did(vault: Path, capsys: Captured) -> None:
    with fake_daemon(vault, answers(reload=CHANGES)) as daemon:
        assert run(capsys, "reload", "--plan") == (
            0,
            PLANNED,
            "",
        )
        assert run(capsys, "reload")[1].splitlines()[:2] == ["inbox: restarted (command, env)", "new: added"]
        assert json.loads(run(capsys, "reload", "--json")[1]) == CHANGES
    assert [params for _, params in daemon.asked] == [{"plan": True}, {"plan": False}, {"plan": False}]
    stops = {
        "changes": [
            {"name": "y", "change": "stop", "keys": ["command", "enabled"], "pid": 12, "reason": None},
            {"name": "dep", "change": "stop", "keys": [], "pid": 13, "reason": "depends on y"},
            {"name": "x", "change": "start", "keys": ["enabled"], "pid": None, "reason": None},
        ],
        "settings": [],
    }
    with fake_daemon(vault, answers(reload=stops)):
        assert run(capsys, "reload", "--plan")[1].splitlines() == [
            "y: would stop, pid 12 (command, enabled)",
            "dep: would stop, pid 13 (depends on y)",
            "x: would start (enabled)",
        ]
        assert run(capsys, "reload")[1].splitlines() == [
            "y: stopped (command, enabled)",
            "dep: stopped (depends on y)",
            "x: started (enabled)",
        ]
    nothing = {"changes": [CHANGES["changes"][-1]], "settings": []}  # type: ignore[index]  # it is a list
    with fake_daemon(vault, answers(reload=nothing)):
        assert run(capsys, "reload")[1] == "nothing changed\n"


def test_a_reload_after_which_someone_is_not_up_fails_and_says_why(vault: Path, capsys: Captured) -> None:
    results = [
        {"name": "inbox", "ok": False, "state": "fatal", "pid": None, "message": "no such command"},
        {"name": "new", "ok": True, "state": "running", "pid": 14, "message": ""},
    ]
    with fake_daemon(vault, answers(reload={**CHANGES, "plan": False, "results": results})):
        code, out, err = run(capsys, "reload")
        assert code == 1
        assert out.splitlines()[0] == "new: added"
        assert "inbox" not in out
        assert err == "inbox: fatal: no such command\n"
        code, out, err = run(capsys, "reload", "--json")
        assert (code, json.loads(out)["results"], err) == (1, results, "inbox: fatal: no such command\n")
    only = {"changes": CHANGES["changes"][:1], "settings": [], "results": results[:1]}  # type: ignore[index]
    with fake_daemon(vault, answers(reload=only)):
        assert run(capsys, "reload") == (1, "", "inbox: fatal: no such command\n")
    with fake_daemon(vault, answers(reload={**CHANGES, "results": results[1:]})):
        assert run(capsys, "reload")[::2] == (0, "")


def test_an_invalid_configuration_is_shown_line_by_line(vault: Path, capsys: Captured) -> None:
    problems = ["supervisor.toml:3: watchers.a.comand: unknown key; did you mean `command`?", "supervisor.toml:9: b: c"]
    refusal = RpcError(protocol.CONFIG_INVALID, "invalid", {"problems": problems})
    with fake_daemon(vault, answers(reload=refusal)):
        code, out, err = run(capsys, "reload")
        assert (code, out) == (78, "")
        assert err.splitlines() == [*problems, "aiempctl: nothing was changed; the configuration in force stays"]
        assert run(capsys, "reload", "--plan")[2].splitlines() == problems
