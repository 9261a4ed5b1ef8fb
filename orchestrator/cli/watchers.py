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
from orchestrator.errors import UsageError
from orchestrator.exits import Exit
from orchestrator.readable import visible

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
    else:
        for result in results:
            print(_line(result), file=sys.stdout if result.get("ok") else sys.stderr)
    return Exit.OK if all(result.get("ok") for result in results) else Exit.FAILED


def _line(result: dict[str, Any]) -> str:
    """`inbox: running (pid 12): message`, as far as there is something to say."""
    name, state, pid, message = (visible(result.get(key) or "") for key in ("name", "state", "pid", "message"))
    known = f"{state} (pid {pid})" if pid else state
    return ": ".join(part for part in (name, known, message) if part)


VERBS = {
    "start": (declare_order, order),
    "stop": (declare_order, order),
    "restart": (declare_order, order),
    "resume": (declare_order, order),
    "signal": (declare_signal, send_signal),
}
