"""Watchers through the two programs: states, restarts, commands, exit codes."""

import json
import os
import re
import signal
import time
from pathlib import Path

import pytest
from harness import SLEEPER, Site, alive, until


def script(site: Site, name: str, text: str) -> str:
    """Write an executable shell script beside the configuration."""
    path = site.folder / name
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return f"./{name}"


def test_a_killed_watcher_is_back_at_once(site: Site) -> None:
    site.start(text=SLEEPER)
    before = site.wait_for("sleeper", "running")
    os.kill(before["pid"], signal.SIGKILL)
    after = until(lambda: (now := site.watcher("sleeper"))["pid"] not in {None, before["pid"]} and now, "a successor")
    assert isinstance(after, dict)
    assert (after["restarts"], after["restarts_in_window"]) == (1, 1)
    assert after["last_exit"]["signal"] == "SIGKILL"
    assert after["last_exit"]["code"] is None
    until(lambda: "1 restart" in site.dashboard(), "the Dashboard to show the restart")


def test_status_has_every_field_of_the_contract(site: Site) -> None:
    site.start(text=SLEEPER)
    site.wait_for("sleeper", "running")
    found = site.status()
    assert set(found) == {"supervisor", "watchers", "tasks", "vault"}
    assert {"state", "pid", "version", "uptime_seconds", "vault", "dry_run", "scheduler", "problems"} <= set(
        found["supervisor"]
    )
    assert found["supervisor"]["pid"] == (site.daemon and site.daemon.pid)
    assert found["supervisor"]["vault"] == str(site.vault)
    assert found["tasks"] == []
    assert found["vault"] == dict.fromkeys(
        ["inbox", "needs_action", "plans", "pending_approval", "approved", "rejected", "done"], 0
    )
    (watcher,) = found["watchers"]
    names = """name state pid uptime_seconds since ready status_text restarts restarts_in_window last_exit reason
               cpu_percent rss_bytes adopted"""
    assert set(names.split()) <= set(watcher)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", watcher["since"])
    assert watcher["rss_bytes"] > 0
    assert (watcher["ready"], watcher["adopted"], watcher["last_exit"], watcher["reason"]) == (True, False, None, None)


def test_a_watcher_that_exits_at_once_is_started_six_times_and_paused(site: Site) -> None:
    dies = script(site, "dies", 'echo "$$" >> starts\necho no such mailbox >&2\nexit 7')
    site.start(text=f'[watchers.dies]\ncommand = ["{dies}"]\nbackoff = {{ initial = "10ms" }}\n')
    states = set()

    def paused() -> bool:
        states.add(state := site.watcher("dies")["state"])
        return bool(state == "paused")

    until(paused, "the pause")
    assert "running" not in states
    until(lambda: "no such mailbox" in site.watcher("dies")["reason"], "the last output in the reason")
    assert "exit code 7" in site.watcher("dies")["reason"]
    assert len((site.vault / "starts").read_text().split()) == 6
    until(lambda: "paused" in site.dashboard() and "no such mailbox" in site.dashboard(), "the Dashboard")
    until(lambda: "paused" in site.log() and "no such mailbox" in site.log(), "the log")
    assert site.ctl("status").returncode == 3

    assert site.ctl("resume", "dies").returncode == 1  # it was tried, and died again
    until(lambda: len((site.vault / "starts").read_text().split()) == 12, "another round")


def test_a_paused_watcher_whose_cause_is_gone_resumes(site: Site) -> None:
    dies = script(site, "dies", "test -e mended && exec sleep 1000\nexit 1")
    site.start(text=f'[watchers.dies]\ncommand = ["{dies}"]\nbackoff = {{ initial = 0 }}\nstart_seconds = "200ms"\n')
    site.wait_for("dies", "paused")
    (site.vault / "mended").touch()
    done = site.ctl("resume", "dies")
    assert done.returncode == 0, done.stderr
    found = site.watcher("dies")
    assert (found["state"], found["restarts_in_window"]) == ("running", 0)


@pytest.mark.parametrize(
    ("setting", "exit_code", "state"),
    [
        ('restart = "never"', 3, "exited"),
        ('restart = "on-failure"', 0, "exited"),
        ('restart = "on-failure"\nexpected_exit_codes = [0, 3]', 3, "exited"),
        ('restart = "on-failure"', 3, "paused"),
        ('restart = "always"', 0, "paused"),
    ],
)
def test_restart_policies(site: Site, setting: str, exit_code: int, state: str) -> None:
    site.start(
        text=f'[watchers.one]\ncommand = ["sh", "-c", "exit {exit_code}"]\n{setting}\nbackoff = {{ initial = 0 }}\n'
    )
    found = site.wait_for("one", state)
    assert found["last_exit"]["code"] == exit_code
    assert site.ctl("status").returncode == (0 if state == "exited" else 3)


@pytest.mark.parametrize(
    ("command", "extra", "says"),
    [
        ('["nonesuch-command"]', "", "nonesuch-command"),
        ('["/nonexistent/program"]', "", "/nonexistent/program does not exist"),
        ('["./plain"]', "", "not executable"),
        ('["./noshebang"]', "", "#!"),
        ('["./badshebang"]', "", "/nonexistent/sh"),
        ('["sleep", "9"]', 'directory = "nowhere"', "nowhere"),
        ('["sleep", "9"]', 'required_env = ["AIEMP_TEST_MISSING"]', "AIEMP_TEST_MISSING"),
        ('["sleep", "9"]', 'env_file = "missing.env"', "missing.env"),
    ],
)
def test_what_cannot_start_is_fatal_and_says_why(site: Site, command: str, extra: str, says: str) -> None:
    (site.folder / "plain").write_text("#!/bin/sh\n")
    for name, first in (("noshebang", "echo hello"), ("badshebang", "#!/nonexistent/sh")):
        (site.folder / name).write_text(first + "\n")
        (site.folder / name).chmod(0o755)
    site.start(text=f"[watchers.one]\ncommand = {command}\n{extra}\n")
    found = site.wait_for("one", "fatal")
    assert says in found["reason"]
    assert found["restarts"] == 0
    asked = site.ctl("start", "one")
    assert asked.returncode == 1
    assert says in asked.stderr


def test_environment_is_what_the_contract_says(site: Site) -> None:
    (site.folder / ".env").write_text("# secrets\nFROM_FILE='a b'\nBOTH=file\nINHERITED=file\nPLAIN=$HOME\n")
    show = script(site, "show", "umask > umask.txt; env -0 > env.txt; ls -l /proc/$$/fd > fds.txt; exec sleep 1000")
    site.start(
        text=f'[watchers.one]\ncommand = ["{show}"]\nstart_seconds = "0s"\nenv = {{ BOTH = "table" }}\n'
        'env_file = ".env"\nwatchdog = "90s"\n',
        INHERITED="daemon",
        DRY_RUN="true",
    )
    site.wait_for("one", "running")
    until(lambda: (site.vault / "fds.txt").exists() and (site.vault / "fds.txt").read_text(), "the watcher's report")
    raw = (site.vault / "env.txt").read_text()
    found = dict(pair.split("=", 1) for pair in raw.split("\0") if pair)
    assert found["FROM_FILE"] == "a b"
    assert found["BOTH"] == "table"
    assert found["INHERITED"] == "file"
    assert found["PLAIN"] == "$HOME"
    assert found["AIEMP_WATCHER"] == "one"
    assert found["AIEMP_VAULT"] == str(site.vault)
    assert found["AIEMP_STATE_DIR"] == str(site.vault / ".aiemp")
    assert found["DRY_RUN"] == "true"
    assert found["PYTHONUNBUFFERED"] == "1"
    assert found["WATCHDOG_USEC"] == "90000000"
    assert Path(found["NOTIFY_SOCKET"]).is_socket()
    descriptors = {line.split()[8] for line in (site.vault / "fds.txt").read_text().splitlines() if "->" in line}
    assert {"0", "1", "2"} <= descriptors


def test_a_group_that_ignores_term_is_killed_with_its_leader_gone(site: Site) -> None:
    stubborn = script(site, "stubborn", "(trap '' TERM; > leader; while :; do sleep 1; done) &\nexec sleep 1000")
    site.start(text=f'[watchers.one]\ncommand = ["{stubborn}"]\nstart_seconds = "0s"\nstop_timeout = "500ms"\n')
    site.wait_for("one", "running")
    until((site.vault / "leader").exists, "the grandchild")
    assert len(list(site.ours())) >= 2
    done = site.ctl("stop", "one")
    assert done.returncode == 0, done.stderr
    assert list(site.ours()) == []


def test_what_a_crashed_leader_leaves_is_ended_before_the_next_start(site: Site) -> None:
    parent = script(site, "parent", 'sleep 3141 & echo "$!" >> children\nwait')
    site.start(text=f'[watchers.one]\ncommand = ["{parent}"]\nstart_seconds = "0s"\nstop_timeout = "500ms"\n')
    pid = site.wait_for("one", "running")["pid"]
    until((site.vault / "children").exists, "the child")
    os.kill(pid, signal.SIGKILL)
    until(lambda: len((site.vault / "children").read_text().split()) == 2, "the successor")
    first, second = map(int, (site.vault / "children").read_text().split())
    assert not alive(first)
    assert alive(second)


def test_commands_act_on_all_names_and_report_each(site: Site) -> None:
    site.start(text="".join(f'[watchers.w{n}]\ncommand = ["sleep", "1000"]\nstart_seconds = "0s"\n' for n in "abc"))
    stopped = site.ctl("stop", "watcher", "w[ab]")
    assert stopped.returncode == 0
    assert [line.split(":")[0] for line in stopped.stdout.splitlines()] == ["wa", "wb"]
    assert {each["name"]: each["state"] for each in site.status()["watchers"]} == {
        "wa": "stopped",
        "wb": "stopped",
        "wc": "running",
    }
    assert site.ctl("status").returncode == 0  # a person stopped them, so nothing is missing
    assert site.ctl("stop", "wa").returncode == 0  # again: nothing to do
    assert site.ctl("start", "all").returncode == 0
    before = site.watcher("wc")["pid"]
    assert site.ctl("start", "wc").returncode == 0  # runs already: nothing to do
    assert site.watcher("wc")["pid"] == before
    assert site.ctl("restart", "wc").returncode == 0
    assert site.watcher("wc")["pid"] != before
    assert site.watcher("wc")["restarts_in_window"] == 0


def test_one_unknown_name_and_nothing_is_done(site: Site) -> None:
    site.start(text=SLEEPER)
    before = site.wait_for("sleeper", "running")["pid"]
    for verb in ("start", "stop", "restart", "resume"):
        asked = site.ctl(verb, "sleeper", "nonesuch*")
        assert (asked.returncode, asked.stdout) == (2, "")
        assert "nonesuch*" in asked.stderr
    assert site.ctl("status", "nonesuch").returncode == 2
    assert site.watcher("sleeper")["pid"] == before
    assert site.ctl("stop").returncode == 2
    assert site.ctl("frobnicate").returncode == 2


def test_signal_reaches_the_group(site: Site) -> None:
    hears = script(site, "hears", "trap 'echo heard >> heard' USR1\necho ready\nwhile :; do sleep 0.05; done")
    site.start(text=f'[watchers.one]\ncommand = ["{hears}"]\nstart_seconds = "0s"\n')
    until(lambda: "ready" in site.log("one"), "the trap")
    assert site.ctl("signal", "CONT", "one").returncode == 0
    pid = site.watcher("one")["pid"]
    assert site.ctl("signal", "KILL", "one").returncode == 0
    until(lambda: site.watcher("one")["pid"] != pid, "the successor")
    assert site.ctl("signal", "NOSUCH", "one").returncode == 2


def test_dependencies_order_start_and_stop(site: Site) -> None:
    says = script(
        site,
        "says",
        'echo "$AIEMP_WATCHER up" >> order; trap \'echo "$AIEMP_WATCHER down" >> order; exit 0\' '
        "TERM; while :; do sleep 0.05; done",
    )
    one = f'command = ["{says}"]\nstart_seconds = "200ms"\n'
    site.start(
        text=f'[watchers.top]\n{one}depends_on = ["middle"]\n[watchers.middle]\n{one}depends_on = ["base"]\n'
        f"[watchers.base]\n{one}"
    )
    site.wait_for("top", "running")
    assert (site.vault / "order").read_text().split("\n")[:3] == ["base up", "middle up", "top up"]
    assert site.stop() == 0
    assert (site.vault / "order").read_text().split("\n")[3:6] == ["top down", "middle down", "base down"]


def test_readiness_by_notification_and_its_timeout(site: Site) -> None:
    tells = "import os,socket,time\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\n"
    (site.folder / "tells.py").write_text(
        tells + "time.sleep(0.3)\ns.sendto(b'STATUS=warm \\x1b[31mand\\nREADY=1', os.environ['NOTIFY_SOCKET'])\n"
        "time.sleep(1000)\n"
    )
    common = 'ready = "notify"\nstart_seconds = "0s"\nbackoff = { initial = 0 }\n'
    site.start(
        text=f'[watchers.good]\ncommand = ["python", "{site.folder}/tells.py"]\n{common}'
        f'[watchers.mute]\ncommand = ["sleep", "1000"]\n{common}ready_timeout = "150ms"\n'
    )
    found = site.wait_for("good", "running")
    assert found["ready"] is True
    assert found["status_text"].startswith("warm")
    mute = site.wait_for("mute", "paused")
    assert "not ready within 0.15 s" in mute["reason"]
    assert mute["restarts"] == 5


def test_a_watchdog_restarts_what_hangs(site: Site) -> None:
    site.start(
        text='[watchers.hangs]\ncommand = ["sleep", "1000"]\nstart_seconds = "0s"\nwatchdog = "200ms"\n'
        'backoff = { initial = "1h", max = "1h" }\n'
    )
    waits = site.wait_for("hangs", "backoff")
    assert "watchdog" in waits["reason"]


def test_a_memory_limit_restarts_what_grows(site: Site) -> None:
    site.start(
        text='[watchers.grows]\ncommand = ["python", "-c", "import time; x = bytearray(8 * 10**7); time.sleep(99)"]\n'
        'start_seconds = "0s"\nmemory_limit = "40 MiB"\nbackoff = { initial = "1h", max = "1h" }\n'
    )
    waits = until(lambda: (now := site.watcher("grows"))["restarts"] > 0 and now, "the restart")
    assert isinstance(waits, dict)
    assert "memory" in site.log()


def test_output_is_kept_as_written_and_tail_shows_it(site: Site) -> None:
    talks = script(site, "talks", r"printf 'one\ntwo \377\nthree'; echo bad >&2; exec sleep 1000")
    site.start(text=f'[watchers.one]\ncommand = ["{talks}"]\nstart_seconds = "0s"\n')
    path = site.vault / "Logs/watchers/one.log"
    until(lambda: path.exists() and path.read_bytes().endswith(b"bad\n"), "the output")
    assert path.read_bytes() == b"one\ntwo \xff\nthreebad\n"
    assert site.ctl("tail", "one", "-n", "1").stdout == "threebad\n"


def test_events_tell_the_story(site: Site) -> None:
    site.start(text=SLEEPER)
    pid = site.wait_for("sleeper", "running")["pid"]
    os.kill(pid, signal.SIGTERM)
    until(lambda: site.watcher("sleeper")["restarts"] == 1, "the restart")
    lines = site.ctl("events", "--json").stdout.splitlines()
    facts = [json.loads(line) for line in lines]
    assert {"supervisor.state", "watcher.state", "watcher.died", "watcher.restarted"} <= {
        each["kind"] for each in facts
    }
    assert all(each["at"].endswith("Z") for each in facts)


def test_a_stop_that_takes_too_long_says_so_and_goes_on(site: Site) -> None:
    slow = script(site, "slow", "trap 'sleep 2; exit 0' TERM; echo ready; while :; do sleep 0.05; done")
    site.start(text=f'[watchers.slow]\ncommand = ["{slow}"]\nstart_seconds = "0s"\n')
    until(lambda: "ready" in site.log("slow"), "the trap")
    begun = time.monotonic()
    asked = site.ctl("stop", "slow", "--timeout", "200ms")
    assert asked.returncode == 1
    assert time.monotonic() - begun < 2
    site.wait_for("slow", "stopped")


def test_stop_and_start_in_a_row_never_doubles(site: Site) -> None:
    slow = script(site, "slow", "trap 'sleep 0.3; exit 0' TERM; while :; do sleep 0.05; done")
    site.start(text=f'[watchers.slow]\ncommand = ["{slow}"]\nstart_seconds = "0s"\n')
    site.wait_for("slow", "running")
    first = site.watcher("slow")["pid"]
    site.ctl("stop", "slow", "--timeout", "0s")
    done = site.ctl("start", "slow")
    assert done.returncode == 0, done.stderr
    second = site.watcher("slow")["pid"]
    assert second != first
    assert not alive(first)
