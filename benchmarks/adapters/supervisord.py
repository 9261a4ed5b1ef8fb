"""supervisord: startsecs = 0 is its documented way to let a start count at once, so that a restart is immediate."""

from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from benchmarks.adapters.base import LOG_BACKUPS, LOG_BYTES, Supervisor, Verb, Watcher

HEAD = """\
[unix_http_server]
file = {folder}/s.sock

[supervisord]
logfile = {folder}/supervisord.log
pidfile = {folder}/supervisord.pid
childlogdir = {folder}/logs
nodaemon = true
minfds = {descriptors}

[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface

[supervisorctl]
serverurl = unix://{folder}/s.sock
"""
WATCHER = """
[program:{name}]
command = {command}
autostart = true
autorestart = true
startsecs = 0
redirect_stderr = true
stdout_logfile = {folder}/logs/{name}.log
stdout_logfile_maxbytes = {bytes}
stdout_logfile_backups = {backups}
"""


class Supervisord(Supervisor):
    title: ClassVar[str] = "supervisord"
    tick: ClassVar[float] = 1.0

    @property
    def file(self) -> Path:
        return self.folder / "supervisord.conf"

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
        # Its default, 1024, is too few for 500 programs at 3 each. No more than needed: each child it forks closes as
        # many descriptors, one call each, before it executes the program.
        descriptors = max(1024, 4 * len(watchers))
        self.file.write_text(HEAD.format(folder=self.folder, descriptors=descriptors) + "".join(sections))

    def daemon(self) -> list[str]:
        return [str(self.programs / "supervisord"), "-n", "-c", str(self.file)]

    def command(self, verb: Verb, name: str | None = None) -> list[str]:
        names = [] if verb == "status" and name is None else [name or "all"]
        return [str(self.programs / "supervisorctl"), "-c", str(self.file), verb, *names]
