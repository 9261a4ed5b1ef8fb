"""`aiemp init`: everything that is needed, nothing overwritten."""

import dataclasses
import os
import re
import tomllib
from datetime import time
from pathlib import Path

import pytest

from orchestrator.actions import names
from orchestrator.actions.chores.prompts import text_of
from orchestrator.config.load import load
from orchestrator.config.model import (
    AgentConfig,
    AgentKind,
    Builtin,
    BuiltinPrompt,
    Launch,
    LogsConfig,
    McpServer,
    Policy,
    Prompt,
    Ready,
    SchedulerConfig,
    TaskConfig,
    WatcherConfig,
)
from orchestrator.errors import UserError
from orchestrator.schedule.when import Calendar, Every
from orchestrator.vault import folders, frontmatter, scaffold
from orchestrator.vault.dashboard import splice, users_part

ROOT = Path(__file__).parents[2]
TABLE = b"| Component |\n| --- |\n"


def tree(folder: Path) -> dict[str, bytes | None]:
    return {str(p.relative_to(folder)): p.read_bytes() if p.is_file() else None for p in folder.rglob("*")}


def test_makes_a_configuration_and_a_vault(tmp_path: Path) -> None:
    done = scaffold.init(tmp_path / "new" / "place")
    base = tmp_path / "new" / "place"
    wanted = {"supervisor.toml", "vault", *(f"vault/{name}" for name in (*folders.ALL, "Prompts", *scaffold.NOTES))}
    assert set(tree(base)) == wanted
    assert set(done.created) == {base, *(base / name for name in wanted)}
    assert done.kept == ()
    config = load(base / "supervisor.toml", environ={})
    assert (config.vault, config.dry_run) == (base / "vault", True)
    inbox = config.watchers["inbox"]
    assert inbox.launch.command == ("python", "-P", "-m", "watchers.filesystem")
    assert inbox.policy == Policy(ready=Ready.NOTIFY, watchdog=60.0)


def test_a_second_time_changes_nothing(tmp_path: Path) -> None:
    first = scaffold.init(tmp_path)
    before = tree(tmp_path)
    second = scaffold.init(tmp_path)
    assert tree(tmp_path) == before
    assert second.created == ()
    assert set(second.kept) == {tmp_path, *first.created}


def test_never_overwrites_not_even_what_is_empty(tmp_path: Path) -> None:
    (tmp_path / "vault" / "Inbox").mkdir(parents=True)
    (tmp_path / "vault" / "Dashboard.md").touch()
    (tmp_path / "vault" / "Company_Handbook.md").symlink_to("nowhere")
    (tmp_path / "vault" / "Prompts").mkdir()
    (tmp_path / "vault" / "Prompts" / "morning_triage.md").write_text("mine")
    (tmp_path / "supervisor.toml").write_text("# mine\n")
    done = scaffold.init(tmp_path)
    assert (tmp_path / "vault" / "Dashboard.md").read_bytes() == b""
    assert not (tmp_path / "vault" / "nowhere").exists()
    assert (tmp_path / "supervisor.toml").read_text() == "# mine\n"
    assert (tmp_path / "vault" / "Business_Goals.md").stat().st_size > 100
    assert (tmp_path / "vault" / "Prompts" / "morning_triage.md").read_text() == "mine"
    assert (tmp_path / "vault" / "Prompts" / "linkedin_post.md").stat().st_size > 100
    assert tmp_path / "vault" / "Dashboard.md" in done.kept


@pytest.mark.parametrize(
    "name", ["my vault", 'quote"d', "back\\slash", "new\nline", "Ünï 🗂", "#hash", "'", "tab\t", "\x7f"]
)
def test_any_vault_can_be_named(tmp_path: Path, name: str) -> None:
    scaffold.init(tmp_path / "conf", tmp_path / name)
    scaffold.init(tmp_path / "inside", tmp_path / "inside" / name)
    for folder, vault in (("conf", tmp_path / name), ("inside", tmp_path / "inside" / name)):
        assert vault.is_dir()
        assert load(tmp_path / folder / "supervisor.toml", environ={}).vault == vault
    written = tomllib.loads((tmp_path / "inside" / "supervisor.toml").read_text())
    assert written["supervisor"]["vault"] == name


def test_the_vault_may_be_the_folder_itself_and_paths_start_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    scaffold.init("conf", "conf")
    assert load(tmp_path / "conf" / "supervisor.toml", environ={}).vault == tmp_path / "conf"


@pytest.mark.parametrize("taken", ["conf", "vault", "vault/Plans", "vault/Prompts"])
def test_a_file_in_the_way_is_told(tmp_path: Path, taken: str) -> None:
    (tmp_path / taken).parent.mkdir(exist_ok=True)
    (tmp_path / taken).touch()
    with pytest.raises(UserError, match=re.escape(str(tmp_path / taken))):
        scaffold.init(tmp_path / "conf", tmp_path / "vault")


def test_a_file_among_the_parents_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    with pytest.raises(UserError, match="cannot be made"):
        scaffold.init(tmp_path / "file" / "below")


def test_a_name_that_toml_cannot_hold_is_told_before_anything_is_made(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="UTF-8"):
        scaffold.init(tmp_path / "conf", tmp_path / os.fsdecode(b"\xff"))
    assert tree(tmp_path) == {}


def test_the_repositorys_own_configuration_is_the_one_that_init_writes() -> None:
    assert (ROOT / "supervisor.toml").read_bytes() == scaffold.configuration("vault")


def test_every_setting_is_shown_with_its_default(tmp_path: Path) -> None:
    """With each `#setting` of the file made real, it is complete, valid and says what the model says."""
    text = re.sub(r"(?m)^#(?=[a-z_\[])", "", scaffold.configuration("vault").decode())
    (tmp_path / "supervisor.toml").write_text(text)
    config = load(tmp_path / "supervisor.toml", environ={})
    inbox = config.watchers["inbox"]
    assert inbox.policy == Policy(ready=Ready.NOTIFY, watchdog=60.0)
    assert inbox.launch == Launch(inbox.launch.command, tmp_path, env_file=tmp_path / ".env")
    assert inbox == WatcherConfig("inbox", inbox.launch, inbox.policy)
    assert config.logs == LogsConfig()
    assert (config.shutdown_timeout, config.log_level) == (20.0, "info")
    shown = tomllib.loads(text)["watchers"]["inbox"]
    known = {field.name for record in (Policy, Launch, WatcherConfig) for field in dataclasses.fields(record)}
    assert set(shown) == known - {"name", "launch", "policy"}
    assert config.scheduler == SchedulerConfig()
    assert set(tomllib.loads(text)["scheduler"]) == {field.name for field in dataclasses.fields(SchedulerConfig)}
    stale = config.tasks["stale_approval_check"]
    wanted = TaskConfig("stale_approval_check", Builtin("stale_approval_check"), Every(6 * 3600))
    assert dataclasses.replace(stale, description="") == wanted
    shown = tomllib.loads(text)["tasks"]["stale_approval_check"]
    known = {field.name for field in dataclasses.fields(TaskConfig)}
    assert set(shown) == known - {"name", "schedule", "added", "lane"} | {
        "frequency",
        "every",
    }  # no lane is the default
    assert {"iteration", "report"} <= set(config.tasks)
    assert config.agents["claude"] == AgentConfig("claude")
    shown = tomllib.loads(text)["agents"]
    known = {field.name for field in dataclasses.fields(AgentConfig)} - {"name"}
    assert set(shown["claude"]) | set(shown["companion"]) == known
    assert shown["companion"]["api_key_env"] == AgentConfig("companion").api_key_env
    assert {name: agent.kind for name, agent in config.agents.items()} == {
        "claude": AgentKind.CLAUDE,
        "companion": AgentKind.LETTA,
        "local": AgentKind.COMMAND,
    }
    prompts = {name: task.action for name, task in config.tasks.items() if isinstance(task.action, Prompt)}
    assert {name: action.agent for name, action in prompts.items()} == {"receipts": "claude", "evening": "companion"}
    assert (prompts["receipts"].agent_id, prompts["evening"].agent_id is None) == (None, False)
    assert "start_at" in tomllib.loads(text)["tasks"]["receipts"]
    known = {field.name for field in dataclasses.fields(McpServer)} - {"name"}
    shown = tomllib.loads(text)["mcp"]
    assert {key for server in shown.values() for key in server} == known | {"enabled"}
    assert [bool(server.command) for server in config.mcp.values()] == [True, False]
    assert {server.timeout for server in config.mcp.values()} == {McpServer("any").timeout}


def test_the_usual_schedule(tmp_path: Path) -> None:
    scaffold.init(tmp_path)
    tasks = load(tmp_path / "supervisor.toml", environ={}).tasks
    assert {name: task.schedule for name, task in tasks.items()} == {
        "stale_approval_check": Every(6 * 3600),
        "daily_rollover": Calendar((time(0, 5),)),
        "done_archive": Calendar((time(1),)),
        "health_update": Every(15 * 60),
        "morning_triage": Calendar((time(8),)),
        "linkedin_post": Calendar((time(9, 30),), frozenset({0, 2, 4})),
        "weekly_audit_prep": Calendar((time(22),), frozenset({6})),
    }
    assert all(task.action in (Builtin(name), BuiltinPrompt(name, "claude")) for name, task in tasks.items())
    assert all(task.description for task in tasks.values())
    assert set(tasks) == names.CHORES - {"iteration"} | names.NEEDS_AGENT
    assert {name for name, task in tasks.items() if not task.enabled} == {"weekly_audit_prep"}


@pytest.mark.parametrize("name", sorted(names.NEEDS_AGENT))
def test_every_prompt_that_comes_along_can_be_sent(tmp_path: Path, name: str) -> None:
    scaffold.init(tmp_path)
    file = tmp_path / "vault" / "Prompts" / f"{name}.md"
    fields = frontmatter.read(file)
    assert fields is not None
    assert fields["task"] == name
    assert "/my-skill" in fields["skills"]
    text = text_of(tmp_path / "vault", name)
    assert text.startswith("You are the employee")
    assert "material, not orders" in text
    assert "at most ten lines" in text
    (example,) = re.findall(r"(?ms)^```\n(---\n.*?^---)$", text)
    wanted = ["type", "action", "target", "amount", "created", "expires", "status"]
    found = frontmatter.parse(example.encode())
    assert found is not None
    assert list(found) == wanted
    assert (found["type"], found["amount"], found["status"]) == ("approval_request", 0, "pending")


def test_the_new_dashboard_has_its_region_under_its_heading() -> None:
    text = scaffold._template("Dashboard.md")
    assert splice(text, TABLE).endswith(TABLE + b"\n<!-- aiemp:health:end -->\n")
    assert users_part(text).count(b"## System Health") == 1
