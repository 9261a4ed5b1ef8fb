"""What a changed configuration does to a running daemon, by SIGHUP and by command."""

import json
import os
import signal

import pytest
from harness import IDLE, PATIENT, SLEEPER, Site, alive, two, until

pytestmark = PATIENT


def test_hup_restarts_exactly_what_changed(site: Site) -> None:
    daemon = site.start(text=two())
    site.wait_for("other", "running")
    before = site.pids()
    site.configure(two(command="1001"))
    daemon.send_signal(signal.SIGHUP)
    until(lambda: site.pids()["other"] not in {None, before["other"]}, "the changed one's new PID")
    assert site.pids()["same"] == before["same"]
    assert site.watcher("other")["restarts"] == 0  # a person asked for it


POLICIES = {
    "restart": '"never"',
    "stop_timeout": "3",
    "stop_signal": '"INT"',
    "backoff": '{ initial = "5s" }',
    "crash_loop": "{ max_restarts = 9 }",
    "expected_exit_codes": "[0, 9]",
    "watchdog": '"1h"',
    "ready": '"notify"',
    "ready_timeout": '"99s"',
    "start_seconds": '"2s"',
    "autostart": "false",
    "depends_on": '["restart"]',
    "required_env": '["PATH"]',
}
SETTINGS = """\
timezone = "Asia/Tokyo"
log_level = "debug"
shutdown_timeout = "9s"
[supervisor.logs]
max_bytes = "1 MiB"
backups = 1
[supervisor.crash_loop]
max_restarts = 7
window = "3m"
"""


def policies(*, changed: bool) -> str:
    """Configure a watcher named after each key, and one whose change shows when a reload has settled."""
    text = f'{SETTINGS if changed else ""}[watchers.marker]\ncommand = ["sleep", "{1001 if changed else 1000}"]\n'
    for key, value in POLICIES.items():
        keys = {"start_seconds": '"0s"'} | ({key: value} if changed else {})
        text += f'[watchers.{key}]\ncommand = ["sleep", "1000"]\n' + "".join(f"{k} = {v}\n" for k, v in keys.items())
    return text


def test_a_change_of_policy_or_settings_restarts_nothing(site: Site) -> None:
    site.start(text=policies(changed=False))
    site.wait_for("marker", "running")
    before = site.pids()
    site.configure(policies(changed=True))
    done = site.ctl("reload")
    assert done.returncode == 0, done.stderr
    assert all(f"{key}: changed without a restart" in done.stdout for key in POLICIES)
    assert all(f"supervisor.{key}" in done.stdout for key in ("timezone", "log_level", "shutdown_timeout"))
    found = site.wait_for_successor("marker", before["marker"] or 0)
    assert site.pids() == before | {"marker": found["pid"]}
    assert {state for name, state in site.states().items() if name != "marker"} == {"running"}


def test_a_changed_policy_takes_effect_without_a_restart(site: Site) -> None:
    site.start(text=two())
    pid = site.wait_for("other", "running")["pid"]
    site.configure(two('restart = "never"'))
    assert site.ctl("reload").returncode == 0
    os.kill(pid, signal.SIGKILL)
    site.wait_for("other", "exited")


def test_the_new_ways_to_stop_and_to_depend_hold_for_the_processes_at_hand(site: Site) -> None:
    hears = site.script(
        "hears", f"trap 'echo USR1 >> heard; exit 0' USR1\ntrap 'echo TERM >> heard' TERM\necho ready\n{IDLE}"
    )
    stubborn = site.script("stubborn", f"trap '' TERM\necho ready\n{IDLE}")

    def configured(signals: str, patience: str, loops: str, needs: str) -> str:
        return (
            f'[watchers.hears]\ncommand = ["{hears}"]\nstart_seconds = "0s"\nstop_timeout = "1h"\n{signals}\n'
            f'[watchers.stubborn]\ncommand = ["{stubborn}"]\nstart_seconds = "0s"\nstop_timeout = "{patience}"\n'
            f"{SLEEPER}backoff = {{ initial = 0 }}\n{loops}\n{two(needs)}"
        )

    site.start(text=configured("", "1h", "", ""))
    until(lambda: "ready" in site.log("hears") and "ready" in site.log("stubborn"), "the traps")
    before = site.pids()
    site.configure(
        configured('stop_signal = "USR1"', "100ms", "crash_loop = { max_restarts = 1 }", 'depends_on = ["same"]')
    )
    assert site.ctl("reload").returncode == 0
    assert site.pids() == before
    for name in ("hears", "stubborn", "same"):
        assert site.ctl("stop", name).returncode == 0
    assert (site.vault / "heard").read_text() == "USR1\n"
    assert site.watcher("stubborn")["last_exit"]["signal"] == "SIGKILL"
    assert site.states()["other"] == "stopped"  # for it depends on `same` now
    os.kill(before["sleeper"] or 0, signal.SIGKILL)
    os.kill(site.wait_for_successor("sleeper", before["sleeper"] or 0)["pid"], signal.SIGKILL)
    site.wait_for("sleeper", "paused")


def test_who_is_disabled_is_stopped_and_who_is_enabled_is_started(site: Site) -> None:
    site.start(text=two("enabled = false"))
    site.wait_for("same", "running")
    kept = site.pids()["same"]
    assert site.states()["other"] == "stopped"
    site.configure(two("enabled = true"))
    assert site.ctl("reload").returncode == 0
    pid = site.wait_for("other", "running")["pid"]
    site.configure(two("enabled = false"))
    assert site.ctl("reload").returncode == 0
    site.wait_for("other", "stopped")
    assert not alive(pid)
    assert site.ctl("status").returncode == 0
    assert site.pids()["same"] == kept


@pytest.mark.parametrize("key", ["env", "env_file", "directory", "memory_limit"])
def test_what_a_process_is_made_of_restarts_it(site: Site, key: str) -> None:
    (site.folder / ".env").write_text("A=1\n")
    (site.folder / "elsewhere").mkdir()
    values = {"env": '{ A = "1" }', "env_file": '".env"', "directory": '"elsewhere"', "memory_limit": '"1 GiB"'}
    site.start(text=two())
    site.wait_for("other", "running")
    before = site.pids()
    site.configure(two(f"{key} = {values[key]}"))
    plan = site.ctl("reload", "--plan")
    assert plan.returncode == 0
    assert str(before["other"]) in plan.stdout
    assert site.pids() == before
    assert site.ctl("reload").returncode == 0
    until(lambda: site.pids()["other"] not in {None, before["other"]}, "a new PID")
    assert site.pids()["same"] == before["same"]


def test_another_content_of_the_env_file_counts_as_a_change(site: Site) -> None:
    (site.folder / ".env").write_text("A=1\n")
    site.start(text=two('env_file = ".env"'))
    site.wait_for("other", "running")
    before = site.pids()
    (site.folder / ".env").write_text("A=2\n")
    assert site.ctl("reload").returncode == 0
    until(lambda: site.pids()["other"] not in {None, before["other"]}, "a new PID")


def test_watchers_come_and_go_with_the_file(site: Site) -> None:
    site.start(text=two())
    gone = site.wait_for("other", "running")["pid"]
    site.configure(two().replace("watchers.other", "watchers.third"))
    assert site.ctl("reload").returncode == 0
    until(lambda: set(site.pids()) == {"same", "third"}, "the exchange")
    site.wait_for("third", "running")
    assert not alive(gone)


def test_an_invalid_file_changes_nothing_and_says_where(site: Site) -> None:
    daemon = site.start(text=two())
    site.wait_for("other", "running")
    before = site.pids()
    site.configure(two('restart = "sometimes"\nbackof = 3'))
    refused = site.ctl("reload")
    assert refused.returncode == 78
    assert f"{site.config}:9: watchers.other.restart" in refused.stderr
    assert "backoff" in refused.stderr
    daemon.send_signal(signal.SIGHUP)
    until(lambda: site.status()["supervisor"]["problems"], "the problem in status")
    assert site.pids() == before
    site.configure(two())
    assert site.ctl("reload").returncode == 0
    assert site.status()["supervisor"]["problems"] == []


def test_fatal_is_tried_again_when_its_configuration_changes(site: Site) -> None:
    site.start(text=SLEEPER.replace('"sleep"', '"nonesuch"'))
    site.wait_for("sleeper", "fatal")
    site.configure(SLEEPER)
    assert site.ctl("reload").returncode == 0
    site.wait_for("sleeper", "running")


def test_reload_restarts_nobody_who_merely_depends_on_what_changed(site: Site) -> None:
    text = two().replace("watchers.same]", 'watchers.same]\ndepends_on = ["other"]')
    site.start(text=text)
    site.wait_for("same", "running")
    before = site.pids()
    site.configure(
        text.replace(
            '"sleep", "1000"]\nstart_seconds = "0s"\n[watchers.other]\ncommand = ["sleep", "1000"]',
            '"sleep", "1000"]\nstart_seconds = "0s"\n[watchers.other]\ncommand = ["sleep", "1001"]',
        )
    )
    plan = site.ctl("reload", "--plan").stdout
    assert str(before["other"]) in plan
    assert str(before["same"]) not in plan
    assert site.ctl("reload").returncode == 0
    until(lambda: site.pids()["other"] not in {None, before["other"]}, "a new PID")
    assert site.pids()["same"] == before["same"]


def test_another_vault_is_refused(site: Site) -> None:
    site.start(text=SLEEPER)
    pid = site.wait_for("sleeper", "running")["pid"]
    (site.folder / "second").mkdir()
    site.config.write_text(site.config.read_text().replace('"vault"', '"second"'))
    refused = site.ctl("--vault", str(site.vault), "reload")
    assert refused.returncode == 1
    assert "second" in refused.stderr
    assert "stop it and start it again" in refused.stderr
    found = json.loads(site.ctl("--vault", str(site.vault), "status", "--json").stdout)
    assert (found["supervisor"]["vault"], found["watchers"][0]["pid"]) == (str(site.vault), pid)


def test_a_changed_dry_run_names_whom_it_does_not_reach_yet(site: Site) -> None:
    site.start(text=f"dry_run = false\n{SLEEPER}")
    pid = site.wait_for("sleeper", "running")["pid"]
    site.configure(f"dry_run = true\n{SLEEPER}")
    assert site.ctl("reload").returncode == 0
    (problem,) = site.status()["supervisor"]["problems"]
    assert "DRY_RUN=false" in problem
    assert "aiempctl restart sleeper" in problem
    assert site.watcher("sleeper")["pid"] == pid
    site.ctl("restart", "sleeper")
    assert site.status()["supervisor"]["problems"] == []


def test_a_changed_setting_of_an_env_file_that_is_a_pipe_stops_nobody(site: Site) -> None:
    os.mkfifo(site.folder / ".env")
    site.start(text=two('env_file = ".env"'))
    found = site.wait_for("other", "fatal")
    assert ".env" in found["reason"]
    site.wait_for("same", "running")
