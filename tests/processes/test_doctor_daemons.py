"""Who serves the vault, who else would start something, and what is known of the daemon's world."""

import fcntl
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest
from examining import Practice, told

from orchestrator.doctor import daemons, examination
from orchestrator.doctor.patient import Source


@pytest.fixture
def practice(tmp_path: Path) -> Practice:
    return Practice(tmp_path)


@contextmanager
def held(practice: Practice, **said: object) -> Iterator[None]:
    """The vault's lock held by somebody who says this of himself."""
    lock = practice.vault / ".aiemp/lock"
    lock.parent.mkdir(mode=0o700, exist_ok=True)
    with lock.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        json.dump(said, file)
        file.flush()
        yield


def test_a_daemon_on_another_machine(practice: Practice) -> None:
    with held(practice, pid=os.getpid(), hostname="elsewhere", started_at="2026-11-25T01:00:00Z"):
        patient = practice.patient()
        assert "a daemon on elsewhere" in told(list(daemons.look(patient)))
    assert patient.world.source is Source.SHELL, "the PID is another machine's"


def test_a_lock_that_says_nothing(practice: Practice) -> None:
    with held(practice):
        patient = practice.patient()
    assert patient.holder.held
    assert "does not answer" in told(list(daemons.look(patient)))


def test_who_ran_last_matters_on_a_shared_vault_only(practice: Practice) -> None:
    with held(practice, pid=1, hostname="elsewhere", started_at="2026-11-25T01:00:00Z"):
        pass
    assert told(list(daemons.look(practice.patient()))) == ""
    (practice.vault / ".stfolder").mkdir()
    assert "the last daemon ran on elsewhere" in told(list(daemons.look(practice.patient())))


def test_crontab_and_pm2_beside_each_other(practice: Practice) -> None:
    practice.program("crontab", f'[ "$*" = -l ] && echo "@reboot aiemp run -c {practice.folder}/supervisor.toml"')
    (practice.folder / ".pm2").mkdir()
    apps = [{"name": "ai", "pm_exec_path": "/opt/aiemp", "args": ["run"]}, {"name": "m", "script": "/x/mail.py"}]
    (practice.folder / ".pm2/dump.pm2").write_text(json.dumps(apps))
    patient = practice.patient('[watchers.mail]\ncommand = ["python", "mail.py"]\n')
    first, second = told(list(daemons.look(patient))).splitlines()
    assert f"the crontab of {patient.world.account} and pm2's app ai start a daemon each" in first
    assert "pm2 delete ai && pm2 save" in first
    assert "warning watcher mail: pm2's app m starts mail.py too" in second


def test_a_clock_that_is_not_synchronised(practice: Practice) -> None:
    practice.program("timedatectl", "echo no")
    assert "the clock is not synchronised" in told(list(examination._time(practice.patient())))
    practice.program("timedatectl", "echo yes")
    assert "synchronised" not in told(list(examination._time(practice.patient())))
    practice.program("timedatectl", "echo 'System has not been booted with systemd' >&2; exit 1")
    assert "synchronised" not in told(list(examination._time(practice.patient()))), "nobody can tell"


def test_a_unit_gets_the_environment_of_its_manager_and_its_own(practice: Practice) -> None:
    units = practice.folder / ".config/systemd/user"
    units.mkdir(parents=True)
    (practice.folder / "more.env").write_text("C=3\nB=4\n")
    (units / "a.service").write_text(
        f"[Service]\nExecStart=/opt/aiemp run -c {practice.folder}/supervisor.toml\n"
        "Environment=A=1 B=2\nEnvironmentFile=-%h/more.env\nEnvironmentFile=-/nowhere\n"
    )
    (units / "b.service").write_text("[Service]\nExecStart=/opt/aiemp run -c /another/supervisor.toml\n")
    patient = practice.patient()
    assert [unit.name for unit in patient.units] == ["a.service"]
    assert patient.world.source is Source.UNIT
    assert {name: patient.world.environ.get(name) for name in "ABC"} == {"A": "1", "B": "4", "C": "3"}
    assert patient.world.environ["PATH"]
    assert "systemctl --user start a.service" in str(list(daemons.look(patient)))


def test_what_the_daemon_itself_complains_of(practice: Practice) -> None:
    status: dict[str, object] = {
        "supervisor": {"problems": ["agent a: a limit", "the disk is full"]},
        "agents": [
            {"name": "a", "state": "held", "reason": "a limit", "until": "2026-11-25T13:00:00Z"},
            {"name": "b", "state": "spent", "reason": "the budget is used up; raise daily_budget_usd", "until": None},
            {"name": "c", "state": "ready", "reason": None},
            "nonsense",
        ],
        "watchers": [{"name": "w", "state": "paused", "reason": "5 restarts"}, {"name": "v", "state": "running"}],
    }
    found = told(list(daemons.says(replace(practice.patient(), daemon=status)))).splitlines()
    assert found == [
        "warning daemon: it says: the disk is full -> aiempctl status",
        "warning agent a: its prompts wait until 2026-11-25T13:00:00Z: a limit -> aiempctl run TASK tries at once",
        "warning agent b: its prompts wait: the budget is used up -> raise daily_budget_usd",
        "warning watcher w: it is paused: 5 restarts -> aiempctl tail w; once that is mended: aiempctl resume w",
    ]
    assert list(daemons.says(replace(practice.patient(), daemon={"supervisor": 1, "watchers": None}))) == []
