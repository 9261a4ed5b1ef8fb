"""Watchers through the two programs: states, restarts, commands, exit codes."""

import json
import os
import signal
import time

import pytest
from harness import IDLE, PATIENT, SLEEPER, Site, alive, command_of, until

pytestmark = PATIENT


def test_a_killed_watcher_is_back_at_once(site: Site) -> None:
    site.start(text=f'{SLEEPER}backoff = {{ initial = "1h", max = "1h" }}\n')
    pid = site.wait_for("sleeper", "running")["pid"]
    os.kill(pid, signal.SIGKILL)
    after = site.wait_for_successor("sleeper", pid)
    assert (after["restarts"], after["restarts_in_window"]) == (1, 1)
    assert after["last_exit"]["signal"] == "SIGKILL"
    assert after["last_exit"]["code"] is None
    until(lambda: "1 restart" in site.dashboard(), "the Dashboard to show the restart")


def test_a_watcher_that_exits_at_once_is_started_six_times_and_paused(site: Site) -> None:
    dies = site.script("dies", 'echo "$$" >> starts\necho no such mailbox >&2\nexit 7')
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
    dies = site.script("dies", "test -e mended && exec sleep 1000\nexit 1")
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


def test_a_group_that_ignores_term_is_killed_with_its_leader_gone(site: Site) -> None:
    stubborn = site.script("stubborn", "(trap '' TERM; > leader; while :; do sleep 1; done) &\nexec sleep 1000")
    site.start(text=f'[watchers.one]\ncommand = ["{stubborn}"]\nstart_seconds = "0s"\nstop_timeout = "500ms"\n')
    site.wait_for("one", "running")
    until((site.vault / "leader").exists, "the grandchild")
    assert len(list(site.ours())) >= 2
    done = site.ctl("stop", "one")
    assert done.returncode == 0, done.stderr
    assert list(site.ours()) == []


def test_what_a_crashed_leader_leaves_is_ended_before_the_next_start(site: Site) -> None:
    # The child ends only when it is killed; the successor looks, and writes down, whether it still lives.
    parent = site.script(
        "parent",
        """for pid in $(cat children 2> /dev/null); do
    state=$(cut -d' ' -f3 "/proc/$pid/stat" 2> /dev/null)
    echo "${state:-gone}" >> states
done
(trap '' TERM; exec sleep 3141) & echo $! >> children
wait""",
    )
    site.start(text=f'[watchers.one]\ncommand = ["{parent}"]\nstart_seconds = "0s"\nstop_timeout = "500ms"\n')
    pid = site.wait_for("one", "running")["pid"]
    until(lambda: (site.vault / "children").exists() and (site.vault / "children").read_text(), "the child")
    child = int((site.vault / "children").read_text())
    until(lambda: command_of(child) == ["sleep", "3141"], "the child to be deaf")
    os.kill(pid, signal.SIGKILL)
    until(lambda: len((site.vault / "children").read_text().split()) == 2, "the successor")
    assert (site.vault / "states").read_text().split()[0] in {"gone", "Z", "X"}
    assert not alive(child)
    assert alive(int((site.vault / "children").read_text().split()[1]))


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


def test_a_signal_reaches_the_whole_group(site: Site) -> None:
    hears = site.script(
        "hears",
        f"""(trap 'echo grandchild >> heard' USR1; echo >> ready; {IDLE}) &
trap 'echo leader >> heard' USR1
echo >> ready
{IDLE}""",
    )
    site.start(text=f'[watchers.one]\ncommand = ["{hears}"]\nstart_seconds = "0s"\n')
    ready, heard = site.vault / "ready", site.vault / "heard"
    until(lambda: ready.exists() and len(ready.read_text().splitlines()) == 2, "the traps")
    pid = site.watcher("one")["pid"]
    for number, words in enumerate((("USR1", "one"), ("SIGUSR1", "watcher", "o*"), ("10", "one")), start=1):
        assert site.ctl("signal", *words).returncode == 0
        until(lambda: heard.exists() and len(heard.read_text().split()) >= 2 * number, "both to hear it")  # noqa: B023
        assert sorted(heard.read_text().split()) == ["grandchild"] * number + ["leader"] * number
    assert site.watcher("one")["pid"] == pid
    assert site.ctl("signal", "KILL", "one").returncode == 0
    site.wait_for_successor("one", pid)
    assert site.ctl("signal", "NOSUCH", "one").returncode == 2
    assert site.ctl("signal", "USR1", "nobody").returncode == 2
    assert site.ctl("stop", "one").returncode == 0
    assert site.ctl("signal", "USR1", "one").returncode == 1


def test_dependencies_order_start_and_stop(site: Site) -> None:
    says = site.script(
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
    good = site.python("good", 'tell("STATUS=warm \\x1b[31mand\\nREADY=1")\ntime.sleep(1000)')
    common = 'ready = "notify"\nstart_seconds = "0s"\nbackoff = { initial = 0 }\n'
    site.start(
        text=f"[watchers.good]\ncommand = {good}\n{common}"
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


def test_a_memory_limit_restarts_whose_whole_tree_grows_beyond_it(site: Site) -> None:
    grows = site.python("grows", "x = bytearray(80_000_000)\ntime.sleep(1000)")
    below = site.python(
        "below",
        "import subprocess\n"
        f"subprocess.run([sys.executable, {str(site.folder / 'grows.py')!r}], start_new_session=True, check=True)",
    )
    common = 'start_seconds = "0s"\nbackoff = { initial = "1h", max = "1h" }\n'
    site.start(
        text=f'[watchers.grows]\ncommand = {grows}\n{common}memory_limit = "70 MiB"\n'
        f'[watchers.below]\ncommand = {below}\n{common}memory_limit = "80 MiB"\n'
        f'[watchers.within]\ncommand = {grows}\n{common}memory_limit = "1 GiB"\n'
    )
    kept = site.watcher("within")["pid"]
    until(lambda: all(site.watcher(name)["restarts"] > 0 for name in ("grows", "below")), "the restarts")
    assert all(f"{name}: restarted automatically, memory" in site.log() for name in ("grows", "below"))
    assert (site.watcher("within")["pid"], site.watcher("within")["restarts"]) == (kept, 0)


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
    slow = site.script("slow", "trap 'sleep 2; exit 0' TERM; echo ready; while :; do sleep 0.05; done")
    site.start(text=f'[watchers.slow]\ncommand = ["{slow}"]\nstart_seconds = "0s"\n')
    until(lambda: "ready" in site.log("slow"), "the trap")
    begun = time.monotonic()
    asked = site.ctl("stop", "slow", "--timeout", "200ms")
    assert asked.returncode == 1
    assert time.monotonic() - begun < 2
    site.wait_for("slow", "stopped")


def test_stop_and_start_in_a_row_never_doubles(site: Site) -> None:
    slow = site.script("slow", "trap 'sleep 0.3; exit 0' TERM; while :; do sleep 0.05; done")
    site.start(text=f'[watchers.slow]\ncommand = ["{slow}"]\nstart_seconds = "0s"\n')
    site.wait_for("slow", "running")
    first = site.watcher("slow")["pid"]
    site.ctl("stop", "slow", "--timeout", "0s")
    done = site.ctl("start", "slow")
    assert done.returncode == 0, done.stderr
    second = site.watcher("slow")["pid"]
    assert second != first
    assert not alive(first)
