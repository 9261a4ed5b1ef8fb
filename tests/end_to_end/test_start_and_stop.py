"""The daemon starts once, in order, and stops leaving nothing."""

import json
import os
import shutil
import signal
import socket
import time

import pytest
from harness import IDLE, PATIENCE, PATIENT, SCRIPTS, SLEEPER, Site, until

pytestmark = PATIENT

STUBBORN = f"""\
[watchers.stubborn]
command = ["sh", "-c", "trap '' TERM; echo ready; {IDLE}"]
start_seconds = "0s"
stop_timeout = "1h"
"""


def test_a_stop_that_waits_for_dependents_is_not_undone_by_a_crash(site: Site) -> None:
    slow = "trap 'sleep 1.5; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    site.start(
        text=f'{SLEEPER}[watchers.slow]\ncommand = ["sh", "-c", "{slow}"]\nstart_seconds = "0s"\n'
        'depends_on = ["sleeper"]\n'
    )
    until(lambda: "ready" in site.log("slow"), "the trap")
    pid = site.watcher("sleeper")["pid"]
    site.ctl("stop", "sleeper", "--timeout", "0s")
    os.kill(pid, signal.SIGKILL)
    done = site.ctl("stop", "sleeper")
    assert done.returncode == 0, done.stderr
    assert {each["name"]: each["state"] for each in site.status()["watchers"]} == {
        "sleeper": "stopped",
        "slow": "stopped",
    }


def test_told_to_stop_nothing_is_started_any_more(site: Site) -> None:
    slow = "trap 'sleep 1.5; exit 0' TERM; echo ready; while :; do sleep 0.05; done"
    daemon = site.start(
        text=f'{SLEEPER}autostart = false\n[watchers.slow]\ncommand = ["sh", "-c", "{slow}"]\nstart_seconds = "0s"\n'
    )
    until(lambda: "ready" in site.log("slow"), "the trap")
    daemon.terminate()
    site.wait_for("slow", "stopping")
    refused = site.ctl("start", "sleeper")
    assert refused.returncode == 1
    assert "shutting down" in refused.stderr
    daemon.send_signal(signal.SIGHUP)
    assert daemon.wait(PATIENCE) == 0
    assert list(site.ours()) == []


def test_a_file_in_the_sockets_place_is_named_without_a_stack_trace(site: Site) -> None:
    (site.vault / ".aiemp").mkdir(parents=True, mode=0o700)
    (site.vault / ".aiemp/control.sock").touch()
    site.configure(SLEEPER)
    refused = site.aiemp("run", "-c", str(site.config))
    assert refused.returncode == 1
    assert "control.sock" in refused.stderr
    assert "Traceback" not in refused.stderr


def test_a_daemon_told_to_stop_while_it_starts_stops(site: Site) -> None:
    daemon = site.launch(
        "--once", text='[watchers.mute]\ncommand = ["sleep", "1000"]\nready = "notify"\nready_timeout = "1h"\n'
    )
    until(lambda: list(site.ours()), "the watcher")
    daemon.send_signal(signal.SIGINT)
    daemon.wait(PATIENCE)
    assert list(site.ours()) == []


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_an_orderly_stop_leaves_nothing(site: Site, number: signal.Signals) -> None:
    daemon = site.start(text=SLEEPER)
    site.wait_for("sleeper", "running")
    daemon.send_signal(number)
    assert daemon.wait(PATIENCE) == 0
    assert list(site.ours()) == []
    assert "running" not in site.dashboard()
    assert site.dashboard().count("stopped") == 2
    assert not (site.vault / ".aiemp/control.sock").exists()


def test_shutdown_timeout_beats_stop_timeout(site: Site) -> None:
    daemon = site.start(text=f'shutdown_timeout = "1s"\n{STUBBORN}')
    until(lambda: "ready" in site.log("stubborn"), "the trap")
    begun = time.monotonic()
    assert site.ctl("shutdown").returncode == 0
    assert time.monotonic() - begun < 5
    assert daemon.wait(PATIENCE) == 0
    assert list(site.ours()) == []


def test_a_second_signal_kills_at_once(site: Site) -> None:
    daemon = site.start(text=f'shutdown_timeout = "1h"\n{STUBBORN}')
    until(lambda: "ready" in site.log("stubborn"), "the trap")
    daemon.terminate()
    site.wait_for("stubborn", "stopping")
    begun = time.monotonic()
    daemon.send_signal(signal.SIGINT)
    assert daemon.wait(PATIENCE) == 0
    assert time.monotonic() - begun < 5
    assert list(site.ours()) == []
    assert site.watcher("stubborn")["last_exit"]["signal"] == "SIGKILL"


def test_one_daemon_a_vault(site: Site) -> None:
    daemon = site.start(text=SLEEPER)
    second = site.aiemp("run", "-c", str(site.config))
    assert second.returncode == 75
    holder = json.loads((site.vault / ".aiemp/lock").read_text())
    assert set(holder) == {"pid", "started_at", "hostname"}
    assert (holder["pid"], holder["hostname"]) == (daemon.pid, socket.gethostname())
    assert f"{daemon.pid}" in second.stderr
    assert f"since {holder['started_at']}" in second.stderr
    assert site.status()["supervisor"]["pid"] == daemon.pid


def test_a_stale_lock_and_socket_stop_nobody(site: Site) -> None:
    (site.vault / ".aiemp").mkdir(parents=True, mode=0o700)
    (site.vault / ".aiemp/lock").write_text('{"pid": 1, "started_at": "2020-01-01T00:00:00Z", "hostname": "x"}')
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(site.vault / ".aiemp/s"))
    dead.close()
    (site.vault / ".aiemp/s").rename(site.vault / ".aiemp/control.sock")
    site.start(text=SLEEPER)
    site.wait_for("sleeper", "running")


@pytest.mark.parametrize("what", ["missing", "file", "closed", "closed with our state in it"])
def test_a_vault_that_cannot_be_served_is_named_and_not_made(site: Site, what: str) -> None:
    site.configure(SLEEPER)
    refused_by = [str(SCRIPTS / "aiemp"), "run", "-c", str(site.config)]
    if what == "file":
        site.vault.write_text("no folder")
    elif what != "missing":
        site.vault.mkdir()
        if "state" in what:
            (site.vault / ".aiemp").mkdir(mode=0o700)
            (site.vault / "Logs/watchers").mkdir(parents=True)
        site.vault.chmod(0o555)
        if os.getuid() == 0:  # who may write anywhere: without that right then
            if shutil.which("setpriv") is None:
                pytest.skip("nothing here can take root's rights away")
            dropped = "-dac_override,-dac_read_search"
            refused_by = ["setpriv", "--bounding-set", dropped, "--inh-caps", dropped, *refused_by]
    daemon = site.launch_as(refused_by)
    assert daemon.wait(PATIENCE) == 1
    said = (site.folder / "stderr").read_text()
    assert str(site.vault) in said
    assert "Traceback" not in said
    assert list(site.ours()) == []
    if what == "missing":
        assert not site.vault.exists()


def test_an_invalid_configuration_ends_with_78(site: Site) -> None:
    site.configure('[watchers.one]\ncomand = ["sleep"]\n')
    for words in (("run", "-c", str(site.config)), ("check", "-c", str(site.config)), ("run",)):
        refused = site.aiemp(*words)
        assert (refused.returncode, refused.stdout) == (78, "")
        assert f"{site.config}:4: watchers.one.comand" in refused.stderr
        assert "command" in refused.stderr
    nowhere = site.aiemp("run", "-c", "nowhere.toml")
    assert nowhere.returncode == 78
    assert "nowhere.toml" in nowhere.stderr


def test_no_configuration_names_the_places(site: Site) -> None:
    named = str(site.folder / "named.toml")
    for words in (("run",), ("check",)):
        answer = site.aiemp(*words, AIEMP_CONFIG=named, XDG_CONFIG_HOME=str(site.folder / "xdg"))
        assert (answer.returncode, answer.stdout) == (78, "")
        places = [
            named,
            str(site.config),
            str(site.folder / "xdg/aiemp/supervisor.toml"),
            "/etc/aiemp/supervisor.toml",
            "aiemp init",
        ]
        found = [answer.stderr.find(place) for place in places]
        assert -1 not in found
        assert found == sorted(found)
    at_home = site.aiemp("check", AIEMP_CONFIG="", XDG_CONFIG_HOME="", HOME=str(site.folder / "home"))
    assert at_home.returncode == 78
    assert str(site.folder / "home/.config/aiemp/supervisor.toml") in at_home.stderr


def test_once_is_one_cycle(site: Site) -> None:
    site.configure(SLEEPER)
    site.vault.mkdir()
    done = site.aiemp("run", "--once", "-c", str(site.config))
    assert done.returncode == 0, done.stderr
    summary = json.loads(done.stdout)
    assert set(summary) == {"supervisor", "watchers", "runs", "vault"}
    assert summary["watchers"][0]["state"] == "running"
    assert summary["runs"] == []
    assert "sleeper" in site.dashboard()
    assert list(site.ours()) == []


def test_no_watchers_starts_none_but_they_can_be_started(site: Site) -> None:
    site.start("--no-watchers", text=SLEEPER)
    assert site.watcher("sleeper")["state"] == "stopped"
    assert site.ctl("start", "sleeper").returncode == 0


@pytest.mark.parametrize(
    ("options", "environ", "dry"),
    [((), {}, True), ((), {"DRY_RUN": "false"}, False), (("--dry-run",), {"DRY_RUN": "false"}, True)],
)
def test_dry_run_precedence(site: Site, options: tuple[str, ...], environ: dict[str, str], dry: bool) -> None:  # noqa: FBT001
    site.start(*options, text=f"dry_run = true\n{SLEEPER}", **environ)
    assert site.status()["supervisor"]["dry_run"] is dry
