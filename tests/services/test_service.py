"""Service definitions, judged by the programs that read them."""

import json
import os
import plistlib
import re
import shlex
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.errors import UserError
from orchestrator.service import Installation, render

PROJECT = Path(__file__).parents[2]

# What the units in systemd/ are made for. After a deliberate change of `render`, write them anew from it.
SAMPLE = Installation(
    config="/srv/aiemp/supervisor.toml",
    vault="/srv/aiemp/vault",
    program=("/opt/aiemp/bin/aiemp",),
    control=("/opt/aiemp/bin/aiempctl",),
    account="aiemp",
    home="/var/lib/aiemp",
    python="/usr",
    path="/opt/aiemp/bin:/usr/local/bin:/usr/bin:/bin",
)
SAMPLE_OF_A_PERSON = Installation(
    config="/home/ada/aiemp/supervisor.toml",
    vault="/home/ada/Notes",
    program=("/home/ada/.local/bin/aiemp",),
    control=("/home/ada/.local/bin/aiempctl",),
    account="ada",
    home="/home/ada",
    python="/usr",
    path="/home/ada/.local/bin:/usr/local/bin:/usr/bin:/bin",
)
ODD_NAMES = [
    "plain",
    "two words",
    "100%n",
    "$HOME",
    "${HOME}",
    "it's",
    'say "hi"',
    "back\\slash",
    "a;b",
    "@+!:-",
    "Büro 日本",
]

needs_systemd = pytest.mark.skipif(
    shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed: nothing can judge units here"
)


@pytest.mark.parametrize(
    ("file", "installation", "user"),
    [("aiemp.service", SAMPLE, False), ("user/aiemp.service", SAMPLE_OF_A_PERSON, True)],
)
def test_the_sample_units_are_what_the_command_prints(file: str, installation: Installation, user: bool) -> None:  # noqa: FBT001
    assert (PROJECT / "systemd" / file).read_text() == render("systemd", installation, user=user)


def installed(folder: Path) -> Installation:
    """An installation whose programs are really there, as `systemd-analyze verify` demands."""
    programs = []
    (folder / "bin").mkdir(parents=True)
    for name in ("aiemp", "aiempctl"):
        program = folder / "bin" / name
        program.write_text('#!/bin/sh\nprintf "%s\\n" "$0" "$@"\n')
        program.chmod(0o755)
        programs.append(str(program))
    return Installation(
        config=str(folder / "supervisor.toml"),
        vault=str(folder / "vault"),
        program=(programs[0],),
        control=(programs[1],),
        account="root",
        home=str(folder),
        python="/usr",
        path=f"{folder / 'bin'}:/usr/bin:/bin",
    )


def analyze(tmp_path: Path, unit: str, *words: str) -> subprocess.CompletedProcess[str]:
    folder = tmp_path / "units"
    folder.mkdir()
    (folder / "aiemp.service").write_text(unit)
    return subprocess.run(
        ["systemd-analyze", "--no-pager", *words, str(folder / "aiemp.service")],
        capture_output=True,
        text=True,
        check=False,
        env={**os.environ, "XDG_RUNTIME_DIR": str(folder)},
    )


@needs_systemd
@pytest.mark.parametrize("user", [False, True])
@pytest.mark.parametrize("name", ODD_NAMES)
def test_systemd_finds_nothing_wrong_and_both_programs_under_any_name(tmp_path: Path, name: str, user: bool) -> None:  # noqa: FBT001
    unit = render("systemd", installed(tmp_path / name), user=user)
    done = analyze(tmp_path, unit, "--user" if user else "--system", "--man=no", "verify")
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.parametrize("name", ODD_NAMES)
def test_the_commands_get_every_word_as_it_is(tmp_path: Path, name: str) -> None:
    installation = installed(tmp_path / name)
    unit = render("systemd", installation)
    for key, words in (
        ("ExecStart", [*installation.program, "run", "-c", installation.config]),
        ("ExecReload", [*installation.control, "-c", installation.config, "reload"]),
    ):
        (line,) = settings(unit, key)
        assert ("$" in line) is line.startswith(":")
        # Of systemd's quoting we use only what a shell understands the same way.
        command = shlex.split(line.removeprefix(":").replace("%%", "%"))
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        assert done.stdout.splitlines() == words


@needs_systemd
def test_the_judge_notices_a_program_that_is_not_there(tmp_path: Path) -> None:
    installation = installed(tmp_path / "two words")
    Path(*installation.program).unlink()
    done = analyze(tmp_path, render("systemd", installation), "--man=no", "verify")
    assert "two words/bin/aiemp is not executable" in done.stderr


@needs_systemd
@pytest.mark.parametrize("installation", [SAMPLE, SAMPLE_OF_A_PERSON, replace(SAMPLE, vault="/tmp/vault")])
def test_the_system_unit_is_closed_as_far_as_the_job_allows(tmp_path: Path, installation: Installation) -> None:
    done = analyze(tmp_path, render("systemd", installation), "security", "--offline=true", "--threshold=39")
    verdict = re.search(r"exposure level for aiemp.service: (\d+\.\d+)", done.stdout)
    assert verdict, done.stdout + done.stderr
    assert float(verdict[1]) < 4.0
    assert done.returncode == 0


def settings(unit: str, key: str) -> list[str]:
    return [line.partition("=")[2] for line in unit.splitlines() if line.startswith(f"{key}=")]


def test_the_system_unit_opens_homes_and_tmp_only_when_something_lies_there() -> None:
    sample, person = render("systemd", SAMPLE), render("systemd", SAMPLE_OF_A_PERSON)
    assert settings(sample, "ProtectHome") == ["yes"]
    assert settings(person, "ProtectHome") == ["read-only"]
    pyenv = render("systemd", replace(SAMPLE, python="/home/ada/.pyenv/versions/3.13.1"))
    assert settings(pyenv, "ProtectHome") == ["read-only"]
    assert settings(person, "ReadWritePaths") == ["-/home/ada/Notes -/home/ada"]
    assert settings(sample, "PrivateTmp") == ["yes"]
    in_tmp = render("systemd", replace(SAMPLE, vault="/tmp/vault"))
    assert settings(in_tmp, "PrivateTmp") == ["no"]
    assert "/var/tmp" in settings(in_tmp, "ReadWritePaths")[0].split()


def test_the_daemons_own_time_to_stop_ends_before_the_service_managers() -> None:
    patient = replace(SAMPLE, shutdown_timeout=90.5)
    assert settings(render("systemd", patient), "TimeoutStopSec") == ["100.5s"]
    assert plistlib.loads(render("launchd", patient).encode())["ExitTimeOut"] >= 100
    assert '"kill_timeout": 100500' in render("pm2", patient)


@pytest.mark.parametrize("name", ODD_NAMES)
def test_launchd_gets_every_word_as_it_is(tmp_path: Path, name: str) -> None:
    installation = installed(tmp_path / name)
    job = plistlib.loads(render("launchd", installation).encode())
    assert job["ProgramArguments"] == [*installation.program, "run", "-c", installation.config]
    assert job["EnvironmentVariables"] == {"PATH": installation.path}
    assert job["UserName"] == "root"
    assert "UserName" not in plistlib.loads(render("launchd", installation, user=True).encode())


@pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed: nothing can read pm2's file here")
@pytest.mark.parametrize("name", ODD_NAMES)
def test_pm2_gets_every_word_as_it_is(tmp_path: Path, name: str) -> None:
    installation = installed(tmp_path / name)
    file = tmp_path / "aiemp.config.js"
    file.write_text(render("pm2", installation))
    code = "console.log(JSON.stringify(require(process.argv[1])))"
    done = subprocess.run(["node", "-e", code, str(file)], capture_output=True, text=True, check=True)
    (app,) = json.loads(done.stdout)["apps"]
    assert [app["script"], *app["args"]] == [*installation.program, "run", "-c", installation.config]
    assert app["interpreter"] == "none"
    assert app["stop_exit_codes"] == [0, 75, 78]


@pytest.mark.parametrize("name", ["line\nbreak", "tab\there", "bell\a", os.fsdecode(b"latin-\xe9")])
def test_a_path_that_no_definition_can_hold_is_refused(name: str) -> None:
    with pytest.raises(UserError, match="rename it"):
        replace(SAMPLE, vault=f"/srv/{name}")


def test_here_is_this_environments_own_programs_and_account(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("PATH", "/opt/bin:/bin")
    here = Installation.here(config="supervisor.toml", vault="vault", shutdown_timeout=5)
    assert here.config == str(tmp_path / "supervisor.toml")
    assert here.path == "/opt/bin:/bin"
    for command, name in ((here.program, "aiemp"), (here.control, "aiempctl")):
        done = subprocess.run([*command, "--help"], capture_output=True, text=True, check=True)
        assert done.stdout.startswith(f"usage: {name}")
