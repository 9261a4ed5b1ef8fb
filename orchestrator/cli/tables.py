"""A table for whoever reads it: aligned columns into pipes and files, colours on a terminal."""

from __future__ import annotations

import sys

from orchestrator.cli.arguments import is_terminal
from orchestrator.cli.text import columns

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from collections.abc import Sequence


def print_table(
    headings: list[str], rows: list[list[str]], *, nothing: str, narrow: Sequence[str] = (), notes: Sequence[str] = ()
) -> None:
    """Print the rows under their headings, or `nothing` when there are none.

    On a terminal too narrow for all, only the columns `narrow` are shown (none named: all the same), and the lines
    `notes` follow them.
    """
    if not rows:
        print(nothing)
    elif is_terminal(sys.stdout):
        from orchestrator.cli.tables_rich import show  # noqa: PLC0415  rich takes longer than all else together

        show(headings, rows, narrow or headings, notes)
    else:
        print("\n".join(columns([headings, *rows])))
