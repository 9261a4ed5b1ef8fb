"""The results as one table, for a terminal or as Markdown."""

import math
from collections.abc import Sequence

from benchmarks.goals import AIEMP, judge
from benchmarks.results import Results
from benchmarks.scenarios import Row

TITLES = {"bare": "bare loop"}


def number(value: float | None) -> str:
    """Three significant digits at least, thousands with a comma."""
    if value is None:
        return "–"
    if value == math.inf:
        return "gave up"
    if value == 0 or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def grid(results: Results, rows: Sequence[Row], programs: Sequence[str]) -> list[list[str]]:
    """Heading and one line a row: a column for each program, then aiemp's ratio to each other one."""
    peers = [program for program in programs if program != AIEMP] if AIEMP in programs else []
    lines = [["", *(TITLES.get(each, each) for each in programs), *(f"aiemp / {TITLES.get(p, p)}" for p in peers)]]
    for row in rows:
        title = ", ".join(filter(None, (row.title, row.unit + (" (more is better)" if row.more_is_better else ""))))
        cells = [number(results.number(program, row)) for program in programs]
        ratios = [number(results.ratio(row, AIEMP, peer)) for peer in peers]
        if any(cell != "–" for cell in cells):
            lines.append([title, *cells, *(ratio if ratio == "–" else f"{ratio} ×" for ratio in ratios)])
    return lines


def plain(lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(line[column]) for line in lines) for column in range(len(lines[0]))]
    text = []
    for line in lines:
        numbers = (cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))
        text.append("  ".join([line[0].ljust(widths[0]), *numbers]).rstrip())
    text.insert(1, "─" * (sum(widths) + 2 * (len(widths) - 1)))
    return "\n".join(text)


def markdown(lines: Sequence[Sequence[str]]) -> str:
    head, *body = ("| " + " | ".join(line) + " |" for line in lines)
    rule = "|---|" + "---:|" * (len(lines[0]) - 1)
    return "\n".join([head, rule, *body])


def report(results: Results, rows: list[Row], programs: Sequence[str], machine: str, *, as_markdown: bool) -> str:
    lines = grid(results, rows, programs)
    table = markdown(lines) if as_markdown else plain(lines)
    bullet = "- " if as_markdown else "  "
    parts = [machine, table]
    if verdicts := judge(results, rows):
        met = sum(verdict for verdict, _ in verdicts)
        missed = [bullet + text for verdict, text in verdicts if not verdict]
        heading = f"Goals: {met} of {len(verdicts)} met" + ("; missed:" if missed else ".")
        # Markdown needs an empty line before a list.
        parts.append(("\n\n" if as_markdown and missed else "\n").join([heading, "\n".join(missed)]).rstrip())
    if results.failures:
        heading = "Not measured:" + ("\n" if as_markdown else "")
        parts.append("\n".join([heading, *(bullet + failure for failure in results.failures)]))
    return "\n\n".join(parts) + "\n"
