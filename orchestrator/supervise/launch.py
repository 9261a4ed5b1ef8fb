"""From a watcher's configuration to a program that can be started, or the sentence that says why it can't be."""

import os
import zlib
from pathlib import Path
from typing import Final

from orchestrator import files
from orchestrator.config.model import Launch, WatcherConfig
from orchestrator.processes import programs
from orchestrator.processes.children import Program
from orchestrator.processes.programs import Surroundings, Unlaunchable

ENV_FILE_MAX: Final = 1024 * 1024  # bytes


def program(watcher: WatcherConfig, around: Surroundings, notify_socket: str) -> Program:
    """Make the final argv, directory and environment of `watcher`. Raises Unlaunchable."""
    environ = _environ(watcher, around, notify_socket)
    missing = [name for name in watcher.required_env if not environ.get(name)]
    if missing:
        raise Unlaunchable(f"required_env: {', '.join(missing)} not set; set it in `env`, `env_file` or for the daemon")
    directory = str(watcher.launch.directory)
    if not os.path.isdir(directory):  # noqa: PTH112  hot path
        raise Unlaunchable(f"directory {directory} does not exist or is no folder; correct `directory`")
    executable, argv = programs.find(watcher.launch.command, around.config_folder, directory, environ)
    return Program(executable, argv, directory, environ)


def fingerprint(launch: Launch) -> str:
    """A short text that differs when anything differs that a running process was started with, its env_file too.

    A checksum, for what a person changed by hand, not a digest against attackers: hashlib would load all of OpenSSL.
    """
    content = b""
    if launch.env_file is not None:
        try:
            content = _read_env_file(launch.env_file)
        except OSError:
            content = b"\0missing"
    whole = repr(launch).encode() + content
    return f"{zlib.crc32(whole):08x}-{len(whole)}"


def _environ(watcher: WatcherConfig, around: Surroundings, notify_socket: str) -> dict[str, str]:
    environ = programs.inherited(around)
    if watcher.launch.env_file is not None:
        try:
            text = _read_env_file(watcher.launch.env_file).decode()
        except (OSError, UnicodeDecodeError) as error:
            why = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
            raise Unlaunchable(f"env_file {watcher.launch.env_file}: {why}") from error
        environ |= parse_env_file(text)
    environ |= dict(watcher.launch.env)
    environ |= programs.told(around, notify_socket)
    environ["AIEMP_WATCHER"] = watcher.name
    if watcher.policy.watchdog > 0:
        environ["WATCHDOG_USEC"] = str(round(watcher.policy.watchdog * 1_000_000))
    return environ


def _read_env_file(path: Path) -> bytes:
    """Raises OSError: for a FIFO too, which would keep the whole daemon waiting for its writer."""
    # Not path.resolve(): up to Python 3.12 it raises RuntimeError for symlinks that lead in a circle.
    content, _ = files.read(os.path.realpath(path), limit=ENV_FILE_MAX)
    return content


def parse_env_file(text: str) -> dict[str, str]:
    """`KEY=value` lines, `#` comments, matching quotes removed; nothing is expanded.

    `export ` before a key is allowed, as in the files that people source from a shell. Raises Unlaunchable, without
    quoting the line: it may hold a secret.
    """
    found = {}
    # Not splitlines(): it also cuts at form feeds, U+2028 and others, which may stand in a value.
    for number, raw in enumerate(text.removeprefix("\ufeff").split("\n"), start=1):
        line = raw.strip()
        if not line or line.startswith("#"):
            continue
        key, equals, value = line.removeprefix("export ").partition("=")
        key, value = key.strip(), value.strip()
        if not equals or not key or any(letter.isspace() for letter in key) or "\0" in line:
            raise Unlaunchable(f"env_file, line {number}: not of the form KEY=value")
        if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
            value = value[1:-1]
        found[key] = value
    return found
