"""PURE. Who starts daemons and watchers on this vault? More than one is one too many."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from orchestrator.config.model import WatcherConfig
from orchestrator.doctor.finding import Finding, ok, problem, warning
from orchestrator.doctor.patient import Holder
from orchestrator.doctor.units import Unit

CHECK: Final = "daemon"

_RUN: Final = re.compile(r"(?:\baiemp|\borchestrator\.cli\.aiemp)\b[^|;&]*\srun\b")


@dataclass(frozen=True, slots=True)
class Entry:
    """One thing that starts something: a line of a crontab, an app of pm2."""

    where: str  # "the crontab of amy"
    text: str
    remove: str  # what to type to be rid of it


def serving(
    holder: Holder, host: str, *, start: str, silent: str | None, log: str, stale_socket: str | None, networked: bool
) -> Iterator[Finding]:
    """Who serves the vault now. `start` is how to start a daemon, `silent` why the one there does not answer."""
    who = f"PID {holder.pid or 'unknown'}" + (f", since {holder.started_at}" if holder.started_at else "")
    elsewhere = holder.hostname not in {"", host}
    if holder.held and elsewhere:
        text = f"a daemon on {holder.hostname} ({who}) serves this vault; none can start here"
        yield warning(CHECK, text, f"if it should run here: stop it there (aiempctl shutdown), then {start}")
    elif holder.held and silent is not None:
        text = f"a daemon ({who}) holds the vault's lock but does not answer: {silent}"
        yield problem(CHECK, text, f"look at the end of {log}; then `aiempctl shutdown`, or kill {holder.pid or 'it'}")
    elif holder.held:
        yield ok(CHECK, f"a daemon serves this vault ({who})")
    else:
        yield ok(CHECK, f"no daemon serves this vault now; to start one: {start}")
        if stale_socket is not None:
            text = (
                f"the last daemon ended without clearing up ({stale_socket} is left): killed, or the machine went down"
            )
            yield warning(CHECK, text, f"look at the end of {log} for why; starting it again clears up")
        if elsewhere and networked:
            text = f"the last daemon ran on {holder.hostname}, and two on a shared vault work against each other"
            yield warning(CHECK, text, "let it run on one of the machines only")


def rivals(units: Sequence[Unit], entries: Sequence[Entry], watchers: Mapping[str, WatcherConfig]) -> Iterator[Finding]:
    """Whatever starts a daemon beside another, or a watcher beside the daemon."""
    also = [entry for entry in entries if _RUN.search(entry.text)]
    named = [f"the systemd unit {unit.file}" for unit in units] + [entry.where for entry in also]
    if len(named) > 1:
        away = [f"{unit.systemctl} disable --now {unit.name}" for unit in units[1:]] + [entry.remove for entry in also]
        text = f"{' and '.join(named)} start a daemon each: only the first to come can serve the vault"
        yield warning(CHECK, text, f"keep one of them: {'; '.join(away)}")
    for entry in entries:
        if entry in also:
            continue
        for watcher in watchers.values():
            if watcher.enabled and (mark := _mark(watcher.launch.command)) and _holds(entry.text, mark):
                text = f"{entry.where} starts {mark} too: with the watcher's own there would be two"
                yield warning(f"watcher {watcher.name}", text, entry.remove)


def _mark(command: Sequence[str]) -> str | None:
    """The word of a command that tells it from others: a module, a script, or the program."""
    words = [word for word in command if not word.startswith("-")]
    if words and re.fullmatch(r"(?:.*/)?(?:python[\d.]*|node|sh|bash|uv|npx|env|sleep)", words[0]):
        words = words[1:]
    return next((word.rpartition("/")[2] for word in words if not re.fullmatch(r"[\d.]*", word)), None)


def _holds(text: str, mark: str) -> bool:
    return re.search(rf"(?<![\w.-]){re.escape(mark)}(?![\w-]|\.\w)", text) is not None


def crontab(text: str, account: str) -> list[Entry]:
    """The entries of a crontab as `crontab -l` prints it."""
    lines = [line.strip() for line in text.splitlines()]
    where, remove = f"the crontab of {account}", "take the line out: crontab -e"
    return [Entry(where, line, remove) for line in lines if line and not line.startswith("#")]


def pm2(apps: object) -> list[Entry]:
    """The apps that `pm2 save` has written down; [] for what has another form."""
    found = list[Entry]()
    for app in apps if isinstance(apps, list) else []:
        if isinstance(app, dict):
            name = str(app.get("name", "?"))
            arguments = app.get("args")
            words = [
                app.get("pm_exec_path"),
                app.get("script"),
                *(arguments if isinstance(arguments, list) else [arguments]),
            ]
            text = " ".join(_texts(words))
            found.append(Entry(f"pm2's app {name}", text, f"pm2 delete {name} && pm2 save"))
    return found


def _texts(words: Sequence[Any]) -> list[str]:
    return [word for word in words if isinstance(word, str)]
