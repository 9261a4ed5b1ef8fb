"""linkedin_post: asks an agent for a draft, unless one was made today or enough of them wait for a decision."""

from collections.abc import Iterator
from datetime import date, datetime
from pathlib import Path
from typing import Final

from orchestrator.actions.chores.context import Context, Report, listed, named
from orchestrator.actions.chores.done_archive import ARCHIVE
from orchestrator.actions.chores.naming import is_note
from orchestrator.actions.chores.notes import created, head, said
from orchestrator.actions.chores.prompts import ask
from orchestrator.actions.chores.tree import look
from orchestrator.places import FOLDERS

NAME: Final = "linkedin_post"
ENOUGH: Final = 2  # that wait for a decision

_WORD: Final = "linkedin"
_DECIDED: Final = ("approved", "rejected", "done")


def draft(context: Context) -> Report:
    troubles: list[str] = []
    waiting = list(_posts(context.vault / FOLDERS["pending_approval"], troubles))
    others = [post for key in _DECIDED for post in _posts(context.vault / FOLDERS[key], troubles)]
    if troubles:  # what can't be seen might be today's
        return Report("", listed(troubles), "failure")
    today = context.now.astimezone(context.zone).date()
    for path, note in waiting + others:
        if _day(path, note, context) == today:
            where = named(path.relative_to(context.vault).as_posix())
            return Report("", f"a post for LinkedIn was drafted today already: {where}", "skipped")
    if len(waiting) >= ENOUGH:
        return Report(
            "", f"{len(waiting)} posts for LinkedIn wait in Pending_Approval; decide on them first", "skipped"
        )
    facts = [
        f"posts for LinkedIn that wait in Pending_Approval: {len(waiting)}",
        f"posts for LinkedIn in Approved, Rejected and Done: {len(others)}",
    ]
    return ask(context, NAME, facts, f"no post for LinkedIn was drafted today; {len(waiting)} in Pending_Approval")


def is_post(name: str, note: bytes) -> bool:
    """Whether a note is one of ours, by its name or by what it says of itself; `note` may be its beginning only."""
    if _WORD in name.lower():
        return True
    if _WORD.encode() not in note.lower():
        return False
    for key, value in (("action", NAME), ("type", NAME), ("platform", _WORD)):
        if (said(note, key) or "").lower() == value:
            return True
    return False


def _posts(folder: Path, troubles: list[str]) -> Iterator[tuple[Path, bytes]]:
    """Those in `folder` and below, each with its beginning; what was archived is not of today."""
    tree = look(folder, without={ARCHIVE} if folder.name == FOLDERS["done"] else ())
    troubles += tree.troubles
    for file in tree.files:
        if is_note(file.name) and is_post(file.name, note := head(file)):
            yield file, note


def _day(path: Path, note: bytes, context: Context) -> date | None:
    """The local day on which it was drafted; None when it is gone meanwhile."""
    try:
        state = path.lstat()
    except FileNotFoundError:
        return None
    return _local(created(note, state, context.zone, context.now), context)


def _local(moment: datetime, context: Context) -> date | None:
    try:
        return moment.astimezone(context.zone).date()
    except OverflowError:  # the last night of the year 9999
        return None
