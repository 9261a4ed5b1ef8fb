"""What the next daemon makes of the watchers that a killed one has left: whose they are, since when, what they said."""

import fcntl
import os
import signal
import sqlite3
import subprocess
import sys
import termios
from contextlib import closing
from pathlib import Path

import pytest
from harness import PATIENT, SLEEPER, Site, alive, command_of, two, until

pytestmark = PATIENT


def test_an_adopted_watcher_is_as_old_as_its_process(site: Site) -> None:
    site.start(text=SLEEPER)
    site.wait_for("sleeper", "running")
    site.kill()
    site.start()
    found = site.status()
    (watcher,) = found["watchers"]
    assert watcher["adopted"] is True
    assert watcher["uptime_seconds"] > found["supervisor"]["uptime_seconds"]
    born = int(Path(f"/proc/{watcher['pid']}/stat").read_text().rpartition(")")[2].split()[19])
    age = float(Path("/proc/uptime").read_text().split()[0]) - born / os.sysconf("SC_CLK_TCK")
    assert age - 5 < watcher["uptime_seconds"] <= age + 0.1
    os.kill(watcher["pid"], signal.SIGKILL)
    found = site.wait_for_successor("sleeper", watcher["pid"])
    assert found["adopted"] is False
    assert found["uptime_seconds"] < watcher["uptime_seconds"]


@pytest.mark.parametrize("differs", ["start_time", "boot_id"])
def test_a_stranger_who_has_a_watchers_pid_by_now_is_left_alone(site: Site, differs: str) -> None:
    database = site.vault / ".aiemp/aiemp.db"
    site.start(text=SLEEPER)
    pid = site.wait_for("sleeper", "running")["pid"]

    def written() -> bool:
        with closing(sqlite3.connect(database)) as connection:
            return connection.execute("SELECT pid FROM processes").fetchall() == [(pid,)]

    until(written, "the process to be written down")
    site.kill()
    with subprocess.Popen(["sleep", "5000"], start_new_session=True) as stranger:
        try:
            born = int(Path(f"/proc/{stranger.pid}/stat").read_text().rpartition(")")[2].split()[19])
            with closing(sqlite3.connect(database)) as connection, connection:
                connection.execute("UPDATE processes SET pid = ?", (stranger.pid,))
                if differs == "boot_id":
                    connection.execute("UPDATE processes SET start_time = ?, boot_id = 'another'", (born,))
            site.start()
            found = site.wait_for("sleeper", "running")
            assert found["pid"] != stranger.pid
            until(lambda: [command_of(each) for each in site.ours()] == [["sleep", "1000"]], "just one of it")
            assert site.ctl("restart", "sleeper").returncode == 0
            assert site.stop() == 0
            assert list(site.ours()) == []
            assert stranger.poll() is None
        finally:
            stranger.kill()


def test_who_was_disabled_while_no_daemon_ran_is_stopped(site: Site) -> None:
    site.start(text=two())
    before = {name: site.wait_for(name, "running")["pid"] for name in ("same", "other")}
    site.kill()
    assert all(alive(pid) for pid in before.values())
    site.start(text=two("enabled = false"))
    site.wait_for("other", "stopped")
    assert not alive(before["other"])
    assert site.watcher("same")["pid"] == before["same"]
    assert site.ctl("status").returncode == 0


def waiting(pipe: Path) -> int:
    """How many bytes nobody has read yet."""
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return int.from_bytes(fcntl.ioctl(reader, termios.FIONREAD, bytes(4)), sys.byteorder)
    finally:
        os.close(reader)


def test_what_is_printed_while_no_daemon_runs_arrives_though_it_is_more_than_a_pipe_holds(site: Site) -> None:
    talks = site.script(
        "talks",
        """until [ -e go ]; do sleep 0.02; done
i=0
while [ $i -lt 5000 ]; do i=$((i+1)); echo "line $i that nobody hears for a while"; done
exec sleep 1000""",
    )
    site.start(text=f'[watchers.talks]\ncommand = ["{talks}"]\nstart_seconds = "0s"\n')
    pid = site.wait_for("talks", "running")["pid"]
    site.kill()
    (site.vault / "go").touch()
    until(lambda: waiting(site.vault / ".aiemp/pipes/talks") > 60_000, "the pipe to be full")
    assert site.log("talks") == ""
    site.start()
    wanted = [f"line {number} that nobody hears for a while" for number in range(1, 5001)]
    until(lambda: site.log("talks").count("\n") >= 5000, "all of it")
    assert site.log("talks").splitlines() == wanted
    assert site.watcher("talks")["pid"] == pid
