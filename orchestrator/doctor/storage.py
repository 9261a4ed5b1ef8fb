"""PURE. Is there room where the vault lies, and is that a file system on which everything works?"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from orchestrator.doctor.finding import Finding, ok, problem, warning

CHECK: Final = "disk"
MIB: Final = 1024 * 1024
LITTLE: Final = 1024 * MIB
TOO_LITTLE: Final = 100 * MIB
FEW_FILES: Final = 10_000
TOO_FEW_FILES: Final = 1_000

_FREE: Final = "free some space: see `du -xh {vault} | sort -h | tail`, and old logs in {vault}/Logs"
_MOVE: Final = "move the vault to a disk of this machine, and have a program sync it from there"
_NETWORK: Final = (
    "on it two machines can't be kept from serving the vault at once, the database may be damaged, changed files go "
    "unnoticed, and watchers don't survive the daemon"
)
_FOREIGN: Final = (
    "it has no permissions, FIFOs or sockets: .aiemp is open to all, and watchers don't survive the daemon"
)
# What does not work on which kind of file system, as /proc/self/mounts names it.
KINDS: Final = {
    **dict.fromkeys(
        ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "ceph", "glusterfs", "davfs", "fuse.davfs"), _NETWORK
    ),
    **dict.fromkeys(("fuse.sshfs", "fuse.rclone", "fuse.s3fs", "fuse.gcsfuse", "fuse.glusterfs"), _NETWORK),
    **dict.fromkeys(("9p", "drvfs", "virtiofs", "fuse.vmhgfs-fuse", "vboxsf", "prl_fs"), _NETWORK),
    **dict.fromkeys(("vfat", "msdos", "exfat", "fuse.exfat"), _FOREIGN),
}
_SHORT_LIVED: Final = ("tmpfs", "ramfs")


@dataclass(frozen=True, slots=True)
class Room:
    """What is free; `files_in_all` is 0 where the file system does not count them."""

    free: int  # bytes
    files_free: int
    files_in_all: int


def judge(vault: str, room: Room, kind: str | None) -> Iterator[Finding]:
    """`kind` is the file system's, None where it is not known."""
    remedy = _FREE.format(vault=vault)
    mib = room.free // MIB
    if room.free < TOO_LITTLE:
        yield problem(CHECK, f"only {mib} MiB are free for the vault: writing will soon fail", remedy)
    elif room.free < LITTLE:
        yield warning(CHECK, f"only {mib} MiB are free for the vault", remedy)
    else:
        yield ok(CHECK, f"{mib / 1024:.1f} GiB are free for the vault")
    if room.files_in_all:
        text = f"only {room.files_free} more files can be made on the vault's disk (inodes)"
        many = "remove many small files: caches, old backups"
        if room.files_free < TOO_FEW_FILES:
            yield problem(CHECK, text, many)
        elif room.files_free < FEW_FILES:
            yield warning(CHECK, text, many)
    if kind in KINDS:
        yield warning(CHECK, f"the vault lies on {kind}: {KINDS[kind]}", _MOVE)
    elif kind in _SHORT_LIVED:
        text = f"the vault lies on {kind}: it is gone when the machine is switched off"
        yield warning(CHECK, text, "move the vault to a disk")


def kind_of(path: str, mounts: str) -> str | None:
    """The kind of file system that the absolute `path` lies on; `mounts` is /proc/self/mounts' text (fstab(5))."""
    best, kind = "", None
    for line in mounts.splitlines():
        fields = line.split(" ")
        if len(fields) < 3:
            continue
        place = _unescaped(fields[1])
        if _below(path, place) and len(place) >= len(best):  # of several at one place the last one is seen
            best, kind = place, fields[2]
    return kind


def _below(path: str, place: str) -> bool:
    return path == place or path.startswith(place if place.endswith("/") else f"{place}/")


def _unescaped(text: str) -> str:
    for code, character in (("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")):
        text = text.replace(code, character)
    return text
