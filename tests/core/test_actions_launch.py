"""From a task's action to what the kernel gets: which program it is, and what its environment says."""

import sys
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import pytest

from orchestrator.actions.launch import agent_program, own_program, program, surroundings
from orchestrator.config.model import Builtin, Command, Handler, Prompt, TaskConfig
from orchestrator.places import Places
from orchestrator.processes.children import Program
from orchestrator.processes.programs import NOT_INHERITED, Surroundings, Unlaunchable
from orchestrator.schedule.runs import Run, Trigger

SOCKET = "/run/notify/r1"
PATH = {"PATH": "/usr/bin:/bin"}
SLOT = datetime(2026, 11, 20, tzinfo=UTC)


def made(
    folder: Path,
    action: Command | Handler | Builtin,
    environ: Mapping[str, str] = PATH,
    *,
    dry_run: bool = False,
    dry_daemon: bool = False,
    vault: str = "vault",
) -> Program:
    (folder / "vault").mkdir(exist_ok=True)
    around = Surroundings(Places(str(folder / vault)), str(folder), dry_daemon, environ)
    run = Run("r1", "t", SLOT, Trigger.MANUAL, dry_run=dry_run)
    return program(TaskConfig("t", action), action, run, around, timezone="Asia/Kathmandu", notify_socket=SOCKET)


def told(folder: Path) -> dict[str, str]:
    return PATH | {
        "AIEMP_TASK": "t",
        "AIEMP_RUN": "r1",
        "AIEMP_VAULT": f"{folder}/vault",
        "AIEMP_STATE_DIR": f"{folder}/vault/.aiemp",
        "DRY_RUN": "false",
        "PYTHONUNBUFFERED": "1",
        "NOTIFY_SOCKET": SOCKET,
    }


def test_what_a_command_is_told_and_where_it_runs(tmp_path: Path) -> None:
    found = made(tmp_path, Command(("/bin/echo", "$HOME", "a b")), PATH | {"DRY_RUN": "maybe", "AIEMP_WATCHER": "w"})
    assert found == Program("/bin/echo", ("/bin/echo", "$HOME", "a b"), f"{tmp_path}/vault", told(tmp_path))


@pytest.mark.parametrize("name", sorted(NOT_INHERITED))
def test_what_was_meant_for_the_daemon_alone_stays_there(tmp_path: Path, name: str) -> None:
    assert made(tmp_path, Command(("/bin/true",)), PATH | {name: "daemon's"}).environ == told(tmp_path)


@pytest.mark.parametrize(
    ("daemon", "run", "dry"), [(False, False, "false"), (True, False, "true"), (False, True, "true")]
)
def test_a_dry_run_is_the_daemons_or_the_runs_own(tmp_path: Path, daemon: bool, run: bool, dry: str) -> None:  # noqa: FBT001  a table's columns
    found = made(tmp_path, Command(("/bin/true",)), dry_run=run, dry_daemon=daemon)
    assert found.environ["DRY_RUN"] == dry


def test_a_command_is_looked_for_as_a_watchers_is(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    (tmp_path / "vault" / "report.sh").touch()
    assert made(tmp_path, Command(("./report.sh",))).executable == f"{tmp_path}/vault/./report.sh"
    (tmp_path / "report.sh").touch()
    assert made(tmp_path, Command(("./report.sh",))).executable == f"{tmp_path}/./report.sh"
    assert made(tmp_path, Command(("python", "-V"))).argv == (sys.executable, "-V")
    with pytest.raises(Unlaunchable, match="'no-such-command' is not on the PATH"):
        made(tmp_path, Command(("no-such-command",)))


def test_handlers_and_chores_are_modules_of_ours_for_which_nothing_in_the_vault_is_taken(tmp_path: Path) -> None:
    handler = made(tmp_path, Handler("handlers.daily", "run", tmp_path))
    assert handler.argv == (sys.executable, "-P", "-m", "orchestrator.actions.handler_child", "handlers.daily:run")
    assert handler.environ == told(tmp_path)
    chore = made(tmp_path, Builtin("done_archive"))
    assert chore.argv == (sys.executable, "-P", "-m", "orchestrator.actions.chores", "done_archive")
    assert chore.environ == told(tmp_path) | {"AIEMP_TIMEZONE": "Asia/Kathmandu", "AIEMP_CONFIG_DIR": str(tmp_path)}


def test_a_vault_that_is_gone_is_named(tmp_path: Path) -> None:
    with pytest.raises(Unlaunchable, match=f"the vault {tmp_path}/gone does not exist any more"):
        made(tmp_path, Command(("/bin/true",)), vault="gone")


def test_what_an_agent_is_told_is_what_a_command_is(tmp_path: Path) -> None:
    (tmp_path / "vault").mkdir()
    around = Surroundings(Places(str(tmp_path / "vault")), str(tmp_path), dry_run=False, environ=PATH)
    task = TaskConfig("t", Prompt("hi", "claude"))
    assert surroundings(task, Run("r1", "t", SLOT, Trigger.MANUAL), around, SOCKET) == told(tmp_path)


@pytest.mark.parametrize(
    ("path", "found"),
    [
        ("{bin}:.", "{bin}/agent"),
        (".::vault:{bin}", "{bin}/agent"),
        (".:vault:", None),
        ("", None),
    ],
)
def test_an_agent_is_not_looked_for_in_relative_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, path: str, found: str | None
) -> None:
    for folder in ("bin", "vault"):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "agent").touch(0o755)
    monkeypatch.chdir(tmp_path / "vault")
    around = Surroundings(Places(str(tmp_path / "vault")), str(tmp_path), dry_run=False, environ={})
    environ = {"PATH": path.format(bin=tmp_path / "bin"), "MORE": "1"}
    if found is None:
        with pytest.raises(Unlaunchable, match="'agent' is not on the PATH"):
            agent_program(("agent", "-p"), around, environ)
    else:
        executable = found.format(bin=tmp_path / "bin")
        made = agent_program(("agent", "-p"), around, environ)
        assert made == Program(executable, ("agent", "-p"), f"{tmp_path}/vault", environ)


def test_a_module_of_ours_needs_no_looking_for(tmp_path: Path) -> None:
    around = Surroundings(Places(str(tmp_path / "vault")), str(tmp_path), dry_run=False, environ={})
    argv = (sys.executable, "-P", "-m", "orchestrator.agents.letta_child")
    assert own_program(argv[-1], around, PATH) == Program(sys.executable, argv, f"{tmp_path}/vault", PATH)
