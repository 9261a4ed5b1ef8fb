"""One chore as a program: what it is told comes from the environment, what came of it is the last line on stdout."""

import contextlib
import fcntl
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Final
from zoneinfo import ZoneInfo

from orchestrator.actions.chores import (
    done_archive,
    iteration,
    linkedin_post,
    morning_triage,
    rollover,
    stale_approvals,
    weekly_audit_prep,
)
from orchestrator.actions.chores.context import Context, Report
from orchestrator.clock import SystemClock
from orchestrator.config import zones
from orchestrator.errors import UserError
from orchestrator.exits import Exit
from orchestrator.places import private_folder
from orchestrator.readable import visible

CHORES: Final[Mapping[str, Callable[[Context], Report]]] = {
    "stale_approval_check": stale_approvals.check,
    "daily_rollover": rollover.roll,
    "done_archive": done_archive.archive,
    "iteration": iteration.iterate,
    "morning_triage": morning_triage.triage,
    "linkedin_post": linkedin_post.draft,
    "weekly_audit_prep": weekly_audit_prep.prepare,
}


def main(argv: list[str], environ: Mapping[str, str]) -> int:
    if len(argv) != 1 or argv[0] not in CHORES or not environ.get("AIEMP_VAULT"):
        print(
            f"usage: AIEMP_VAULT=DIR python -P -m orchestrator.actions.chores {'|'.join(sorted(CHORES))}",
            file=sys.stderr,
        )
        return Exit.USAGE
    try:
        done = _do(argv[0], _context(argv[0], environ))
    except UserError as error:
        done = Report("", str(error), "failure")
    except OSError as error:  # a full disk, missing rights: the next run goes on from there
        done = Report("", f"{error.filename or environ['AIEMP_VAULT']}: {error.strerror or error}", "failure")
    error_text = None if done.error is None else visible(done.error)
    said = {"outcome": done.outcome, "output": visible(done.output), "error": error_text}
    print(json.dumps(said if done.prompt is None else {**said, "prompt": done.prompt}))
    return Exit.OK


def _context(name: str, environ: Mapping[str, str]) -> Context:
    vault = Path(environ["AIEMP_VAULT"]).absolute()
    if not vault.is_dir():
        raise UserError(f"no vault at {vault}; create it with `aiemp init`")
    zone = environ.get("AIEMP_TIMEZONE") or zones.machine(environ)
    if not zones.exists(zone):
        raise UserError(f"the environment's AIEMP_TIMEZONE is {zone!r}; an IANA name is needed, like Europe/Berlin")
    return Context(
        vault=vault,
        state=Path(environ.get("AIEMP_STATE_DIR") or vault / ".aiemp"),
        zone=ZoneInfo(zone),
        now=SystemClock().now(),
        # Whatever is neither yes nor no means yes: doing nothing can be made up for.
        dry_run=environ.get("DRY_RUN", "").lower() not in {"", "false", "0"},
        task=environ.get("AIEMP_TASK") or name,
        run_id=environ.get("AIEMP_RUN", ""),
        environ=environ,
    )


def _do(name: str, context: Context) -> Report:
    if context.dry_run:
        return CHORES[name](context)
    private_folder(str(context.state))
    with _alone(context.state / f"{name}.lock") as alone:
        if not alone:
            return Report("", "another run of this chore is under way; it does what there is to do", "skipped")
        return CHORES[name](context)


@contextlib.contextmanager
def _alone(lock: Path) -> Iterator[bool]:
    """Whether this is the only run; the kernel lets go of the lock when the process ends, however it ends."""
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC | os.O_NOFOLLOW, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield False
    else:
        yield True
    finally:
        os.close(fd)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:], os.environ))
