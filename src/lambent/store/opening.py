"""Which driver keeps the records."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.store.sqlite.records import SqliteRecordStore

if TYPE_CHECKING:
    from pathlib import Path

    from lambent.store.contracts import RecordStore
    from lambent.store.keys import InstallationKey


def open_records(
    data_directory: Path,
    *,
    url: str = "",
    key: InstallationKey | None = None,
    blobs_directory: str = "",
    has_others: bool = False,
) -> RecordStore:
    """Open the records of an installation: SQLite in its data directory, or the PostgreSQL database of `url`. Blocks.

    With a `url`, the first daemon's `key` is the database's, and every other one must have it too; packages go into
    the database, or into `blobs_directory`, which all daemons see; `has_others`: other daemons work on it too.

    Raises:
        StoreUnusableError: it cannot be opened, a newer Lambent wrote it, or it could lose what it acknowledges.
    """
    if not url:
        return SqliteRecordStore(data_directory / "lambent.db")
    # Imported only where it is used: it is a third of a start.
    from lambent.store.blobs import DirectoryBlobs
    from lambent.store.postgresql.opening import Expectations
    from lambent.store.postgresql.records import PostgresqlRecordStore

    digest = None if key is None else key.derive("database").hex()
    blobs = DirectoryBlobs(blobs_directory) if blobs_directory else None
    return PostgresqlRecordStore(url, Expectations(digest, has_others), blobs)
