"""Status on a terminal: a table in colours, once or live. The only module that imports rich."""

import time
from collections.abc import Iterator
from typing import Any

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestrator.cli.arguments import wants_colour
from orchestrator.cli.status_text import HEADINGS, cells, problems, supervisor_line, vault_line

_STYLES = {
    "running": "green",
    "starting": "cyan",
    "stopping": "cyan",
    "backoff": "yellow",
    "paused": "bold red",
    "fatal": "bold red",
    "not running": "bold red",
    "error": "bold red",
}
_NUMBERS = {"PID", "RESTARTS", "CPU", "MEMORY"}
_WIDE = 110  # columns from which on reasons stand in the table; on narrower terminals they follow it, a line each


def picture(found: dict[str, Any], now: float, *, whole: bool, width: int) -> Group:
    """The status object for a terminal of `width` columns; every text in it is taken literally."""
    supervisor = found["supervisor"]
    parts: list[Text | Table] = []
    if whole:
        parts.append(Text(supervisor_line(supervisor), style=_STYLES.get(str(supervisor.get("state")), "")))
    parts += _watchers(found["watchers"], now, wide=width >= _WIDE)
    if whole:
        parts.append(Text(vault_line(found["vault"])))
        parts += [Text(f"problem: {line}", style="yellow") for line in problems(supervisor)]
    return Group(*parts)


def _watchers(watchers: list[dict[str, Any]], now: float, *, wide: bool) -> list[Text | Table]:
    if not watchers:
        return [Text("no watchers", style="dim")]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in HEADINGS if wide else HEADINGS[:-1]:
        table.add_column(
            heading,
            justify="right" if heading in _NUMBERS else "left",
            overflow="fold",
            no_wrap=heading not in {"NAME", "REASON"},
        )
    notes: list[Text | Table] = []
    for watcher in watchers:
        style = _STYLES.get(str(watcher.get("state")), "dim")
        row = [Text(cell) for cell in cells(watcher, now)]
        row[1].stylize(style)
        if not wide and (reason := row.pop()):
            notes.append(Text.assemble(row[0], ": ", reason, style="" if style == "green" else style))
        table.add_row(*row)
    return [table, *notes]


def show(found: dict[str, Any], now: float, *, whole: bool) -> None:
    console = _console()
    console.print(picture(found, now, whole=whole, width=console.width))


def live(pictures: Iterator[dict[str, Any]], *, whole: bool) -> None:
    """Show each picture in place of the one before; the last one stays on the terminal."""
    console = _console()
    with Live(console=console, auto_refresh=False, vertical_overflow="crop") as display:
        for found in pictures:
            display.update(picture(found, time.time(), whole=whole, width=console.width), refresh=True)


def _console() -> Console:
    return Console(no_color=not wants_colour(), highlight=False)
