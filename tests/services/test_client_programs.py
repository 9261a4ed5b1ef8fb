"""Both programs as processes of their own: terminals, pipes, interrupts, and what `status` must not load."""

import json
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from fake_daemon import answers, fake_daemon, finished_run, status_of, task, watcher
from terminal import ENVIRONMENT, PATIENCE, Terminal, command, plain

from orchestrator.control import protocol


def run(cwd: Path, program: str, *argv: str, **environ: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(program, *argv),
        cwd=cwd,
        env=ENVIRONMENT | environ,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """A folder with a configuration and its vault."""
    (tmp_path / "vault").mkdir()
    (tmp_path / "supervisor.toml").write_text('[supervisor]\nvault = "vault"\n')
    return tmp_path


MANY = status_of(
    watcher("inbox"),
    watcher("gmail", "paused", reason="[red]6 restarts[/red] \x1b]0;owned\x07", restarts=5),
    problems=["the disk is full"],
)


@pytest.mark.parametrize(
    ("argv", "tasks", "needed"), [("status", 0, "orchestrator.cli.status_text"), ("status --json", 3, "json")]
)
def test_status_loads_nothing_slow(home: Path, argv: str, tasks: int, needed: str) -> None:
    script = f"""
import sys
from orchestrator.cli.aiempctl import main
code = main({argv.split()})
print(*sorted(sys.modules))
sys.exit(code)
"""
    found = status_of(watcher("inbox"), tasks=[task(f"t{number}") for number in range(tasks)])
    with fake_daemon(home / "vault", answers(status=found)):
        done = subprocess.run(
            [sys.executable, "-S", "-c", f"import sys; sys.path[:0] = {sys.path!r}{script}"],
            cwd=home,
            env=ENVIRONMENT,
            capture_output=True,
            text=True,
            timeout=PATIENCE,
            check=True,
        )
    loaded = set(done.stdout.splitlines()[-1].split())
    assert needed in loaded
    slow = "rich pathlib dataclasses asyncio anyio tomllib sqlite3 logging psutil subprocess inspect shutil datetime"
    assert loaded & {*slow.split(), "fnmatch", "orchestrator.cli.task_text", "orchestrator.cli.tables"} == set()


def test_on_a_terminal_status_is_a_table_in_colours(home: Path) -> None:
    with fake_daemon(home / "vault", answers(status=MANY)), Terminal(home, "aiempctl", "status") as terminal:
        code, seen = terminal.finish()
    assert code == 3
    assert "\x1b[32mrunning\x1b[0m" in seen
    assert "\x1b[1;31mpaused\x1b[0m" in seen
    lines = [" ".join(line.split()) for line in plain(seen).splitlines()]
    assert re.fullmatch(r"gmail paused - .* ago 5 - -", lines.pop(3))
    assert lines == [
        "supervisor: running (pid 7, up 3d 2h, version 0.1.0, scheduler idle, dry run)",
        "NAME STATE PID SINCE RESTARTS CPU MEMORY",
        "inbox running 12 2h 5m ago 0 0.1% 12.1 MiB",
        r"gmail: [red]6 restarts[/red] \x1b]0;owned\x07",
        "vault: inbox 1, needs action 2, plans 0, pending approval 0, approved 0,",
        "rejected 0, done 40",
        "problem: the disk is full",
    ]


def test_a_wide_terminal_has_the_reasons_in_the_table(home: Path) -> None:
    with (
        fake_daemon(home / "vault", answers(status=MANY)),
        Terminal(home, "aiempctl", "status", columns=140) as terminal,
    ):
        _, seen = terminal.finish()
    assert re.search(r"^gmail +paused .* \[red\]6 restarts\[/red\] \\x1b\]0;owned\\x07", plain(seen), re.MULTILINE)


RUNNING = task("sync", state="running", next_slot=None, last_run={"outcome": "timeout"}, status_text="12 of [red]40")


def test_on_a_terminal_tasks_are_tables_in_colours(home: Path) -> None:
    found = {"tasks": [task("triage", description="first thing"), RUNNING]}
    runs = {"runs": [finished_run("triage"), finished_run("sync", "failure", error="[b] " + "no such file " * 9)]}
    told = answers(status=status_of(tasks=found["tasks"]), tasks=found, history=runs)
    with fake_daemon(home / "vault", told):
        with Terminal(home, "aiempctl", "status", "*") as terminal:
            status = terminal.finish()[1]
        with Terminal(home, "aiempctl", "tasks") as terminal:
            narrow = terminal.finish()[1]
        with Terminal(home, "aiempctl", "tasks", columns=140) as terminal:
            wide = terminal.finish()[1]
        with Terminal(home, "aiempctl", "history") as terminal:
            history = terminal.finish()[1]
    for seen in (status, narrow, wide):
        assert "\x1b[36mrunning\x1b[0m" in seen
        assert re.search(r"\x1b\[1;31mtimeout *\x1b\[0m", seen)
        assert re.search(r"\x1b\[32msuccess .* ago *\x1b\[0m", seen)
    assert plain(status).split("\r\n")[0].split() == ["NAME", "STATE", "NEXT", "LAST"]
    lines = plain(narrow).splitlines()
    assert lines[0].split() == ["NAME", "STATE", "NEXT", "LAST"]
    assert [line.split()[:2] for line in lines[1:3]] == [["triage", "idle"], ["sync", "running"]]
    assert lines[3:] == ["sync: 12 of [red]40"]
    lines = plain(wide).splitlines()
    assert len(lines) == 3
    assert lines[0].split()[-2:] == ["ACTION", "DETAILS"]
    assert lines[2].rstrip().endswith("./triage.sh  12 of [red]40")
    lines = plain(history).splitlines()
    assert lines[0].split() == ["STARTED", "TASK", "OUTCOME", "TOOK", "RESULT"]
    assert re.search(r"sync +failure +4\.2s  \[b\] no such file.*…$", lines[2].rstrip())
    assert len(lines) == 3


@pytest.mark.parametrize(("no_color", "term"), [("1", "xterm"), ("", "dumb")])
def test_no_colour_where_none_is_wanted(home: Path, no_color: str, term: str) -> None:
    with (
        fake_daemon(home / "vault", answers(status=MANY)),
        Terminal(home, "aiempctl", "status", NO_COLOR=no_color, TERM=term) as terminal,
    ):
        _, seen = terminal.finish()
    assert "running" in seen
    assert not re.search(r"\x1b\[[0-9;]*3[0-9]", seen)


def test_watch_on_a_terminal_is_live_until_ctrl_c(home: Path) -> None:
    def answer(message: dict[str, Any]) -> Iterator[bytes]:
        rounds.append(1)
        yield protocol.result(message["id"], status_of(watcher(f"round-{len(rounds)}")))

    rounds: list[int] = []
    with fake_daemon(home / "vault", answer), Terminal(home, "aiempctl", "status", "--watch") as terminal:
        terminal.until(lambda seen: "round-2" in seen)
        terminal.process.send_signal(signal.SIGINT)
        code, seen = terminal.finish()
    assert code == 0
    assert "Traceback" not in seen


def test_watch_into_a_pipe_prints_anew_and_outlives_the_daemon(home: Path) -> None:
    with subprocess.Popen(
        command("aiempctl", "status", "--watch"), cwd=home, env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        line = ""
        while "problem: no daemon is running" not in line:
            line = process.stdout.readline()
            assert line
        with fake_daemon(home / "vault", answers(status=status_of())):
            while "supervisor: running" not in line:
                line = process.stdout.readline()
                assert line
            process.send_signal(signal.SIGINT)
            process.stdout.read()
        assert process.wait(PATIENCE) == 0


def test_progress_is_one_line_on_a_terminal_that_vanishes(home: Path) -> None:
    seen_by_client = threading.Event()

    def answer(message: dict[str, Any]) -> Iterator[bytes]:
        yield protocol.notification("progress", {"text": "stopping inbox\x1b[2J"})
        seen_by_client.wait(PATIENCE)
        result = {"name": "inbox", "ok": True, "state": "stopped", "pid": None, "message": ""}
        yield protocol.result(message["id"], {"results": [result]})

    with fake_daemon(home / "vault", answer), Terminal(home, "aiempctl", "stop", "inbox") as terminal:
        terminal.until(lambda seen: r"stopping inbox\x1b[2J" in seen)
        seen_by_client.set()
        code, seen = terminal.finish()
    assert code == 0
    assert seen == "\r\x1b[Kstopping inbox\\x1b[2J\r\x1b[Kinbox: stopped\r\n"


def test_a_run_shows_its_progress_and_ctrl_c_only_stops_waiting(home: Path) -> None:
    def answer(message: dict[str, Any]) -> Iterator[bytes]:
        yield protocol.notification("progress", {"text": "sync: 12 of 40"})
        if message["params"]["task"] == "sync":
            seen_by_client.wait(PATIENCE)
            yield protocol.result(message["id"], {"run": finished_run("sync")})
        else:
            over.wait(PATIENCE)

    seen_by_client, over = threading.Event(), threading.Event()
    with fake_daemon(home / "vault", answer):
        with Terminal(home, "aiempctl", "run", "sync") as terminal:
            terminal.until(lambda seen: "12 of 40" in seen)
            seen_by_client.set()
            code, seen = terminal.finish()
        assert code == 0
        progress, _, printed = seen.rpartition("\r\x1b[K")
        assert progress == "\r\x1b[Ksync: 12 of 40"
        assert json.loads(printed) == finished_run("sync")
        with Terminal(home, "aiempctl", "run", "report") as terminal:
            terminal.until(lambda seen: "12 of 40" in seen)
            terminal.process.send_signal(signal.SIGINT)
            code, seen = terminal.finish()
        over.set()
    assert code == 130
    assert seen.endswith("\r\x1b[Kaiempctl: no longer waiting; `aiempctl cancel report` ends the run\r\n")


def test_tail_on_a_terminal_keeps_colours_only(home: Path) -> None:
    folder = home / "vault" / "Logs" / "watchers"
    folder.mkdir(parents=True)
    (folder / "inbox.log").write_bytes(b"\x1b[31mred\x1b[2J\n\nplain\n")
    with Terminal(home, "aiempctl", "tail", "inbox") as terminal:
        assert terminal.finish() == (0, "\x1b[31mred\\x1b[2J\x1b[0m\r\n\r\nplain\r\n")
    with Terminal(home, "aiempctl", "tail", "inbox", NO_COLOR="1") as terminal:
        assert terminal.finish() == (0, "red\\x1b[2J\r\n\r\nplain\r\n")


def test_tail_follows_until_ctrl_c(home: Path) -> None:
    folder = home / "vault" / "Logs" / "watchers"
    folder.mkdir(parents=True)
    log = folder / "inbox.log"
    log.write_bytes(b"one\ntwo\n")
    with subprocess.Popen(
        command("aiempctl", "tail", "inbox", "-f", "-n", "1"),
        cwd=home,
        env=ENVIRONMENT,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"two\n"
        log.rename(folder / "inbox.log.1")
        log.write_bytes(b"three \xff\n")
        assert process.stdout.readline() == b"three \xff\n"
        process.send_signal(signal.SIGINT)
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 130


def test_tail_follows_a_line_that_is_not_ended_yet(home: Path) -> None:
    folder = home / "vault" / "Logs" / "watchers"
    folder.mkdir(parents=True)
    with (folder / "inbox.log").open("ab", buffering=0) as log:
        log.write(b"one\n\x1b[32mName")
        with Terminal(home, "aiempctl", "tail", "inbox", "-f") as terminal:
            assert terminal.until(lambda seen: seen.endswith("\x1b[0m")) == "one\r\n\x1b[32mName\x1b[0m"
            log.write(b"? \xc3")
            terminal.until(lambda seen: "? " in seen)
            log.write(b"\xbc\n")
            terminal.until(lambda seen: seen.endswith("\n"))
            assert plain(terminal.seen) == "one\r\nName? ü\r\n"
        with subprocess.Popen(
            command("aiempctl", "tail", "inbox", "-f", "-n", "1"), cwd=home, env=ENVIRONMENT, stdout=subprocess.PIPE
        ) as process:
            assert process.stdout is not None
            assert process.stdout.readline() == "\x1b[32mName? ü\n".encode()
            log.write(b"mor")
            assert process.stdout.read(3) == b"mor"
            log.write(b"e\n")
            assert process.stdout.readline() == b"e\n"
            process.kill()


def test_ctrl_c_while_waiting_is_quiet(home: Path) -> None:
    asked = threading.Event()

    def answer(_: dict[str, Any]) -> Iterator[bytes]:
        asked.set()
        threading.Event().wait(PATIENCE)
        yield b""

    with (
        fake_daemon(home / "vault", answer),
        subprocess.Popen(
            command("aiempctl", "stop", "inbox"), cwd=home, env=ENVIRONMENT, stdout=-1, stderr=-1
        ) as process,
    ):
        assert asked.wait(PATIENCE)
        process.send_signal(signal.SIGINT)
        assert process.communicate(timeout=PATIENCE) == (b"", b"")
        assert process.returncode == 130


def test_a_closed_pipe_is_quiet(home: Path) -> None:
    facts = [{"at": "2026-11-21T03:40:12Z", "kind": f"fact.{number}"} for number in range(20_000)]
    with (
        fake_daemon(home / "vault", answers(events={"events": facts})),
        subprocess.Popen(command("aiempctl", "events"), cwd=home, env=ENVIRONMENT, stdout=-1, stderr=-1) as process,
    ):
        assert process.stdout is not None
        assert process.stderr is not None
        assert process.stdout.readline() == b"2026-11-21 03:40:12 fact.0\n"
        process.stdout.close()
        assert process.stderr.read() == b""
        assert process.wait(PATIENCE) == 141


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
def test_a_full_disk_is_one_line(home: Path) -> None:
    with fake_daemon(home / "vault", answers(status=status_of())), Path("/dev/full").open("wb") as full:
        done = subprocess.run(
            command("aiempctl", "status", "--json"),
            cwd=home,
            env=ENVIRONMENT,
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=PATIENCE,
            check=False,
        )
    assert done.returncode == 1
    assert done.stderr == "aiempctl: [Errno 28] No space left on device\n"


def test_a_terminal_without_the_letters_gets_escapes(home: Path) -> None:
    fact = {"at": "2026-11-21T03:40:12Z", "kind": "watcher.state", "name": "ü", "old": "running", "new": "backoff"}
    with fake_daemon(home / "vault", answers(events={"events": [fact]})):
        done = run(home, "aiempctl", "events", PYTHONIOENCODING="ascii")
    assert (done.returncode, done.stdout) == (0, "2026-11-21 03:40:12 \\xfc: running \\u2192 backoff\n")


@pytest.mark.parametrize("program", ["aiemp", "aiempctl"])
def test_version_and_help(home: Path, program: str) -> None:
    assert run(home, program, "--version").stdout == f"{program} 0.1.0\n"
    done = run(home, program, "--help")
    assert done.returncode == 0
    verbs = re.findall(r"^  ([a-z]+)  +\S", done.stdout.partition("verbs:\n")[2], re.MULTILINE)
    assert {"aiemp": "init", "aiempctl": "status"}[program] in verbs
    for verb in verbs:
        done = run(home, program, verb, "--help")
        assert done.returncode == 0, verb
        assert done.stdout.startswith(f"usage: {program} {verb}")


def test_init_check_and_service_lead_to_a_valid_configuration(tmp_path: Path) -> None:
    done = run(tmp_path, "aiemp", "init", "new", "--vault", "my vault")
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "next: aiemp run -c new/supervisor.toml"
    assert (tmp_path / "my vault" / "Dashboard.md").exists()
    done = run(tmp_path, "aiemp", "-c", "new/supervisor.toml", "check")
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout == f"new/supervisor.toml is valid: 1 watcher, 7 tasks, vault {tmp_path}/my vault\n"
    for kind in ("systemd", "launchd", "pm2"):
        done = run(tmp_path, "aiemp", "service", kind, "-c", "new/supervisor.toml")
        assert done.returncode == 0, done.stderr
        assert str(tmp_path / "new" / "supervisor.toml") in done.stdout
    assert run(tmp_path, "aiemp", "-c", "x", "init").returncode == 2
    assert run(tmp_path, "aiemp", "service", "upstart").returncode == 2


def test_check_prints_each_problem_on_a_line_of_its_own(home: Path) -> None:
    (home / "supervisor.toml").write_text('[supervisor]\nvault = 5\n[watchers.a]\ncomand = ["true"]\n')
    done = run(home, "aiemp", "check")
    assert (done.returncode, done.stdout) == (78, "")
    lines = done.stderr.splitlines()
    assert len(lines) >= 2
    assert all(re.match(r"(\S*/)?supervisor\.toml:\d+: \S+: ", line) for line in lines), lines


def test_run_hands_on_what_was_asked(home: Path) -> None:
    (home / "supervisor.toml").write_text('[supervisor]\nvault = "nowhere"\n')
    done = run(home, "aiemp", "run", "--no-watchers", "--dry-run")
    assert done.returncode == 1
    assert done.stderr.startswith("aiemp: ")
    assert "nowhere" in done.stderr


def test_json_without_a_daemon_is_one_document(home: Path) -> None:
    done = run(home, "aiempctl", "status", "--json")
    assert done.returncode == 4
    assert json.loads(done.stdout)["supervisor"]["state"] == "not running"
    assert done.stderr.startswith("aiempctl: no daemon is running")


def run_closed(home: Path, program: str, words: str, closed: str) -> tuple[int, str, str]:
    """The exit code, stdout and stderr of a program that a shell starts without some of its standard streams."""
    script = f'exec "$@" {words} {closed}'
    done = subprocess.run(
        ["/bin/sh", "-c", script, "sh", *command(program)],
        cwd=home,
        env=ENVIRONMENT,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    return done.returncode, done.stdout, done.stderr


@pytest.mark.parametrize("closed", [">&-", "2>&-", "<&- >&- 2>&-"])
@pytest.mark.parametrize(
    ("program", "words", "code"),
    [
        ("aiemp", "check", 0),
        ("aiempctl", "status", 4),
        ("aiempctl", "restart nobody", 4),
        ("aiempctl", "nonsense", 2),
    ],
)
def test_closed_standard_streams_change_nothing_else(
    home: Path, program: str, words: str, code: int, closed: str
) -> None:
    whole = run(home, program, *words.split())
    assert whole.returncode == code
    out, err = ("" if ">&-" in closed.split() else whole.stdout), ("" if "2>&-" in closed else whole.stderr)
    assert run_closed(home, program, words, closed) == (code, out, err)


def test_a_daemon_without_standard_streams_ends_as_well_as_any(home: Path) -> None:
    assert run_closed(home, "aiemp", "run --once", "<&- >&- 2>&-") == (0, "", "")


def test_a_closed_stderr_says_nothing_on_stdout_after_the_json(home: Path) -> None:
    code, out, _ = run_closed(home, "aiempctl", "status --json", "2>&-")
    assert code == 4
    assert json.loads(out)["supervisor"]["state"] == "not running"
