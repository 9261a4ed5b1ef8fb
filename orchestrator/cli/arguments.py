"""Arguments that several verbs take, and the way from them to the daemon."""
# ruff: noqa: PTH100, PTH109, PTH112, PTH118  pathlib's import would cost `aiempctl status` a tenth of its time

from __future__ import annotations

import argparse
import os
import sys

from orchestrator.control.client import Client
from orchestrator.errors import Unreachable, UsageError, UserError
from orchestrator.readable import visible

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace
    from collections.abc import Callable
    from typing import Any

    from orchestrator.cli.program import Arguments


def config_option(parser: Arguments) -> None:
    parser.add_argument("-c", dest="config", metavar="FILE", help="the configuration (default: supervisor.toml, found)")


def vault_options(parser: Arguments) -> None:
    """-c FILE or --vault DIR: which vault's daemon is meant."""
    config_option(parser)
    parser.add_argument("--vault", metavar="DIR", help="the vault itself, instead of the one that FILE names")


def names_argument(parser: Arguments, *, optional: bool = False, what: str = "watchers; shell globs work") -> None:
    parser.add_argument("names", nargs="*" if optional else "+", metavar="NAME", help=what)


def json_option(parser: Arguments) -> None:
    parser.add_argument("--json", action="store_true", help="print one JSON document")


def duration(text: str) -> float:
    """Seconds in `text`: written as in supervisor.toml, or a number. For argparse's `type`."""
    from orchestrator.config import values  # noqa: PLC0415  loads more than `status` may

    try:
        plain = text.isascii() and text.replace(".", "", 1).isdigit()
        return values.duration(float(text[:20]) if plain else text)
    except values.WrongValue as problem:
        raise argparse.ArgumentTypeError(f"it {visible(problem)}") from None


def count(text: str) -> int:
    """A number of lines, events or runs, for argparse's `type`."""
    if not (text.isascii() and text.isdigit() and int(text[:8]) <= 1_000_000 and len(text) <= 7):
        raise argparse.ArgumentTypeError(f"{visible(text)!r} is no number from 0 to 1000000")
    return int(text)


def watcher_names(args: Namespace) -> list[str]:
    """The names given, without the word `watcher` that may stand before them."""
    names: list[str] = args.names
    return names[1:] if names[:1] == ["watcher"] and len(names) > 1 else names


def find_config(args: Namespace) -> str:
    """The configuration's path; ConfigInvalid when there is none."""
    from orchestrator.config.find import find  # noqa: PLC0415  not needed with --vault

    return find(args.config, os.environ, os.getcwd())


def configured(args: Namespace, table: str) -> dict[str, Any]:
    """A table of the configuration as it is written, for where no daemon can be asked; {} when it cannot be read."""
    import tomllib  # noqa: PLC0415  only without a daemon

    try:
        with open(find_config(args), "rb") as file:  # noqa: PTH123  pathlib's import costs more than most verbs
            found = tomllib.load(file).get(table)
    except (UserError, OSError, ValueError):  # ValueError: no TOML; `aiemp check` is the one to say so
        return {}
    return found if isinstance(found, dict) else {}


def matching(found: list[dict[str, Any]], patterns: list[str]) -> list[dict[str, Any]]:
    """Those of the watchers or tasks that one of the names or globs means, or all when none is given."""
    if not patterns or "all" in patterns:
        return found
    from fnmatch import fnmatchcase  # noqa: PLC0415  only without a daemon

    return [each for each in found if any(fnmatchcase(str(each.get("name")), pattern) for pattern in patterns)]


def refuse_unknown(patterns: list[str], known: list[str], what: str) -> None:
    """Raise UsageError when a name or glob means none of `known`, the way a daemon would."""
    there = list(dict.fromkeys(known))
    names: list[dict[str, Any]] = [{"name": name} for name in there]
    unknown = [pattern for pattern in patterns if pattern != "all" and not matching(names, [pattern])]
    if unknown:
        listed = f"there are {', '.join(there)}" if there else "there are none"
        raise UsageError(f"no {what} is called {', '.join(unknown)}; {listed} (no daemon is running)")


def find_vault(args: Namespace) -> str:
    """The absolute path of the vault that is meant."""
    if args.vault is not None:
        if not os.path.isdir(args.vault):
            raise Unreachable(f"there is no vault at {args.vault}")
        vault: str = os.path.abspath(args.vault)
        return vault
    # An agent or a watcher that asks means the daemon that it was started by, whatever configuration lies about here.
    ours = os.environ.get("AIEMP_VAULT", "")
    if args.config is None and ours and os.path.isdir(os.path.join(ours, ".aiemp")):
        return os.path.abspath(ours)
    from orchestrator.config.find import vault_of  # noqa: PLC0415  not needed with --vault

    return vault_of(find_config(args))


def client(args: Namespace) -> Client:
    """The daemon of the vault that is meant; connects inside its `with` block."""
    return Client(find_vault(args))


def records(answer: dict[str, Any], key: str) -> list[dict[str, Any]]:
    """The list of objects under `key` of a daemon's answer. Raises Unreachable when it is something else."""
    found = answer.get(key)
    if not isinstance(found, list) or not all(isinstance(item, dict) for item in found):
        raise Unreachable(f"the daemon's answer holds no list of {key}; is it another version?")
    return found


class Progress:
    """One line on a terminal's stderr that says what the daemon is at; gone without a trace in the end."""

    def __init__(self) -> None:
        self._shown = ""

    def __enter__(self) -> Callable[[dict[str, Any]], None]:
        return self.show

    def __exit__(self, *_: object) -> None:
        if self._shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def show(self, params: dict[str, Any]) -> None:
        if not is_terminal(sys.stderr):
            return
        width = os.get_terminal_size(sys.stderr.fileno()).columns or 80
        text = visible(params.get("text", ""))[: width - 1]
        if text != self._shown:
            self._shown = text  # before it is: Ctrl-C may come in between
            sys.stderr.write("\r\x1b[K" + text)
            sys.stderr.flush()


def is_terminal(stream: Any) -> bool:
    """Whether `stream` is a terminal that understands cursor movement."""
    return bool(stream.isatty()) and os.environ.get("TERM", "dumb") not in {"dumb", ""}


def wants_colour() -> bool:
    """False when $NO_COLOR is set to anything (https://no-color.org)."""
    return not os.environ.get("NO_COLOR")
