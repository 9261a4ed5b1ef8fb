"""What a chore is told, and what it answers."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Final, Literal
from zoneinfo import ZoneInfo

from orchestrator.errors import UserError
from orchestrator.readable import visible

LISTED: Final = 20  # names in one text; history keeps it, and people read it
NAME_MAX: Final = 80  # characters of one name in a text


@dataclass(frozen=True, slots=True)
class Context:
    """`now` is aware UTC; `zone` is where the wall clock of the vault's people hangs."""

    vault: Path
    state: Path
    zone: ZoneInfo
    now: datetime
    dry_run: bool
    task: str
    run_id: str
    environ: Mapping[str, str]

    def span(self, variable: str, unit: timedelta, default: float) -> timedelta:
        """So many units as the environment's `variable` says. Raises UserError for what is no number above 0."""
        said = self.environ.get(variable)
        try:
            found = float(said) * unit if said else default * unit
        except (ValueError, OverflowError):
            found = timedelta(0)
        if found <= timedelta(0):
            raise UserError(f"the environment's {variable} is {said!r}; a number above 0 is needed, like {default:g}")
        return found


@dataclass(frozen=True, slots=True)
class Report:
    """What came of it, for people; `error` is set when not everything could be done.

    `prompt`: what an agent is to be told now; the run is its answer then.
    """

    output: str
    error: str | None = None
    outcome: Literal["success", "failure", "skipped"] = "success"
    prompt: str | None = None


def report(done: str, troubles: Sequence[str]) -> Report:
    """Success, or failure because of `troubles`."""
    if not troubles:
        return Report(done)
    return Report(done, listed(troubles), "failure")


def listed(parts: Sequence[str]) -> str:
    """`a; b; c`, the first LISTED of them."""
    more = len(parts) - LISTED
    return "; ".join(parts[:LISTED]) + (f"; and {more} more" if more > 0 else "")


def counted(number: int, one: str, many: str | None = None) -> str:
    return f"{number} {one if number == 1 else many or one + 's'}"


def named(name: str, limit: int = NAME_MAX) -> str:
    """Give a name that anybody may have chosen as it may stand among facts: short, on one line, between backticks."""
    text = "".join(c if c.isprintable() else "_" for c in visible(name).replace("`", "'"))
    return f"`{text[: limit - 1]}…`" if len(text) > limit else f"`{text}`"
