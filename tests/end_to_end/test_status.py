"""What `status` says: its object, its counts, its table on a terminal, and what it knows without a daemon."""

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from datetime import datetime
from typing import Any

import pytest
from harness import PATIENT, SCRIPTS, SLEEPER, Site, Terminal, until

pytestmark = PATIENT

FOLDERS = {
    "inbox": "Inbox",
    "needs_action": "Needs_Action",
    "plans": "Plans",
    "pending_approval": "Pending_Approval",
    "approved": "Approved",
    "rejected": "Rejected",
    "done": "Done",
}


def moments(found: Any) -> Iterator[str]:
    """Every text in a JSON value that looks like a moment."""
    if isinstance(found, dict):
        for each in found.values():
            yield from moments(each)
    elif isinstance(found, list):
        for each in found:
            yield from moments(each)
    elif isinstance(found, str) and re.match(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d", found):
        yield found


def test_it_has_every_field_of_the_contract(site: Site) -> None:
    site.start(text=SLEEPER)
    site.wait_for("sleeper", "running")
    found = site.status()
    assert set(found) == {"supervisor", "watchers", "tasks", "agents", "mcp", "vault"}
    assert {"state", "pid", "version", "uptime_seconds", "vault", "dry_run", "scheduler", "problems"} <= set(
        found["supervisor"]
    )
    assert found["supervisor"]["pid"] == (site.daemon and site.daemon.pid)
    assert found["supervisor"]["vault"] == str(site.vault)
    assert found["tasks"] == []
    assert found["vault"] == dict.fromkeys(FOLDERS, 0)
    (watcher,) = found["watchers"]
    names = """name state pid uptime_seconds since ready status_text restarts restarts_in_window last_exit reason
               cpu_percent rss_bytes adopted"""
    assert set(names.split()) <= set(watcher)
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", watcher["since"])
    assert watcher["rss_bytes"] > 0
    assert (watcher["ready"], watcher["adopted"], watcher["last_exit"], watcher["reason"]) == (True, False, None, None)


def test_every_time_is_utc_and_says_so(site: Site) -> None:
    site.start(
        text=f'timezone = "Asia/Tokyo"\n{SLEEPER}[watchers.ends]\ncommand = ["false"]\nrestart = "never"\n',
        TZ="Asia/Tokyo",
    )
    site.wait_for("ends", "exited")
    before = datetime.now().astimezone()

    def check(value: Any, at_least: int) -> None:
        found = list(moments(value))
        assert len(found) >= at_least
        assert [text for text in found if not text.endswith("Z")] == []
        assert all(abs((datetime.fromisoformat(text) - before).total_seconds()) < 600 for text in found)

    check(site.status(), at_least=3)  # two `since`, one `last_exit`
    check(site.facts(), at_least=4)
    check(json.loads((site.vault / ".aiemp/lock").read_text()), at_least=1)
    site.stop()
    check(site.status(), at_least=3)


def test_each_folder_of_the_vault_is_counted(site: Site) -> None:
    for number, folder in enumerate(FOLDERS.values(), start=1):
        (site.vault / folder / "sub").mkdir(parents=True)
        for each in range(number):
            (site.vault / folder / ("sub" if each % 2 else ".") / f"{each}.md").touch()
        (site.vault / folder / "file.txt").touch()
    wanted = {key: number for number, key in enumerate(FOLDERS, start=1)}
    wanted["inbox"] += 1  # there every file counts
    site.start(text=SLEEPER)
    assert site.status()["vault"] == wanted
    assert site.stop() == 0
    assert site.status()["vault"] == wanted  # without a daemon too


def test_without_a_daemon_it_shows_what_was(site: Site) -> None:
    site.start(text=f'{SLEEPER}[watchers.broken]\ncommand = ["./nonesuch"]\n')
    site.wait_for("sleeper", "running")
    (site.vault / "Needs_Action").mkdir()
    (site.vault / "Needs_Action/note.md").touch()
    site.stop()
    answer = site.ctl("status", "--json")
    assert answer.returncode == 4
    assert "no daemon is running" in answer.stderr
    found = json.loads(answer.stdout)
    assert found["supervisor"]["state"] == "not running"
    assert {each["name"]: each["state"] for each in found["watchers"]} == {"sleeper": "stopped", "broken": "stopped"}
    assert found["vault"]["needs_action"] == 1
    table = site.ctl("status")
    assert table.returncode == 4
    assert "no daemon is running" in table.stderr
    assert re.search(r"^supervisor: not running", table.stdout, re.MULTILINE)
    assert re.search(r"^sleeper +stopped ", table.stdout, re.MULTILINE)
    assert "needs action 1" in table.stdout
    some = json.loads(site.ctl("status", "--json", "watcher", "sl*").stdout)
    assert [each["name"] for each in some["watchers"]] == ["sleeper"]
    for verb in (("start", "sleeper"), ("reload",), ("shutdown",), ("events",), ("signal", "HUP", "sleeper")):
        refused = site.ctl(*verb)
        assert (refused.returncode, refused.stdout) == (4, "")
        assert "no daemon is running" in refused.stderr


def test_a_daemon_that_does_not_answer_counts_as_unreachable(site: Site) -> None:
    daemon = site.start(text=f'{SLEEPER}[watchers.broken]\ncommand = ["./nonesuch"]\n')
    pid = site.wait_for("sleeper", "running")["pid"]
    site.wait_for("broken", "fatal")
    (site.vault / "Inbox").mkdir()
    (site.vault / "Inbox/file").touch()
    assert site.ctl("stop", "broken").returncode == 0  # acknowledged, so all states are on disk
    daemon.send_signal(signal.SIGSTOP)
    begun = time.monotonic()
    asked = [
        subprocess.Popen(
            [str(SCRIPTS / "aiempctl"), "-c", str(site.config), *words],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=site.environ,
            text=True,
        )
        for words in (("status", "--json"), ("start", "broken"), ("reload",))
    ]
    answers = [each.communicate() for each in asked]
    took = time.monotonic() - begun
    daemon.send_signal(signal.SIGCONT)
    assert [each.returncode for each in asked] == [4, 4, 4]
    assert 9 < took < 20
    assert all("does not answer" in stderr for _, stderr in answers)
    assert [stdout for stdout, _ in answers[1:]] == ["", ""]
    found = json.loads(answers[0][0])
    assert found["supervisor"]["state"] == "not running"
    assert found["vault"]["inbox"] == 1
    assert {each["name"]: (each["state"], each["pid"]) for each in found["watchers"]} == {
        "sleeper": ("running", pid),
        "broken": ("stopped", None),
    }
    until(lambda: site.status()["supervisor"]["state"] == "running", "the daemon to go on")
    assert site.watcher("sleeper")["pid"] == pid


def test_into_a_pipe_go_neither_colours_nor_escapes(site: Site) -> None:
    evil = site.python("evil", 'tell("STATUS=\\x1b[2Jgone <!-- aiemp:health:end --> | x")\ntime.sleep(1000)')
    site.start(text=f'[watchers.evil]\ncommand = {evil}\nstart_seconds = "0s"\n')
    until(lambda: site.watcher("evil")["status_text"], "the status text")
    for words in (("status",), ("events",)):
        shown = site.ctl(*words, TERM="xterm-256color")
        assert "evil" in shown.stdout
        assert "\x1b" not in shown.stdout + shown.stderr
    until(lambda: "gone" in site.dashboard(), "the Dashboard")
    assert site.dashboard().count("<!-- aiemp:health:end -->") == 1
    assert "\x1b" not in site.dashboard()


COLOURS = re.compile(r"\x1b\[(?:\d+;)*(?:3[0-8]|4[0-8]|9[0-7]|10[0-7])[;m]")


@pytest.mark.parametrize("environ", [{}, {"NO_COLOR": "1"}])
def test_on_a_terminal_it_is_a_table_in_colours_unless_they_are_unwanted(site: Site, environ: dict[str, str]) -> None:
    site.start(text=f'{SLEEPER}[watchers.broken]\ncommand = ["nonesuch"]\n')
    site.wait_for("broken", "fatal")
    with Terminal(site, "status", columns=160, **environ) as terminal:
        assert terminal.finish() == 3
    lines = [line.rstrip() for line in re.sub(r"\x1b\[[\d;?]*[a-zA-Z]", "", terminal.seen).splitlines()]
    (heading,) = [line for line in lines if line.startswith("NAME")]
    assert heading.split() == ["NAME", "STATE", "PID", "SINCE", "RESTARTS", "CPU", "MEMORY", "REASON"]
    (broken,) = [line for line in lines if line.startswith("broken")]
    assert broken.split()[1:3] == ["fatal", "-"]
    assert broken.index("fatal") == heading.index("STATE")
    assert broken.index("command 'nonesuch' is not on the PATH") == heading.index("REASON")
    assert bool(COLOURS.search(terminal.seen)) is not bool(environ)


def test_watched_on_a_terminal_it_goes_on_until_someone_interrupts_it(site: Site) -> None:
    site.start(text=SLEEPER)
    site.wait_for("sleeper", "running")
    with Terminal(site, "status", "--watch") as terminal:
        terminal.until("running")
        assert site.ctl("stop", "sleeper").returncode == 0
        terminal.until("stopped")
        site.stop()
        terminal.until("not running")
        terminal.process.send_signal(signal.SIGINT)
        assert terminal.finish() == 0
    assert terminal.seen.rindex("\x1b[?25h") > terminal.seen.rindex("\x1b[?25l")  # the cursor is shown again
    assert "Traceback" not in terminal.seen
