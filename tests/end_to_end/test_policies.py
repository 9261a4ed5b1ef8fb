"""What a watcher's policy promises: who is started, how often and when again, and how it is stopped."""

import os
import re
import signal
from itertools import pairwise

import pytest
from harness import IDLE, PATIENT, SLEEPER, Site, until

pytestmark = PATIENT

# Ends as often as it is started, until somebody mends it.
ENDS = "test -e mended && exec sleep 1000\nexit 1"


def test_who_is_not_to_start_by_itself_does_not(site: Site) -> None:
    site.start(
        text=f'[watchers.later]\ncommand = ["sleep", "1000"]\nstart_seconds = "0s"\nautostart = false\n'
        f'[watchers.off]\ncommand = ["sleep", "1000"]\nenabled = false\n{SLEEPER}'
    )
    site.wait_for("sleeper", "running")
    assert site.states() == {"later": "stopped", "off": "stopped", "sleeper": "running"}
    assert site.ctl("status").returncode == 0  # nothing is missing: nobody has started them
    assert site.ctl("start", "later").returncode == 0
    assert site.states() == {"later": "running", "off": "stopped", "sleeper": "running"}
    assert len(list(site.ours())) == 2


def test_the_first_restart_comes_at_once_and_the_others_wait_longer_and_longer(site: Site) -> None:
    ends = site.script("ends", "date +%s.%N >> starts\nexit 1")
    site.start(
        text=f'[watchers.ends]\ncommand = ["{ends}"]\n'
        'backoff = { initial = "200ms", factor = 3, max = "1s" }\ncrash_loop = { max_restarts = 5 }\n'
    )
    site.wait_for("ends", "paused")
    waits = [
        float(found[1])
        for fact in site.facts()
        if fact["kind"] == "watcher.state" and (found := re.search(r"waits (\S+) s", fact["reason"] or ""))
    ]
    assert waits == [0.2, 0.6, 1.0, 1.0]
    moments = [float(line) for line in (site.vault / "starts").read_text().split()]
    gaps = [later - earlier for earlier, later in pairwise(moments)]
    assert len(gaps) == 5
    assert all(gap > wait - 0.1 for gap, wait in zip(gaps, [0.0, *waits], strict=True)), gaps


def test_a_healthy_run_ends_the_row_of_waits(site: Site) -> None:
    one = 'command = ["sleep", "1000"]\nstart_seconds = "0s"\nbackoff = { initial = "1h", max = "1h", reset_after = '
    site.start(text=f'[watchers.soon]\n{one}"300ms" }}\n[watchers.late]\n{one}"1h" }}\n')
    for name in ("soon", "late"):
        pid = site.wait_for(name, "running")["pid"]
        os.kill(pid, signal.SIGKILL)
        site.wait_for_successor(name, pid)
    until(lambda: (site.watcher("soon")["uptime_seconds"] or 0.0) > 0.4, "a healthy run")
    for name in ("soon", "late"):
        os.kill(site.watcher(name)["pid"], signal.SIGKILL)
    site.wait_for("late", "backoff")
    until(lambda: site.watcher("soon")["restarts"] == 2, "another restart at once")
    site.wait_for("soon", "running")


def test_how_often_is_counted_exactly_for_all_and_for_each(site: Site) -> None:
    ends = site.script("ends", 'echo >> "starts.$AIEMP_WATCHER"\nexit 1')
    limits = {
        "usual": "",
        "often": "crash_loop = { max_restarts = 4 }",
        "never": "crash_loop = { max_restarts = 0 }",
        "longer": 'crash_loop = { window = "1h" }',
    }
    site.start(
        text="[supervisor.crash_loop]\nmax_restarts = 2\n"
        + "".join(
            f'[watchers.{name}]\ncommand = ["{ends}"]\nbackoff = {{ initial = 0 }}\n{limit}\n'
            for name, limit in limits.items()
        )
    )
    until(lambda: set(site.states().values()) == {"paused"}, "all to be paused")
    starts = {name: len((site.vault / f"starts.{name}").read_text().splitlines()) for name in limits}
    assert starts == {"usual": 3, "often": 5, "never": 1, "longer": 3}


def test_only_the_restarts_of_late_count(site: Site) -> None:
    ends = site.script("ends", "test -e quickly || sleep 0.4\nexit 1")
    site.start(
        text=f'[watchers.ends]\ncommand = ["{ends}"]\nstart_seconds = "0s"\nbackoff = {{ initial = 0 }}\n'
        'crash_loop = { max_restarts = 2, window = "600ms" }\n'
    )
    until(lambda: (now := site.watcher("ends"))["restarts"] >= 5 or now["state"] == "paused", "many restarts")
    assert site.watcher("ends")["state"] != "paused"
    (site.vault / "quickly").touch()
    site.wait_for("ends", "paused")


@pytest.mark.parametrize("verb", ["start", "restart"])
def test_a_paused_watcher_leaves_its_pause_with_a_clear_record(site: Site, verb: str) -> None:
    ends = site.script("ends", ENDS)
    site.start(
        text=f'[watchers.ends]\ncommand = ["{ends}"]\nstart_seconds = "200ms"\nbackoff = {{ initial = 0 }}\n'
        "crash_loop = { max_restarts = 1 }\n"
    )
    site.wait_for("ends", "paused")
    assert site.ctl("status").returncode == 3
    (site.vault / "mended").touch()
    done = site.ctl(verb, "ends")
    assert done.returncode == 0, done.stderr
    found = site.watcher("ends")
    assert (found["state"], found["restarts_in_window"], found["reason"]) == ("running", 0, None)
    assert site.ctl("status").returncode == 0
    os.kill(found["pid"], signal.SIGKILL)  # it may be restarted once more before it is paused
    site.wait_for_successor("ends", found["pid"])


def test_a_fatal_watcher_is_missed_and_starts_once_it_is_mended(site: Site) -> None:
    site.start(text=f'[watchers.tool]\ncommand = ["./tool"]\nstart_seconds = "0s"\n{SLEEPER}')
    site.wait_for("tool", "fatal")
    site.wait_for("sleeper", "running")
    assert [site.ctl("status", *names).returncode for names in ([], ["tool"], ["*"], ["sleeper"], ["sl*"])] == [
        3,
        3,
        3,
        0,
        0,
    ]
    site.script("tool", "exec sleep 1000")
    done = site.ctl("start", "tool")
    assert done.returncode == 0, done.stderr
    assert site.watcher("tool")["reason"] is None
    assert site.ctl("status").returncode == 0


def test_the_signal_that_stops_is_the_configured_one(site: Site) -> None:
    hears = site.script(
        "hears",
        f"""trap 'echo USR1 >> "heard.$AIEMP_WATCHER"; exit 0' USR1
trap 'echo TERM >> "heard.$AIEMP_WATCHER"; exit 0' TERM
echo ready
{IDLE}""",
    )
    one = f'command = ["{hears}"]\nstart_seconds = "0s"\n'
    site.start(
        text=f'[watchers.told]\n{one}stop_signal = "USR1"\n[watchers.left]\n{one}stop_signal = "SIGUSR1"\n'
        f"[watchers.usual]\n{one}"
    )
    names = ("told", "left", "usual")
    until(lambda: all("ready" in site.log(name) for name in names), "the traps")
    assert site.ctl("stop", "told").returncode == 0
    assert site.watcher("told")["last_exit"]["code"] == 0
    assert site.stop() == 0
    heard = {name: (site.vault / f"heard.{name}").read_text() for name in names}
    assert heard == {"told": "USR1\n", "left": "USR1\n", "usual": "TERM\n"}


def test_independent_watchers_stop_side_by_side(site: Site) -> None:
    # Told to stop, each waits for the two others to be told: one after the other that would take `stop_timeout`.
    meets = site.script(
        "meets",
        f"""trap '> "told.$AIEMP_WATCHER"
until [ -e told.a ] && [ -e told.b ] && [ -e told.c ]; do sleep 0.02; done
> "met.$AIEMP_WATCHER"; exit 0' TERM
echo ready
{IDLE}""",
    )
    one = f'command = ["{meets}"]\nstart_seconds = "0s"\nstop_timeout = "5s"\n'
    site.start(text="".join(f"[watchers.{name}]\n{one}" for name in "abc"))

    def met_all() -> list[str]:
        found = sorted(path.name for path in site.vault.glob("met.*"))
        for path in [*site.vault.glob("met.*"), *site.vault.glob("told.*")]:
            path.unlink()
        return found

    until(lambda: all("ready" in site.log(name) for name in "abc"), "the traps")
    assert site.ctl("stop", "all").returncode == 0
    assert met_all() == ["met.a", "met.b", "met.c"]
    assert site.ctl("start", "all").returncode == 0
    until(lambda: all(site.log(name).count("ready") == 2 for name in "abc"), "the traps again")
    assert site.stop() == 0
    assert met_all() == ["met.a", "met.b", "met.c"]
