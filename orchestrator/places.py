"""Where everything of aiemp's lies in a vault, and where its sockets go when the vault's path is too long for them.

Shared by the daemon and `aiempctl`. Paths are plain strings: pathlib, dataclasses and typing would cost `aiempctl` a
third of its start-up time.
"""

import os
import stat

from orchestrator.errors import UserError

# sun_path holds 108 bytes on Linux and 104 on macOS and the BSDs, the final NUL included (unix(7)).
SUN_PATH_MAX = 103
# The longest name that is needed in a folder for sockets: a watcher's notify socket, with its name made short.
LONGEST_SOCKET = "notify/" + "x" * 16

# The vault's folders, by the key that `status --json` counts them under.
FOLDERS = {
    "inbox": "Inbox",
    "needs_action": "Needs_Action",
    "plans": "Plans",
    "pending_approval": "Pending_Approval",
    "approved": "Approved",
    "rejected": "Rejected",
    "done": "Done",
}
# Folders that are not counted: the texts that agents are told, which `aiemp init` writes, and the weeks' numbers.
PROMPTS = "Prompts"
BRIEFINGS = "Briefings"


class Places:
    """The paths of one vault; `vault` is absolute. Only the methods touch the disk."""

    __slots__ = (
        "control_path",
        "daemon_log",
        "dashboard",
        "database",
        "last_dashboard",
        "lock",
        "logs",
        "pipes",
        "state",
        "task_log",
        "vault",
        "watcher_logs",
    )

    def __init__(self, vault: str) -> None:
        join = os.path.join
        self.vault = vault
        self.dashboard = join(vault, "Dashboard.md")
        self.logs = join(vault, "Logs")
        self.daemon_log = join(self.logs, "aiemp.log")
        self.task_log = join(self.logs, "task_execution.jsonl")
        self.watcher_logs = join(self.logs, "watchers")
        self.state = join(vault, ".aiemp")
        self.database = join(self.state, "aiemp.db")
        self.lock = join(self.state, "lock")
        self.last_dashboard = join(self.state, "Dashboard.last.md")
        self.control_path = join(self.state, "control.path")  # names the socket when it does not lie in `state`
        self.pipes = join(self.state, "pipes")  # one FIFO a watcher: its output, on the way to the log

    def watcher_log(self, name: str) -> str:
        return os.path.join(self.watcher_logs, f"{file_name(name)}.log")

    def pipe(self, name: str) -> str:
        """Where a watcher's FIFO lies."""
        return os.path.join(self.pipes, file_name(name))

    def control_socket(self) -> str:
        """Where this vault's control socket is to be found now, as the last daemon left word."""
        try:
            with open(self.control_path, encoding="utf-8") as file:
                return file.read().strip()
        except OSError:
            return os.path.join(self.state, "control.sock")

    def fits(self, socket: str) -> bool:
        """Whether a socket of this name may lie in `state`, by the length of its path."""
        return len(os.fsencode(os.path.join(self.state, socket))) <= SUN_PATH_MAX

    def fallback_sockets(self) -> str:
        """A short folder for sockets, in $XDG_RUNTIME_DIR or /tmp: always the same one for one vault and user."""
        import hashlib  # noqa: PLC0415  loads OpenSSL, and is needed only here

        digest = hashlib.sha256(os.fsencode(self.vault)).hexdigest()[:16]
        name = f"aiemp-{os.getuid()}-{digest}"
        base = os.environ.get("XDG_RUNTIME_DIR", "")
        longest = os.path.join(base, name, LONGEST_SOCKET)
        if not os.path.isdir(base) or len(os.fsencode(longest)) > SUN_PATH_MAX:
            base = "/tmp"  # noqa: S108  the contract's place; private_folder() refuses one that someone else made
        return os.path.join(base, name)


def file_name(name: str) -> str:
    """Give back a watcher's or a run's name, which becomes a file's. Raises UserError when it would lead elsewhere."""
    if "/" in name or "\0" in name or name in {"", ".", ".."}:
        raise UserError(f"{name!r} cannot be a file's name, and so no watcher's")
    return name


def private_subfolder(path: str) -> None:
    """Make `path` as private_folder does, and the folder that it lies in too, should someone have removed that.

    No further: a vault that is gone is not made anew. Raises OSError, UserError.
    """
    try:
        private_folder(path)
    except FileNotFoundError:
        private_folder(os.path.dirname(path))
        private_folder(path)


def private_folder(path: str) -> None:
    """Make `path` a folder that only this user can enter (0700).

    Raises UserError when it is someone else's or no folder: in /tmp anyone may have put it there first.
    """
    try:
        os.mkdir(path, mode=0o700)
    except FileExistsError:
        found = os.lstat(path)
        if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
            raise UserError(
                f"{path} is not a folder of yours; aiemp keeps private files there: remove or rename it"
            ) from None
        if stat.S_IMODE(found.st_mode) != 0o700:
            os.chmod(path, 0o700)
