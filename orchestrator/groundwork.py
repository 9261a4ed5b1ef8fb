"""What must be there before the daemon can begin: a vault that can be written, its state folder, room for sockets."""

import errno
import os
from contextlib import suppress
from pathlib import Path

from orchestrator.config.model import Config
from orchestrator.errors import UserError
from orchestrator.places import Places, private_folder
from orchestrator.processes.notify import SHORT


def prepare_vault(config: Config) -> Places:
    """Check that the vault is there and can be written, and make the folders of our state. Raises UserError."""
    vault = str(config.vault)
    if not config.vault.is_dir():
        raise UserError(f"the vault {vault} does not exist or is no folder; correct `vault`, or make it: aiemp init")
    places = Places(vault)
    try:
        private_folder(places.state)
        os.makedirs(places.watcher_logs, exist_ok=True)  # noqa: PTH103  places are strings
        if not os.access(vault, os.W_OK | os.X_OK):  # with a writable .aiemp in it the probe alone would not tell
            raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), vault)
        probe = os.path.join(places.state, ".writable")  # noqa: PTH118  places are strings
        with open(probe, "wb"):  # noqa: PTH123  places are strings
            os.unlink(probe)  # noqa: PTH108  places are strings
    except OSError as error:
        raise UserError(
            f"the vault {vault} can't be written ({error.filename}: {error.strerror}); aiemp keeps its state there"
        ) from error
    return places


def sockets_folder(places: Places, name: str) -> str:
    """Make the folder for sockets: in the vault's state, or in a short one where that path is too long."""
    longest = os.path.join(name, "x" * SHORT)  # noqa: PTH118  places are strings
    if places.fits(longest):
        return os.path.join(places.state, name)  # noqa: PTH118
    fallback = places.fallback_sockets()
    private_folder(fallback)
    return os.path.join(fallback, name)  # noqa: PTH118


def remove_fallback(places: Places) -> None:
    """Leave no empty folder in /tmp."""
    fallback = places.fallback_sockets()
    for folder in (*(os.path.join(fallback, name) for name in ("notify", "runs")), fallback):  # noqa: PTH118  places are strings
        with suppress(OSError):  # there is none, or a process that lives on has its socket there
            os.rmdir(folder)  # noqa: PTH106  places are strings


def control_socket(places: Places) -> str:
    """Where to listen; where that is not in the vault, control.path says so to the clients."""
    if places.fits("control.sock"):
        with suppress(FileNotFoundError):
            os.unlink(places.control_path)  # noqa: PTH108  places are strings
        return os.path.join(places.state, "control.sock")  # noqa: PTH118
    fallback = places.fallback_sockets()
    private_folder(fallback)
    path = os.path.join(fallback, "control.sock")  # noqa: PTH118
    Path(places.control_path).write_text(path + "\n", encoding="utf-8")
    return path
