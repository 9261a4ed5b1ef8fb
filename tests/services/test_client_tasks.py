"""`aiempctl`'s verbs about tasks, against a daemon that says what each test needs."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ctl import Captured, command_line, run
from fake_daemon import answers, fake_daemon, finished_run, status_of, task, watcher

from orchestrator.control import protocol
from orchestrator.control.protocol import RpcError
from orchestrator.store import last_known


@pytest.fixture
def vault(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A vault, its configuration in the working directory; it is 2026-11-20 23:40 UTC."""
    with command_line(tmp_path, monkeypatch) as folder:
        yield folder


UNKNOWN = RpcError(protocol.UNKNOWN_NAME, "no task is called x; there is triage", {"unknown": ["x"], "known": ["t"]})
TASKS = [
    task("triage", description="first thing"),
    task("sync", state="running", next_slot=None, last_run=None, schedule="by hand", status_text="12 of 40\x1b[2J"),
    task("audit", enabled=False, next_slot=None, last_run={"outcome": "missed", "slot": "2026-11-20T22:40:00Z"}),
    task("odd", runs_left=1, next_slot="soon\n", last_run={"outcome": "failure", "started_at": "never"}, action=None),
]


# --- tasks, and tasks in status ---


def test_tasks_as_plain_text(vault: Path, capsys: Captured) -> None:
    with fake_daemon(vault, answers(tasks={"tasks": TASKS})) as daemon:
        code, out, err = run(capsys, "tasks")
    assert daemon.asked == [("tasks", {"names": None, "due": False})]
    assert out.splitlines() == [
        "NAME    STATE     NEXT                 LAST                 SCHEDULE        ACTION       DETAILS",
        "triage  idle      2026-11-21 07:00:00  success 16h 39m ago  daily at 08:00  ./triage.sh  first thing",
        r"sync    running   -                    -                    by hand         ./triage.sh  12 of 40\x1b[2J",
        "audit   disabled  -                    missed 1h 0m ago     daily at 08:00  ./triage.sh",
        r"odd     idle      soon\n               failure              daily at 08:00  -            1 run left",
    ]
    assert (code, err) == (0, "")


def test_what_blocks_a_task_stands_before_what_it_is_for(vault: Path, capsys: Captured) -> None:
    blocked = task("ask", blocked="claude is not found;\nnpm install it", description="ask around", runs_left=1)
    with fake_daemon(vault, answers(tasks={"tasks": [blocked]})):
        _, out, _ = run(capsys, "tasks")
        assert out.splitlines()[1].endswith(r"claude is not found;\nnpm install it; ask around; 1 run left")
        assert json.loads(run(capsys, "tasks", "--json")[1]) == [blocked]


def test_tasks_json_is_the_daemons_list(vault: Path, capsys: Captured) -> None:
    with fake_daemon(vault, answers(tasks={"tasks": TASKS})) as daemon:
        code, out, err = run(capsys, "tasks", "tri*", "sync", "--due", "--json")
    assert daemon.asked == [("tasks", {"names": ["tri*", "sync"], "due": True})]
    assert (code, json.loads(out), err) == (0, TASKS, "")
    assert out.count("\n") == 1


def test_no_tasks_are_no_table(vault: Path, capsys: Captured) -> None:
    with fake_daemon(vault, answers(tasks={"tasks": []})):
        assert run(capsys, "tasks") == (0, "no tasks\n", "")
        assert run(capsys, "tasks", "--json") == (0, "[]\n", "")


def test_tasks_without_a_daemon_are_the_last_known(
    vault: Path, capsys: Captured, monkeypatch: pytest.MonkeyPatch
) -> None:
    late = task("late", next_slot="2026-11-20T23:00:00Z")
    off = task("off", next_slot="2026-11-20T23:00:00Z", enabled=False)
    known = [*TASKS, late, off]
    monkeypatch.setattr(last_known, "tasks", lambda path: known if path == f"{vault}/.aiemp/aiemp.db" else [])
    code, out, err = run(capsys, "tasks", "--json")
    assert (code, json.loads(out)) == (4, known)
    assert err.startswith("aiempctl: no daemon is running")
    code, out, _ = run(capsys, "tasks", "--due", "--json")
    assert (code, json.loads(out)) == (4, [late])
    code, out, _ = run(capsys, "tasks", "*i*", "my task")
    assert code == 4
    assert [line.split()[0] for line in out.splitlines()] == ["NAME", "triage", "audit"]
    code, out, err = run(capsys, "tasks", "x", "triage")
    assert (code, out) == (2, "")
    assert "no task is called x; there are triage, sync, audit, odd, late, off, my task (no daemon" in err
    code, out, _ = run(capsys, "status", "--json")
    assert json.loads(out)["tasks"] == known
    code, out, _ = run(capsys, "status", "late", "--json")
    found = json.loads(out)
    assert (code, found["watchers"], found["tasks"]) == (4, [], [late])


def test_status_shows_the_tasks_below_the_watchers(vault: Path, capsys: Captured) -> None:
    with fake_daemon(vault, answers(status=status_of(watcher("inbox"), tasks=TASKS[:2]))):
        code, out, _ = run(capsys, "status")
    assert out.splitlines()[3:-1] == [
        "inbox  running  12   2h 5m ago  0         0.1%  12.1 MiB",
        "",
        "NAME    STATE    NEXT                 LAST",
        "triage  idle     2026-11-21 07:00:00  success 16h 39m ago",
        "sync    running  -                    -",
        "",
    ]
    assert code == 0


@pytest.mark.parametrize(
    ("watchers", "tasks", "first"),
    [(1, 1, ["NAME", "inbox", "", "NAME", "triage"]), (0, 1, ["NAME", "triage"]), (0, 0, ["no"])],
)
def test_status_of_some_shows_only_what_was_meant(
    vault: Path, capsys: Captured, watchers: int, tasks: int, first: list[str]
) -> None:
    found = status_of(*[watcher("inbox")][:watchers], tasks=TASKS[:tasks])
    with fake_daemon(vault, answers(status=found)):
        _, out, _ = run(capsys, "status", "*i*")
    assert [line.partition(" ")[0] for line in out.splitlines()] == first


# --- run ---


@pytest.mark.parametrize(
    ("ended", "code", "said"),
    [
        ({}, 0, ""),
        ({"outcome": "skipped", "error": "no file matches"}, 0, "triage: skipped: no file matches"),
        (
            {"outcome": "failure", "attempts": 4, "error": "\n exit code 1:\x1b no such file\nmore"},
            1,
            r"triage: failure after 4 attempts: exit code 1:\x1b no such file",
        ),
        ({"outcome": "timeout", "output": "half"}, 1, "triage: timeout: half"),
        ({"outcome": "cancelled"}, 1, "triage: cancelled"),
        ({"outcome": "interrupted"}, 1, "triage: interrupted"),
        ({"outcome": None}, 1, "triage: not finished"),
    ],
)
def test_run_prints_the_run_and_exits_as_it_ended(
    vault: Path, capsys: Captured, ended: dict[str, Any], code: int, said: str
) -> None:
    found = finished_run("triage", **ended)
    with fake_daemon(vault, answers(run={"run": found})) as daemon:
        done = run(capsys, "run", "triage")
    assert (done[0], json.loads(done[1])) == (code, found)
    assert done[1].count("\n") == 1
    assert done[2] == (f"aiempctl: {said}\n" if said else "")
    assert daemon.asked == [("run", {"task": "triage", "dry_run": False, "wait": True})]


def test_run_without_waiting_prints_the_id(vault: Path, capsys: Captured) -> None:
    with fake_daemon(vault, answers(run={"run_id": "3f2a9c01d4e7"})) as daemon:
        assert run(capsys, "run", "triage", "--no-wait", "--dry-run") == (0, '{"run_id": "3f2a9c01d4e7"}\n', "")
    assert daemon.asked == [("run", {"task": "triage", "dry_run": True, "wait": False})]


def test_run_of_nothing_sensible(vault: Path, capsys: Captured) -> None:
    with fake_daemon(vault, answers(run=UNKNOWN)):
        assert run(capsys, "run", "x") == (2, "", f"aiempctl: {UNKNOWN.message}\n")
    with fake_daemon(vault, answers(run={"run": None})):
        code, out, err = run(capsys, "run", "triage")
        assert (code, out) == (4, "")
        assert "is it another version?" in err
    assert run(capsys, "run", "triage")[0] == 4


# --- enable, disable, remove, cancel, scheduler ---


@pytest.mark.parametrize("verb", ["enable", "disable", "remove"])
def test_orders_print_a_line_each_and_fail_if_one_did(vault: Path, capsys: Captured, verb: str) -> None:
    results = [
        {"name": "triage", "ok": True, "message": ""},
        {"name": "sync", "ok": True, "message": "was so already"},
        {"name": "audit", "ok": False, "message": "it stands in supervisor.toml;\n take it out there"},
        {"name": "odd", "ok": False, "message": None},
    ]
    failures = "audit: it stands in supervisor.toml;\\n take it out there\nodd: failed\n"
    with fake_daemon(vault, answers(**{verb: {"results": results}})) as daemon:
        assert run(capsys, verb, "tri*", "sync") == (1, f"triage: {verb}d\nsync: was so already\n", failures)
        code, out, err = run(capsys, verb, "audit", "--json")
        assert (code, json.loads(out), err) == (1, {"results": results}, failures)
    assert daemon.asked[0] == (verb, {"names": ["tri*", "sync"]})
    with fake_daemon(vault, answers(**{verb: {"results": results[:1]}})):
        assert run(capsys, verb, "triage")[0] == 0
    with fake_daemon(vault, answers(**{verb: UNKNOWN})):
        assert run(capsys, verb, "x") == (2, "", f"aiempctl: {UNKNOWN.message}\n")
    with fake_daemon(vault, answers(**{verb: RpcError(protocol.FAILED, "it is configured")})):
        assert run(capsys, verb, "triage") == (1, "", "aiempctl: it is configured\n")


def test_cancel_says_which_runs_it_ended(vault: Path, capsys: Captured) -> None:
    results = [
        {"name": "3f2a9c01d4e7", "task": "sync", "ok": True, "message": ""},
        {"name": "000000000000", "task": "sync", "ok": False, "message": "it is over"},
    ]
    with fake_daemon(vault, answers(cancel={"results": results})) as daemon:
        done = run(capsys, "cancel", "sync")
    assert done == (1, "sync (run 3f2a9c01d4e7): cancelled\n", "sync (run 000000000000): it is over\n")
    assert daemon.asked == [("cancel", {"target": "sync"})]


def test_cancel_of_what_does_not_run_says_so(vault: Path, capsys: Captured) -> None:
    said = "aiempctl: there is nothing to cancel: no run of triage is queued or under way\n"
    with fake_daemon(vault, answers(cancel={"results": []})):
        assert run(capsys, "cancel", "triage") == (1, "", said)
        assert run(capsys, "cancel", "triage", "--json") == (1, '{"results": []}\n', said)


def test_the_scheduler_is_paused_and_resumed(vault: Path, capsys: Captured) -> None:
    answer = {"scheduler": "paused", "message": "no more runs start"}
    with fake_daemon(vault, answers(scheduler=answer)) as daemon:
        assert run(capsys, "scheduler", "pause") == (0, "no more runs start\n", "")
        assert json.loads(run(capsys, "scheduler", "resume", "--json")[1]) == answer
    assert daemon.asked == [("scheduler", {"action": "pause"}), ("scheduler", {"action": "resume"})]
    with fake_daemon(vault, answers(scheduler={"scheduler": "idle", "message": None})):
        assert run(capsys, "scheduler", "resume")[1] == "the scheduler is idle\n"


# --- history, stats ---


RUNS = [
    finished_run(
        "triage", output="\n3 items\x07\nmore", cost_usd=0.4, details={"session_id": "abc", "turns": 3, "denials": []}
    ),
    finished_run(
        *("triage", "failure"),
        attempts=4,
        trigger="catch_up",
        duration_seconds=125,
        error="exit code 1",
        cost_usd=0.0031,
    ),
    finished_run("sync", "missed", attempts=0, started_at=None, duration_seconds=None),
    finished_run("sync", None, duration_seconds=None),  # type: ignore[arg-type]  # it is under way
]


def test_history_as_text_and_as_json(vault: Path, capsys: Captured) -> None:
    with fake_daemon(vault, answers(history={"runs": RUNS})) as daemon:
        code, out, err = run(capsys, "history")
        assert out.splitlines() == [
            "STARTED              TASK    OUTCOME    TOOK   COST     TRIGGER   ATTEMPTS  RUN           RESULT",
            r"2026-11-20 07:00:00  triage  success    4.2s   $0.40    schedule  1         3f2a9c01d4e7  3 items\x07",
            "2026-11-20 07:00:00  triage  failure    2m 5s  $0.0031  catch_up  4         3f2a9c01d4e7  exit code 1",
            "2026-11-20 07:00:00  sync    missed     -      -        schedule  0         3f2a9c01d4e7",
            "2026-11-20 07:00:00  sync    under way  -      -        schedule  1         3f2a9c01d4e7",
        ]
        assert (code, err) == (0, "")
        code, out, _ = run(capsys, "history", "triage", "--limit", "5", "--outcome", "failure", "--json")
        assert (code, json.loads(out)) == (0, RUNS)
    assert daemon.asked == [
        ("history", {"task": None, "limit": 20, "outcome": None}),
        ("history", {"task": "triage", "limit": 5, "outcome": "failure"}),
    ]
    with fake_daemon(vault, answers(history={"runs": []})):
        assert run(capsys, "history") == (0, "no runs\n", "")
        assert run(capsys, "history", "--json") == (0, "[]\n", "")
    with fake_daemon(vault, answers(history=UNKNOWN)):
        assert run(capsys, "history", "x")[0] == 2


STATS = [
    {"task": "triage", "runs": 40, "success_rate": 0.975, "p50_seconds": 0.35, "p95_seconds": 61.2, "cost_usd": 1.239},
    {"task": "audit", "runs": 0, "success_rate": 0, "p50_seconds": None, "p95_seconds": None, "cost_usd": 0.0},
    {
        "task": "post",
        "runs": 2,
        "success_rate": 0.5,
        "p50_seconds": 8,
        "p95_seconds": 9,
        "cost_usd": 12.5,
        "cost_today_usd": 0.8,
        "cost_month_usd": 4.25,
    },
]


def test_stats_as_text_and_as_json(vault: Path, capsys: Captured) -> None:
    with fake_daemon(vault, answers(stats={"stats": STATS})):
        code, out, err = run(capsys, "stats")
        assert out.splitlines() == [
            "TASK    RUNS  SUCCESS  P50    P95    COST    TODAY  MONTH",
            "triage  40    97.5%    350ms  1m 1s  $1.24   -      -",
            "audit   0     0.0%     -      -      -       -      -",
            "post    2     50.0%    8.0s   9.0s   $12.50  $0.80  $4.25",
        ]
        assert (code, err) == (0, "")
        code, out, _ = run(capsys, "stats", "--json")
        assert (code, json.loads(out)) == (0, STATS)


@pytest.mark.parametrize("argv", [["history"], ["stats"], ["enable", "a"], ["cancel", "a"], ["scheduler", "pause"]])
def test_without_a_daemon_they_exit_4(vault: Path, capsys: Captured, argv: list[str]) -> None:
    code, out, err = run(capsys, *argv)
    assert (code, out) == (4, "")
    assert err.startswith("aiempctl: no daemon is running")


@pytest.mark.parametrize(
    "argv",
    [
        ["run"],
        ["run", "a", "b"],
        ["cancel"],
        ["enable"],
        ["disable"],
        ["remove"],
        ["history", "a", "b"],
        ["history", "--outcome", "fine"],
        ["history", "--limit", "-1"],
        ["stats", "a"],
        ["scheduler"],
        ["scheduler", "stop"],
    ],
)
def test_wrong_usage_exits_2(vault: Path, capsys: Captured, argv: list[str]) -> None:
    with fake_daemon(vault, answers()) as daemon:
        code, out, err = run(capsys, *argv)
    assert (code, out) == (2, "")
    assert f"usage: aiempctl {argv[0]}" in err
    assert daemon.asked == []
