"""Status on a terminal: a table in colours, once or live."""

import time
from collections.abc import Iterator
from typing import Any

from rich.console import Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from orchestrator.cli.status_text import HEADINGS, cells, others, problems, supervisor_line, tasks, vault_line
from orchestrator.cli.tables_rich import WIDE, console, table

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


def picture(found: dict[str, Any], now: float, *, whole: bool, width: int) -> Group:
    """The status object for a terminal of `width` columns; every text in it is taken literally."""
    supervisor = found["supervisor"]
    parts: list[Text | Table] = []
    if whole:
        parts.append(Text(supervisor_line(supervisor), style=_STYLES.get(str(supervisor.get("state")), "")))
    if found["watchers"] or whole or not found["tasks"]:
        parts += _watchers(found["watchers"], now, wide=width >= WIDE)
    if found["tasks"]:
        headings, *rows = tasks(found["tasks"], now)
        parts.append(table(headings, rows))
    if whole:
        parts += [table(headings, rows) for headings, *rows in others(found)]
        parts.append(Text(vault_line(found["vault"])))
        parts += [Text(f"problem: {line}", style="yellow") for line in problems(supervisor)]
    return Group(*parts)


def _watchers(watchers: list[dict[str, Any]], now: float, *, wide: bool) -> list[Text | Table]:
    """Their table; without `wide` the reasons do not stand in it but follow it, a line each."""
    if not watchers:
        return [Text("no watchers", style="dim")]
    built = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold")
    for heading in HEADINGS if wide else HEADINGS[:-1]:
        built.add_column(
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
        built.add_row(*row)
    return [built, *notes]


def show(found: dict[str, Any], now: float, *, whole: bool) -> None:
    terminal = console()
    terminal.print(picture(found, now, whole=whole, width=terminal.width))


def live(pictures: Iterator[dict[str, Any]], *, whole: bool) -> None:
    """Show each picture in place of the one before; the last one stays on the terminal."""
    terminal = console()
    with Live(console=terminal, auto_refresh=False, vertical_overflow="crop") as display:
        for found in pictures:
            display.update(picture(found, time.time(), whole=whole, width=terminal.width), refresh=True)
