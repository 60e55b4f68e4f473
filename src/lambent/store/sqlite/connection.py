"""Opening a connection with the pragmas that durability rests on, and telling SQLite's failures in our words."""

from __future__ import annotations

import sqlite3

from lambent.model.errors import ServiceError

_BUSY_TIMEOUT_MS = 5_000


def connect(path: str, *, is_read_only: bool = False) -> sqlite3.Connection:
    """Return a connection in autocommit mode; transactions are begun by hand.

    It may be used from another thread than the one that opened it, one at a time.

    Raises:
        sqlite3.Error: the file cannot be opened or is no database.
    """
    connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=_BUSY_TIMEOUT_MS / 1000)
    try:
        connection.row_factory = sqlite3.Row
        connection.execute("PRAGMA foreign_keys = ON")
        if is_read_only:
            connection.execute("PRAGMA query_only = ON")
        else:
            # WAL lets readers go on while a commit waits for the disk; FULL makes a commit wait for it.
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute("PRAGMA synchronous = FULL")
            connection.execute("PRAGMA journal_size_limit = 67108864")
            # Deleted content is overwritten: a removed secret, encrypted as it is, does not linger in free pages.
            connection.execute("PRAGMA secure_delete = ON")
    except BaseException:
        connection.close()
        raise
    return connection


def service_error(error: sqlite3.Error) -> ServiceError:
    """Return what a caller is told when the database failed: nothing was changed, and why."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF
    if code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED):
        return ServiceError("The store is busy; nothing was changed. Try again.")
    if code == sqlite3.SQLITE_FULL:
        return ServiceError("The disk that holds the store is full; nothing was changed.")
    if code in (sqlite3.SQLITE_IOERR, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_READONLY):
        return ServiceError("The store could not be written; nothing was changed.")
    return ServiceError("The store failed; nothing was changed.")
