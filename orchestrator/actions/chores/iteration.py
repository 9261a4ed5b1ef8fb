"""iteration: one cycle of "pick up the Inbox, then plan", by the watchers' own programs with --once.

Each is a child in this chore's process group. They tell about single files on stderr, which goes on to ours.
"""

import subprocess
import sys
from importlib.util import find_spec

from orchestrator.actions.chores.context import Context, Report, counted, report
from orchestrator.vault.folders import counts

BUSY = 75  # what a watcher answers when another one of its name serves the vault
_INBOX, _PLANNER = "watchers.filesystem", "watchers.planner"


def iterate(context: Context) -> Report:
    before = counts(str(context.vault))
    troubles: list[str] = []
    inbox = _once(_INBOX, context, troubles)
    picked_up = counts(str(context.vault))
    notes = picked_up["needs_action"] - before["needs_action"]
    would = "would pick up" if context.dry_run else "picked up"
    parts = {
        0: f"{would} the Inbox ({counted(before['inbox'], 'file')} before, {picked_up['inbox']} after, "
        f"{counted(max(notes, 0), 'new note')})",
        BUSY: "left the Inbox to its watcher, which is running",
    }
    done = [parts.get(inbox, "the Inbox could not be picked up")]
    if find_spec(_PLANNER) is None:
        done.append("planned nothing: there is no planner here")
    else:
        planner = _once(_PLANNER, context, troubles)
        plans = counts(str(context.vault))["plans"] - before["plans"]
        planned = {
            0: "would plan" if context.dry_run else f"planned ({counted(max(plans, 0), 'new plan')})",
            BUSY: "left the planning to its watcher, which is running",
        }
        done.append(planned.get(planner, "planning failed"))
    return report("; ".join(done), troubles)


def _once(module: str, context: Context, troubles: list[str]) -> int:
    """Run a watcher's one cycle and return its exit code, having added to `troubles` what it says when it fails."""
    command = [sys.executable, "-P", "-m", module, "--vault", str(context.vault), "--once"]
    command += ["--dry-run"] if context.dry_run else []
    ended = subprocess.run(command, stdin=subprocess.DEVNULL, stdout=2, stderr=subprocess.PIPE, check=False)
    sys.stderr.buffer.write(ended.stderr)
    sys.stderr.flush()
    if ended.returncode not in {0, BUSY}:
        last = ended.stderr.decode("utf-8", "replace").strip().rpartition("\n")[2]
        troubles.append(last or f"{module} ended with {ended.returncode}")
    return ended.returncode
