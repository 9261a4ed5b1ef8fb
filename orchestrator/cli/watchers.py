"""`aiempctl start|stop|restart|resume|signal`: orders to watchers, and what became of each."""

from __future__ import annotations

import json
import sys

from orchestrator.cli.arguments import (
    Progress,
    client,
    duration,
    json_option,
    names_argument,
    records,
    vault_options,
    watcher_names,
)
from orchestrator.cli.text import result_line
from orchestrator.errors import UsageError
from orchestrator.exits import Exit

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from orchestrator.cli.program import Arguments


def declare_order(parser: Arguments) -> None:
    names_argument(parser, what="watchers, or all; shell globs work")
    parser.add_argument("--timeout", type=duration, metavar="DURATION", help="wait no longer than this, e.g. 30s")
    json_option(parser)
    vault_options(parser)


def order(args: Namespace) -> int:
    return _ask(args, args.verb, {"names": watcher_names(args), "timeout": args.timeout})


def declare_signal(parser: Arguments) -> None:
    parser.add_argument("signal", metavar="SIG", help="a signal's name or number: HUP, SIGUSR1, 15")
    names_argument(parser)
    json_option(parser)
    vault_options(parser)


def send_signal(args: Namespace) -> int:
    return _ask(args, "signal", {"signal": _signal_name(args.signal), "names": watcher_names(args)})


def _signal_name(text: str) -> str:
    import signal  # noqa: PLC0415  only this verb needs it

    try:
        if text.isascii() and text.isdigit():
            return signal.Signals(int(text[:4])).name.removeprefix("SIG")
        return signal.Signals["SIG" + text.upper().removeprefix("SIG")].name.removeprefix("SIG")
    except (ValueError, KeyError):
        known = ", ".join(sorted(each.name.removeprefix("SIG") for each in signal.Signals))
        raise UsageError(f"there is no signal {text!r}; there are {known}") from None


def _ask(args: Namespace, method: str, params: dict[str, Any]) -> int:
    with client(args) as daemon, Progress() as progress:
        answer = daemon.call(method, params, progress)
    results = records(answer, "results")
    if args.json:
        print(json.dumps(answer))
    for result in results:
        if not result.get("ok"):
            print(result_line(result), file=sys.stderr)
        elif not args.json:
            print(result_line(result))
    return Exit.OK if all(result.get("ok") for result in results) else Exit.FAILED


VERBS = {
    "start": (declare_order, order),
    "stop": (declare_order, order),
    "restart": (declare_order, order),
    "resume": (declare_order, order),
    "signal": (declare_signal, send_signal),
}
