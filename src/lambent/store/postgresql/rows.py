"""Records as rows and as the arrays that statements take, and back."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from lambent.store.contracts import Record, RecordKey

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lambent.store.contracts import ChangeBatch

Row = tuple[Any, ...]

_KEY_COLUMNS = 5
_RECORD_COLUMNS = 11
_NOTHING: Row = (None,) * (_RECORD_COLUMNS - _KEY_COLUMNS)


def key_row(key: RecordKey) -> Row:
    """Return the columns that identify a record."""
    return key.account_id, key.region, key.kind, key.name, key.qualifier


def record_row(record: Record) -> Row:
    """Return all columns of a record."""
    return (*key_row(record.key), *_content(record))


def log_rows(batches: Iterable[ChangeBatch]) -> list[Row]:
    """Return the log's rows of some commits."""
    return [
        (
            batch.sequence,
            position,
            *key_row(change.key),
            *(_NOTHING if change.record is None else _content(change.record)),
        )
        for batch in batches
        for position, change in enumerate(batch.changes)
    ]


def columns(rows: Sequence[Row]) -> list[tuple[Any, ...]]:
    """Return the arrays that `unnest` makes rows of again; there must be a row."""
    return list(zip(*rows, strict=True))


def key_of(row: Mapping[str, Any]) -> RecordKey:
    """Return the key of a row of `records` or of the log. What many rows have alike they share."""
    account_id, region, kind = (sys.intern(row[column]) for column in ("account_id", "region", "kind"))
    return RecordKey(account_id, region, kind, row["name"], sys.intern(row["qualifier"]))


def record_of(row: Mapping[str, Any]) -> Record:
    """Return the record of a row of `records`, or of a row of the log that has one."""
    return Record(
        key_of(row),
        row["revision_id"],
        row["document"],
        row["sealed"],
        row["is_unsettled"],
        row["blob_sha256"],
        row["blob_bytes"],
    )


def _content(record: Record) -> Row:
    return (
        record.revision_id,
        record.is_unsettled,
        record.blob_sha256,
        record.blob_bytes,
        record.document,
        record.sealed,
    )
