"""`aiempctl tail`: the end of a watcher's output, and with -f what comes after it, across rotations."""
# ruff: noqa: PTH208  paths are strings in orchestrator/places.py

from __future__ import annotations

import os
import sys

from orchestrator.cli.arguments import (
    configured_names,
    find_vault,
    is_terminal,
    lines,
    vault_options,
    wants_colour,
    watcher_names,
)
from orchestrator.cli.text import log_line
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
    parser.add_argument("-n", "--lines", type=lines, default=10, metavar="LINES", help="the last LINES (default: 10)")
    vault_options(parser)


def tail(args: Namespace) -> int:
    names = watcher_names(args)
    if len(names) != 1:
        args.usage_error("tail shows one watcher at a time")
    from orchestrator.logs.follow import follow, last_lines  # noqa: PLC0415  what the completion scripts do without

    path, name = _log_of(args, names[0])
    if args.follow:
        for block in follow(path, args.lines, on_gap=_tell_of_gap):
            _write(block)
    text = last_lines(path, args.lines)
    _write(text)
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
        known = sorted({*logs, *configured_names(args)})
        if pattern in known:
            return places.watcher_log(pattern), pattern
        listed = f"there are {', '.join(known)}" if known else "there are none"
        raise UsageError(f"no watcher is called {pattern!r}; {listed}") from None


def _write(text: bytes) -> None:
    """As they are into pipes and files; a terminal gets nothing that could steer it but colours."""
    if sys.stdout.isatty():
        colour = wants_colour() and is_terminal(sys.stdout)
        for line in text.removesuffix(b"\n").split(b"\n") if text else ():
            print(log_line(line, colour=colour))
        sys.stdout.flush()
    else:
        sys.stdout.flush()
        sys.stdout.buffer.write(text)
        sys.stdout.buffer.flush()


VERBS = {"tail": (declare, tail)}
