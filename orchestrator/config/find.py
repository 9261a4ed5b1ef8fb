"""Which configuration file is meant, and which vault it is about.

`aiempctl` starts with this, so nothing heavy is imported: paths are strings, and tomllib, which takes longer than
everything else here, is loaded only for a file that a look at its lines cannot settle.
"""
# For the same reason no pathlib:
# ruff: noqa: PTH109, PTH110, PTH116, PTH117, PTH118, PTH120, PTH123

import os
import re
import stat
from collections.abc import Mapping

from orchestrator.config.wording import printable, problem
from orchestrator.errors import ConfigInvalid

LARGEST = 1024 * 1024  # bytes of a configuration file
NAME = "supervisor.toml"
SYSTEM_WIDE = "/etc/aiemp/supervisor.toml"
DEFAULT_VAULT = "vault"

_VAULT_LINE = re.compile(r"""\s*vault\s*=\s*(?:"([^"\\]+)"|'([^']+)')\s*(?:#.*)?""")
_SUPERVISOR = re.compile(r"\s*\[supervisor\]\s*(?:#.*)?")


def find(explicit: str | None, environ: Mapping[str, str], cwd: str) -> str:
    """The configuration file: `explicit` (-c) as it is, else the first that exists of the contract's places.

    Raises ConfigInvalid, naming the places, when there is none.
    """
    if explicit is not None:
        return explicit
    places = _places(environ, cwd)
    for place in places:
        if os.path.exists(place):
            return place
    looked = ", ".join(printable(place) for place in places)
    raise ConfigInvalid(
        (f"no configuration found, looked for {looked}; write one with `aiemp init`, or name yours with -c FILE",)
    )


def _places(environ: Mapping[str, str], cwd: str) -> list[str]:
    places = []
    if named := environ.get("AIEMP_CONFIG"):
        places.append(named)
    places.append(os.path.join(cwd, NAME))
    base = environ.get("XDG_CONFIG_HOME", "")
    if not os.path.isabs(base):  # unset, empty, or to be ignored (XDG Base Directory Specification)
        home = environ.get("HOME", "")
        base = os.path.join(home, ".config") if home else ""
    if base:
        places.append(os.path.join(base, "aiemp", NAME))
    places.append(SYSTEM_WIDE)
    return places


def absolute(folder: str, path: str) -> str:
    """`path`, seen from the absolute `folder`, without `.`, `..` and doubled slashes.

    Links are left as they are, except that a `..` means what the kernel takes it for, which needs them resolved.
    """
    whole = os.path.join(folder, path)
    return os.path.realpath(whole) if ".." in whole.split("/") else os.path.normpath(whole)


def from_here(path: str) -> str:
    """`path` made absolute as one given on the command line: from the working folder, which may be gone otherwise."""
    return absolute("/" if os.path.isabs(path) else os.getcwd(), path)


def folder_of(file: str) -> str:
    """The absolute folder that relative paths in the configuration `file` start from."""
    return os.path.dirname(from_here(file))


def read(file: str) -> str:
    """The text of the configuration `file`. Raises ConfigInvalid when it cannot be read or is not UTF-8."""
    try:
        mode = os.stat(file).st_mode
        if not stat.S_ISREG(mode):
            what = "is a directory" if stat.S_ISDIR(mode) else "is no regular file"
            raise _unusable(file, 1, f"{what}; name the file itself, like {NAME}")
        with open(file, "rb") as opened:
            data = opened.read(LARGEST + 1)
    except FileNotFoundError:
        raise _unusable(file, 1, "does not exist; write one with `aiemp init`, or name another with -c") from None
    except (OSError, ValueError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        raise _unusable(file, 1, f"cannot be read ({why}); the user of the daemon must be able to read it") from None
    if len(data) > LARGEST:
        raise _unusable(file, 1, "is larger than 1 MiB; a configuration is smaller: is it the right file?")
    try:
        return data.decode("utf-8-sig")  # Windows editors begin a file with a byte order mark
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _unusable(file, line, "is not UTF-8 here; save it as UTF-8, which TOML demands") from None


def _unusable(file: str, line: int, text: str) -> ConfigInvalid:
    return ConfigInvalid((problem(file, line, "file", text),))


def vault_of(file: str) -> str:
    """The absolute path of the vault that `file` is about, without checking the rest of the file.

    Works on a file that was broken while the daemon runs, as long as its vault line is whole, so that the daemon can
    still be talked to. Raises ConfigInvalid when there is no telling.
    """
    text = read(file)
    seen = _seen_vault(text)
    if seen is None or '"""' in text or "'''" in text:  # what looks like the line may be part of a long string
        seen = _parsed_vault(file, text, seen)
    return absolute(folder_of(file), seen)


def _seen_vault(text: str) -> str | None:
    """The vault, if its line is plain to see under [supervisor]."""
    inside = False
    for line in text.split("\n"):
        if line.lstrip().startswith("["):
            inside = _SUPERVISOR.fullmatch(line) is not None
        elif inside and (found := _VAULT_LINE.fullmatch(line)):
            vault = found[1] or found[2]
            return None if vault.startswith("~") else vault
    return None


def _parsed_vault(file: str, text: str, seen: str | None) -> str:
    from orchestrator.config.syntax import parse  # noqa: PLC0415  see the module's docstring

    try:
        supervisor = parse(file, text).get("supervisor", {})
    except ConfigInvalid:
        if seen is None:
            raise
        return seen
    vault = supervisor.get("vault", DEFAULT_VAULT) if isinstance(supervisor, dict) else None
    if isinstance(vault, str) and vault and not vault.startswith("~") and "\0" not in vault:
        return vault
    from pathlib import Path  # noqa: PLC0415  see the module's docstring

    from orchestrator.config.load import load  # noqa: PLC0415  see the module's docstring

    return str(load(Path(file), environ={}).vault)  # raises, and says all that is wrong
