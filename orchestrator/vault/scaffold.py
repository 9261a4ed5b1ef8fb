"""`aiemp init`: a configuration, and what a vault lacks. Nothing that is there already is touched, empty or not."""

import os
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Final

import tomli_w

from orchestrator import files
from orchestrator.errors import UserError
from orchestrator.places import PROMPTS
from orchestrator.vault import folders

NOTES: Final = (
    *("Dashboard.md", "Company_Handbook.md", "Business_Goals.md"),
    *(f"{PROMPTS}/{name}.md" for name in ("morning_triage", "linkedin_post", "weekly_audit_prep")),
)
CONFIG: Final = "supervisor.toml"

_VAULT_LINE: Final = 'vault = "vault"\n'  # as it stands in the template


@dataclass(frozen=True, slots=True)
class Scaffolded:
    """What `init` found and did; folders and files of the configuration's folder first, then the vault's."""

    created: tuple[Path, ...]
    kept: tuple[Path, ...]


def init(directory: str | Path, vault: str | Path | None = None) -> Scaffolded:
    """Write `directory`/supervisor.toml and what `vault` (by default `directory`/vault) lacks, making both folders.

    Relative paths start from the working directory. Raises UserError when it can't be done; what was made until
    then stays, and a second try goes on from there.
    """
    base = _absolute(directory)
    target = base / "vault" if vault is None else _absolute(vault)
    config = configuration(_as_written(target, base))
    created: list[Path] = []
    kept: list[Path] = []
    try:
        _folder(base, created, kept)
        _file(base / CONFIG, config, created, kept)
        _folder(target, created, kept)
        made = folders.create(str(target))
        created += [target / name for name in made]
        kept += [target / name for name in folders.ALL if name not in made]
        _folder(target / PROMPTS, created, kept)
        for name in NOTES:
            _file(target / name, _template(name), created, kept)
    except OSError as error:
        raise UserError(
            f"{error.filename or target} cannot be made: {error.strerror or error}; choose another place or change that"
        ) from error
    return Scaffolded(tuple(created), tuple(kept))


def configuration(vault: str) -> bytes:
    """The text of a new supervisor.toml for this vault. Raises UserError for a path that TOML cannot hold."""
    try:
        line = tomli_w.dumps({"vault": vault})
        return _template(CONFIG).replace(_VAULT_LINE.encode(), line.encode(), 1)
    except UnicodeEncodeError:
        raise UserError(
            f"{os.fsencode(vault)!r} is no UTF-8 name, and {CONFIG} can hold no other: choose another one for the vault"
        ) from None


def _absolute(path: str | Path) -> Path:
    return Path(os.path.abspath(path))  # noqa: PTH100  resolve() would turn a symlink into a path nobody named


def _as_written(vault: Path, base: Path) -> str:
    return str(vault.relative_to(base) if vault.is_relative_to(base) else vault)


def _template(name: str) -> bytes:
    return resources.files("orchestrator.vault").joinpath("templates", name).read_bytes()


def _folder(path: Path, created: list[Path], kept: list[Path]) -> None:
    if path.is_dir():
        kept.append(path)
        return
    if os.path.lexists(path):
        raise UserError(f"{path} is no folder: name another one, or move it away")
    path.mkdir(parents=True, exist_ok=True)
    created.append(path)


def _file(path: Path, text: bytes, created: list[Path], kept: list[Path]) -> None:
    if os.path.lexists(path):
        kept.append(path)
        return
    try:
        files.create(path, text)
    except FileExistsError:  # someone was quicker
        kept.append(path)
    else:
        created.append(path)
