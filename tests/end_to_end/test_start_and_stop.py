"""The daemon starts once, in order, and stops leaving nothing."""

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest
from harness import PATIENCE, SCRIPTS, SLEEPER, Site, until


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
    site.configure('[watchers.mute]\ncommand = ["sleep", "1000"]\nready = "notify"\nready_timeout = "1h"\n')
    site.vault.mkdir()
    daemon = subprocess.Popen([str(SCRIPTS / "aiemp"), "run", "--once", "-c", str(site.config)], env=site.environ)
    site.daemon = daemon
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
    site.start(
        text='shutdown_timeout = "1s"\n[watchers.stubborn]\ncommand = ["sh", "-c", '
        "\"trap '' TERM; echo ready; while :; do sleep 0.1; done\"]\n"
        'start_seconds = "0s"\nstop_timeout = "1h"\n'
    )
    until(lambda: "ready" in site.log("stubborn"), "the trap")
    assert site.ctl("shutdown").returncode == 0
    assert site.daemon is not None
    assert site.daemon.wait(PATIENCE) == 0
    assert list(site.ours()) == []


def test_a_second_signal_kills_at_once(site: Site) -> None:
    daemon = site.start(
        text='shutdown_timeout = "1h"\n[watchers.stubborn]\ncommand = ["sh", "-c", '
        "\"trap '' TERM; echo ready; while :; do sleep 0.1; done\"]\n"
        'start_seconds = "0s"\nstop_timeout = "1h"\n'
    )
    until(lambda: "ready" in site.log("stubborn"), "the trap")
    daemon.terminate()
    site.wait_for("stubborn", "stopping")
    daemon.terminate()
    daemon.wait(PATIENCE)
    assert list(site.ours()) == []


def test_one_daemon_a_vault(site: Site) -> None:
    daemon = site.start(text=SLEEPER)
    second = site.aiemp("run", "-c", str(site.config))
    assert second.returncode == 75
    assert str(daemon.pid) in second.stderr
    holder = json.loads((site.vault / ".aiemp/lock").read_text())
    assert holder["pid"] == daemon.pid
    assert set(holder) == {"pid", "started_at", "hostname"}


def test_a_stale_lock_and_socket_stop_nobody(site: Site) -> None:
    (site.vault / ".aiemp").mkdir(parents=True, mode=0o700)
    (site.vault / ".aiemp/lock").write_text('{"pid": 1, "started_at": "2020-01-01T00:00:00Z", "hostname": "x"}')
    dead = socket.socket(socket.AF_UNIX)
    dead.bind(str(site.vault / ".aiemp/s"))
    dead.close()
    (site.vault / ".aiemp/s").rename(site.vault / ".aiemp/control.sock")
    site.start(text=SLEEPER)
    site.wait_for("sleeper", "running")


def test_a_missing_vault_is_named_and_not_made(site: Site) -> None:
    site.configure(SLEEPER)
    refused = site.aiemp("run", "-c", str(site.config))
    assert refused.returncode == 1
    assert str(site.vault) in refused.stderr
    assert not site.vault.exists()


def test_an_invalid_configuration_ends_with_78(site: Site) -> None:
    site.configure('[watchers.one]\ncomand = ["sleep"]\n')
    for words in (("run", "-c", str(site.config)), ("check", "-c", str(site.config))):
        refused = site.aiemp(*words)
        assert refused.returncode == 78
        assert f"{site.config}:4: watchers.one.comand" in refused.stderr
        assert "command" in refused.stderr
    assert site.aiemp("run", "-c", "nowhere.toml").returncode == 78
    nothing = site.aiemp("run", AIEMP_CONFIG="", XDG_CONFIG_HOME=str(site.folder / "none"))
    assert nothing.returncode in {1, 78}


def test_no_configuration_names_the_places(site: Site) -> None:
    answer = site.aiemp("check", XDG_CONFIG_HOME=str(site.folder / "none"))
    assert answer.returncode == 78
    assert "aiemp init" in answer.stderr


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


def test_a_daemon_under_nohup_gives_watchers_default_signals(site: Site) -> None:
    site.configure('[watchers.one]\ncommand = ["sh", "-c", "cat /proc/self/status > status; exec sleep 1000"]\n')
    site.vault.mkdir()
    daemon = subprocess.Popen(
        ["sh", "-c", f"trap '' HUP INT PIPE USR1; exec aiemp run -c {site.config}"],
        env={**site.environ, "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}"},
        cwd=site.folder,
        stderr=subprocess.DEVNULL,
    )
    site.daemon = daemon
    until(lambda: (site.vault / "status").exists() and "SigIgn" in (site.vault / "status").read_text(), "the report")
    status = dict(line.split(":\t") for line in (site.vault / "status").read_text().splitlines() if ":\t" in line)
    own_to_libc = (
        0b11 << 31
    )  # signals 32 and 33, which glibc lets nobody change; whoever runs the tests may ignore them
    assert int(status["SigIgn"], 16) & ~own_to_libc == 0
    assert int(status["SigBlk"], 16) & ~own_to_libc == 0
