"""What a watcher tells its supervisor: sd_notify(3), from the sender's side."""

import os
import socket
import threading
import time

# A beat goes out every third of WATCHDOG_USEC: sd_watchdog_enabled(3) advises half, and one late beat must not kill.
BEATS_PER_DEADLINE = 3


class Notify:
    """Sends states to NOTIFY_SOCKET; does nothing where there is none. Never blocks, never raises; any thread may call.

    Each message goes out from a socket of its own, so that a supervisor that was replaced meanwhile is reached under
    the same path. What could not be delivered (socket full, or gone for now) is kept and goes along with the next
    message, only the newest value of each name.
    """

    def __init__(self, address: str | None, watchdog_usec: str | None = None) -> None:
        """Take the values of NOTIFY_SOCKET, a path or an abstract name behind `@`, and of WATCHDOG_USEC."""
        # "@name" is how an abstract address (unix(7)) is written where NUL cannot stand.
        self._address = os.fsencode("\0" + address[1:] if address and address.startswith("@") else address or "")
        self._unsaid: dict[str, str] = {}
        self._lock = threading.Lock()
        usec = int(watchdog_usec) if watchdog_usec and watchdog_usec.isdecimal() else 0
        self.beat_every = usec / 1e6 / BEATS_PER_DEADLINE if usec and self._address else None
        self._last_beat = -1e9

    @property
    def unsaid(self) -> bool:
        """Whether something still waits to be delivered."""
        return bool(self._unsaid)

    def say(self, **states: str) -> None:
        """Send these states, e.g. `say(READY="1", STATUS="waiting")`; a line break in a value becomes a space."""
        if not self._address:
            return
        with self._lock:
            self._unsaid |= {name: " ".join(value.split()) for name, value in states.items()}
            message = "\n".join(f"{name}={value}" for name, value in self._unsaid.items())
            try:
                with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
                    sender.settimeout(0)
                    sender.sendto(message.encode(errors="replace"), self._address)
            except OSError:
                return  # nobody listens, or not now: a watcher's work does not depend on being heard
            self._unsaid.clear()

    def beat(self) -> None:
        """Show progress: WATCHDOG=1 if one is due. To be called where the work is done, never from a timer alone."""
        if self.beat_every is None:
            return
        now = time.monotonic()
        if now - self._last_beat >= self.beat_every / 2:
            self._last_beat = now
            self.say(WATCHDOG="1")
