"""A daemon that stops while agents and MCP servers are at work: within shutdown_timeout, and with nobody left."""

import contextlib
import json
import os
import signal
import sqlite3
import sys
import time
from pathlib import Path

from harness import PATIENT, Site, alive, command_of, status_of, until

pytestmark = PATIENT

TESTS = Path(__file__).parents[1]
FAKE = TESTS / "agents" / "fake_claude.py"
CLAUDE = f'[agents.claude]\nkind = "claude"\ncommand = ["python", "{FAKE}"]\n'
LIMIT = 4.0  # seconds: less than a stray that ignores SIGTERM is waited for
READER = "orchestrator.actions.answer_child"


def start(site: Site, plays: str, limit: float = LIMIT) -> None:
    """Start a daemon with `shutdown_timeout`, and an agent that plays this, and wait until that has begun."""
    task = f"[tasks.ask]\nprompt = {json.dumps(f'behave: {plays}')}\nretry = {{ max = 3 }}\n"
    site.start(text=f'shutdown_timeout = "{limit:g}s"\n{CLAUDE}{task}')
    site.ctl("run", "ask", "--no-wait")
    until(lambda: others(site), "the agent")


def others(site: Site) -> list[int]:
    """Give the living processes of this vault but the daemon."""
    return [pid for pid in site.ours() if site.daemon is None or pid != site.daemon.pid]


def said(site: Site) -> dict[str, int]:
    """Give what an agent that saves its surroundings has saved, once it has."""
    path = site.vault / "told"
    until(lambda: path.exists() and path.read_text().endswith("}"), "what the agent tells")
    found: dict[str, int] = json.loads(path.read_text())
    return found


def stop(site: Site) -> float:
    """Ask the daemon to stop once, and give the seconds that it took."""
    began = time.monotonic()
    assert site.stop() == 0, site.last_words()
    return time.monotonic() - began


def on_record(site: Site) -> list[str | None]:
    """Give the outcomes that were written down, the oldest run's first; the stop must be in order, too."""
    with sqlite3.connect(site.vault / ".aiemp/aiemp.db") as connection:
        assert connection.execute("SELECT stopped_at FROM daemon").fetchone()[0] is not None
        found = connection.execute("SELECT outcome FROM runs ORDER BY rowid").fetchall()
        return [outcome for (outcome,) in found]


def readers(site: Site) -> list[int]:
    """Give the processes that read for the daemon what an agent has printed."""
    assert site.daemon is not None
    found = []
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and READER in command_of(int(entry.name)):
                parent = int(status_of(int(entry.name))["PPid"])
                found += [int(entry.name)] if parent == site.daemon.pid else []
        except (OSError, KeyError):
            pass  # it has just ended
    return found


def ignores_sigterm(pid: int) -> bool:
    try:
        return bool(int(status_of(pid)["SigIgn"], 16) >> (signal.SIGTERM - 1) & 1)
    except (OSError, KeyError):  # it has just ended
        return False


def test_what_an_agent_has_left_is_not_waited_for_longer_than_the_shutdown_may_take(site: Site) -> None:
    start(site, "stray-save-hang told")
    said(site)
    assert len(others(site)) == 2
    assert stop(site) < LIMIT
    assert others(site) == []
    assert on_record(site) == ["interrupted", None], "and its successor"


def test_told_twice_to_stop_it_ends_at_once(site: Site) -> None:
    start(site, "stray-save-hang told", limit=60.0)
    agent = said(site)["pid"]
    assert site.daemon is not None
    site.daemon.terminate()
    until(lambda: not alive(agent), "the agent's end")
    assert others(site), "what it has left is given time"
    assert stop(site) < 3.0
    assert others(site) == []
    assert on_record(site)[0] == "interrupted"


def test_an_agent_that_ignores_the_signal_and_told_twice(site: Site) -> None:
    start(site, "ignores-term", limit=60.0)
    until(lambda: any(map(ignores_sigterm, others(site))), "it to ignore the signal")
    assert site.daemon is not None
    site.daemon.terminate()
    until(lambda: "stopping" in site.log(), "the stop")
    assert stop(site) < 3.0
    assert others(site) == []
    assert on_record(site)[0] == "interrupted"


def test_the_check_of_a_server_that_ends_for_nothing(site: Site) -> None:
    site.vault.mkdir()
    server = {"command": sys.executable, "args": [str(TESTS / "processes" / "mcp_servers.py"), "deaf"]}
    (site.vault / ".mcp.json").write_text(json.dumps({"mcpServers": {"deaf": server}}))
    site.start(text=f'shutdown_timeout = "{LIMIT:g}s"\n')
    until(lambda: any(map(ignores_sigterm, others(site))), "its check")
    assert stop(site) < LIMIT
    assert others(site) == []
    assert on_record(site) == []


def test_a_large_answer_whose_reading_comes_to_no_end(site: Site) -> None:
    start(site, "much-save-hang told")
    assert site.daemon is not None
    seen = set(until(lambda: readers(site), "the reader"))
    site.daemon.terminate()
    began = time.monotonic()
    while site.daemon.poll() is None:
        for reader in readers(site):
            with contextlib.suppress(ProcessLookupError):
                os.kill(reader, signal.SIGSTOP)
            seen.add(reader)
        time.sleep(0.01)
        assert time.monotonic() - began < LIMIT
    assert len(seen) > 1, "it was looked at, and then read"
    assert not any(map(alive, seen))
    assert others(site) == []
    assert on_record(site)[0] == "interrupted"


def test_a_large_answer_that_is_being_looked_at_counts(site: Site) -> None:
    start(site, "much-save-hang told", limit=30.0)
    until(lambda: readers(site), "the reader")
    assert stop(site) < 30.0
    assert others(site) == []
    assert on_record(site) == ["success"]


def test_what_was_answered_before_the_stop_is_not_asked_again(site: Site) -> None:
    start(site, "result-save-hang told", limit=30.0)
    said(site)
    assert stop(site) < 30.0
    assert others(site) == []
    assert on_record(site) == ["success"]
