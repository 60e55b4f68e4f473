"""Rows as records."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

from lambent.store.contracts import Record, RecordKey

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Iterable


def records_of(rows: Iterable[sqlite3.Row]) -> list[Record]:
    """Return the records of rows of `records`. What many of them have alike they share."""
    return [
        Record(
            RecordKey(
                sys.intern(row["account_id"]),
                sys.intern(row["region"]),
                sys.intern(row["kind"]),
                row["name"],
                sys.intern(row["qualifier"]),
            ),
            row["revision_id"],
            row["document"],
            row["sealed"],
            bool(row["is_unsettled"]),
            row["blob_sha256"],
            row["blob_bytes"],
        )
        for row in rows
    ]
