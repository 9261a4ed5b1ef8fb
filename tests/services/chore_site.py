"""Help for the tests of chores: a vault, and what a chore is told about it at a moment of the test's choosing."""

import os
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

from orchestrator.actions.chores.context import Context

NOW = datetime(2026, 11, 20, 23, 30, tzinfo=UTC)  # in Berlin it is half past midnight of the 21st
BERLIN = ZoneInfo("Europe/Berlin")


def context(
    vault: Path, *, now: datetime = NOW, dry_run: bool = False, environ: Mapping[str, str] | None = None
) -> Context:
    state = vault / ".aiemp"
    if not dry_run:
        state.mkdir(mode=0o700, exist_ok=True)
    return Context(vault, state, BERLIN, now, dry_run, "mine", "0123456789ab", environ or {})


def put(path: Path, content: bytes | str = b"x") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def note(**fields: str) -> str:
    return "---\n" + "".join(f"{key}: {value}\n" for key, value in fields.items()) + "---\n\ntext\n"


def moved(path: Path) -> datetime:
    """When a file came to its place, by its own times, which no program can set."""
    return datetime.fromtimestamp(path.stat().st_ctime, UTC)


def after(path: Path, days: float) -> datetime:
    return moved(path) + timedelta(days=days)


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file and folder below, hidden ones too."""
    found: dict[str, bytes | None] = {}
    for path in folder.rglob("*"):
        name = os.fsencode(path.relative_to(folder)).decode(errors="backslashreplace")
        found[name] = path.read_bytes() if path.is_file() and not path.is_symlink() else None
    return found
