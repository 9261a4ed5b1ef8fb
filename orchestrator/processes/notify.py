"""The sockets that watchers talk to, as sd_notify(3) has it: one a watcher, so that who speaks is never in doubt.

systemd has one socket for all and finds the sender by its credentials, which is a race when a helper sends and exits.
"""

import contextlib
import os
import selectors
import socket
import stat
from collections.abc import Iterator

import anyio

from orchestrator.places import SUN_PATH_MAX, file_name, private_folder, private_subfolder

SHORT = 16  # characters of a socket's name where the watcher's is too long for a path
MAX_DATAGRAM = 4096
PER_TURN = 32  # datagrams read from one watcher before the others get their turn


def parse(datagram: bytes) -> dict[str, str]:
    """Lines like `READY=1` and `STATUS=…` as a dictionary; those without `=` are ignored, as sd_notify(3) says."""
    text = datagram.decode("utf-8", errors="replace")
    return dict(line.split("=", 1) for line in text.split("\n") if "=" in line)


class NotifySockets:
    """Datagram sockets in `folder`, one for each watcher, read by one task."""

    def __init__(self, folder: str) -> None:
        private_folder(folder)
        self._folder = folder
        self._selector = selectors.DefaultSelector()
        self._sockets: dict[str, socket.socket] = {}

    def path(self, name: str) -> str:
        """Give the address of this watcher: the same one in every life of the daemon."""
        path = os.path.join(self._folder, file_name(name))  # noqa: PTH118  places are strings
        if len(os.fsencode(path)) > SUN_PATH_MAX:
            import hashlib  # noqa: PLC0415  loads OpenSSL, and is needed only here

            path = os.path.join(self._folder, hashlib.sha256(name.encode()).hexdigest()[:SHORT])  # noqa: PTH118
        return path

    def open(self, name: str) -> None:
        """Listen to `name`. Does nothing when it already does, unless someone has removed the socket.

        Raises OSError, and UserError when something else lies in its place.
        """
        path = self.path(name)
        if name in self._sockets:
            if os.path.lexists(path):
                return
            self.close(name)
        private_subfolder(self._folder)  # someone may have tidied it away
        _remove_socket(path)
        heard = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        try:
            heard.settimeout(0)
            heard.bind(path)
            os.chmod(path, 0o600)  # noqa: PTH101  places are strings
            self._selector.register(heard, selectors.EVENT_READ, name)
        except OSError:
            heard.close()
            raise
        self._sockets[name] = heard

    def close(self, name: str) -> None:
        """Listen to `name` no more."""
        heard = self._sockets.pop(name, None)
        if heard is not None:
            self._selector.unregister(heard)
            heard.close()
            _remove_socket(self.path(name))

    def remove_others(self) -> None:
        """Remove the sockets in the folder that nobody listens to: a daemon that was killed has left them."""
        ours = {self.path(name) for name in self._sockets}
        with contextlib.suppress(OSError):  # someone may have tidied the folder away
            for name in os.listdir(self._folder):  # noqa: PTH208  places are strings
                path = os.path.join(self._folder, name)  # noqa: PTH118
                if path not in ours:
                    _remove_socket(path)

    def close_all(self) -> None:
        for name in tuple(self._sockets):
            self.close(name)
        self._selector.close()

    async def wait(self) -> None:
        """Return when some watcher has said something."""
        await anyio.wait_readable(self._selector.fileno())

    def messages(self) -> Iterator[tuple[str, dict[str, str]]]:
        """Give what is there now, at most PER_TURN messages of each watcher, so that none can flood out the others."""
        for key, _ in self._selector.select(0):
            heard: socket.socket = key.fileobj  # type: ignore[assignment]  # only sockets are registered
            for _turn in range(PER_TURN):
                if self._sockets.get(key.data) is not heard:
                    break  # what was said before has led to its end: a watcher that is forgotten, or made a new one
                try:
                    datagram = heard.recv(MAX_DATAGRAM)  # descriptors that come along are closed by the kernel
                except OSError:  # there is nothing more
                    break
                yield key.data, parse(datagram)


def _remove_socket(path: str) -> None:
    try:
        if stat.S_ISSOCK(os.lstat(path).st_mode):
            os.unlink(path)  # noqa: PTH108  places are strings
    except (FileNotFoundError, NotADirectoryError):
        pass
