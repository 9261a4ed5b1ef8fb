"""`aiempctl status`: what the daemon says of itself, its watchers and tasks, or what is known when there is no daemon.

Asked often and by scripts, so nothing is imported here that the plain answer does not need.
"""

from __future__ import annotations

import json
import sys
import time

from orchestrator.cli.arguments import (
    configured,
    find_vault,
    is_terminal,
    json_option,
    matching,
    names_argument,
    records,
    refuse_unknown,
    vault_options,
    watcher_names,
)
from orchestrator.control.client import Client
from orchestrator.errors import Unreachable
from orchestrator.exits import Exit
from orchestrator.readable import visible

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Iterator
    from typing import Any

    from orchestrator.cli.program import Arguments

WATCH_INTERVAL = 2.0  # seconds from one picture of `--watch` to the next


def declare(parser: Arguments) -> None:
    names_argument(parser, optional=True, what="only these watchers and tasks; shell globs work")
    json_option(parser)
    parser.add_argument("--watch", action="store_true", help="keep showing it, every 2 s, until Ctrl-C")
    vault_options(parser)


def status(args: Namespace) -> int:
    vault, names = find_vault(args), watcher_names(args)
    if args.watch:
        if args.json:
            args.usage_error("--json prints one document, --watch never ends: choose one")
        return _watch(args, vault, names)
    found, unreachable = ask(args, vault, names)
    if args.json:
        print(json.dumps(found))
    else:
        _show(found, whole=not names)
    if unreachable is not None:
        raise unreachable
    return judge(found)


def ask(args: Namespace, vault: str, names: list[str]) -> tuple[dict[str, Any], Unreachable | None]:
    """The status object of the contract. Without a daemon: what is known, and why the daemon could not be asked."""
    try:
        with Client(vault) as daemon:
            found = daemon.call("status", {"names": names} if names else {})
        _well_formed(found)
    except Unreachable as problem:
        return without_daemon(args, vault, names), problem
    return found, None


def _well_formed(found: dict[str, Any]) -> None:
    records(found, "watchers")
    records(found, "tasks")
    if not isinstance(found.get("supervisor"), dict) or not isinstance(found.get("vault"), dict):
        raise Unreachable("the daemon's answer holds no status; is it another version?")


def judge(found: dict[str, Any]) -> Exit:
    """NOT_RUNNING when something is not running that should be."""
    idle = any(each.get("wanted") and each.get("state") != "running" for each in found["watchers"])
    return Exit.NOT_RUNNING if idle else Exit.OK


def without_daemon(args: Namespace, vault: str, names: list[str]) -> dict[str, Any]:
    """The status object of a vault whose daemon does not answer: its folders' counts, and the last recorded states.

    Raises UsageError for a name that matches no watcher or task recorded or configured.
    """
    from orchestrator.places import Places  # noqa: PLC0415  this and the next two only without a daemon
    from orchestrator.store import last_known  # noqa: PLC0415
    from orchestrator.vault.folders import counts  # noqa: PLC0415

    database = Places(vault).database
    watchers, tasks = last_known.watchers(database), last_known.tasks(database)
    if names:
        known = [str(each.get("name")) for each in (*watchers, *tasks)]
        refuse_unknown(names, [*known, *configured(args, "watchers"), *configured(args, "tasks")], "watcher or task")
    supervisor: dict[str, Any] = {
        "state": "not running",
        "pid": None,
        "version": None,
        "uptime_seconds": None,
        "vault": vault,
        "dry_run": None,
        "scheduler": None,
        "problems": [],
    }
    return {
        "supervisor": supervisor,
        "watchers": matching(watchers, names),
        "tasks": matching(tasks, names),
        "agents": [],
        "mcp": [],
        "vault": counts(vault),
    }


def _show(found: dict[str, Any], *, whole: bool) -> None:
    if is_terminal(sys.stdout):
        from orchestrator.cli.status_rich import show  # noqa: PLC0415  rich takes longer than all else together

        show(found, time.time(), whole=whole)
    else:
        from orchestrator.cli.status_text import render  # noqa: PLC0415  `--json` does without

        print(render(found, time.time(), whole=whole))


def _watch(args: Namespace, vault: str, names: list[str]) -> int:
    """Show status anew until Ctrl-C, whether a daemon comes or goes: that ends it well."""
    import signal  # noqa: PLC0415  only here

    # A terminal whose cursor is hidden must get it back, whoever ends this.
    signal.signal(signal.SIGTERM, lambda number, _: sys.exit(128 + number))
    try:
        if is_terminal(sys.stdout):
            from orchestrator.cli.status_rich import live  # noqa: PLC0415  see above

            live(_pictures(args, vault, names), whole=not names)
        else:
            for found in _pictures(args, vault, names):
                _show(found, whole=not names)
                print(flush=True)
    except KeyboardInterrupt:
        pass
    return Exit.OK


def _pictures(args: Namespace, vault: str, names: list[str]) -> Iterator[dict[str, Any]]:
    while True:
        found, unreachable = ask(args, vault, names)
        if unreachable is not None:
            found["supervisor"]["problems"] = [visible(unreachable)]
        yield found
        time.sleep(WATCH_INTERVAL)


VERBS = {"status": (declare, status)}
