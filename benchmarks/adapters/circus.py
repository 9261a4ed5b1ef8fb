"""circus, with its default check_delay of 5 s. Only stdout is captured: its FileStream can't hold both in one file."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.adapters.base import LOG_BACKUPS, LOG_BYTES, Supervisor, Verb, Watcher

HEAD = """\
[circus]
endpoint = ipc://{folder}/e.sock
pubsub_endpoint = ipc://{folder}/p.sock
statsd = false
httpd = false
"""
WATCHER = """
[watcher:{name}]
cmd = {command}
numprocesses = 1
respawn = true
max_retry = -1
stdout_stream.class = FileStream
stdout_stream.filename = {folder}/logs/{name}.log
stdout_stream.max_bytes = {bytes}
stdout_stream.backup_count = {backups}
"""


class Circus(Supervisor):
    title: ClassVar[str] = "circus"
    tick: ClassVar[float] = 5.0
    up_codes: ClassVar[frozenset[int]] = frozenset({0})

    @property
    def file(self) -> Path:
        return self.folder / "circus.ini"

    @property
    def logs(self) -> Path:
        return self.folder / "logs"

    def configure(self, watchers: Sequence[Watcher]) -> None:
        self.logs.mkdir(exist_ok=True)
        sections = [
            WATCHER.format(
                name=each.name, command=" ".join(each.command), folder=self.folder, bytes=LOG_BYTES, backups=LOG_BACKUPS
            )
            for each in watchers
        ]
        self.file.write_text(HEAD.format(folder=self.folder) + "".join(sections))

    def daemon(self) -> list[str]:
        return [str(self.programs / "circusd"), str(self.file)]

    def command(self, verb: Verb, name: str | None = None) -> list[str]:
        names = [] if name is None else [name]
        # The other two command lines wait until it is done; circusctl does so when asked, and gives up after 5 s.
        waiting = [] if verb == "status" else ["--waiting"]
        endpoint = f"ipc://{self.folder}/e.sock"
        return [str(self.programs / "circusctl"), "--timeout", "60", "--endpoint", endpoint, verb, *names, *waiting]
