"""Finds out in which environment, as whom and where the daemon runs, or would run."""

import json
import os
import pwd
import shlex
import socket
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

from orchestrator import files, lock_holder
from orchestrator.doctor import units
from orchestrator.doctor.patient import Holder, Source, World
from orchestrator.doctor.units import Unit
from orchestrator.processes import bounded, procfs
from orchestrator.processes.programs import Unlaunchable
from orchestrator.supervise.launch import parse_env_file

_ASK: Final = 5.0  # seconds for systemctl
_UNIT_MAX: Final = 256 * 1024  # bytes
_SYSTEM: Final = tuple(f"{base}/systemd/system" for base in ("/etc", "/run", "/usr/local/lib", "/usr/lib"))


def holder(lock: str) -> Holder:
    """Who holds the vault's lock, or held it last."""
    pid = lock_holder.holder_pid(lock)
    try:
        said = json.loads(files.read(lock, limit=4096)[0])
        return Holder(pid is not None, pid or 0, str(said["hostname"]), str(said["started_at"]))
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        return Holder(pid is not None, pid or 0)


def find(held: Holder, starters: Sequence[Unit], shell: Mapping[str, str], directory: str) -> World:
    """The daemon's world: its own, else its unit's, else this shell's."""
    hidden = None
    if held.held and held.pid and _here(held.pid, held.hostname):
        found = _of_process(held.pid, starters)
        if found is not None:
            return found
        hidden = f"the running daemon's (PID {held.pid})"
    if starters:
        return _of_unit(starters[0], hidden)
    uid = os.geteuid()
    return World(Source.SHELL, dict(shell), uid, name_of(uid), directory, "this shell", hidden=hidden)


def _here(pid: int, hostname: str) -> bool:
    """Whether that PID is one of this machine's and, as far as can be told, the daemon's."""
    if hostname not in {"", socket.gethostname()}:
        return False
    try:
        return b"run" in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:  # no such process, or no /proc
        return False


def _of_process(pid: int, starters: Sequence[Unit]) -> World | None:
    """None when it may not be looked at."""
    pairs = [os.fsdecode(each).partition("=") for each in procfs.environ(pid)]
    try:
        uid, directory = os.stat(f"/proc/{pid}").st_uid, str(Path(f"/proc/{pid}/cwd").readlink())  # noqa: PTH116
    except OSError:
        return None
    if not pairs:
        return None
    environ = {name: value for name, equals, value in pairs if equals}
    unit = starters[0] if starters and "INVOCATION_ID" in environ else None  # systemd's (systemd.exec(5))
    return World(Source.DAEMON, environ, uid, name_of(uid), directory, f"the running daemon (PID {pid})", unit)


def _of_unit(unit: Unit, hidden: str | None) -> World:
    account = _account(unit)
    environ = _managers(own=unit.own)
    environ.setdefault("PATH", units.DEFAULT_PATH)
    if unit.own or unit.user:  # without User= a system service gets none of these (systemd.exec(5))
        names = {"USER": account.pw_name, "LOGNAME": account.pw_name, "HOME": account.pw_dir, "SHELL": account.pw_shell}
        environ |= {name: value for name, value in names.items() if value}
    environ |= dict(unit.environment)
    for file in unit.environment_files:
        with suppress(OSError, UnicodeDecodeError, Unlaunchable):
            environ |= parse_env_file(files.read(file.removeprefix("-"), limit=_UNIT_MAX)[0].decode())
    directory = unit.directory or (account.pw_dir if unit.own else "/")
    directory = account.pw_dir if directory == "~" else directory.removeprefix("-")
    who = f"systemd's {unit.name}"
    return World(Source.UNIT, environ, account.pw_uid, account.pw_name, directory, who, unit, hidden)


def _account(unit: Unit) -> pwd.struct_passwd:
    """Whose the unit's processes are; root where that account does not exist."""
    try:
        if unit.own:
            return pwd.getpwuid(os.geteuid())
        user = unit.user or "root"
        return pwd.getpwuid(int(user)) if user.isdigit() else pwd.getpwnam(user)
    except (KeyError, OverflowError):
        return pwd.getpwuid(0)


def _managers(*, own: bool) -> dict[str, str]:
    """What the service manager gives to every service; {} when it does not answer."""
    answer = bounded.ask(["systemctl", *(["--user"] if own else []), "show-environment"], os.environ, "/", _ASK)
    if isinstance(answer, str) or answer.code != 0:
        return {}
    found = dict[str, str]()
    for line in answer.out.splitlines():
        name, equals, value = line.partition("=")
        if equals and not value.startswith("$'"):  # quoted for a shell in a way that matters to nothing here
            with suppress(ValueError):
                found[name] = "".join(shlex.split(value))
    return found


def installed(file: str, home: str) -> list[Unit]:
    """The systemd services that start a daemon on the configuration `file`."""
    if sys.platform != "linux":
        return []
    own = (f"{home}/.config/systemd/user", "/etc/systemd/user", "/usr/lib/systemd/user") if home else ()
    seen, found = set[str](), list[Unit]()
    for is_own, folders in ((False, _SYSTEM), (True, own)):
        for path in _services(folders, seen):
            unit = _read(path, own=is_own, home=home)
            if unit is not None and _starts(unit, file):
                found.append(unit)
        seen.clear()
    return found


def _services(folders: Sequence[str], seen: set[str]) -> Iterator[Path]:
    """Every service once; the first folder that has one of a name wins."""
    for folder in folders:
        with suppress(OSError):
            for path in sorted(Path(folder).glob("*.service")):
                if path.name not in seen:
                    seen.add(path.name)
                    yield path


def _read(path: Path, *, own: bool, home: str) -> Unit | None:
    texts = list[str]()
    with suppress(OSError):
        for part in (path, *sorted(path.with_name(f"{path.name}.d").glob("*.conf"))):
            texts.append(files.read(os.path.realpath(part), limit=_UNIT_MAX)[0].decode(errors="replace"))
    text = "\n".join(texts)
    if "aiemp" not in text:
        return None
    uid = os.geteuid()
    runtime = f"/run/user/{uid}" if own else "/run"
    specifiers = {"n": path.name, "N": path.stem, "t": runtime}
    if own:
        specifiers |= {"h": home, "u": name_of(uid)}
    return units.parse(path.name, str(path), text, own=own, specifiers=specifiers)


def _starts(unit: Unit, file: str) -> bool:
    config = unit.config or "supervisor.toml"
    return os.path.realpath(os.path.join(unit.directory or "/", config)) == os.path.realpath(file)  # noqa: PTH118


def name_of(uid: int) -> str:
    """The user's name, or its number where it has none."""
    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)
