"""The connection to the database file, whatever becomes of that while it is in use: damaged, removed, replaced."""

import logging
import os
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import datetime

from orchestrator.errors import UserError
from orchestrator.places import private_folder
from orchestrator.store.opening import NewerDatabase, open_or_replace, replace
from orchestrator.store.pending import Write
from orchestrator.store.writing import transaction

log = logging.getLogger(__name__)


class Connecting:
    """For the database's thread alone. Whatever file is opened is told at once what holds now."""

    def __init__(
        self,
        path: str,
        now: Callable[[], datetime],
        on_damaged: Callable[[str], None],
        on_newer: Callable[[str], None],
    ) -> None:
        self.connection: sqlite3.Connection | None = None
        self.lost = False  # the file is a newer version's: there is nothing to write to
        self.current: dict[str, Write] = {}  # what holds now
        self.retold: tuple[Write, ...] = ()  # … and what others would tell a file
        self._path = path
        self._now = now
        self._on_damaged = on_damaged
        self._on_newer = on_newer
        self._opened: tuple[int, int] | None = None  # which file the connection is to
        self._companions: dict[str, tuple[int, int] | None] = {}

    def ready(self) -> sqlite3.Connection | None:
        """The connection, opened if there is none yet; None when there is nothing to write to.

        Raises sqlite3.Error or OSError when the file cannot be used just now.
        """
        if self.connection is None and not self.lost:
            try:
                self._use(*open_or_replace(self._path, self._now()))
            except NewerDatabase as error:
                self.lost = True
                self._on_newer(str(error))
        return self.connection

    def begin_anew(self, error: Exception) -> sqlite3.Connection:
        """Set the damaged file aside and open a new one. Raises sqlite3.Error or OSError."""
        # Closed first: a connection removes its -wal by name, and by then the name would be the new file's.
        self.close()
        connection, damage = replace(self._path, self._now(), why=str(error))
        self._use(connection, damage)
        return connection

    def follow(self) -> bool:
        """Open the file that lies at the path now, if it is another than the connection's; tell whether it is.

        What was written since the last look is then in a file that nobody will find, and has to be written again.
        Raises sqlite3.Error or OSError.
        """
        if self.connection is None or self._at_path() == self._opened:
            return False
        log.warning("%s was removed or replaced while in use; what holds now is written to the new one", self._path)
        with suppress(sqlite3.Error):
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")  # so the old file, wherever it is now, has all
        self.close()
        # SQLite leaves these to a file that was moved. Found under the new one's name, they would be taken for its own.
        for suffix, ours in self._companions.items():
            if ours is not None and self._at_path(suffix) == ours:
                with suppress(OSError):
                    os.unlink(self._path + suffix)  # noqa: PTH108  places are strings
        with suppress(OSError, UserError):  # the folder may be gone too; if this does not help, what follows tells
            private_folder(os.path.dirname(self._path))  # noqa: PTH120  places are strings
        self.ready()
        return True

    def drop_if_stuck(self) -> None:
        """Have the file opened anew when a transaction could not even be rolled back: no other could begin."""
        if self.connection is not None and self.connection.in_transaction:
            self.close()

    def close(self) -> None:
        connection, self.connection = self.connection, None
        if connection is not None:
            with suppress(sqlite3.Error):
                connection.close()

    def _use(self, connection: sqlite3.Connection, damage: str | None) -> None:
        if damage:
            self._on_damaged(damage)
        try:
            with transaction(connection):
                for write in (*self.current.values(), *self.retold):
                    write(connection)
        except BaseException:
            connection.close()
            raise
        self._opened = self._at_path()
        self._companions = {suffix: self._at_path(suffix) for suffix in ("-wal", "-shm")}
        self.connection = connection

    def _at_path(self, suffix: str = "") -> tuple[int, int] | None:
        """Which file lies there now."""
        try:
            found = os.stat(self._path + suffix)  # noqa: PTH116  places are strings
        except (FileNotFoundError, NotADirectoryError):
            return None
        except OSError:  # it can't be told, and the connection works
            return self._opened
        return found.st_dev, found.st_ino
