"""`aiemp doctor`: everything that could stop the employee from working, and what to do about it."""

from __future__ import annotations

import json
import os
import sys
import threading

from orchestrator.cli.arguments import Progress, config_option, find_config, is_terminal, json_option
from orchestrator.exits import Exit
from orchestrator.readable import visible

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable, Sequence
    from types import TracebackType

    from orchestrator.cli.program import Arguments
    from orchestrator.doctor.finding import Finding

PATIENCE = 1.0  # seconds before it is said on a terminal what takes so long
_STYLES = {"ok": "green", "warning": "yellow", "problem": "bold red"}


def declare(parser: Arguments) -> None:
    config_option(parser)
    json_option(parser)


def doctor(args: Namespace) -> int:
    # All that the daemon has, which the other verbs do without.
    from orchestrator.config import find  # noqa: PLC0415
    from orchestrator.doctor.examination import examine  # noqa: PLC0415
    from orchestrator.doctor.finding import stops  # noqa: PLC0415

    file = find_config(args)
    if not os.path.exists(file):  # noqa: PTH110  a string it stays
        find.read(file)  # says so, as every verb does
    with Announcement() as announce:
        found = list(examine(file, dict(os.environ), os.getcwd(), announce))  # noqa: PTH109  a string it stays
    if args.json:
        print(json.dumps([finding.as_json() for finding in found]))
    elif is_terminal(sys.stdout):
        _show_in_colours(lines(found))
    else:
        print("\n".join(f"{label}{text}" for label, text in lines(found)))
    return Exit.FAILED if stops(found) else Exit.OK


def lines(found: Sequence[Finding]) -> list[tuple[str, str]]:
    """The findings line by line: what is to be coloured, the level in its column, and what follows it."""
    shown = list[tuple[str, str]]()
    width = max((len(visible(finding.check)) for finding in found), default=0)
    for finding in found:
        shown.append((finding.level.ljust(7), f"  {visible(finding.check).ljust(width)}  {visible(finding.message)}"))
        if finding.remedy is not None:
            shown.append(("", f"{' ' * (7 + 2 + width + 2)}-> {visible(finding.remedy)}"))
    return [*shown, ("", summary(found))]


def summary(found: Sequence[Finding]) -> str:
    """`2 problems, 1 warning`."""
    counts = {level: sum(finding.level == level for finding in found) for level in ("problem", "warning")}
    if not any(counts.values()):
        return "nothing stands in the way"
    return ", ".join(f"{count} {level}{'' if count == 1 else 's'}" for level, count in counts.items() if count)


def _show_in_colours(shown: list[tuple[str, str]]) -> None:
    from rich.text import Text  # noqa: PLC0415  only for a terminal

    from orchestrator.cli.tables_rich import console  # noqa: PLC0415  only for a terminal

    terminal = console()
    for label, text in shown:
        # Not wrapped by us: what is to be typed can then be copied whole.
        terminal.print(Text.assemble((label, _STYLES.get(label.strip(), "")), text), soft_wrap=True)


class Announcement:
    """Says on a terminal which check is running, once all of it has lasted longer than a moment."""

    def __init__(self) -> None:
        self._progress = Progress()
        self._late = threading.Event()
        self._timer = threading.Timer(PATIENCE, self._begin)
        self._timer.daemon = True
        self._latest = ""

    def __enter__(self) -> Callable[[str], None]:
        self._timer.start()
        return self.announce

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._timer.cancel()
        self._timer.join()
        self._progress.__exit__(kind, error, trace)

    def announce(self, what: str) -> None:
        self._latest = what
        if self._late.is_set():
            self._show()

    def _begin(self) -> None:
        self._late.set()
        self._show()

    def _show(self) -> None:
        self._progress.show({"text": f"looking at {self._latest} …"})


VERBS = {"doctor": (declare, doctor)}
