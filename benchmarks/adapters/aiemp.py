"""aiemp: no backoff, and a crash loop's limit that no benchmark reaches."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.adapters.base import LOG_BACKUPS, LOG_BYTES, Supervisor, Verb, Watcher

HEAD = f"""\
[supervisor]
vault = "vault"
shutdown_timeout = "60s"

[supervisor.logs]
max_bytes = {LOG_BYTES}
backups = {LOG_BACKUPS}

[supervisor.crash_loop]
max_restarts = 1000000
window = "1s"
"""
WATCHER = """
[watchers.{name}]
command = {command}
restart = "always"
start_seconds = "0s"
backoff = {{ initial = 0 }}
"""


class Aiemp(Supervisor):
    title: ClassVar[str] = "aiemp"

    @property
    def file(self) -> Path:
        return self.folder / "supervisor.toml"

    @property
    def logs(self) -> Path:
        return self.folder / "vault" / "Logs" / "watchers"

    def configure(self, watchers: Sequence[Watcher]) -> None:
        (self.folder / "vault").mkdir(exist_ok=True)
        sections = [WATCHER.format(name=each.name, command=json.dumps(each.command)) for each in watchers]
        self.file.write_text(HEAD + "".join(sections))

    def daemon(self) -> list[str]:
        return [str(self.programs / "aiemp"), "run", "-c", str(self.file)]

    def command(self, verb: Verb, name: str | None = None) -> list[str]:
        names = [] if verb == "status" and name is None else [name or "all"]
        return [str(self.programs / "aiempctl"), "-c", str(self.file), verb, *names]
