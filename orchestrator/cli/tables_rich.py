"""Tables on a terminal: colours for states and outcomes, what is too long cut or folded."""

from collections.abc import Sequence

from rich.console import Console
from rich.table import Table
from rich.text import Text

from orchestrator.cli.arguments import wants_colour

WIDE = 110  # columns of a terminal from which on tables show all that they have
_STYLES = {
    "running": "cyan",
    "queued": "cyan",
    "retrying": "yellow",
    "disabled": "dim",
    "idle": "",
    "success": "green",
    "failure": "bold red",
    "timeout": "bold red",
    "cancelled": "yellow",
    "interrupted": "yellow",
    "missed": "yellow",
    "skipped": "dim",
    "under": "cyan",
    "ready": "green",
    "held": "yellow",
    "spent": "yellow",
    "missing": "bold red",
    "ok": "green",
    "failed": "bold red",
    "login": "yellow",
}
_STYLED = {"STATE", "LAST", "OUTCOME"}
_NUMBERS = {
    *("TOOK", "ATTEMPTS", "RUNS", "SUCCESS", "P50", "P95", "COST"),
    *("TODAY", "MONTH", "BUDGET", "TOOLS", "LATENCY"),
}
_FOLDED = {"NAME", "TASK", "AGENT", "MCP SERVER"}
_CUT = {"SCHEDULE", "ACTION", "DETAILS", "RESULT"}


def table(headings: Sequence[str], rows: list[list[str]]) -> Table:
    """The rows under their headings; every text is taken literally. Rows may be longer: what has no heading is cut."""
    last = headings[-1]
    built = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", expand=last in _CUT)
    for heading in headings:
        cut = heading in _CUT
        built.add_column(
            heading,
            justify="right" if heading in _NUMBERS else "left",
            overflow="ellipsis" if cut else "fold",
            no_wrap=heading not in _FOLDED,
            ratio=1 if cut and heading == last else None,  # all that the others leave
            width=20 if cut and heading == last else None,  # or this much, where they leave less
            max_width=24 if cut and heading != last else None,
        )
    for row in rows:
        built.add_row(*(_cell(heading, text) for heading, text in zip(headings, row, strict=False)))
    return built


def _cell(heading: str, text: str) -> Text:
    return Text(text, style=_STYLES.get(text.partition(" ")[0], "") if heading in _STYLED else "")


def console() -> Console:
    return Console(no_color=not wants_colour(), highlight=False)


def show(headings: list[str], rows: list[list[str]], narrow: Sequence[str], notes: Sequence[str]) -> None:
    """Print the table; see tables.print_table."""
    terminal = console()
    if terminal.width >= WIDE:
        terminal.print(table(headings, rows))
        return
    places = [headings.index(heading) for heading in narrow]
    terminal.print(table(narrow, [[row[place] for place in places] for row in rows]))
    for note in notes:
        terminal.print(Text(note))
