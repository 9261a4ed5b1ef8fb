"""done_archive: what has been in Done for more than a week moves to Done/archive/YYYY-MM, a note with its file."""

import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final

from orchestrator.actions.chores import moves
from orchestrator.actions.chores.context import Context, Report, counted, listed, report
from orchestrator.actions.chores.naming import is_note, renamed, together
from orchestrator.actions.chores.notes import FINISHED, instant
from orchestrator.actions.chores.tree import look
from orchestrator.places import FOLDERS
from orchestrator.vault import frontmatter

ARCHIVE: Final = "archive"
DAYS: Final = 7.0


@dataclass(frozen=True, slots=True)
class Lying:
    """A file in Done, and since when it lies there by its own times; `finished` and `about` are its frontmatter's."""

    path: Path
    since: datetime
    finished: datetime | None = None
    about: str = ""


def date_of(group: Sequence[Lying]) -> datetime:
    """When files that belong together were done with: what their notes say, else when the last of them came."""
    said = [one.finished for one in group if one.finished is not None]
    return max(said) if said else max(one.since for one in group)


def groups(lying: Iterable[Lying]) -> Iterator[list[Lying]]:
    """The files that belong together, folder by folder."""
    folders: dict[Path, dict[str, Lying]] = defaultdict(dict)
    for one in lying:
        folders[one.path.parent][one.path.name] = one
    for inside in folders.values():
        for names in together(inside, _mentioned(inside)):
            yield [inside[name] for name in names]


def archive(context: Context) -> Report:
    keep = context.span("DONE_KEEP_DAYS", timedelta(days=1), DAYS)
    done = context.vault / FOLDERS["done"]
    mover = moves.Moves(context.vault, context.state / "done_archive.json")
    if context.dry_run:
        left, troubles = _planned(context, done, keep)
        names = [
            f"{one.source} to {one.target}" for one in {one.source: one for one in [*left, *mover.left()]}.values()
        ]
        return report(f"would move {listed(names)}" if names else _nothing(keep), troubles)
    resumed = mover.resume()
    planned, troubles = _planned(context, done, keep)
    moved = mover.carry_out(planned)
    all_done = [*resumed.done, *moved.done]
    months = Counter(Path(move.target).parts[2] for move in all_done)
    where = ", ".join(f"{month}: {number}" for month, number in sorted(months.items()))
    if all_done:
        text = f"moved {counted(len(all_done), 'file')} to Done/archive ({where})"
    else:
        text = "moved nothing" if planned else _nothing(keep)
    return report(text, [*resumed.troubles, *troubles, *moved.troubles])


def _planned(context: Context, done: Path, keep: timedelta) -> tuple[list[moves.Move], list[str]]:
    tree = look(done, without={ARCHIVE})
    planned: list[moves.Move] = []
    taken: set[Path] = set()
    for group in groups(one for file in tree.files if (one := _lying(file, context)) is not None):
        date = date_of(group)
        if context.now - date <= keep:
            continue
        local = date.astimezone(context.zone)
        folder = done / ARCHIVE / f"{local.year:04}-{local.month:02}" / group[0].path.parent.relative_to(done)
        targets = _free(folder, [one.path.name for one in group], taken)
        taken.update(targets.values())
        for one in group:
            try:
                planned.append(moves.found(context.vault, one.path, targets[one.path.name]))
            except FileNotFoundError:
                continue
    return planned, tree.troubles


def _lying(file: Path, context: Context) -> Lying | None:
    """None when it is gone meanwhile. A note whose frontmatter can't be read goes by its file's times."""
    try:
        state = file.lstat()
    except FileNotFoundError:
        return None
    try:
        fields = frontmatter.read(file) if is_note(file.name) else None
    except (OSError, frontmatter.Unreadable):
        fields = None
    since = instant(max(state.st_mtime, state.st_ctime), context.now)  # a rename changes the latter alone
    if fields is None:
        return Lying(file, since)
    said = (frontmatter.moment(fields.get(key), context.zone) for key in FINISHED)
    about = fields.get("file")
    return Lying(file, since, next(filter(None, said), None), about if isinstance(about, str) else "")


def _mentioned(inside: Mapping[str, Lying]) -> dict[str, str]:
    r"""Which note is about which file beside it. A note has a byte that is no UTF-8 as `\xNN`, four characters."""
    by_text = {name.encode("utf-8", "surrogateescape").decode("utf-8", "backslashreplace"): name for name in inside}
    return {name: by_text[one.about] for name, one in inside.items() if one.about in by_text}


def _free(folder: Path, group: Sequence[str], taken: set[Path]) -> dict[str, Path]:
    """The first names for a group of which none is taken in `folder` nor going to be."""
    limit = moves.longest_name(folder)
    number = 1
    while True:
        targets = {name: folder / new for name, new in renamed(group, number, limit).items()}
        if not any(target in taken or os.path.lexists(target) for target in targets.values()):
            return targets
        number += 1


def _nothing(keep: timedelta) -> str:
    return f"nothing has been in Done for more than {keep / timedelta(days=1):g} days"
