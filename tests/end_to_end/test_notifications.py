"""What watchers say through sd_notify, and what follows from it."""

from harness import PATIENT, SLEEPER, Site, until

pytestmark = PATIENT


def test_until_it_says_that_it_is_ready_it_is_starting_and_others_wait_for_it(site: Site) -> None:
    base = site.python("base", 'tell("STATUS=warming up")\nwait_for("go")\ntell("READY=1")\ntime.sleep(1000)')
    top = SLEEPER.replace("sleeper", "top") + 'depends_on = ["base"]\n'
    site.start(text=f'{top}[watchers.base]\ncommand = {base}\nready = "notify"\nstart_seconds = "0s"\n')
    until(lambda: site.watcher("base")["status_text"] == "warming up", "the status text")
    found = site.watcher("base")
    assert (found["state"], found["ready"]) == ("starting", False)
    waits = site.watcher("top")
    assert (waits["state"], waits["pid"], waits["ready"]) == ("stopped", None, False)
    assert "base" in waits["reason"]
    assert site.ctl("status").returncode == 3
    (site.vault / "go").touch()
    assert site.wait_for("base", "running")["ready"] is True
    site.wait_for("top", "running")
    assert site.ctl("status").returncode == 0


def test_who_shows_signs_of_life_is_kept_and_who_falls_silent_is_not(site: Site) -> None:
    beats = site.python(
        "beats", 'while True:\n    if not Path("hush").exists():\n        tell("WATCHDOG=1")\n    time.sleep(0.05)'
    )
    says = site.python("says", 'wait_for("hush")\ntell("STOPPING=1")\ntime.sleep(1000)')
    site.start(
        text=f'[watchers.beats]\ncommand = {beats}\nstart_seconds = "0s"\nwatchdog = "1s"\n'
        f'[watchers.says]\ncommand = {says}\nstart_seconds = "0s"\n'
    )
    kept = site.watcher("beats")["pid"]
    until(lambda: (site.watcher("beats")["uptime_seconds"] or 0.0) > 2.2, "more than two intervals")
    assert (site.watcher("beats")["pid"], site.watcher("beats")["restarts"]) == (kept, 0)
    (site.vault / "hush").touch()
    site.wait_for_successor("beats", kept)
    assert "watchdog" in site.log()
    found = until(lambda: (now := site.watcher("says"))["status_text"] == "stopping" and now, "STOPPING=1 to be shown")
    assert isinstance(found, dict)
    assert (found["state"], found["restarts"]) == ("running", 0)
