"""`aiemp run`: the daemon, in the foreground."""

from __future__ import annotations

from orchestrator.cli.arguments import config_option, find_config

TYPE_CHECKING = False  # see program.py
if TYPE_CHECKING:
    from argparse import Namespace

    from orchestrator.cli.program import Arguments


def declare(parser: Arguments) -> None:
    config_option(parser)
    parser.add_argument("--vault", metavar="DIR", help="serve this vault instead of the one that FILE names")
    parser.add_argument("--dry-run", action="store_true", help="change nothing outside the vault")
    parser.add_argument("--no-watchers", action="store_true", help="start no watchers")
    parser.add_argument("--once", action="store_true", help="one cycle, its summary as JSON, then stop")


def run(args: Namespace) -> int:
    # The whole daemon, which the completion scripts do without; `lean` has to come before whatever imports asyncio.
    import orchestrator.lean  # noqa: F401, PLC0415
    from orchestrator import foreground  # noqa: PLC0415

    return foreground.run(
        find_config(args),
        vault=args.vault,
        dry_run=True if args.dry_run else None,
        watchers=not args.no_watchers,
        once=args.once,
    )


VERBS = {"run": (declare, run)}
