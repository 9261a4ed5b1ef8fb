"""Tasks that are told of changed files, in a real vault."""

import subprocess
import sys
from itertools import count
from pathlib import Path

import anyio
from spawning import PATIENCE, until

from orchestrator.clock import SystemClock
from orchestrator.config.model import Command, TaskConfig
from orchestrator.schedule.changes import Changes

UNTOUCHED = """
import sys, threading
import anyio
from orchestrator.clock import SystemClock
from orchestrator.config.model import Command, TaskConfig
from orchestrator.schedule.changes import Changes

async def main():
    changes = Changes("/nowhere", SystemClock(), print, print)
    changes.watch([TaskConfig("a", Command(("x",))), TaskConfig("b", Command(("x",)), on_change=("*",), enabled=False)])
    with anyio.move_on_after(0.1):
        await changes.serve()

anyio.run(main)
print("watchfiles" in sys.modules, threading.active_count())
"""


def task(name: str, *patterns: str) -> TaskConfig:
    return TaskConfig(name, Command(("x",)), on_change=patterns, debounce=0.1)


async def test_from_a_file_to_a_task(tmp_path: Path) -> None:
    """From the start, after a reload, and after the vault was not there."""
    vault, told = tmp_path / "vault", list[str]()
    changes = Changes(str(vault), SystemClock(), lambda name, _: told.append(name), lambda _: None)
    changes.watch([task("inbox", "Inbox/**/*.md")])

    def put(file: Path) -> None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.touch()

    async def hears(name: str, folder: Path) -> None:
        """Make files until one is heard of: how soon changes are heard after the start is not said."""
        told.clear()
        with anyio.fail_after(PATIENCE):
            for number in count():
                put(folder / f"{number}.md")
                with anyio.move_on_after(1):
                    await until(lambda: name in told)
                    return

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(changes.serve)
        await hears("inbox", vault / "Inbox")
        changes.watch([task("done", "Done/*")])
        await hears("done", vault / "Done")
        changes.watch([])
        changes.watch([task("inbox", "Inbox/**/*.md"), task("done", "Done/*")])
        await hears("inbox", vault / "Inbox" / "deep")
        await hears("done", vault / "Done")
        tasks.cancel_scope.cancel()


def test_without_a_task_that_asks_for_it_nothing_is_loaded_and_no_thread_begun() -> None:
    done = subprocess.run(
        [sys.executable, "-c", UNTOUCHED], capture_output=True, text=True, timeout=PATIENCE, check=True
    )
    assert done.stdout == "False 1\n"
