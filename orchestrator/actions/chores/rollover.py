"""daily_rollover: old audit files, and old entries of the Dashboard's activity log, go to Logs/archive."""

import os
import stat
from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from pathlib import Path
from typing import Final

from orchestrator import files
from orchestrator.actions.chores import moves
from orchestrator.actions.chores.context import Context, Report, counted, report
from orchestrator.actions.chores.tree import look
from orchestrator.vault.activity import Entry, part
from orchestrator.vault.appending import append
from orchestrator.vault.dashboard import LeftAlone

AUDIT_DAYS: Final = 90.0
ACTIVITY_DAYS: Final = 7.0
_TRIES: Final = 5  # in a row, while another program writes the Dashboard between our reading and our replacing it


def roll(context: Context) -> Report:
    audit_days = context.span("AUDIT_KEEP_DAYS", timedelta(days=1), AUDIT_DAYS)
    activity_days = context.span("ACTIVITY_KEEP_DAYS", timedelta(days=1), ACTIVITY_DAYS)
    troubles: list[str] = []
    moved = _audit(context, audit_days, troubles)
    entries = _activity(context, activity_days, troubles)
    parts = [
        *([counted(moved, "audit file")] if moved else []),
        *([counted(entries, "activity entry", "activity entries")] if entries else []),
    ]
    verb = "would archive" if context.dry_run else "archived"
    return report(f"{verb} {' and '.join(parts)}" if parts else "nothing is old enough to be archived", troubles)


def day_of(name: str) -> date | None:
    """The day of an audit file, which is all of its name; None for anything else."""
    stem, dot, extension = name.partition(".")
    try:
        day = date.fromisoformat(stem) if dot and extension == "jsonl" else None
    except ValueError:
        return None
    return day if day is not None and day.isoformat() == stem else None


def _audit(context: Context, keep: timedelta, troubles: list[str]) -> int:
    """Move audit files of days more than `keep` ago, UTC as they are; says how many."""
    logs = context.vault / "Logs"
    mover = moves.Moves(context.vault, context.state / "daily_rollover.json")
    resumed = moves.Moved() if context.dry_run else mover.resume()
    today = context.now.date()
    tree = look(logs / "audit")
    planned = []
    for file in tree.files:
        day = day_of(file.name)
        if file.parent == logs / "audit" and day is not None and today - day > keep:
            target = logs / "archive" / "audit" / day.isoformat()[:7] / file.name
            planned.append(moves.found(context.vault, file, target))
    troubles += tree.troubles
    if context.dry_run:
        return len(planned)
    moved = mover.carry_out(planned)
    troubles += resumed.troubles + moved.troubles
    return len(resumed.done) + len(moved.done)


def _activity(context: Context, keep: timedelta, troubles: list[str]) -> int:
    """Move entries of days more than `keep` ago from the Dashboard to the archive; says how many."""
    archived: Counter[Entry] = Counter()
    before = context.now.astimezone(context.zone).date() - keep
    try:
        for _ in range(_TRIES):
            try:
                return _try(context, before, archived)
            except files.Changed:
                continue
    except LeftAlone as error:
        troubles.append(f"Dashboard.md was left alone: {error.reason}; {error.remedy}")
        return 0
    troubles.append("Dashboard.md is being written by another program; its old entries stay until the next time")
    return 0


def _try(context: Context, before: date, archived: Counter[Entry]) -> int:
    """Archive first, then remove: a kill in between doubles entries in the archive, and loses none."""
    path = _dashboard(context.vault)
    try:
        old, state = files.read(path)
    except FileNotFoundError:
        return 0
    except OSError as error:
        raise LeftAlone(f"it can't be read ({error.strerror})", "see to its owner and rights") from None
    parted = part(old, before)
    if not parted.old or context.dry_run:
        return len(parted.old)
    # Renaming needs no right to write the file itself; a person who took it away means it, from root too.
    if not stat.S_IMODE(state.st_mode) & 0o222 or not os.access(path, os.W_OK):
        raise LeftAlone("it is read-only", "make it writable (chmod u+w)")
    _archive(context.vault, parted.old, archived)
    files.replace(path, parted.rest, expect=old)
    return len(parted.old)


def _dashboard(vault: Path) -> Path:
    """The file that Dashboard.md is or, as a symlink, leads to; it need not exist."""
    path = vault / "Dashboard.md"
    if not path.is_symlink():
        return path
    target = Path(os.path.realpath(path))
    if not target.is_relative_to(os.path.realpath(vault)):
        raise LeftAlone(f"it is a symlink that leads out of the vault, to {target}", "put a file in its place")
    return target


def _archive(vault: Path, entries: Sequence[Entry], archived: Counter[Entry]) -> None:
    """Add to the archive's months what an earlier try, counted in `archived`, has not added yet."""
    missing = Counter(entries) - archived
    months: defaultdict[str, list[bytes]] = defaultdict(list)
    for entry in entries:
        if missing[entry]:
            missing[entry] -= 1
            archived[entry] += 1
            months[entry.day.isoformat()[:7]].append(entry.line + b"\n")
    for month, lines in months.items():
        append(vault / "Logs" / "archive" / "activity" / f"{month}.md", b"".join(lines), within=vault)
