"""PURE. The page with a week's numbers: Markdown that people read in Obsidian and an agent writes its briefing from."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime
from typing import Final

from orchestrator.actions.chores.context import named

TYPE: Final = "weekly_data"
ROWS: Final = 100  # of one table
TROUBLE_MAX: Final = 500  # characters
_TASK_HEADERS: Final = ("Task", "Runs", "Succeeded", "Failed", "Cancelled", "Skipped", "Missed", "Cost (USD)")


@dataclass(slots=True)
class TaskWeek:
    """One task's runs that ended in the week, and how; `failed`: for whatever reason. US dollars."""

    task: str
    succeeded: int = 0
    failed: int = 0
    cancelled: int = 0
    skipped: int = 0
    missed: int = 0
    cost_usd: float = 0.0

    @property
    def runs(self) -> int:
        """Those that were begun."""
        return self.succeeded + self.failed + self.cancelled


@dataclass(slots=True)
class History:
    """`trouble`: why there are no numbers, where there are none."""

    tasks: list[TaskWeek] = field(default_factory=list)
    restarts: list[tuple[str, int]] = field(default_factory=list)
    trouble: str | None = None


@dataclass(slots=True)
class FolderWeek:
    """What lies in a folder, and how much of that was created in the week and, where it matters, came there in it."""

    name: str
    now: int = 0
    created: int = 0
    arrived: int | None = None


@dataclass(frozen=True, slots=True)
class Week:
    """Local days, the last of which is not over; `until` is local."""

    first: date
    until: datetime
    zone: str
    history: History
    folders: Sequence[FolderWeek]
    acts: Mapping[tuple[str, str], int]  # (what, result), fit to be shown
    stale: Sequence[tuple[str, str]]
    troubles: Sequence[str] = field(default_factory=tuple)

    @property
    def total(self) -> TaskWeek:
        total = TaskWeek("all")
        for each in self.history.tasks:
            for key in ("succeeded", "failed", "cancelled", "skipped", "missed", "cost_usd"):
                setattr(total, key, getattr(total, key) + getattr(each, key))
        return total

    @property
    def created(self) -> int:
        return sum(each.created for each in self.folders)

    def arrived(self, folder: str) -> int:
        return next(each.arrived or 0 for each in self.folders if each.name == folder)


def render(week: Week) -> str:
    today = week.until.date()
    parts = [
        "---",
        f'type: "{TYPE}"',
        f'from: "{week.first.isoformat()}"',
        f'to: "{today.isoformat()}"',
        f'timezone: "{week.zone}"',
        f'created: "{week.until.isoformat(timespec="seconds")}"',
        "---",
        "",
        f"# Numbers of the week {week.first.isoformat()} to {today.isoformat()}",
        "",
        f"Counted by aiemp at {week.until:%H:%M} ({week.zone}). A second count on this day writes the page anew.",
        "",
        *_section("Tasks", _TASK_HEADERS, _task_rows(week), week.history.trouble or "No task ran this week."),
        *_section(
            "Watchers started again",
            ("Watcher", "Restarts"),
            [(named(name), str(number)) for name, number in week.history.restarts],
            week.history.trouble or "None.",
        ),
        *_section("Notes", ("Folder", "Now", "Created this week", "Came there this week"), _folder_rows(week), ""),
        *_section(
            "Audit log",
            ("Act", "Result", "Times"),
            [(what, result, str(number)) for (what, result), number in sorted(week.acts.items())],
            "No act this week.",
        ),
        *_section("Stale approvals", ("Note", "Why"), [(named(path), why) for path, why in week.stale], "None."),
    ]
    if week.troubles:
        parts += ["## Not counted", "", *(f"- {named(trouble, TROUBLE_MAX)}" for trouble in week.troubles[:ROWS]), ""]
    return "\n".join(parts)


def _task_rows(week: Week) -> list[tuple[str, ...]]:
    tasks = sorted(week.history.tasks, key=lambda each: (-each.failed, -each.cost_usd, -each.runs, each.task))
    rows = [_task_row(named(each.task), each) for each in tasks]
    return [_task_row("**all**", week.total), *rows] if len(rows) > 1 else rows


def _task_row(name: str, of: TaskWeek) -> tuple[str, ...]:
    counts = (of.runs, of.succeeded, of.failed, of.cancelled, of.skipped, of.missed)
    return (name, *map(str, counts), f"{of.cost_usd:.2f}")


def _folder_rows(week: Week) -> list[tuple[str, ...]]:
    return [
        (each.name, str(each.now), str(each.created), "–" if each.arrived is None else str(each.arrived))
        for each in week.folders
    ]


def _section(title: str, headers: Sequence[str], rows: Sequence[Sequence[str]], otherwise: str) -> Iterable[str]:
    """A heading with a table, of which the first ROWS rows are shown, or with the sentence that there is nothing."""
    yield from (f"## {title}", "")
    if rows:
        yield _line(headers)
        yield _line(["---"] * len(headers))
        yield from (_line(row) for row in rows[:ROWS])
        if len(rows) > ROWS:
            yield from ("", f"… and {len(rows) - ROWS} more.")
    else:
        yield otherwise
    yield ""


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in cells)} |"
