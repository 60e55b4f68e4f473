"""Which driver keeps the records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.store.sqlite.records import SqliteRecordStore

if TYPE_CHECKING:
    from pathlib import Path

    from lambent.store.contracts import RecordStore


def open_records(data_directory: Path) -> RecordStore:
    """Open the records of an installation: SQLite in its data directory. Blocks.

    Raises:
        StoreUnusableError: it cannot be opened, or a newer Lambent wrote it.
    """
    return SqliteRecordStore(data_directory / "lambent.db")
