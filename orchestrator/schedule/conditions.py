"""Whether files are there that a task waits for: `only_if_any`."""

from collections.abc import Iterable

from orchestrator.vault import walk
from orchestrator.vault.globs import Globs


def any_exists(vault: str, patterns: Iterable[str]) -> bool:
    """Whether a regular file in the vault is meant by one of the patterns, which were checked. Blocks."""
    return any(True for _ in walk.files(vault, Globs(patterns)))
