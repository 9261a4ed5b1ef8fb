"""`aiemp init|check|service`: everything before the first run."""

from __future__ import annotations

import os
import shlex
from pathlib import Path

from orchestrator.cli.arguments import config_option, find_config
from orchestrator.config.load import load
from orchestrator.exits import Exit
from orchestrator.readable import visible

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace

    from orchestrator.cli.program import Arguments


def declare_init(parser: Arguments) -> None:
    parser.add_argument("folder", nargs="?", default=".", metavar="DIR", help="where supervisor.toml goes (default: .)")
    parser.add_argument("--vault", metavar="DIR", help="the vault (default: DIR/vault)")


def init(args: Namespace) -> int:
    from orchestrator.vault import scaffold  # noqa: PLC0415  only for init

    made = scaffold.init(args.folder, args.vault)
    for path in made.created:
        print(f"created {visible(path)}")
    for path in made.kept:
        print(f"kept {visible(path)}, which was there")
    print(f"next: aiemp run -c {shlex.quote(str(Path(args.folder, 'supervisor.toml')))}")
    return Exit.OK


def check(args: Namespace) -> int:
    file = find_config(args)
    config = load(Path(file), environ=os.environ)
    counts = f"{_count(len(config.watchers), 'watcher')}, {_count(len(config.tasks), 'task')}"
    print(f"{visible(file)} is valid: {counts}, vault {visible(config.vault)}")
    return Exit.OK


def _count(number: int, what: str) -> str:
    return f"{number} {what}{'' if number == 1 else 's'}"


def declare_service(parser: Arguments) -> None:
    parser.add_argument(
        "kind", metavar="systemd|launchd|pm2", choices=["systemd", "launchd", "pm2"], help="what shall run the daemon"
    )
    parser.add_argument("--user", action="store_true", help="for your own service manager instead of the system's")
    config_option(parser)


def service(args: Namespace) -> int:
    from orchestrator.service import Installation, render  # noqa: PLC0415  only for service

    file = find_config(args)
    config = load(Path(file), environ=os.environ)
    here = Installation.here(config=file, vault=str(config.vault), shutdown_timeout=config.shutdown_timeout)
    print(render(args.kind, here, user=args.user).rstrip("\n"))
    return Exit.OK


VERBS = {"init": (declare_init, init), "check": (config_option, check), "service": (declare_service, service)}
