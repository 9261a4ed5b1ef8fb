"""stale_approval_check: names what waits too long in Pending_Approval, and never touches it.

A stale note is flagged by one line a day in the audit log: a note in the vault about it would be one more thing that
waits for someone, and a change of the request itself could be taken for a decision.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Final

from orchestrator.actions.chores.context import Context, Report, counted, listed
from orchestrator.actions.chores.tree import look
from orchestrator.places import FOLDERS
from orchestrator.readable import span, visible
from orchestrator.vault import audit, frontmatter

ACT: Final = "stale_approval"
HOURS: Final = 24.0


@dataclass(frozen=True, slots=True)
class Finding:
    """Why someone should look at a note: it is stale, or whether it is cannot be told."""

    why: str
    stale: bool


def judge(fields: Mapping[str, Any] | None, now: datetime, zone: tzinfo, limit: timedelta) -> Finding | None:
    """What is to be said about a request with these fields; None when it may wait on."""
    if fields is None:
        return Finding("it has no frontmatter", stale=False)
    expires, created = (fields.get(key) for key in ("expires", "created"))
    until = frontmatter.moment(expires, zone, whole_day=True)
    since = frontmatter.moment(created, zone)
    unclear = [
        *(["its `expires` is no ISO date"] if until is None and expires is not None else []),
        *(["it has no `created`"] if created is None else []),
        *(["its `created` is no ISO date"] if since is None and created is not None else []),
        *(["its `created` lies in the future"] if since is not None and since - now > limit else []),
    ]
    if until is not None and until <= now:
        return Finding("; ".join([f"expired on {_local(until, zone)}", *unclear]), stale=True)
    if since is not None and now - since > limit:
        waiting = f"waits since {_local(since, zone)}, {span((now - since).total_seconds())}"
        return Finding("; ".join([waiting, *unclear]), stale=True)
    return Finding("; ".join(unclear), stale=False) if unclear else None


def check(context: Context) -> Report:
    limit = context.span("HITL_EXPIRY_HOURS", timedelta(hours=1), HOURS)
    folder = context.vault / FOLDERS["pending_approval"]
    tree = look(folder)
    found = [
        (file.relative_to(context.vault).as_posix(), finding)
        for file in tree.files
        if file.suffix.lower() == ".md" and (finding := look_at(file, context, limit)) is not None
    ]
    stale = [(path, finding) for path, finding in found if finding.stale]
    if not context.dry_run:
        _flag(context, stale)
    unclear = [(path, finding) for path, finding in found if not finding.stale]
    output = f"Found {len(stale)} stale approvals" + _names(stale)
    if unclear:
        output += f". {counted(len(unclear), 'note needs', 'notes need')} a look" + _names(unclear)
    return Report(output, listed(tree.troubles) or None, "failure" if tree.troubles else "success")


def look_at(file: Path, context: Context, limit: timedelta) -> Finding | None:
    """As judge, of the request that lies there."""
    try:
        return judge(frontmatter.read(file), context.now, context.zone, limit)
    except FileNotFoundError:  # decided meanwhile
        return None
    except frontmatter.Unreadable as error:
        return Finding(str(error), stale=False)
    except OSError as error:
        return Finding(f"it can't be read: {error.strerror}", stale=False)


def _flag(context: Context, stale: Sequence[tuple[str, Finding]]) -> None:
    """Write the audit lines that this day does not have yet."""
    today = [
        act.get("target") for act in audit.acts_of_day(context.vault, context.now) if act.get("action_type") == ACT
    ]
    flagged = {target for target in today if isinstance(target, str)}
    acts = [
        audit.Act(
            action_type=ACT,
            actor=context.task,
            target=visible(path),
            parameters={"reason": finding.why, "run_id": context.run_id},
            approval_status="pending",
            approved_by=None,
            result="flagged",
        )
        for path, finding in stale
        if visible(path) not in flagged
    ]
    audit.record(context.vault, context.now, acts)


def _names(found: Sequence[tuple[str, Finding]]) -> str:
    return f": {listed([f'{path} ({finding.why})' for path, finding in found])}" if found else ""


def _local(moment: datetime, zone: tzinfo) -> str:
    return f"{moment.astimezone(zone):%Y-%m-%d %H:%M}"
