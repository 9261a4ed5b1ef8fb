"""What the vault says of a week: notes that came and were done with, acts in the audit log, requests that wait."""

from collections import Counter
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, Final

from orchestrator.actions.chores import stale_approvals
from orchestrator.actions.chores.context import Context, named
from orchestrator.actions.chores.done_archive import ARCHIVE
from orchestrator.actions.chores.naming import is_note
from orchestrator.actions.chores.notes import FINISHED, created, head, instant, said
from orchestrator.actions.chores.tree import look
from orchestrator.actions.chores.weekly_page import FolderWeek
from orchestrator.places import FOLDERS
from orchestrator.vault import audit, frontmatter

_ENDS: Final = frozenset({"approved", "rejected", "done"})  # where it counts when a note has come there


def folders(context: Context, since: datetime, troubles: list[str]) -> list[FolderWeek]:
    """As they are now; in the Inbox every file counts, elsewhere notes do."""
    weeks = []
    for key, name in FOLDERS.items():
        week = FolderWeek(name, arrived=0 if key in _ENDS else None)
        tree = look(context.vault / name)
        troubles += tree.troubles
        for file in tree.files:
            if key == "inbox" or is_note(file.name):
                _add(week, file, context, since)
        weeks.append(week)
    return weeks


def acts(context: Context, since: datetime, troubles: list[str]) -> Counter[tuple[str, str]]:
    """How often what was done, with which result: (action_type, result). The log's days are UTC's."""
    found: Counter[tuple[str, str]] = Counter()
    day = since.astimezone(UTC).date()
    while day <= context.now.date():
        midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
        try:
            for act in audit.acts_of_day(context.vault, midnight):
                at = frontmatter.moment(act.get("timestamp"), UTC)
                if at is not None and since <= at <= context.now:
                    found[_word(act, "action_type"), _word(act, "result")] += 1
        except OSError as error:
            troubles.append(f"the audit log of {day} can't be read: {error.strerror}")
        day += timedelta(days=1)
    return found


def stale(context: Context) -> list[tuple[str, str]]:
    """The requests that wait too long, by path, and since when. Raises UserError for a limit that is none."""
    limit = context.span("HITL_EXPIRY_HOURS", timedelta(hours=1), stale_approvals.HOURS)
    return [
        (file.relative_to(context.vault).as_posix(), finding.why)
        for file in look(context.vault / FOLDERS["pending_approval"]).files
        if is_note(file.name) and (finding := stale_approvals.look_at(file, context, limit)) and finding.stale
    ]


def _add(week: FolderWeek, file: Path, context: Context, since: datetime) -> None:
    try:
        state = file.lstat()
    except FileNotFoundError:  # moved meanwhile
        return
    note = head(file) if is_note(file.name) else b""
    week.now += 1
    week.created += since <= created(note, state, context.zone, datetime.min.replace(tzinfo=UTC)) <= context.now
    if week.arrived is None:
        return
    finished = (frontmatter.moment(said(note, key), context.zone) for key in FINISHED)
    # A rename changes the time of the file's state alone; but what lies in the archive was moved there by us.
    archived = ARCHIVE in (part.lower() for part in file.relative_to(context.vault).parts)
    last = state.st_mtime if archived else max(state.st_mtime, state.st_ctime)
    came = next(filter(None, finished), None) or instant(last, context.now)
    week.arrived += since <= came <= context.now


def _word(act: Mapping[str, Any], key: str) -> str:
    value = act.get(key)
    return named(value) if isinstance(value, str) else "–"
