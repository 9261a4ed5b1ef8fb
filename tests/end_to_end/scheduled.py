"""What the end-to-end tests of scheduled work share: tasks, runs and history as the programs tell of them."""

import json
import sqlite3
from datetime import datetime
from pathlib import Path
from typing import Any

from harness import Site

NOTE = '["sh", "-c", "echo $AIEMP_RUN >> ran; echo fine"]'


def history(site: Site, *words: str) -> list[dict[str, Any]]:
    answer = site.ctl("history", "--json", "--limit", "1000", *words)
    assert answer.returncode == 0, answer.stderr
    found: list[dict[str, Any]] = json.loads(answer.stdout)
    return found


def outcomes(site: Site, task: str) -> list[tuple[str, str | None]]:
    """Give the task's runs as (trigger, outcome), oldest first."""
    return [(run["trigger"], run["outcome"]) for run in reversed(history(site, task))]


def task(site: Site, name: str) -> dict[str, Any]:
    found: list[dict[str, Any]] = json.loads(site.ctl("tasks", "--json", name).stdout)
    return found[0]


def run(site: Site, name: str, *options: str) -> tuple[dict[str, Any], int]:
    answer = site.ctl("run", name, *options)
    return json.loads(answer.stdout), answer.returncode


def rows(site: Site, name: str) -> list[Any]:
    with sqlite3.connect(site.vault / ".aiemp/aiemp.db") as connection:
        return connection.execute("SELECT * FROM runs WHERE task = ?", (name,)).fetchall()


def seconds(moment: str) -> float:
    return datetime.fromisoformat(moment).timestamp()


def read(path: Path) -> str:
    return path.read_text().strip() if path.exists() else ""
