"""Tasks, their runs and their statistics as cells of a table: what the tables of all verbs have in common."""

from __future__ import annotations

from orchestrator.cli.text import local_time, took
from orchestrator.readable import span, visible

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from typing import Any

TASK_HEADINGS = ["NAME", "STATE", "NEXT", "LAST", "SCHEDULE", "ACTION", "DETAILS"]
IN_STATUS = 4  # how many of them `status` shows, and `tasks` on a narrow terminal
RUN_HEADINGS = ["STARTED", "TASK", "OUTCOME", "TOOK", "COST", "TRIGGER", "ATTEMPTS", "RUN", "RESULT"]
STATISTICS_HEADINGS = ["TASK", "RUNS", "SUCCESS", "P50", "P95", "COST", "TODAY", "MONTH"]
NOTHING = "-"


def task_cells(task: dict[str, Any], now: float) -> list[str]:
    """One task's row, in the order of TASK_HEADINGS. `now`: seconds since 1970."""
    return [
        visible(task.get("name")),
        "disabled" if task.get("enabled") is False and task.get("state") == "idle" else visible(task.get("state")),
        local_time(task["next_slot"]) if task.get("next_slot") else NOTHING,
        _last_run(task.get("last_run"), now),
        visible(task.get("schedule") or NOTHING),
        visible(task.get("action") or NOTHING),
        _details(task),
    ]


def _last_run(run: Any, now: float) -> str:
    """`success 2h 5m ago`."""
    if not isinstance(run, dict):
        return NOTHING
    from datetime import datetime  # noqa: PLC0415  1.5 ms that a status without tasks need not spend

    outcome = visible(run.get("outcome") or NOTHING)
    try:
        moment = datetime.fromisoformat(str(run.get("started_at") or run.get("slot"))).timestamp()
    except (ValueError, OverflowError):
        return outcome
    return f"{outcome} {span(now - moment)} ago"


def _details(task: dict[str, Any]) -> str:
    """Why it would not run now, what a run says of its progress or what the task is for, and how many runs are left."""
    left = task.get("runs_left")
    parts = [
        visible(task.get("blocked") or ""),
        visible(task.get("status_text") or task.get("description") or ""),
        "" if left is None else f"{visible(left)} run{'' if left == 1 else 's'} left",
    ]
    return "; ".join(part for part in parts if part)


def run_cells(run: dict[str, Any]) -> list[str]:
    """One run's row, in the order of RUN_HEADINGS."""
    return [
        local_time(run.get("started_at") or run.get("slot")),
        visible(run.get("task")),
        visible(run.get("outcome") or "under way"),
        _seconds(run.get("duration_seconds")),
        dollars(run.get("cost_usd")),
        visible(run.get("trigger")),
        visible(run.get("attempts")),
        visible(run.get("run_id")),
        first_line(run.get("error") or run.get("output") or ""),
    ]


def first_line(text: object) -> str:
    """The first line that says something."""
    return next((visible(line.strip()) for line in str(text).splitlines() if line.strip()), "")


def statistics_cells(statistics: dict[str, Any]) -> list[str]:
    """One task's statistics, in the order of STATISTICS_HEADINGS."""
    rate = statistics.get("success_rate")
    return [
        visible(statistics.get("task")),
        visible(statistics.get("runs")),
        f"{rate * 100:.1f}%" if isinstance(rate, (int, float)) else NOTHING,
        _seconds(statistics.get("p50_seconds")),
        _seconds(statistics.get("p95_seconds")),
        *(dollars(statistics.get(key)) for key in ("cost_usd", "cost_today_usd", "cost_month_usd")),
    ]


def _seconds(value: object) -> str:
    return took(value) if isinstance(value, (int, float)) else NOTHING


def dollars(value: object) -> str:
    """`$0.40`, with more digits below a cent."""
    if not isinstance(value, (int, float)) or not value:
        return NOTHING
    return f"${value:.2f}" if value >= 0.01 else f"${value:.4f}"
