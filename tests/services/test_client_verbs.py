"""`aiempctl`'s verbs against a daemon that says what each test needs: their words, their JSON, their exit codes."""

import fcntl
import json
import os
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ctl import Captured, command_line, run
from fake_daemon import Answer, answers, fake_daemon, status_of, task, watcher

from orchestrator.cli.aiempctl import main
from orchestrator.control import protocol
from orchestrator.control.protocol import RpcError
from orchestrator.store import last_known


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A vault, its configuration in the working directory; times are UTC and the clock of status stands."""
    with command_line(tmp_path, monkeypatch) as folder:
        yield folder


PAUSED = "why: \x1b[31mno\nway"


def test_status_as_plain_text(vault: Path, capsys: Captured) -> None:
    found = status_of(
        watcher("inbox", restarts=1, status_text="watching 3 folders"),
        watcher("gmail", "paused", restarts=5, reason=PAUSED),
        watcher("whatsapp-business", "stopped", since=None),
        watcher("slow", ready=False),
        problems=["the Dashboard is left alone: it is no UTF-8"],
    )
    with fake_daemon(vault, answers(status=found)):
        code, out, err = run(capsys, "status")
    assert out.splitlines() == [
        "supervisor: running (pid 7, up 3d 2h, version 0.1.0, scheduler idle, dry run)",
        "",
        "NAME               STATE                PID  SINCE       RESTARTS  CPU   MEMORY    REASON",
        "inbox              running              12   2h 5m ago   1         0.1%  12.1 MiB  watching 3 folders",
        r"gmail              paused               -    10m 0s ago  5         -     -         why: \x1b[31mno\nway",
        "whatsapp-business  stopped              -    -           0         -     -",
        "slow               running (not ready)  12   2h 5m ago   0         0.1%  12.1 MiB",
        "",
        "vault: inbox 1, needs action 2, plans 0, pending approval 0, approved 0, rejected 0, done 40",
        "problem: the Dashboard is left alone: it is no UTF-8",
    ]
    assert (code, err) == (3, "")


def test_status_of_some_is_only_their_table(vault: Path, capsys: Captured) -> None:
    with fake_daemon(vault, answers(status=status_of(watcher("inbox")))) as daemon:
        code, out, _ = run(capsys, "status", "watcher", "in*")
    assert daemon.asked == [("status", {"names": ["in*"]})]
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", "inbox"]
    assert code == 0


def test_status_json_is_the_daemons_object(vault: Path, capsys: Captured) -> None:
    found = status_of(watcher("inbox", reason="ü\x1b"), extra=[1])
    with fake_daemon(vault, answers(status=found)):
        code, out, _ = run(capsys, "status", "--json")
    assert json.loads(out) == found
    assert out.isascii()
    assert out.count("\n") == 1
    assert code == 0


@pytest.mark.parametrize(
    ("states", "code"),
    [
        ([], 0),
        (["running", "stopped", "exited"], 0),
        (["running", "starting"], 3),
        (["backoff"], 3),
        (["paused"], 3),
        (["fatal"], 3),
    ],
)
def test_status_says_by_its_code_whether_all_is_well(
    vault: Path, capsys: Captured, states: list[str], code: int
) -> None:
    found = status_of(*(watcher(f"w{number}", state) for number, state in enumerate(states)))
    with fake_daemon(vault, answers(status=found)):
        assert run(capsys, "status")[0] == code
        assert run(capsys, "status", "--json")[0] == code


def test_stopping_counts_as_wanted_says(vault: Path, capsys: Captured) -> None:
    for wanted, code in ((True, 3), (False, 0)):
        with fake_daemon(vault, answers(status=status_of(watcher("a", "stopping", wanted=wanted)))):
            assert run(capsys, "status")[0] == code


def test_status_without_a_daemon_has_the_counts_and_exit_4(vault: Path, capsys: Captured) -> None:
    (vault / "Inbox").mkdir()
    (vault / "Inbox" / "letter.pdf").touch()
    code, out, err = run(capsys, "status")
    assert out.splitlines() == [
        "supervisor: not running (these are the last known states of its watchers)",
        "",
        "no watchers",
        "",
        "vault: inbox 1, needs action 0, plans 0, pending approval 0, approved 0, rejected 0, done 0",
    ]
    assert code == 4
    assert err.startswith(f"aiempctl: no daemon is running for {vault}; start one with `aiemp run`")

    code, out, _ = run(capsys, "status", "--json")
    found = json.loads(out)
    assert code == 4
    assert found["supervisor"]["state"] == "not running"
    assert found.keys() == status_of().keys()
    assert found["supervisor"].keys() == status_of()["supervisor"].keys()
    assert found["vault"] == {**status_of()["vault"], "inbox": 1, "needs_action": 0, "done": 0}


def test_an_unknown_name_is_a_usage_error_with_and_without_a_daemon(vault: Path, capsys: Captured) -> None:
    refusal = RpcError(protocol.UNKNOWN_NAME, "no watcher matches x*", {"unknown": ["x*"], "known": ["inbox"]})
    with fake_daemon(vault, answers(status=refusal, stop=refusal)):
        assert run(capsys, "status", "x*") == (2, "", "aiempctl: no watcher matches x*\n")
        assert run(capsys, "stop", "x*") == (2, "", "aiempctl: no watcher matches x*\n")
    code, out, err = run(capsys, "status", "x*")
    assert (code, out) == (2, "")
    assert "x*" in err


@pytest.mark.parametrize("garbled", [{}, {"watchers": [1]}, {"watchers": {}}, {"watchers": [], "supervisor": 5}])
def test_a_garbled_status_is_no_crash(vault: Path, capsys: Captured, garbled: dict[str, Any]) -> None:
    with fake_daemon(vault, answers(status=garbled)):
        code, out, err = run(capsys, "status")
    assert code == 4
    assert out.startswith("supervisor: not running")
    assert "is it another version?" in err


RESULTS = {
    "results": [
        {"name": "inbox", "ok": True, "state": "running", "pid": 12, "message": ""},
        {"name": "gmail", "ok": False, "state": "fatal", "pid": None, "message": "no such command: \x1b[31mx"},
        {"name": "odd", "ok": True, "state": "stopped", "pid": None, "message": "was stopped already"},
    ]
}


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "resume"])
def test_orders_print_a_line_each_and_fail_if_one_did(vault: Path, capsys: Captured, verb: str) -> None:
    with fake_daemon(vault, answers(**{verb: RESULTS})) as daemon:
        code, out, err = run(capsys, verb, "watcher", "inbox", "g*", "--timeout", "1.5m")
        assert daemon.asked == [(verb, {"names": ["inbox", "g*"], "timeout": 90.0})]
        assert out == "inbox: running (pid 12)\nodd: stopped: was stopped already\n"
        assert err == "gmail: fatal: no such command: \\x1b[31mx\n"
        assert code == 1
        code, out, err = run(capsys, verb, "all", "--json")
        assert (code, json.loads(out), err) == (1, RESULTS, "gmail: fatal: no such command: \\x1b[31mx\n")
        assert daemon.asked[-1] == (verb, {"names": ["all"], "timeout": None})


def test_an_order_that_worked_exits_0(vault: Path, capsys: Captured) -> None:
    with fake_daemon(vault, answers(start={"results": RESULTS["results"][:1]})) as daemon:
        assert run(capsys, "start", "watcher") == (0, "inbox: running (pid 12)\n", "")
        assert daemon.asked == [("start", {"names": ["watcher"], "timeout": None})]


@pytest.mark.parametrize("sent", ["HUP", "hup", "SIGHUP", "sighup", "1"])
def test_signals_may_be_written_as_people_do(vault: Path, capsys: Captured, sent: str) -> None:
    with fake_daemon(vault, answers(signal={"results": []})) as daemon:
        assert run(capsys, "signal", sent, "watcher", "inbox")[0] == 0
    assert daemon.asked == [("signal", {"signal": "HUP", "names": ["inbox"]})]


@pytest.mark.parametrize("sent", ["HUPP", "0", "9999", "SIG", "_DFL", "٣"])
def test_a_signal_that_does_not_exist_is_a_usage_error(vault: Path, capsys: Captured, sent: str) -> None:
    code, out, err = run(capsys, "signal", sent, "inbox")
    assert (code, out) == (2, "")
    assert "there is no signal" in err
    assert "USR1" in err


FACTS: list[tuple[dict[str, Any], str]] = [
    ({"kind": "watcher.state", "name": "inbox", "old": "running", "new": "backoff", "reason": "exit code 1"},
     "inbox: running → backoff: exit code 1"),
    ({"kind": "watcher.state", "name": "inbox", "old": "starting", "new": "running", "pid": 3, "reason": None},
     "inbox: starting → running (pid 3)"),
    ({"kind": "watcher.died", "name": "a", "pid": 5, "code": 1, "signal": None, "uptime_seconds": 62.0},
     "a: pid 5 exited with code 1 after 1m 2s"),
    ({"kind": "watcher.died", "name": "a", "pid": 5, "code": None, "signal": "SIGKILL", "uptime_seconds": 0.1},
     "a: pid 5 was ended by SIGKILL after 0s"),
    ({"kind": "watcher.died", "name": "a", "pid": 5, "code": None, "signal": None}, "a: pid 5 ended"),
    ({"kind": "watcher.restarted", "name": "a", "cause": "exit code 1", "restarts": 2},
     "a: restarted automatically, exit code 1 (restart 2)"),
    ({"kind": "config.reloaded", "added": ["a", "b"], "removed": [], "restarted": ["c"], "changed": []},
     "configuration reloaded: added a, b; restarted c"),
    ({"kind": "config.reloaded", "added": [], "removed": [], "restarted": [], "changed": []},
     "configuration reloaded: no watcher changed"),
    ({"kind": "supervisor.state", "new": "running", "pid": 7}, "supervisor: running (pid 7)"),
    ({"kind": "problem", "key": "disk", "text": "the disk\x07 is full"}, r"problem: the disk\x07 is full"),
    ({"kind": "problem", "key": "disk", "text": None}, "problem solved: disk"),
    ({"kind": "run.started", "name": "a", "run_id": "3f2a", "trigger": "catch_up", "attempt": 1},
     "a: run 3f2a started (catch_up)"),
    ({"kind": "run.started", "name": "a", "run_id": "3f2a", "trigger": "manual", "attempt": 2},
     "a: run 3f2a started (manual, attempt 2)"),
    ({"kind": "run.retrying", "name": "a", "run_id": "3f2a", "attempt": 2, "seconds": 65.2, "error": "exit code 1\n"},
     r"a: attempt 2 failed (exit code 1\n); again in 1m 5s"),
    ({"kind": "run.finished", "name": "a", "outcome": "success", "duration_seconds": 3.5, "error": None},
     "a: success after 3s"),
    ({"kind": "run.finished", "name": "a", "outcome": "skipped", "duration_seconds": None, "error": "no file"},
     "a: skipped (no file)"),
    ({"kind": "task", "name": "a", "change": "disabled", "reason": "3 runs done"}, "a: disabled: 3 runs done"),
    ({"kind": "task", "name": "a", "change": "added", "reason": None}, "a: added"),
    ({"kind": "scheduler", "change": "paused"}, "scheduler: paused"),
    ({"kind": "something.new", "task": "x\n", "took": 3, "error": None}, r"something.new task=x\n took=3"),
    ({}, "None"),
]  # fmt: skip


def test_events_as_text_and_as_json_lines(vault: Path, capsys: Captured) -> None:
    facts = [{"at": "2026-11-21T03:40:12Z", **fact} for fact, _ in FACTS]
    with fake_daemon(vault, answers(events={"events": facts})) as daemon:
        code, out, _ = run(capsys, "events", "-n", "99")
        assert out.splitlines() == [f"2026-11-21 03:40:12 {text}" for _, text in FACTS]
        assert code == 0
        code, out, _ = run(capsys, "events", "--json")
        assert [json.loads(line) for line in out.splitlines()] == facts
    assert daemon.asked[0] == ("events", {"limit": 99, "follow": False})


def test_events_are_followed_until_the_daemon_ends(vault: Path, capsys: Captured) -> None:
    def answer(message: dict[str, Any]) -> Iterator[bytes | None]:
        yield protocol.result(message["id"], {"events": [{"at": "2026-11-21T03:40:12Z", "kind": "one"}]})
        yield protocol.notification("something.else", {})
        yield protocol.notification("event", {"at": "2026-11-21T03:40:13Z", "kind": "two"})
        yield None

    with fake_daemon(vault, answer):
        code, out, err = run(capsys, "events", "-f")
    assert out == "2026-11-21 03:40:12 one\n2026-11-21 03:40:13 two\n"
    assert code == 4
    assert "hung up" in err


def test_shutdown_waits_until_the_lock_is_free(vault: Path, capsys: Captured) -> None:
    with fake_daemon(vault, answers(shutdown={"pid": 7})):
        lock = os.open(vault / ".aiemp" / "lock", os.O_CREAT | os.O_RDWR)
        fcntl.flock(lock, fcntl.LOCK_EX)
        freed = threading.Event()

        def free() -> None:
            freed.set()
            os.close(lock)

        threading.Timer(0.3, free).start()
        assert run(capsys, "shutdown") == (0, "", "")
        assert freed.is_set()


@pytest.mark.parametrize("answer", [{"pid": 7}, RpcError(protocol.SHUTTING_DOWN, "shutting down")])
def test_shutdown_does_not_wait_for_the_next_daemon(vault: Path, capsys: Captured, answer: Any) -> None:
    lock = vault / ".aiemp" / "lock"
    with fake_daemon(vault, answers(shutdown=answer)), lock.open("w+b") as held:
        held.write(b'{"pid": 7}')
        held.flush()
        fcntl.flock(held, fcntl.LOCK_EX)

        def succeed() -> None:
            held.truncate(0)  # as a new daemon does before it writes its own
            os.pwrite(held.fileno(), b'{"pid": 8}', 0)

        threading.Timer(0.3, succeed).start()
        assert run(capsys, "shutdown") == (0, "", "")
        assert lock.read_bytes() == b'{"pid": 8}'


def test_shutdown_of_a_daemon_that_is_stopping_already_waits_too(vault: Path, capsys: Captured) -> None:
    with fake_daemon(vault, answers(shutdown=RpcError(protocol.SHUTTING_DOWN, "shutting down"))):
        assert run(capsys, "shutdown") == (0, "", "")
    assert run(capsys, "shutdown")[0] == 4


def _logs(vault: Path, **logs: bytes) -> Path:
    folder = vault / "Logs" / "watchers"
    folder.mkdir(parents=True)
    for name, text in logs.items():
        (folder / f"{name}.log").write_bytes(text)
    return folder


LOG = b"".join(b"line %d \x1b[31mred\x1b[2J\xff\n" % number for number in range(20))


def test_tail_gives_the_bytes_with_and_without_a_daemon(vault: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    folder = _logs(vault, inbox=LOG)
    assert main(["tail", "inbox", "-n", "2"]) == 0
    assert capfdbinary.readouterr().out == b"".join(LOG.splitlines(keepends=True)[-2:])
    (folder / "elsewhere").write_bytes(b"here\n")
    with fake_daemon(vault, answers(tail={"name": "x", "path": str(folder / "elsewhere"), "text": ""})) as daemon:
        assert main(["tail", "watcher", "x"]) == 0
        assert daemon.asked[0][1]["name"] == "x"
    assert capfdbinary.readouterr().out == b"here\n"
    assert main(["tail", "inbox"]) == 0
    assert capfdbinary.readouterr().out == b"".join(LOG.splitlines(keepends=True)[-10:])


def test_tail_takes_a_glob_that_means_one_watcher_without_a_daemon_too(vault: Path, capsys: Captured) -> None:
    _logs(vault, inbox=b"here\n", sleeper=b"zzz\n")
    assert run(capsys, "tail", "sle*") == (0, "zzz\n", "")
    code, out, err = run(capsys, "tail", "*")
    assert (code, out) == (2, "")
    assert err == "aiempctl: tail shows one watcher at a time, not inbox, my mail, sleeper\n"
    code, _, err = run(capsys, "tail", "x*")
    assert code == 2
    assert "there are inbox, my mail, sleeper" in err


def test_tail_of_a_watcher_that_is_still_silent_says_so(vault: Path, capsys: Captured) -> None:
    with fake_daemon(vault, answers(tail={"name": "inbox", "path": str(vault / "none.log")})):
        assert run(capsys, "tail", "inbox") == (0, "", "aiempctl: inbox has written nothing yet\n")


@pytest.mark.parametrize("name", ["inbx", "../../secret", "watchers/inbox"])
def test_tail_of_the_unknown_names_what_there_is(vault: Path, capsys: Captured, name: str) -> None:
    _logs(vault, inbox=b"", mail=b"")
    (vault / "secret.log").write_bytes(b"x\n")
    code, out, err = run(capsys, "tail", name)
    assert (code, out) == (2, "")
    assert "there are inbox, mail" in err


@pytest.mark.parametrize(
    "argv",
    [
        [],
        ["start"],
        ["stop", "--timeout", "5s"],
        ["signal", "HUP"],
        ["tail"],
        ["tail", "a", "b"],
        ["tail", "a", "-n", "-1"],
        ["tail", "a", "-n", "٣"],
        ["status", "--watch", "--json"],
        ["stop", "a", "--timeout", "soon"],
        ["stop", "a", "--timeout", "-1s"],
        ["stat"],
        ["statsu"],
        ["status", "--jso"],
        ["shutdown", "now"],
        ["completion", "csh"],
        ["-c"],
        ["-x", "status"],
    ],
)
def test_wrong_usage_exits_2(vault: Path, capsys: Captured, argv: list[str]) -> None:
    code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert "usage: aiempctl" in err
    assert "Traceback" not in err


def test_a_mistyped_verb_is_guessed(vault: Path, capsys: Captured) -> None:
    assert "there is no verb 'staus'; did you mean 'status'?" in run(capsys, "staus")[2]


@pytest.mark.parametrize("shape", ["-c FILE status", "status -c FILE", "--vault VAULT status", "status --vault VAULT"])
def test_the_file_and_the_vault_may_stand_before_and_after_the_verb(
    vault: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch, shape: str
) -> None:
    argv = shape.replace("FILE", str(vault.parent / "supervisor.toml")).replace("VAULT", str(vault)).split()
    monkeypatch.chdir("/")
    with fake_daemon(vault, answers(status=status_of())):
        assert run(capsys, *argv)[0] == 0


def test_no_configuration_exits_78_and_no_vault_4(
    tmp_path: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("AIEMP_CONFIG", raising=False)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    code, _, err = run(capsys, "status")
    assert code == 78
    assert "aiemp init" in err
    assert run(capsys, "status", "--vault", "nowhere")[0] == 4


def test_names_for_completion_come_from_the_daemon_or_else_the_file(
    vault: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = status_of(
        watcher("live"), watcher("mail-2"), watcher("bad\nname"), watcher("bad name"), tasks=[task("now")]
    )
    with fake_daemon(vault, answers(status=found)):
        assert run(capsys, "_names") == (0, "live\nmail-2\n", "")
        assert run(capsys, "_tasks") == (0, "now\n", "")
    monkeypatch.setattr(last_known, "tasks", lambda _: [task("triage"), task("added")])
    assert run(capsys, "_names") == (0, "inbox\n", "")
    assert run(capsys, "_tasks") == (0, "triage\nadded\n", "")
    (vault.parent / "supervisor.toml").write_text('[supervisor]\nvault = "vault"\n[watchers')
    assert run(capsys, "_names") == (0, "", "")
    assert run(capsys, "-c", "/nowhere", "_names") == (0, "", "")
    assert run(capsys, "-c", "/nowhere", "_tasks") == (0, "", "")


def test_an_error_from_inside_the_daemon_is_one_line(vault: Path, capsys: Captured) -> None:
    refusals: Answer = answers(start=RpcError(protocol.INTERNAL_ERROR, "a bug\x1b"), stop=RpcError(-32003, "no"))
    with fake_daemon(vault, refusals):
        assert run(capsys, "start", "a") == (1, "", "aiempctl: a bug\\x1b\n")
        assert run(capsys, "stop", "a") == (1, "", "aiempctl: no\n")
