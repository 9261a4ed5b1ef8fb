"""What survives a killed daemon, and what the next one makes of it."""

import json
import os
import shutil
import signal
import sqlite3
import subprocess
from pathlib import Path

from harness import PATIENCE, PATIENT, SCRIPTS, SLEEPER, Site, alive, two, until

pytestmark = PATIENT


def test_watchers_survive_the_daemon_and_are_adopted(site: Site) -> None:
    talks = site.folder / "talks"
    talks.write_text("#!/bin/sh\ni=0\nwhile :; do i=$((i+1)); echo line $i; sleep 0.01; done\n")
    talks.chmod(0o755)
    daemon = site.start(text=f'[watchers.talks]\ncommand = ["./talks"]\nstart_seconds = "0s"\n{SLEEPER}')
    before = {name: site.wait_for(name, "running")["pid"] for name in ("talks", "sleeper")}
    until(lambda: "line 5\n" in site.log("talks"), "some output")
    daemon.kill()
    daemon.wait()
    assert site.ctl("status").returncode == 4
    site.start()
    found = {each["name"]: each for each in site.status()["watchers"]}
    assert {name: each["pid"] for name, each in found.items()} == before
    assert all(each["adopted"] and each["state"] == "running" for each in found.values())
    seen = site.log("talks").count("\n")
    until(lambda: site.log("talks").count("\n") > seen + 5, "more output")
    numbers = [int(line.split()[1]) for line in site.log("talks").splitlines()]
    assert numbers == list(range(1, len(numbers) + 1))
    os.kill(before["sleeper"], signal.SIGKILL)
    after = until(
        lambda: (now := site.watcher("sleeper"))["pid"] not in {None, before["sleeper"]} and now, "a successor"
    )
    assert isinstance(after, dict)
    assert not after["adopted"]
    commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in site.ours()]
    assert commands.count(b"sleep\x001000\0") == 1


def test_a_daemon_killed_by_its_own_watchers_first_act_doubles_none(site: Site) -> None:
    killer = site.folder / "killer"
    killer.write_text("#!/bin/sh\ntest -e killed || { touch killed; kill -9 $PPID; }\nsleep 1000\n")
    killer.chmod(0o755)
    site.launch(text='[watchers.killer]\ncommand = ["./killer"]\nstart_seconds = "0s"\n').wait(PATIENCE)
    site.start()
    site.wait_for("killer", "running")

    def one() -> bool:
        commands = [Path(f"/proc/{pid}/cmdline").read_bytes() for pid in site.ours()]
        return sum(command.endswith(b"./killer\0") for command in commands) == 1

    until(one, "just one of it")


def test_what_a_watcher_left_behind_while_no_daemon_ran_holds_up_only_itself(site: Site) -> None:
    stubborn = "(trap '' TERM; > ready; exec sleep 7001) & exec sleep 7002"
    daemon = site.start(
        text=f'{SLEEPER}autostart = false\n[watchers.g]\ncommand = ["sh", "-c", "{stubborn}"]\n'
        'start_seconds = "0s"\nstop_timeout = "1s"\n'
    )
    until((site.vault / "ready").exists, "the grandchild")
    leader = site.watcher("g")["pid"]
    (old,) = [pid for pid in site.ours() if b"7001" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    daemon.kill()
    daemon.wait()
    os.kill(leader, signal.SIGKILL)
    site.start()
    assert site.ctl("start", "sleeper").returncode == 0
    done = site.ctl("start", "g")
    assert done.returncode == 0, done.stderr
    assert not alive(old)


def test_once_stops_its_watchers_even_when_nobody_reads_the_summary(site: Site) -> None:
    site.configure(SLEEPER)
    site.vault.mkdir()
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as closed:
        once = subprocess.run(
            [str(SCRIPTS / "aiemp"), "run", "--once", "-c", str(site.config)],
            stdout=closed,
            stderr=subprocess.DEVNULL,
            env=site.environ,
            check=False,
            timeout=PATIENCE,
        )
    assert once.returncode != 0
    assert list(site.ours()) == []


def test_a_start_forgives_a_running_watcher_too(site: Site) -> None:
    site.start(text=SLEEPER)
    pid = site.wait_for("sleeper", "running")["pid"]
    os.kill(pid, signal.SIGKILL)
    until(lambda: site.watcher("sleeper")["restarts_in_window"] == 1, "the restart")
    assert site.ctl("start", "sleeper").returncode == 0
    assert site.watcher("sleeper")["restarts_in_window"] == 0


def test_all_does_not_mean_the_disabled(site: Site) -> None:
    site.start(text=f'{SLEEPER}[watchers.off]\ncommand = ["sleep", "9"]\nenabled = false\n')
    for words in (("start", "all"), ("restart", "*"), ("resume", "all")):
        done = site.ctl(*words)
        assert done.returncode == 0, done.stderr
        assert "off" not in done.stdout
        assert site.states() == {"sleeper": "running", "off": "stopped"}
    refused = site.ctl("start", "off")
    assert refused.returncode == 1
    assert "enabled = true" in refused.stderr
    assert (site.watcher("off")["state"], site.watcher("off")["pid"]) == ("stopped", None)


def test_what_was_acknowledged_is_known_after_the_daemons_death(site: Site) -> None:
    daemon = site.start(text=SLEEPER)
    assert site.ctl("stop", "sleeper").returncode == 0
    daemon.kill()
    daemon.wait()
    assert site.watcher("sleeper")["state"] == "stopped"


def test_a_configured_watcher_is_known_without_any_daemon(site: Site) -> None:
    site.configure(SLEEPER)
    site.vault.mkdir()
    assert site.ctl("status", "sleeper").returncode == 4
    assert site.ctl("tail", "sleeper").returncode == 0
    assert site.ctl("status", "nonesuch").returncode == 2
    assert site.ctl("tail", "nonesuch").returncode == 2


def test_a_paused_watcher_stays_paused_when_its_command_changes(site: Site) -> None:
    text = '[watchers.dies]\ncommand = ["false"]\nbackoff = { initial = 0 }\n'
    site.start(text=text)
    site.wait_for("dies", "paused")
    site.configure(text.replace('["false"]', '["sleep", "1000"]'))
    done = site.ctl("reload")
    assert done.returncode == 0
    assert "changed without a restart" in done.stdout
    assert site.watcher("dies")["state"] == "paused"
    assert site.ctl("resume", "dies").returncode == 0


def test_what_changed_or_went_while_no_daemon_ran_is_put_right(site: Site) -> None:
    daemon = site.start(text=two())
    before = {name: site.wait_for(name, "running")["pid"] for name in ("same", "other")}
    daemon.kill()
    daemon.wait()
    site.start(text=two(command="1001").replace("watchers.same", "watchers.renamed"))
    site.wait_for("renamed", "running")
    until(lambda: site.pids()["other"] not in {None, before["other"]}, "the changed one's new PID")
    until(lambda: not any(alive(pid) for pid in before.values() if pid), "the old ones' end")


def test_a_killed_daemon_forgets_neither_what_people_stopped_nor_what_was_paused(site: Site) -> None:
    daemon = site.start(text=two() + '[watchers.dies]\ncommand = ["false"]\nbackoff = { initial = 0 }\n')
    site.wait_for("dies", "paused")
    assert site.ctl("stop", "other").returncode == 0

    def written() -> bool:
        connection = sqlite3.connect(site.vault / ".aiemp/aiemp.db")
        try:
            rows = [json.loads(text) for (text,) in connection.execute("SELECT status FROM watchers")]
        finally:
            connection.close()
        return [each["state"] for each in rows] == ["running", "stopped", "paused"]

    until(written, "all of it to be on disk")
    daemon.kill()
    daemon.wait()
    site.start()
    assert {each["name"]: each["state"] for each in site.status()["watchers"]} == {
        "same": "running",
        "other": "stopped",
        "dies": "paused",
    }
    assert "crash loop" in site.watcher("dies")["reason"]
    assert site.stop() == 0
    site.start()  # after an orderly stop everything begins anew
    site.wait_for("other", "running")


def test_what_is_being_ended_when_the_daemon_dies_again_is_not_forgotten(site: Site) -> None:
    stubborn = "(trap '' TERM; > ready; exec sleep 7001) & exec sleep 7002"
    daemon = site.start(
        text='shutdown_timeout = "2s"\n'
        f'[watchers.g]\ncommand = ["sh", "-c", "{stubborn}"]\nstart_seconds = "0s"\nstop_timeout = "1h"\n'
    )
    until((site.vault / "ready").exists, "the grandchild")
    leader = site.watcher("g")["pid"]
    (old,) = [pid for pid in site.ours() if b"7001" in Path(f"/proc/{pid}/cmdline").read_bytes()]
    for _ in range(2):
        daemon.kill()
        daemon.wait()
        if alive(leader):
            os.kill(leader, signal.SIGKILL)
        daemon = site.start()
        assert site.watcher("g")["state"] == "stopping"
        assert alive(old)
    assert site.ctl("shutdown").returncode == 0
    assert list(site.ours()) == []


def test_who_is_no_longer_configured_is_never_doubled_nor_left(site: Site) -> None:
    stubborn = "trap '' TERM; echo ready; while :; do sleep 0.1; done"
    text = f'shutdown_timeout = "2s"\n[watchers.stub]\ncommand = ["sh", "-c", "{stubborn}"]\nstart_seconds = "0s"\n'
    daemon = site.start(text=text)
    until(lambda: "ready" in site.log("stub"), "the trap")
    pid = site.watcher("stub")["pid"]
    daemon.kill()
    daemon.wait()
    daemon = site.start(text=f'shutdown_timeout = "2s"\n{SLEEPER}')
    site.configure(text)
    daemon.send_signal(signal.SIGHUP)
    until(lambda: "sleeper" not in site.pids(), "the reload")
    leaders = [each for each in site.ours() if b"ready" in Path(f"/proc/{each}/cmdline").read_bytes()]
    assert leaders == [pid]
    assert site.ctl("shutdown").returncode == 0
    assert list(site.ours()) == []


def test_folders_that_someone_tidied_away_are_made_again(site: Site) -> None:
    site.start(text=SLEEPER)
    pid = site.wait_for("sleeper", "running")["pid"]
    environ = Path(f"/proc/{pid}/environ").read_text().split("\0")
    (sockets,) = {Path(each.removeprefix("NOTIFY_SOCKET=")).parent for each in environ if each.startswith("NOTIFY_")}
    shutil.rmtree(sockets)
    shutil.rmtree(site.vault / ".aiemp/pipes")
    os.kill(pid, signal.SIGKILL)
    until(lambda: site.watcher("sleeper")["pid"] not in {None, pid}, "the successor")


def test_an_adopted_watcher_whose_pipe_was_removed_is_restarted(site: Site) -> None:
    daemon = site.start(text=SLEEPER)
    pid = site.wait_for("sleeper", "running")["pid"]
    (site.vault / ".aiemp/pipes/sleeper").unlink()
    daemon.kill()
    daemon.wait()
    site.start()
    until(lambda: site.watcher("sleeper")["pid"] not in {None, pid}, "another process")
    assert not alive(pid)
