"""The database's form, as numbered steps. A step that was ever released is never edited; a change is a new step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.store.contracts import StoreUnusableError

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Sequence

MIGRATIONS: tuple[str, ...] = (
    # 1: functions and their versions.
    """
    CREATE TABLE functions (
        account_id TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        version TEXT NOT NULL,
        revision_id TEXT NOT NULL,
        is_unsettled INTEGER NOT NULL,
        code_sha256 TEXT NOT NULL,
        code_size_bytes INTEGER NOT NULL,
        document TEXT NOT NULL,
        environment BLOB,
        PRIMARY KEY (account_id, region, name, version)
    ) WITHOUT ROWID;
    CREATE INDEX functions_unsettled ON functions (is_unsettled) WHERE is_unsettled = 1;
    CREATE INDEX functions_code ON functions (code_sha256);
    """,
    # 2: tags. A function that is older than this step gets an empty set.
    """
    CREATE TABLE function_tags (
        account_id TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        tags TEXT NOT NULL,
        PRIMARY KEY (account_id, region, name)
    ) WITHOUT ROWID;
    INSERT INTO function_tags SELECT DISTINCT account_id, region, name, '{}' FROM functions;
    """,
    # 3: everything durable is a record.
    """
    CREATE TABLE records (
        account_id TEXT NOT NULL,
        region TEXT NOT NULL,
        kind TEXT NOT NULL,
        name TEXT NOT NULL,
        qualifier TEXT NOT NULL,
        revision_id TEXT NOT NULL,
        is_unsettled INTEGER NOT NULL,
        blob_sha256 TEXT,
        blob_bytes INTEGER NOT NULL,
        document BLOB NOT NULL,
        sealed BLOB,
        PRIMARY KEY (account_id, region, kind, name, qualifier)
    ) WITHOUT ROWID;
    CREATE INDEX records_unsettled ON records (is_unsettled) WHERE is_unsettled = 1;
    CREATE INDEX records_blob ON records (blob_sha256) WHERE blob_sha256 IS NOT NULL;
    CREATE INDEX records_blob_bytes ON records (account_id, region, blob_bytes) WHERE blob_bytes > 0;
    INSERT INTO records
    SELECT account_id, region, 'function', name, version, revision_id, is_unsettled, code_sha256, code_size_bytes,
           CAST(json_set(json_remove(document, '$.unpacked_bytes'), '$.code', json_object(
               'sha256', code_sha256, 'size_bytes', code_size_bytes,
               'unpacked_bytes', json_extract(document, '$.unpacked_bytes'))) AS BLOB),
           environment
    FROM functions;
    INSERT INTO records
    SELECT account_id, region, 'function-tags', name, '', '1', 0, NULL, 0,
           CAST(json_object('tags', json(tags)) AS BLOB), NULL
    FROM function_tags;
    DROP TABLE functions;
    DROP TABLE function_tags;
    """,
    # 4: what has the same qualifier lies side by side: the $LATEST of every function.
    """
    CREATE INDEX records_qualifier ON records (account_id, region, kind, qualifier, name);
    """,
)


class SchemaTooNewError(StoreUnusableError):
    """The database was written by a newer Lambent; this one would damage it."""


def migrate(connection: sqlite3.Connection, *, up_to: int | None = None, steps: Sequence[str] = MIGRATIONS) -> None:
    """Bring the database to step `up_to` (the last), one transaction for each: a crash leaves a whole step or none.

    Raises:
        SchemaTooNewError: the database has steps that this program does not know.
    """
    (current,) = connection.execute("PRAGMA user_version").fetchone()
    if current > len(steps):
        raise SchemaTooNewError(
            f"The database has form {current}, this Lambent knows up to {len(steps)}: use a newer Lambent."
        )
    for number in range(current + 1, (len(steps) if up_to is None else up_to) + 1):
        # executescript commits what is open before it begins, so the transaction is part of the script.
        step = steps[number - 1]
        try:
            connection.executescript(f"BEGIN IMMEDIATE; {step} PRAGMA user_version = {number}; COMMIT;")
        except BaseException:
            if connection.in_transaction:
                connection.execute("ROLLBACK")
            raise
