"""What a watcher finds when it is started: descriptors, signals, environment, command, folder."""

import os
import socket
from pathlib import Path

from harness import PATIENT, SCRIPTS, SLEEPER, Site, command_of, environ_of, status_of, until

pytestmark = PATIENT

# Signals 32 and 33, which glibc lets nobody change; whoever runs the tests may ignore them.
OWN_TO_LIBC = 0b11 << 31


def test_it_gets_nothing_of_the_daemons_process_but_the_umask(site: Site) -> None:
    site.configure(SLEEPER)
    site.vault.mkdir()
    reader, writer = os.pipe()
    try:
        site.launch_as(
            ["sh", "-c", f"trap '' HUP INT PIPE USR1 USR2; exec {SCRIPTS}/aiemp run -c {site.config}"],
            stdin=reader,
            umask=0o027,
            pass_fds=(reader, writer),
        )
        site.wait_until_up()
    finally:
        os.close(reader)
        os.close(writer)
    pid = site.wait_for("sleeper", "running")["pid"]
    descriptors = {path.name: str(path.readlink()) for path in Path(f"/proc/{pid}/fd").iterdir()}
    pipe = str(site.vault / ".aiemp/pipes/sleeper")
    assert descriptors == {"0": "/dev/null", "1": pipe, "2": pipe}
    status = status_of(pid)
    assert int(status["Umask"], 8) == 0o027
    assert int(status["SigIgn"], 16) & ~OWN_TO_LIBC == 0
    assert int(status["SigBlk"], 16) & ~OWN_TO_LIBC == 0
    assert (os.getsid(pid), os.getpgid(pid)) == (pid, pid)
    assert Path(f"/proc/{pid}/cwd").resolve() == site.vault.resolve()


def test_its_environment_is_the_daemons_without_what_was_meant_for_the_daemon_alone(site: Site) -> None:
    address = str(site.folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as manager:
        manager.bind(address)
        meant = {
            "NOTIFY_SOCKET": address,
            "WATCHDOG_USEC": "30000000",
            "LISTEN_FDS": "1",
            "LISTEN_PID": "1",
            "LISTEN_FDNAMES": "one",
        }
        site.start(text=f'{SLEEPER}[watchers.dogged]\ncommand = ["sleep", "1000"]\nwatchdog = "90s"\n', **meant)
    found = environ_of(site.watcher("sleeper")["pid"])
    inherited = {key: value for key, value in site.environ.items() if key not in {*meant, "WATCHDOG_PID"}}
    assert found == inherited | {
        "AIEMP_WATCHER": "sleeper",
        "AIEMP_VAULT": str(site.vault),
        "AIEMP_STATE_DIR": str(site.vault / ".aiemp"),
        "DRY_RUN": "false",
        "PYTHONUNBUFFERED": "1",
        "NOTIFY_SOCKET": found["NOTIFY_SOCKET"],
    }
    assert found["NOTIFY_SOCKET"] != address
    assert Path(found["NOTIFY_SOCKET"]).is_socket()
    assert environ_of(site.watcher("dogged")["pid"])["WATCHDOG_USEC"] == "90000000"


def test_its_own_settings_beat_its_file_and_that_beats_the_daemons_environment(site: Site) -> None:
    (site.folder / ".env").write_text(
        "# secrets\nFROM_FILE='a b'\n\nDOUBLE=\"c d\"\nBOTH=file\nINHERITED=file\nPLAIN=$HOME\n"
    )
    site.start(
        text=f'{SLEEPER}env = {{ BOTH = "table", NOT_EXPANDED = "$HOME ~ ${{HOME}} %h `id` *" }}\n'
        'env_file = ".env"\nrequired_env = ["FROM_FILE", "BOTH", "DAEMONS"]\n',
        INHERITED="daemon",
        DAEMONS="daemon",
        DRY_RUN="true",
    )
    found = environ_of(site.wait_for("sleeper", "running")["pid"])
    wanted = {
        "FROM_FILE": "a b",
        "DOUBLE": "c d",
        "BOTH": "table",
        "INHERITED": "file",
        "PLAIN": "$HOME",
        "DAEMONS": "daemon",
        "NOT_EXPANDED": "$HOME ~ ${HOME} %h `id` *",
        "DRY_RUN": "true",
    }
    assert {key: found.get(key) for key in wanted} == wanted


def test_its_command_is_taken_literally_and_python_is_the_daemons_own(site: Site) -> None:
    words = ["sh", "-c", "sleep 1000; :", "$HOME", "~", "*", "${HOME}", "%h", "%(x)s", "`id`", "a b", ""]
    fake = site.folder / "bin/python"
    fake.parent.mkdir()
    fake.write_text(f"#!/bin/sh\n> {site.folder}/fooled\nexec sleep 1000\n")
    fake.chmod(0o755)
    (site.folder / "elsewhere").mkdir()
    site.start(
        text=f"[watchers.literal]\ncommand = {words!r}\n"
        '[watchers.snake]\ncommand = ["python", "-c", "import time; time.sleep(1000)"]\ndirectory = "elsewhere"\n',
        PATH=f"{fake.parent}:{site.environ['PATH']}",
    )
    literal, snake = site.watcher("literal")["pid"], site.watcher("snake")["pid"]
    assert command_of(literal) == words
    until(lambda: command_of(snake)[1:] == ["-c", "import time; time.sleep(1000)"], "the program")
    assert Path(command_of(snake)[0]).parent == SCRIPTS
    assert not (site.folder / "fooled").exists()
    assert Path(f"/proc/{snake}/cwd").resolve() == (site.folder / "elsewhere").resolve()
