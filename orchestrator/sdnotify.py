"""What the daemon tells the service manager that started it (sd_notify(3)); without one, nothing."""

import os
import socket
from collections.abc import Mapping
from typing import Final, Self

from orchestrator.clock import pause

READY_TRIES: Final = 10
READY_PAUSE: Final = 0.05  # seconds


class ServiceManager:
    """Sends READY, STATUS, RELOADING, STOPPING and WATCHDOG. Never fails; blocks half a second at most, with READY."""

    def __init__(self, address: str | None, watchdog: float | None) -> None:
        self._address = address
        self.watchdog = watchdog  # seconds within which it wants to hear from us; None: it does not
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) if address else None
        if self._socket is not None:
            self._socket.settimeout(0)

    @classmethod
    def from_environ(cls, environ: Mapping[str, str], pid: int) -> Self:
        """Read NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID (sd_watchdog_enabled(3))."""
        address = environ.get("NOTIFY_SOCKET") or None
        usec, meant_for = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", str(pid))
        watchdog = int(usec) / 1_000_000 if usec.isdigit() and int(usec) > 0 and meant_for == str(pid) else None
        return cls(address, watchdog if address else None)

    def send(self, **fields: str) -> None:
        """Send e.g. `READY="1", STATUS="…"`."""
        if self._socket is None or self._address is None:
            return
        address = "\0" + self._address[1:] if self._address.startswith("@") else self._address
        message = "\n".join(f"{key}={value.replace(chr(10), ' ')}" for key, value in fields.items())
        # READY=1 is never said again: unheard, the manager would take a daemon that runs for one that hangs.
        for tries_left in reversed(range(READY_TRIES if "READY" in fields else 1)):
            try:
                self._socket.sendto(message.encode(), os.fsencode(address))
            except BlockingIOError:  # it has much to read just now
                if tries_left:
                    pause(READY_PAUSE)
            except OSError:  # it is gone: nothing that we could do about it
                return
            else:
                return

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
