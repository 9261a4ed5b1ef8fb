"""Tasks through the two programs: added, disabled, paused, shown, reloaded."""

import json
import os
import signal
import time
from datetime import UTC, datetime, timedelta

import pytest
from harness import Site, until
from scheduled import NOTE, history, outcomes, run, task

# --- added tasks, and what people decide ---


def test_an_added_task_survives_the_daemon_runs_and_can_be_removed(site: Site) -> None:
    script = site.folder / "report.sh"
    script.write_text("#!/bin/sh\necho the report\n")
    script.chmod(0o755)
    site.start(text=f"[tasks.configured]\ncommand = {NOTE}\n")
    added = site.ctl("add", "report", "--cron", "0 9 * * 1-5", "--", "./report.sh")
    assert added.returncode == 0, added.stderr
    path = site.vault / ".aiemp/tasks.d/report.toml"
    assert (path.stat().st_mode & 0o777, path.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert site.ctl("add", "report", "--every", "1h", "--", "true").returncode == 1
    assert site.ctl("add", "configured", "--every", "1h", "--", "true").returncode == 1
    wrong = site.ctl("add", "wrong", "--cron", "61 * * * *", "--", "true")
    assert (wrong.returncode, "minute" in wrong.stderr) == (2, True)
    site.stop()
    path.with_name("broken.toml").write_text("[tasks.broken]\ncron = 1\n")
    site.start()
    found = task(site, "report")
    assert (found["enabled"], found["state"], found["next_slot"][-10:]) == (True, "idle", found["next_slot"][-10:])
    result, code = run(site, "report")
    assert (result["outcome"], result["output"].strip(), code) == ("success", "the report", 0)
    assert history(site, "report")[0] == result
    (problem,) = site.status()["supervisor"]["problems"]
    assert "broken.toml:1: tasks.broken: does nothing" in problem
    assert site.ctl("remove", "configured").returncode == 1
    assert site.ctl("remove", "report").returncode == 0
    assert not path.exists()
    assert site.ctl("run", "report").returncode == 2


def test_disabled_and_paused_stay_so_over_a_restart(site: Site) -> None:
    site.start(
        text=f'[tasks.beat]\nevery = "300ms"\ncommand = {NOTE}\n[tasks.off]\nevery = "300ms"\ncommand = {NOTE}\n'
    )
    assert site.ctl("disable", "off").returncode == 0
    until(lambda: task(site, "off")["state"] == "idle", "its last run")
    off = len(history(site, "off"))
    assert site.ctl("scheduler", "pause").returncode == 0
    site.stop()
    site.start()
    assert site.status()["supervisor"]["scheduler"] == "paused"
    assert not task(site, "off")["enabled"]
    before = len(history(site, "beat"))
    assert run(site, "off")[1] == 0  # by hand all the same
    assert len(history(site, "beat")) == before
    assert site.ctl("scheduler", "resume").returncode == 0
    until(lambda: len(history(site, "beat")) > before + 1, "the beat")
    assert len(history(site, "off")) == off + 1
    assert site.ctl("enable", "off").returncode == 0
    until(lambda: len(history(site, "off")) > off + 1, "the other's")


def test_a_task_waits_for_its_start_whatever_happens_meanwhile(site: Site) -> None:
    day = datetime.now(UTC).date() + timedelta(days=2)
    site.start(
        text=f'timezone = "UTC"\n[tasks.t]\nfrequency = "daily"\nstart_at = {day}\ncommand = {NOTE}\n'
        f'[tasks.due]\nfrequency = "daily"\nstart_at = 2020-01-01\ncommand = {NOTE}\n'
    )
    until(lambda: outcomes(site, "due") == [("catch_up", "success")], "the other one, whose time has passed today")
    first = f"{day}T00:00:00Z"
    waiting = task(site, "t")
    assert (waiting["next_slot"], waiting["schedule"]) == (first, f"daily at 00:00 from {day}")
    assert site.ctl("disable", "t").returncode == site.ctl("enable", "t").returncode == 0
    assert site.ctl("reload").returncode == 0
    assert task(site, "t")["next_slot"] == first
    assert run(site, "t")[1] == 0  # by hand all the same
    site.stop()
    site.start()
    assert task(site, "t")["next_slot"] == first
    assert outcomes(site, "t") == [("manual", "success")]


def test_names_are_checked_first(site: Site) -> None:
    site.start(text=f"[tasks.a]\ncommand = {NOTE}\n")
    for words in (
        ("run", "nosuch"),
        ("enable", "a", "nosuch"),
        ("remove", "nosuch"),
        ("cancel", "nosuch"),
        ("history", "nosuch"),
    ):
        answer = site.ctl(*words)
        assert (answer.returncode, "nosuch" in answer.stderr) == (2, True), words
    assert site.ctl("disable", "nosuch", "a").returncode == 2
    assert task(site, "a")["enabled"]


# --- what is shown ---


def test_status_and_dashboard_show_the_tasks(site: Site) -> None:
    site.start(
        text=f'timezone = "UTC"\n[tasks.t]\nfrequency = "daily"\nat = "03:04"\ncatch_up = "none"\ncommand = {NOTE}\n'
        f"[tasks.off]\nenabled = false\ncommand = {NOTE}\n"
    )
    ran = run(site, "t")[0]
    found = {each["name"]: each for each in site.status()["tasks"]}
    shown = found["t"]
    assert (shown["enabled"], shown["state"], found["off"]["enabled"]) == (True, "idle", False)
    assert shown["next_slot"].endswith("T03:04:00Z")
    last = shown["last_run"]
    assert {
        key: ran[key] for key in ("run_id", "outcome", "slot", "started_at", "duration_seconds")
    }.items() <= last.items()
    until(lambda: "| t | 🟢 success |" in site.dashboard(), "the Dashboard")
    assert "03:04 |" in site.dashboard()
    assert "| off |" not in site.dashboard()
    assert json.loads(site.ctl("tasks", "--json").stdout) == site.status()["tasks"]
    assert json.loads(site.ctl("tasks", "--due", "--json").stdout) == []


def test_progress_of_a_long_run_is_told(site: Site) -> None:
    script = (
        "import os, socket, time; s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM); "
        "s.sendto(b'STATUS=half way', os.environ['NOTIFY_SOCKET']); time.sleep(1000)"
    )
    site.start(text=f'[tasks.long]\ncommand = ["python", "-c", {json.dumps(script)}]\n')
    site.ctl("run", "long", "--no-wait")
    until(lambda: task(site, "long")["status_text"] == "half way", "its word")


def test_once_runs_what_is_due_and_its_exit_code_tells(site: Site) -> None:
    site.vault.mkdir()
    site.configure(f'[tasks.beat]\nevery = "500ms"\ncommand = {NOTE}\n')
    first = site.aiemp("run", "--once", "-c", str(site.config))
    assert (first.returncode, json.loads(first.stdout)["runs"]) == (0, [])
    since = time.monotonic()
    until(lambda: time.monotonic() - since > 1.2, "two slots")
    again = site.aiemp("run", "--once", "-c", str(site.config))
    (ran,) = json.loads(again.stdout)["runs"]
    assert (again.returncode, ran["outcome"], ran["trigger"]) == (0, "success", "catch_up")
    site.configure('[tasks.beat]\nevery = "500ms"\nretry = { max = 0 }\ncommand = ["false"]\n')
    since = time.monotonic()
    until(lambda: time.monotonic() - since > 1.2, "two slots")
    failed = site.aiemp("run", "--once", "-c", str(site.config))
    assert (failed.returncode, json.loads(failed.stdout)["runs"][0]["outcome"]) == (1, "failure")


def test_a_reload_takes_up_tasks_and_lets_runs_go_on(site: Site) -> None:
    site.start(text='[tasks.long]\ncommand = ["sleep", "1000"]\n')
    site.ctl("run", "long", "--no-wait")
    until(lambda: task(site, "long")["state"] == "running", "the run")
    site.configure(f'[tasks.long]\ntimeout = "1h"\ncommand = ["sleep", "1000"]\n[tasks.new]\ncommand = {NOTE}\n')
    assert site.ctl("reload").returncode == 0
    assert task(site, "long")["state"] == "running"
    assert run(site, "new")[1] == 0
    site.configure(f"[tasks.new]\ncommand = {NOTE}\n")
    assert site.ctl("reload").returncode == 0
    until(lambda: outcomes(site, "long") == [("manual", "cancelled")], "its end with its task")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_stopping_the_daemon_ends_what_runs(site: Site, number: int) -> None:
    daemon = site.start(text='[tasks.long]\ncommand = ["sleep", "1000"]\nretry = { max = 0 }\n')
    site.ctl("run", "long", "--no-wait")
    until(lambda: task(site, "long")["state"] == "running", "the run")
    os.kill(daemon.pid, number)
    assert daemon.wait(20) == 0
    assert list(site.ours()) == []
    site.start()
    assert outcomes(site, "long") == [("manual", "interrupted")]


def test_a_reload_says_what_becomes_of_tasks_and_of_broken_files(site: Site) -> None:
    site.start(text='[tasks.kept]\nevery = "1h"\ncommand = ["true"]\n[tasks.gone]\ncommand = ["sleep", "1000"]\n')
    site.ctl("run", "gone", "--no-wait")
    site.configure('[tasks.kept]\nevery = "2h"\ncommand = ["false"]\n[tasks.new]\ncommand = ["true"]\n')
    planned = site.ctl("reload", "--plan")
    assert planned.stdout.splitlines() == [
        "task kept: would change (action, schedule)",
        "task new: would be added",
        "task gone: would be removed, and its runs ended",
    ]
    assert task(site, "gone")["state"] == "running"
    folder = site.vault / ".aiemp/tasks.d"
    folder.mkdir(exist_ok=True)
    (folder / "broken.toml").write_text("[tasks.broken]\n")
    done = site.ctl("reload")
    assert (done.returncode, len(done.stdout.splitlines())) == (0, 3)
    assert "broken.toml:1" in done.stderr
    until(lambda: outcomes(site, "gone") == [("manual", "cancelled")], "its end")


def test_a_moment_that_has_passed_is_refused(site: Site) -> None:
    site.start(text="")
    refused = site.ctl("add", "late", "--at", "2020-01-01T00:00", "--", "true")
    assert (refused.returncode, "has passed" in refused.stderr) == (2, True)
    assert json.loads(site.ctl("tasks", "--json").stdout) == []
    assert not (site.vault / ".aiemp/tasks.d/late.toml").exists()
