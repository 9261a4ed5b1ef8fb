"""What a changed configuration does to a running daemon, by SIGHUP and by command."""

import json
import os
import signal

import pytest
from harness import SLEEPER, Site, alive, two, until


def test_hup_restarts_exactly_what_changed(site: Site) -> None:
    daemon = site.start(text=two())
    site.wait_for("other", "running")
    before = site.pids()
    site.configure(two(command="1001"))
    daemon.send_signal(signal.SIGHUP)
    until(lambda: site.pids()["other"] not in {None, before["other"]}, "the changed one's new PID")
    assert site.pids()["same"] == before["same"]
    assert site.watcher("other")["restarts"] == 0  # a person asked for it


@pytest.mark.parametrize(
    "extra",
    [
        'restart = "never"',
        "stop_timeout = 3",
        'stop_signal = "INT"',
        'backoff = { initial = "5s" }',
        "crash_loop = { max_restarts = 9 }",
        "expected_exit_codes = [0, 9]",
        'watchdog = "1h"',
        'ready_timeout = "99s"',
        "autostart = false",
        'depends_on = ["same"]',
        'required_env = ["PATH"]',
    ],
)
def test_a_change_of_policy_restarts_nothing(site: Site, extra: str) -> None:
    site.start(text=two())
    site.wait_for("other", "running")
    before = site.pids()
    site.configure(two(extra))
    done = site.ctl("reload")
    assert done.returncode == 0, done.stderr
    assert "other" in done.stdout
    assert site.pids() == before


def test_a_changed_policy_takes_effect_without_a_restart(site: Site) -> None:
    site.start(text=two())
    pid = site.wait_for("other", "running")["pid"]
    site.configure(two('restart = "never"'))
    assert site.ctl("reload").returncode == 0
    os.kill(pid, signal.SIGKILL)
    site.wait_for("other", "exited")


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
