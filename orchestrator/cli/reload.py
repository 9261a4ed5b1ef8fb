"""`aiempctl reload`: put a changed configuration into effect, or say beforehand what that would do."""

from __future__ import annotations

import json

from orchestrator.cli.arguments import Progress, client, json_option, records, vault_options
from orchestrator.errors import ConfigInvalid
from orchestrator.exits import Exit
from orchestrator.readable import visible

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from orchestrator.cli.program import Arguments

# change: (with --plan, done)
_WORDS = {
    "added": ("would be added", "added"),
    "removed": ("would be stopped and removed", "stopped and removed"),
    "restart": ("would restart", "restarted"),
    "update": ("would change without a restart", "changed without a restart"),
}


def declare(parser: Arguments) -> None:
    parser.add_argument("--plan", action="store_true", help="only show what would change, and which PIDs would restart")
    json_option(parser)
    vault_options(parser)


def reload(args: Namespace) -> int:
    try:
        with client(args) as daemon, Progress() as progress:
            answer = daemon.call("reload", {"plan": args.plan}, progress)
    except ConfigInvalid as problem:
        notice = "" if args.plan else "aiempctl: nothing was changed; the configuration in force stays"
        raise ConfigInvalid((*problem.problems, notice) if notice else problem.problems) from None
    if args.json:
        print(json.dumps(answer))
    else:
        print("\n".join(render(answer, plan=args.plan)))
    return Exit.OK


def render(answer: dict[str, Any], *, plan: bool) -> list[str]:
    """A line for each change and, last, one about what stays."""
    changes = records(answer, "changes")
    lines = [_line(change, plan=plan) for change in changes if change.get("change") != "unchanged"]
    settings = answer.get("settings")
    words = "would change" if plan else "changed"
    lines += [f"{visible(key)}: {words}" for key in (settings if isinstance(settings, list) else [])]
    same = sum(change.get("change") == "unchanged" for change in changes)
    if not lines:
        return [f"nothing {words}"]
    return [*lines, f"{same} unchanged"] if same else lines


def _line(change: dict[str, Any], *, plan: bool) -> str:
    """`inbox: would restart, pid 12 (command, env)`; afterwards without the PID, which is another one by then."""
    kind = str(change.get("change"))
    words = _WORDS.get(kind, (kind, kind))[0 if plan else 1]
    pid = f", pid {visible(change['pid'])}" if plan and change.get("pid") and kind != "update" else ""
    keys = change.get("keys")
    listed = f" ({', '.join(map(visible, keys))})" if isinstance(keys, list) and keys else ""
    return f"{visible(change.get('name'))}: {visible(words)}{pid}{listed}"


VERBS = {"reload": (declare, reload)}
