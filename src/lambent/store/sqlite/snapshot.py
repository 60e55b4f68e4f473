"""The whole content as one moment saw it, read in pieces: a start holds some hundreds of records at a time."""

from __future__ import annotations

import sqlite3
import threading
from typing import TYPE_CHECKING

from lambent.store.sqlite import queries
from lambent.store.sqlite.connection import connect, service_error
from lambent.store.sqlite.rows import records_of

if TYPE_CHECKING:
    from lambent.store.contracts import Record

_PIECE = 512


class Snapshot:
    """A reading transaction on a connection of its own. In WAL mode commits go on meanwhile. Scope: process."""

    def __init__(self, path: str) -> None:
        self._connection = connect(path, is_read_only=True)
        # Who reads may be cancelled while a thread still does: closing waits for it.
        self._lock = threading.Lock()
        self._rows: sqlite3.Cursor | None = None
        self._error: sqlite3.Error | None = None
        self.sequence = 0

    def begin(self, sequence: int) -> None:
        """Take the present moment, which is after the commit of that sequence. Never raises: `next_piece` does."""
        self.sequence = sequence
        try:
            with self._lock:
                self._connection.execute("BEGIN")
                self._rows = self._connection.execute(queries.ALL)
        except sqlite3.Error as error:
            # Among others: who asked for it is gone and has closed it.
            self._error = error

    def next_piece(self) -> list[Record]:
        """Return the next records in order, none when it was all. Blocks.

        Raises:
            ServiceError: the database could not be read (500).
        """
        try:
            if self._error is not None:
                raise self._error
            assert self._rows is not None
            with self._lock:
                return records_of(self._rows.fetchmany(_PIECE))
        except sqlite3.Error as error:
            raise service_error(error) from error

    def close(self) -> None:
        """End the transaction. Waits for what is being read, some milliseconds: a connection takes one thread."""
        with self._lock:
            self._connection.close()
