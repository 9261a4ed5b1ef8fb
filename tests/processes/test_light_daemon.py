"""What the daemon does without until somebody needs it: each would cost everybody memory."""

import subprocess
import sys

HEAVY = {
    "_hashlib": "OpenSSL, 4.5 MiB",
    "ssl": "OpenSSL",
    "psutil": "2 MiB, for `status`",
    "watchfiles": "1.8 MiB and a thread, for on_change",
    "yaml": "chores read notes in processes of their own",
    "cronsim": "for cron expressions",
    "tomli_w": "for added tasks",
    "rich": "for terminals",
    "random": "half a MiB",
    "multiprocessing": "nobody needs it",
}


def test_the_daemon_loads_nothing_that_most_do_not_use() -> None:
    code = "import sys, orchestrator.lean; from orchestrator import foreground; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert HEAVY.keys() & set(done.stdout.split()) == set()
