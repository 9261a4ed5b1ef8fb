"""Opens a database to read it and nothing else, beside a daemon or without one. Loads next to nothing."""

import os
import sqlite3


def connect(path: str) -> sqlite3.Connection:
    """Open the database at `path` as it is, and make neither it nor a file beside it. Raises sqlite3.Error."""
    address = uri(path)
    if not os.path.lexists(path + "-wal"):
        # Nobody has it open. Without this SQLite would want to make a -wal, which a read-only disk does not allow.
        address += "&immutable=1"
    return sqlite3.connect(address, uri=True)


def uri(path: str) -> str:
    """Give the URI of the file at `path`, for reading only."""
    host = "//" if path.startswith("/") else ""  # none; else what follows two slashes would be taken for one
    return f"file:{host}{path.replace('%', '%25').replace('?', '%3f').replace('#', '%23')}?mode=ro"
