"""The Python API, against a daemon that says what each test needs."""

from datetime import date, datetime, time, timedelta, timezone
from pathlib import Path

import pytest
from fake_daemon import answers, fake_daemon, finished_run, task

from orchestrator.client import InvalidTask, TaskClient
from orchestrator.control import protocol
from orchestrator.control.protocol import RpcError
from orchestrator.errors import Unreachable, UsageError, UserError

TABLE = {"cron": "0 9 * * *", "command": ["true"], "lane": "reports"}
REPORT = task("report", added=True)


def test_every_method_is_a_command(tmp_path: Path) -> None:
    run = finished_run("report", "failure")
    done = {"results": [{"name": "report", "ok": True, "message": ""}]}
    told = answers(
        add={"task": REPORT},
        task_get={"task": {**REPORT, "settings": TABLE}},
        tasks={"tasks": [REPORT]},
        enable=done,
        disable=done,
        remove=done,
        run={"run": run, "run_id": run["run_id"]},
        history={"runs": [run]},
    )
    with fake_daemon(tmp_path, told) as daemon, TaskClient(tmp_path) as tasks:
        assert tasks.register("report", timeout=None, **TABLE) == REPORT
        assert tasks.update("report", cron=None, every="2h") == REPORT
        assert tasks.get("report") == {**REPORT, "settings": TABLE}
        assert tasks.list() == [REPORT]
        tasks.enable("report")
        tasks.disable("report")
        tasks.remove("report")
        assert tasks.run_now("report") == run
        assert tasks.run_now("report", wait=False, dry_run=True) == {"run_id": run["run_id"]}
        assert tasks.history() == [run]
        assert tasks.history("report", limit=5, outcome="failure") == [run]
    changed = {"command": ["true"], "lane": "reports", "every": "2h"}
    assert daemon.asked == [
        ("add", {"name": "report", "settings": TABLE, "replace": False}),
        ("task_get", {"name": "report"}),
        ("add", {"name": "report", "settings": changed, "replace": True}),
        ("task_get", {"name": "report"}),
        ("tasks", {"names": None, "due": False}),
        ("enable", {"names": ["report"]}),
        ("disable", {"names": ["report"]}),
        ("remove", {"names": ["report"]}),
        ("run", {"task": "report", "dry_run": False, "wait": True}),
        ("run", {"task": "report", "dry_run": True, "wait": False}),
        ("history", {"task": None, "limit": 20, "outcome": None}),
        ("history", {"task": "report", "limit": 5, "outcome": "failure"}),
    ]


def test_a_prompt_is_scheduled_with_the_keys_of_its_table(tmp_path: Path) -> None:
    zone = timezone(timedelta(hours=1))
    with fake_daemon(tmp_path, answers(add={"task": REPORT})) as daemon, TaskClient(tmp_path) as tasks:
        tasks.register(
            "ask",
            prompt="any news?",
            agent="companion",
            agent_id="agent-1",
            every="2h",
            start_at=datetime(2026, 12, 1, 8, tzinfo=zone),
        )
        tasks.register("once", prompt="?", frequency="once", at=[datetime(2026, 12, 24, 18)], max_runs=1)  # noqa: DTZ001
        tasks.register("daily", prompt="?", frequency="daily", at=time(8), start_at=date(2026, 12, 1))
    assert [asked["settings"] for _, asked in daemon.asked] == [
        {
            "prompt": "any news?",
            "agent": "companion",
            "agent_id": "agent-1",
            "every": "2h",
            "start_at": "2026-12-01T08:00:00+01:00",
        },
        {"prompt": "?", "frequency": "once", "at": ["2026-12-24T18:00:00"], "max_runs": 1},
        {"prompt": "?", "frequency": "daily", "at": "08:00:00", "start_at": "2026-12-01"},
    ]


def test_what_goes_wrong_is_raised(tmp_path: Path) -> None:
    refused = {"results": [{"name": "report", "ok": False, "message": "it is configured"}]}
    told = answers(
        add=RpcError(protocol.INVALID_TASK, "no task", {"problems": ["tasks.report.cron: is wrong"]}),
        task_get=RpcError(protocol.UNKNOWN_NAME, "no task is called report"),
        remove=refused,
    )
    with fake_daemon(tmp_path, told), TaskClient(str(tmp_path)) as tasks:
        with pytest.raises(InvalidTask, match=r"no task\ntasks\.report\.cron") as raised:
            tasks.register("report", cron="?")
        assert raised.value.problems == ["tasks.report.cron: is wrong"]
        with pytest.raises(UsageError, match="no task is called"):
            tasks.update("report", cron="?")
        with pytest.raises(UserError, match="report: it is configured"):
            tasks.remove("report")


def test_a_client_outlives_the_daemon_it_was_opened_for(tmp_path: Path) -> None:
    with fake_daemon(tmp_path, answers(tasks={"tasks": []})), TaskClient(tmp_path) as tasks:
        assert tasks.list() == []
    with pytest.raises(Unreachable, match="no daemon is running"):
        tasks.list()
    with fake_daemon(tmp_path, answers(tasks={"tasks": [REPORT]})):
        assert tasks.list() == [REPORT]


def test_without_a_daemon_the_block_is_not_entered(tmp_path: Path) -> None:
    with pytest.raises(Unreachable), TaskClient(tmp_path):
        pytest.fail("it was entered")


@pytest.mark.parametrize(
    "answer", [{}, {"task": 5, "tasks": [5], "results": {}}, {"task": {}, "tasks": None, "results": [None]}]
)
def test_a_garbled_answer_is_another_version(tmp_path: Path, answer: dict[str, object]) -> None:
    told = answers(task_get=answer, tasks=answer, enable=answer)
    with fake_daemon(tmp_path, told), TaskClient(tmp_path) as tasks:
        for method in (lambda: tasks.update("x"), tasks.list, lambda: tasks.enable("x")):
            with pytest.raises(Unreachable, match="another version"):
                method()
