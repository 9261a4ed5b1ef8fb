"""PURE. What a systemd unit file says of the daemon that it starts (systemd.service(5), systemd.exec(5))."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import pairwise
from typing import Final

# What systemd gives a service where nothing is configured (systemd.exec(5), "Environment variables").
DEFAULT_PATH: Final = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

_PROGRAMS: Final = ("aiemp", "orchestrator.cli.aiemp")
_PREFIXES: Final = "@-:+!|"  # of a program in ExecStart=


@dataclass(frozen=True, slots=True)
class Unit:
    """One service. `own` is one of the user's service manager; `config` is None where the command names none."""

    name: str
    own: bool
    file: str
    config: str | None
    environment: tuple[tuple[str, str], ...] = ()
    environment_files: tuple[str, ...] = ()  # a leading "-": it may be missing
    user: str | None = None
    directory: str | None = None

    @property
    def systemctl(self) -> str:
        """How a person calls systemctl for it."""
        return "systemctl --user" if self.own else "sudo systemctl"


def parse(name: str, file: str, text: str, *, own: bool, specifiers: Mapping[str, str]) -> Unit | None:
    """The unit in `text`, its drop-ins appended; None when it starts no `aiemp run`.

    `specifiers` are the values of %h and the like, by their letter; %% is always known.
    """
    settings = _service(text)
    command = _words(settings.get("ExecStart", [""])[-1], specifiers)
    if not _runs_aiemp(command):
        return None
    environment = dict[str, str]()
    for value in settings.get("Environment", []):
        for word in _words(value, specifiers):
            key, equals, given = word.partition("=")
            if equals:
                environment[key] = given
    return Unit(
        name,
        own=own,
        file=file,
        config=_config(command),
        environment=tuple(environment.items()),
        environment_files=tuple(_expand(value, specifiers) for value in settings.get("EnvironmentFile", [])),
        user=_last(settings, "User", specifiers),
        directory=_last(settings, "WorkingDirectory", specifiers),
    )


def _service(text: str) -> dict[str, list[str]]:
    """The values of each key in [Service]; an empty one takes back those before it."""
    found, inside = dict[str, list[str]](), False
    for raw in text.replace("\\\n", " ").splitlines():
        line = raw.strip()
        if line.startswith("["):
            inside = line == "[Service]"
        elif inside and "=" in line and not line.startswith(("#", ";")):
            key, _, value = line.partition("=")
            if value.strip():
                found.setdefault(key.strip(), []).append(value.strip())
            else:
                found.pop(key.strip(), None)
    return found


def _words(value: str, specifiers: Mapping[str, str]) -> list[str]:
    try:
        return [_expand(word, specifiers) for word in shlex.split(value)]
    except ValueError:  # a quotation mark that is never closed: systemd would not take the line
        return []


def _expand(text: str, specifiers: Mapping[str, str]) -> str:
    pieces = text.split("%%")
    for letter, value in specifiers.items():
        pieces = [piece.replace(f"%{letter}", value) for piece in pieces]
    return "%".join(pieces)


def _last(settings: Mapping[str, list[str]], key: str, specifiers: Mapping[str, str]) -> str | None:
    values = settings.get(key)
    return _expand(values[-1], specifiers) if values else None


def _runs_aiemp(command: list[str]) -> bool:
    names = [word.lstrip(_PREFIXES).rpartition("/")[2] for word in command]
    return "run" in names and any(name in _PROGRAMS for name in names)


def _config(command: list[str]) -> str | None:
    return next((after for word, after in pairwise(command) if word == "-c"), None)
