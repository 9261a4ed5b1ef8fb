"""weekly_audit_prep: the week's numbers into Briefings/YYYY-MM-DD_weekly_data.md, for an agent's briefing."""

from datetime import UTC, datetime, time, timedelta
from pathlib import Path
from typing import Final

from orchestrator import files
from orchestrator.actions.chores import week_history, week_vault
from orchestrator.actions.chores.context import Context, Report, counted
from orchestrator.actions.chores.notes import head, said
from orchestrator.actions.chores.prompts import ask, text_of
from orchestrator.actions.chores.weekly_page import TYPE, Week, render
from orchestrator.errors import UserError
from orchestrator.places import BRIEFINGS, FOLDERS

NAME: Final = "weekly_audit_prep"
DATABASE: Final = "aiemp.db"
DAYS: Final = 7  # local ones, the one that is not over included


def prepare(context: Context) -> Report:
    text_of(context.vault, NAME)  # nothing is written for an agent that cannot be told of it
    week = count(context)
    today = week.until.date().isoformat()
    data, briefing = f"{BRIEFINGS}/{today}_weekly_data.md", f"{BRIEFINGS}/{today}_weekly_briefing.md"
    total = week.total
    summary = (
        f"{counted(total.runs, 'run')}, {total.failed} failed, {total.cost_usd:.2f} USD, "
        f"{counted(week.created, 'note')} created, {week.arrived(FOLDERS['done'])} done"
    )
    if context.dry_run:
        return Report(f"would write {data} ({summary})", "dry run: no numbers were written, no agent asked", "skipped")
    write(context, context.vault / data, render(week).encode())
    facts = [
        f"the week: {week.first.isoformat()} to {today}",
        f"its numbers: `{data}`",
        f"the briefing goes to: `{briefing}`",
        f"runs of tasks: {total.runs}, of which {total.failed} failed; cost: {total.cost_usd:.2f} USD",
        f"notes created: {week.created}; done: {week.arrived(FOLDERS['done'])}",
        f"approved: {week.arrived(FOLDERS['approved'])}; rejected: {week.arrived(FOLDERS['rejected'])}",
        f"requests that wait too long: {len(week.stale)}",
    ]
    return ask(context, NAME, facts, f"wrote {data} ({summary})")


def count(context: Context) -> Week:
    """The numbers of the local days up to now. Raises UserError for a setting that is none."""
    local = context.now.astimezone(context.zone)
    first = local.date() - timedelta(days=DAYS - 1)
    since = datetime.combine(first, time(), context.zone).astimezone(UTC)
    troubles: list[str] = []
    return Week(
        first=first,
        until=local,
        zone=context.zone.key,
        history=week_history.of_week(context.state / DATABASE, since, context.now),
        folders=week_vault.folders(context, since, troubles),
        acts=week_vault.acts(context, since, troubles),
        stale=week_vault.stale(context),
        troubles=troubles,
    )


def write(context: Context, path: Path, page: bytes) -> None:
    """Make it the page of this day; the day's earlier one goes, anybody else's stays. Raises UserError, OSError."""
    files.check_inside(path.parent, context.vault)
    files.make_folder(str(path.parent), within=str(context.vault))
    if path.exists() and said(head(path), "type") != TYPE:
        raise UserError(f"{BRIEFINGS}/{path.name} is not a page of this task; rename it, for its name is needed")
    files.remove_leftovers(path)
    files.replace(path, page)
    files.sync_folder(context.vault)
