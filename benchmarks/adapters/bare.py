"""The bare Popen loop of benchmarks/bare.py: told by signals what to do, and asked nothing."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.adapters.base import Supervisor, Verb, Watcher

SCRIPT = Path(__file__).resolve().parent.parent / "bare.py"
SIGNALS = {"start": signal.SIGUSR1, "stop": signal.SIGUSR2}


class Bare(Supervisor):
    title: ClassVar[str] = "bare loop"

    @property
    def logs(self) -> Path:
        return self.folder

    def configure(self, watchers: Sequence[Watcher]) -> None:
        (self.folder / "commands.json").write_text(json.dumps([each.command for each in watchers]))

    def start(self) -> subprocess.Popen[bytes]:
        self._process = super().start()
        return self._process

    def daemon(self) -> list[str]:
        return [sys.executable, "-I", str(SCRIPT), str(self.folder / "commands.json")]

    def command(self, verb: Verb, name: str | None = None) -> list[str]:
        if verb != "status":
            raise NotImplementedError(f"a bare loop has no command line for {verb} {name}")
        # What any command line in Python that parses options and talks JSON over a socket can't do without.
        return [sys.executable, "-c", "import argparse, json, socket"]

    def answers(self) -> bool:
        return self._process.poll() is None

    def order(self, verb: Verb, name: str | None = None) -> subprocess.Popen[bytes]:
        if verb == "status":
            return super().order(verb)
        if name is not None:
            raise NotImplementedError("a bare loop starts and stops only all of its commands")
        os.kill(self._process.pid, SIGNALS[verb])
        return subprocess.Popen(["true"])  # stands for the command line, which is not part of what is measured here
