"""The commands that look and print: init, check, service, tail, events, status, and how a configuration is found."""

import json
import os
import subprocess

import pytest
from harness import PATIENCE, SCRIPTS, SLEEPER, Site, until

# Writes numbered lines, far more than the log files of its configuration hold, then waits.
FLOODS = """[supervisor.logs]
max_bytes = "64 KiB"
backups = 200
[watchers.floods]
command = ["sh", "-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); echo line $i of the flood; done; exec sleep 1000"]
start_seconds = "0s"
"""


def test_init_makes_what_is_lacking_and_overwrites_nothing(site: Site) -> None:
    done = site.aiemp("init", "here")
    assert done.returncode == 0, done.stderr
    vault = site.folder / "here/vault"
    for name in ("Inbox", "Needs_Action", "Plans", "Pending_Approval", "Approved", "Rejected", "Done", "Logs"):
        assert (vault / name).is_dir()
    for name in ("Dashboard.md", "Company_Handbook.md", "Business_Goals.md"):
        assert (vault / name).read_text()
        (vault / name).write_text("mine")
    config = site.folder / "here/supervisor.toml"
    assert "dry_run = true" in config.read_text()
    assert site.aiemp("check", "-c", str(config)).returncode == 0
    config.write_text("# mine\n")
    (vault / "Plans").rmdir()
    again = site.aiemp("init", "here")
    assert again.returncode == 0
    assert (vault / "Plans").is_dir()
    assert config.read_text() == "# mine\n"
    assert {(vault / name).read_text() for name in ("Dashboard.md", "Company_Handbook.md")} == {"mine"}


def test_what_init_writes_runs_and_turns_a_file_into_a_note(site: Site) -> None:
    assert site.aiemp("init", ".").returncode == 0
    site.start()
    site.wait_for("inbox", "running")
    (site.vault / "Inbox/bill: [x].txt").write_text("42")
    until(lambda: list((site.vault / "Needs_Action").glob("FILE_*.md")), "the note")
    (note,) = (site.vault / "Needs_Action").glob("FILE_*.md")
    assert 'original_name: "bill: [x].txt"' in note.read_text()
    assert (site.vault / "Needs_Action/bill: [x].txt").read_text() == "42"
    assert site.status()["vault"]["needs_action"] == 1


def test_check_tells_every_error_at_once(site: Site) -> None:
    site.configure(
        '[watchers.a]\ncommand = []\nrestart = "no"\nbakoff = 1\n[watchers.b]\ncommand = ["x"]\ndepends_on = ["c"]\n'
        'stop_signal = "FOO"\n[wachers.c]\n'
    )
    refused = site.aiemp("check")
    assert refused.returncode == 78
    lines = refused.stderr.splitlines()
    assert [line.split(": ")[0].rsplit(":", 1)[1] for line in lines] == ["4", "5", "6", "9", "10", "11"]
    assert all(line.startswith(("supervisor.toml:", f"{site.config}:", "./supervisor.toml:")) for line in lines)
    assert "backoff" in lines[2]
    assert "watchers" in lines[5]


@pytest.mark.parametrize("words", [("-c", "FILE", "check"), ("check", "-c", "FILE")])
def test_the_configuration_may_stand_before_or_after_the_verb(site: Site, words: tuple[str, ...]) -> None:
    (site.folder / "other.toml").write_text(SLEEPER)
    assert site.aiemp(*[word.replace("FILE", "other.toml") for word in words]).returncode == 0


def test_the_configuration_is_searched_for_in_order(site: Site) -> None:
    broken, whole = "nonsense = 1\n", SLEEPER
    xdg = site.folder / "xdg/aiemp/supervisor.toml"
    xdg.parent.mkdir(parents=True)
    named = site.folder / "named.toml"
    environ = {"AIEMP_CONFIG": str(named), "XDG_CONFIG_HOME": str(site.folder / "xdg")}
    xdg.write_text(whole)
    assert site.aiemp("check", **environ).returncode == 0
    site.config.write_text(broken)
    assert site.aiemp("check", **environ).returncode == 78
    named.write_text(whole)
    assert site.aiemp("check", **environ).returncode == 0


def test_service_prints_definitions_with_real_paths(site: Site) -> None:
    site.configure(SLEEPER)
    site.vault.mkdir()
    for kind, says in (("systemd", "Type=notify"), ("launchd", "<plist"), ("pm2", "apps")):
        printed = site.aiemp("service", kind)
        assert printed.returncode == 0, printed.stderr
        assert says in printed.stdout
        assert str(site.config) in printed.stdout
    assert site.aiemp("service", "cron").returncode == 2


def test_rotation_keeps_every_line_whole_and_tail_follows_across_it(site: Site) -> None:
    site.configure(FLOODS)
    site.vault.mkdir()
    (site.vault / "Logs/watchers").mkdir(parents=True)
    with (site.folder / "followed").open("wb") as followed:
        follower = subprocess.Popen(
            [str(SCRIPTS / "aiempctl"), "-c", str(site.config), "tail", "floods", "-f"],
            stdout=followed,
            stderr=subprocess.DEVNULL,
            env=site.environ,
        )
        try:
            site.start()
            wanted = [f"line {number} of the flood" for number in range(1, 20001)]
            until(lambda: wanted[-1] in site.log("floods"), "the flood's end")
            logs = site.vault / "Logs/watchers"
            older = sorted(logs.glob("floods.log.*"), key=lambda path: -int(path.suffix[1:]))
            files = [*older, logs / "floods.log"]
            assert len(files) > 5
            assert all(path.stat().st_size <= 64 * 1024 for path in files)
            assert [line for path in files for line in path.read_text().splitlines()] == wanted
            until(lambda: (site.folder / "followed").read_text().splitlines() == wanted, "the follower")
        finally:
            follower.kill()
            follower.wait()


def test_events_are_followed_as_they_happen(site: Site) -> None:
    site.start(text=SLEEPER)
    with subprocess.Popen(
        [str(SCRIPTS / "aiempctl"), "-c", str(site.config), "events", "-f", "--json", "-n", "1"],
        stdout=subprocess.PIPE,
        env=site.environ,
        text=True,
    ) as follower:
        assert follower.stdout is not None
        assert json.loads(follower.stdout.readline())["kind"]
        assert site.ctl("stop", "sleeper").returncode == 0
        kinds = set()
        while "stopped" not in kinds:
            kinds.add(json.loads(follower.stdout.readline()).get("new"))
        follower.kill()


def test_into_a_pipe_go_neither_colours_nor_escapes(site: Site) -> None:
    (site.folder / "tells.py").write_text(
        "import os,socket,time\ns=socket.socket(socket.AF_UNIX,socket.SOCK_DGRAM)\n"
        "s.sendto(b'STATUS=\\x1b[2Jgone <!-- aiemp:health:end --> | x', os.environ['NOTIFY_SOCKET'])\n"
        "time.sleep(1000)\n"
    )
    site.start(text=f'[watchers.evil]\ncommand = ["python", "{site.folder}/tells.py"]\nstart_seconds = "0s"\n')
    until(lambda: site.watcher("evil")["status_text"], "the status text")
    shown = site.ctl("status").stdout
    assert "evil" in shown
    assert "\x1b" not in shown
    until(lambda: "gone" in site.dashboard(), "the Dashboard")
    assert site.dashboard().count("<!-- aiemp:health:end -->") == 1
    assert "\x1b" not in site.dashboard()


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_completion_scripts_are_printed(site: Site, shell: str) -> None:
    printed = site.ctl("completion", shell)
    assert printed.returncode == 0
    assert "aiempctl" in printed.stdout


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody else")
def test_another_user_does_not_get_in(site: Site) -> None:
    site.start(text=SLEEPER)
    path = site.vault / ".aiemp/control.sock"
    for folder in path.parents:
        if folder.is_relative_to(site.folder.parent.parent):
            folder.chmod(0o755)
    path.chmod(0o666)  # as if a careless person had opened everything: the daemon asks the kernel who it is
    asks = (
        "import socket, sys\ns = socket.socket(socket.AF_UNIX)\ns.connect(sys.argv[1])\n"
        's.sendall(b\'{"jsonrpc":"2.0","id":1,"method":"shutdown"}\\n\')\nprint(s.makefile().readline())'
    )
    stranger = subprocess.run(
        ["/usr/bin/python3", "-c", asks, str(path)],
        user=65534,
        group=65534,
        extra_groups=[],
        cwd="/",
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert "result" not in stranger.stdout
    assert "another user" in stranger.stdout or stranger.returncode != 0
    assert site.status()["supervisor"]["state"] == "running"


def test_versions_agree() -> None:
    printed = {
        subprocess.run([str(SCRIPTS / name), "--version"], capture_output=True, text=True, check=True).stdout.split()[1]
        for name in ("aiemp", "aiempctl")
    }
    assert len(printed) == 1
