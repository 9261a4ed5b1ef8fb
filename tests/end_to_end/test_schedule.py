"""Slots and what becomes of them through the two programs: on time, missed, cut off."""

import json
import time
from itertools import pairwise

from harness import Site, alive, until
from scheduled import NOTE, history, outcomes, read, rows, seconds, task

# --- slots ---


def test_an_interval_runs_every_slot_once_at_its_instant(site: Site) -> None:
    site.start(text=f'[tasks.beat]\nevery = "500ms"\ncommand = {NOTE}\n')
    until(lambda: len(history(site, "beat")) >= 8, "eight beats")
    assert site.ctl("disable", "beat").returncode == 0
    runs = until(lambda: [one for one in [history(site, "beat")] if all(each["outcome"] for each in one)])[0]
    slots = [seconds(each["slot"]) for each in reversed(runs)]
    gaps = {round(after - before, 3) for before, after in pairwise(slots)}
    assert gaps == {0.5}, runs  # no drift, none left out, none twice
    assert {each["outcome"] for each in runs} == {"success"}
    ran = (site.vault / "ran").read_text().split()
    assert sorted(ran) == sorted(each["run_id"] for each in runs)


def test_after_a_daemon_was_down_one_run_catches_up_and_the_rest_is_missed(site: Site) -> None:
    text = (
        f'[tasks.beat]\nevery = "1s"\ncommand = {NOTE}\n'
        f'[tasks.not]\nevery = "1s"\ncatch_up = "none"\ncommand = {NOTE}\n'
    )
    site.start(text=text)
    until(lambda: history(site, "beat") and history(site, "not"), "a first run")
    site.stop()
    before, before_not = len(rows(site, "beat")), len(rows(site, "not"))
    since = time.monotonic()
    until(lambda: time.monotonic() - since > 3.5, "some slots to pass")
    site.start()
    until(lambda: ("catch_up", "success") in outcomes(site, "beat"), "the catch-up")
    new = outcomes(site, "beat")[before:]
    assert [each for each in new if each[0] == "catch_up" or each[1] == "missed"] == [
        ("schedule", "missed"),
        ("catch_up", "success"),
    ]
    dropped = [each for each in outcomes(site, "not")[before_not:] if each[1] == "missed" or each[0] == "catch_up"]
    assert dropped == [("schedule", "missed")]


def test_a_daily_task_that_was_never_run_is_due_when_its_time_has_passed_today(site: Site) -> None:
    site.start(
        text='timezone = "UTC"\n'
        f'[tasks.day]\nfrequency = "daily"\nat = "00:00"\nmax_lateness = "1d"\ncommand = {NOTE}\n'
    )
    until(lambda: outcomes(site, "day") == [("catch_up", "success")], "the day's run")


# --- killed ---


def test_a_killed_daemon_leaves_interrupted_runs_and_no_slot_runs_twice(site: Site) -> None:
    site.configure(
        '[tasks.work]\nevery = "1s"\noverlap = "queue"\nretry = { max = 0 }\n'
        'command = ["sh", "-c", "echo $AIEMP_RUN >> ran; sleep 0.4"]\n'
    )
    for number in range(6):
        daemon = site.start()
        until(lambda: task(site, "work")["state"] == "running", "a run")
        if number % 2:
            until(lambda: task(site, "work")["state"] == "idle", "its end")
        daemon.kill()
        daemon.wait()
    site.start()
    until(lambda: task(site, "work")["state"] != "running" and history(site, "work"), "the runs to be settled")
    site.ctl("disable", "work")
    runs = until(lambda: [one for one in [history(site, "work")] if all(each["outcome"] for each in one)])[0]
    slots = [each["slot"] for each in runs]
    assert len(slots) == len(set(slots))
    ran = (site.vault / "ran").read_text().split()
    assert len(ran) == len(set(ran))
    assert {each["outcome"] for each in runs} <= {"success", "interrupted", "missed", "skipped"}
    assert sum(each["outcome"] == "interrupted" for each in runs) >= 3
    assert list(site.ours()) == []


def test_what_was_interrupted_is_retried_as_a_new_run_and_its_processes_are_ended(site: Site) -> None:
    script = "if [ -e once ]; then echo again; else touch once; trap '' TERM; sleep 1000 & echo $! > child; wait; fi"
    site.configure(
        f'[tasks.work]\nretry = {{ max = 1, initial = "100ms" }}\ncommand = ["sh", "-c", {json.dumps(script)}]\n'
    )
    daemon = site.start()
    first = json.loads(site.ctl("run", "work", "--no-wait").stdout)["run_id"]
    child = int(until(lambda: read(site.vault / "child"), "the run's child"))
    daemon.kill()
    daemon.wait()
    assert alive(child)
    site.start()
    until(lambda: outcomes(site, "work") == [("manual", "interrupted"), ("retry", "success")], "the second try")
    newest, oldest = history(site, "work")
    assert (oldest["run_id"], newest["output"].strip()) == (first, "again")
    assert newest["run_id"] != first
    assert newest["slot"] == oldest["slot"]
    assert not alive(child)
