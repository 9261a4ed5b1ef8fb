"""morning_triage: counts what waits in Needs_Action; an agent is asked only when something does."""

from collections import Counter
from typing import Final

from orchestrator.actions.chores.context import LISTED, Context, Report, counted, listed, named
from orchestrator.actions.chores.naming import is_note
from orchestrator.actions.chores.prompts import ask
from orchestrator.actions.chores.tree import look
from orchestrator.places import FOLDERS
from orchestrator.vault.folders import counts

NAME: Final = "morning_triage"


def triage(context: Context) -> Report:
    needs_action = context.vault / FOLDERS["needs_action"]
    tree = look(needs_action)
    notes = Counter(file.parent for file in tree.files if is_note(file.name))
    if not notes:
        if tree.troubles:  # whether there is nothing to do cannot be told
            return Report("", listed(tree.troubles), "failure")
        return Report("", "nothing in Needs_Action", "skipped")
    by_folder = sorted(notes.items(), key=lambda each: (-each[1], each[0]))
    folders = [
        f"in {named(folder.relative_to(context.vault).as_posix())}: {counted(number, 'note')}"
        for folder, number in by_folder[:LISTED]
    ]
    if len(by_folder) > LISTED:
        rest = sum(number for _, number in by_folder[LISTED:])
        folders.append(f"in {counted(len(by_folder) - LISTED, 'more folder')}: {counted(rest, 'note')}")
    all_counts = counts(str(context.vault))
    facts = [
        f"waiting in Needs_Action and its sub-folders: {counted(notes.total(), 'note')}",
        *folders,
        *([f"folders there that can't be looked into: {len(tree.troubles)}"] if tree.troubles else []),
        f"in Plans: {counted(all_counts['plans'], 'note')}",
        f"waiting for a decision in Pending_Approval: {counted(all_counts['pending_approval'], 'note')}",
    ]
    return ask(context, NAME, facts, f"{counted(notes.total(), 'note')} in Needs_Action")
