"""`aiempctl tail`: the end of a watcher's output, and with -f what comes after it, across rotations."""
# ruff: noqa: PTH208  paths are strings in orchestrator/places.py

from __future__ import annotations

import os
import sys

from orchestrator.cli.arguments import (
    configured,
    count,
    find_vault,
    is_terminal,
    matching,
    refuse_unknown,
    vault_options,
    wants_colour,
    watcher_names,
)
from orchestrator.cli.text import rest_of_log_line, settled
from orchestrator.control.client import Client
from orchestrator.errors import Unreachable, UsageError
from orchestrator.exits import Exit
from orchestrator.places import Places
from orchestrator.readable import visible

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace

    from orchestrator.cli.program import Arguments


def declare(parser: Arguments) -> None:
    parser.add_argument("names", nargs="+", metavar="NAME", help="a watcher")
    parser.add_argument("-f", "--follow", action="store_true", help="go on as the output grows, until Ctrl-C")
    parser.add_argument("-n", "--lines", type=count, default=10, metavar="LINES", help="the last LINES (default: 10)")
    vault_options(parser)


def tail(args: Namespace) -> int:
    names = watcher_names(args)
    if len(names) != 1:
        args.usage_error("tail shows one watcher at a time")
    from orchestrator.logs.follow import follow, last_lines  # noqa: PLC0415  what the completion scripts do without

    path, name = _log_of(args, names[0])
    output = _Output()
    if args.follow:
        for block in follow(path, args.lines, on_gap=_tell_of_gap):
            output.write(block)
    text = last_lines(path, args.lines)
    output.write(text)
    output.end()
    if not text and args.lines:
        print(f"aiempctl: {visible(name)} has written nothing yet", file=sys.stderr)
    return Exit.OK


def _tell_of_gap() -> None:
    print("aiempctl: the log grew too fast; lines are missing here", file=sys.stderr, flush=True)


def _log_of(args: Namespace, pattern: str) -> tuple[str, str]:
    """The watcher's log and its name: as the daemon says, or, without one, where the log lies by itself."""
    vault = find_vault(args)
    try:
        with Client(vault) as daemon:
            # The file is read here, not by the daemon: byte for byte, and however long it is.
            answer = daemon.call("tail", {"name": pattern, "lines": 0})
            return str(answer.get("path")), str(answer.get("name"))
    except Unreachable:
        places = Places(vault)
        try:
            logs = [log[:-4] for log in os.listdir(places.watcher_logs) if log.endswith(".log")]
        except FileNotFoundError:
            logs = []
        known = sorted({*logs, *configured(args, "watchers")})
        refuse_unknown([pattern], known, "watcher")
        found = [str(each["name"]) for each in matching([{"name": name} for name in known], [pattern])]
        if len(found) != 1:
            raise UsageError(f"tail shows one watcher at a time, not {', '.join(found) or 'none'}") from None
        return places.watcher_log(found[0]), found[0]


class _Output:
    """Blocks of a log on stdout: pipes and files get them as they are, a terminal nothing that steers it but colours.

    A block may end within a line, which the next one continues.
    """

    def __init__(self) -> None:
        self._terminal = sys.stdout.isatty()
        self._colour = wants_colour() and is_terminal(sys.stdout)
        self._line = b""  # the line at hand …
        self._shown = b""  # … and what of it is on the terminal

    def write(self, text: bytes) -> None:
        if not self._terminal:
            sys.stdout.flush()
            sys.stdout.buffer.write(text)
            sys.stdout.buffer.flush()
            return
        *ended, begun = text.split(b"\n")
        for line in ended:
            print(rest_of_log_line(self._line + line, self._shown, colour=self._colour))
            self._line = self._shown = b""
        self._line += begun
        more = settled(self._line)
        if more != self._shown:
            print(rest_of_log_line(more, self._shown, colour=self._colour), end="")
            self._shown = more
        sys.stdout.flush()

    def end(self) -> None:
        """Nothing more comes."""
        if self._terminal and self._line:
            self.write(b"\n")


VERBS = {"tail": (declare, tail)}
