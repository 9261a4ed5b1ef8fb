"""`aiempctl completion`: scripts that complete both programs' verbs, options, watchers', tasks' and agents' names.

What can be completed is read off the verbs' own declarations, so the scripts know every option that the programs do.
"""

from __future__ import annotations

from orchestrator.cli import aiemp, aiempctl
from orchestrator.cli.arguments import configured, find_vault, records, vault_options
from orchestrator.cli.completion_scripts import bash, fish, zsh
from orchestrator.cli.program import load
from orchestrator.control.client import Client
from orchestrator.errors import UserError
from orchestrator.exits import Exit

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace
    from typing import Any

    from orchestrator.cli.completion_scripts import Grammar, Kind, Option
    from orchestrator.cli.program import Arguments, Program

_SHELLS = {"bash": bash, "fish": fish, "zsh": zsh}
_WHAT = {"_names": "watchers", "_tasks": "tasks", "_agents": "agents"}
_DEFAULT_AGENT = "claude"  # there without being configured
_QUICK = 1.0  # seconds that someone who pressed Tab waits at most


def declare(parser: Arguments) -> None:
    parser.add_argument("shell", choices=list(_SHELLS), help="the shell")
    vault_options(parser)


def completion(args: Namespace) -> int:
    print(_SHELLS[args.shell]([grammar(aiemp.PROGRAM), grammar(aiempctl.PROGRAM)]), end="")
    return Exit.OK


def grammar(program: Program) -> Grammar:
    """What may stand on this program's command line."""
    verbs = []
    for verb, (_, text) in program.verbs.items():
        if not verb.startswith("_"):
            recorder = _Recorder()
            load(program.verbs, verb)[0](recorder)
            verbs.append((verb, text, recorder.options, recorder.positions))
    return program.name, verbs


class _Recorder:
    """Stands in for argparse's parser and remembers what is declared on it."""

    def __init__(self) -> None:
        self.options: list[Option] = [(["-h", "--help"], None, "show what this verb takes")]
        self.positions: list[Kind] = []

    def add_argument(self, *name_or_flags: str, **kwargs: Any) -> None:
        if name_or_flags[0].startswith("-"):
            takes = None if kwargs.get("action") == "store_true" else _kind(kwargs)
            self.options.append((list(name_or_flags), takes, kwargs.get("help", "")))
        else:
            self.positions.append(_kind(kwargs))


def _kind(declared: dict[str, Any]) -> Kind:
    """What kind of word an argument is: a list of choices, or the kind that its metavar stands for."""
    choices = declared.get("choices")
    if choices is not None:
        return list(choices)
    if declared.get("metavar") == "SIG":
        return ["HUP", "INT", "QUIT", "KILL", "USR1", "USR2", "TERM", "CONT", "STOP", "TSTP", "WINCH"]
    metavar, repeats = declared.get("metavar"), declared.get("nargs") in {"*", "+"}
    if metavar in {"TASK", "RUN|TASK"}:
        return "tasks" if repeats else "task"
    if metavar == "NAME":
        return "names" if repeats else "anything"  # a single one is new, and only its inventor knows it
    return {"FILE": "files", "DIR": "folders", "AGENT": "agents"}.get(str(metavar), "anything")


def names(args: Namespace) -> int:
    """The names of what the verb asks for, a line each, from the daemon or else from disk; none if neither answers."""
    what = _WHAT[args.verb]
    try:
        with Client(find_vault(args), timeout=_QUICK) as daemon:
            found = [str(each.get("name")) for each in records(daemon.call("status"), what)]
    except UserError:
        found = list(configured(args, what))
        more = _added(args) if what == "tasks" else [_DEFAULT_AGENT] if what == "agents" else []
        found += [name for name in more if name not in found]
    for name in found:
        if name.isprintable() and " " not in name:
            print(name)
    return Exit.OK


def _added(args: Namespace) -> list[str]:
    """The tasks that the last daemon knew, those that were added at run time among them."""
    from orchestrator.places import Places  # noqa: PLC0415  this and the next only without a daemon
    from orchestrator.store import last_known  # noqa: PLC0415

    try:
        return [str(each.get("name")) for each in last_known.tasks(Places(find_vault(args)).database)]
    except UserError:
        return []


VERBS = {"completion": (declare, completion), **dict.fromkeys(_WHAT, (vault_options, names))}
