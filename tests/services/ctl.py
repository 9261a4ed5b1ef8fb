"""`aiempctl` called from a test, in a folder with a configuration, at a moment that stands still."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from orchestrator.cli.aiempctl import main

NOW = 1_795_218_000.0  # 2026-11-20T23:40:00Z
CONFIGURATION = """\
[supervisor]
vault = "vault"
timezone = "Europe/Berlin"
[watchers.inbox]
[watchers."my mail"]
[tasks.triage]
[tasks."my task"]
"""

Captured = pytest.CaptureFixture[str]


@contextmanager
def command_line(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """Make `folder` the working directory, with CONFIGURATION in it, and give its vault; the machine's zone is UTC."""
    (folder / "vault").mkdir()
    (folder / "supervisor.toml").write_text(CONFIGURATION)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("AIEMP_CONFIG", raising=False)
    monkeypatch.setattr(time, "time", lambda: NOW)
    monkeypatch.setenv("TZ", "UTC")
    time.tzset()
    try:
        yield folder / "vault"
    finally:
        monkeypatch.undo()
        time.tzset()


def run(capsys: Captured, *argv: str) -> tuple[int, str, str]:
    """Exit code, stdout and stderr of `aiempctl ARGV`."""
    code = main(argv)
    output = capsys.readouterr()
    return code, output.out, output.err
