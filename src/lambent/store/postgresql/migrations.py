"""The database's form, as numbered steps. A step that was ever released is never edited; a change is a new step."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.store.contracts import StoreUnusableError
from lambent.store.postgresql import queries

if TYPE_CHECKING:
    import asyncpg

MIGRATIONS: tuple[str, ...] = (
    # 1: records, the log of their changes, and the one row that all daemons share.
    """
    CREATE TABLE records (
        account_id text COLLATE "C" NOT NULL,
        region text COLLATE "C" NOT NULL,
        kind text COLLATE "C" NOT NULL,
        name text COLLATE "C" NOT NULL,
        qualifier text COLLATE "C" NOT NULL,
        revision_id text NOT NULL,
        is_unsettled boolean NOT NULL,
        blob_sha256 text,
        blob_bytes bigint NOT NULL,
        document bytea NOT NULL,
        sealed bytea,
        PRIMARY KEY (account_id, region, kind, name, qualifier)
    );
    CREATE INDEX records_unsettled ON records (is_unsettled) WHERE is_unsettled;
    CREATE INDEX records_blob ON records (blob_sha256) WHERE blob_sha256 IS NOT NULL;
    CREATE INDEX records_blob_bytes ON records (account_id, region, blob_bytes) WHERE blob_bytes > 0;
    CREATE TABLE change_log (
        sequence bigint NOT NULL,
        position integer NOT NULL,
        account_id text NOT NULL,
        region text NOT NULL,
        kind text NOT NULL,
        name text NOT NULL,
        qualifier text NOT NULL,
        revision_id text,
        is_unsettled boolean,
        blob_sha256 text,
        blob_bytes bigint,
        document bytea,
        sealed bytea,
        committed_at timestamptz NOT NULL DEFAULT now(),
        PRIMARY KEY (sequence, position)
    );
    CREATE INDEX change_log_time ON change_log (committed_at);
    CREATE TABLE installation (
        is_only boolean PRIMARY KEY DEFAULT true CHECK (is_only),
        last_sequence bigint NOT NULL,
        key_digest text
    );
    INSERT INTO installation (last_sequence) VALUES (0);
    """,
    # 2: packages, in pieces. Zip archives do not shrink: the database need not try.
    """
    CREATE TABLE blobs (
        sha256 text PRIMARY KEY,
        size_bytes bigint NOT NULL,
        kept_at timestamptz NOT NULL
    );
    CREATE TABLE blob_chunks (
        sha256 text NOT NULL REFERENCES blobs ON DELETE CASCADE,
        number integer NOT NULL,
        content bytea NOT NULL,
        PRIMARY KEY (sha256, number)
    );
    ALTER TABLE blob_chunks ALTER COLUMN content SET STORAGE EXTERNAL;
    """,
    # 3: what has the same qualifier lies side by side: the $LATEST of every function.
    """
    CREATE INDEX records_qualifier ON records (account_id, region, kind, qualifier, name);
    """,
    # 4: what moves. An event is dead soon after it came: its tables are swept early and often.
    """
    CREATE TABLE event_queues (
        number integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        account_id text NOT NULL,
        region text NOT NULL,
        name text NOT NULL,
        UNIQUE (account_id, region, name)
    );
    CREATE TABLE event_sums (
        queue integer NOT NULL,
        node text NOT NULL,
        received bigint NOT NULL DEFAULT 0,
        succeeded bigint NOT NULL DEFAULT 0,
        dropped bigint NOT NULL DEFAULT 0,
        dead_lettered bigint NOT NULL DEFAULT 0,
        events bigint NOT NULL DEFAULT 0,
        bytes bigint NOT NULL DEFAULT 0,
        PRIMARY KEY (queue, node)
    ) WITH (fillfactor = 50);
    CREATE TABLE events (
        number bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
        queue integer NOT NULL,
        next_at timestamptz NOT NULL,
        is_leased boolean NOT NULL,
        epoch integer NOT NULL,
        payload_bytes integer NOT NULL,
        head bytea NOT NULL,
        payload bytea NOT NULL,
        record bytea
    ) WITH (autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 2000,
            autovacuum_vacuum_cost_delay = 0);
    CREATE INDEX events_next ON events (queue, next_at, number) INCLUDE (is_leased);
    CREATE TABLE leases (
        name text PRIMARY KEY,
        owner text NOT NULL,
        epoch bigint NOT NULL,
        expires_at timestamptz NOT NULL,
        value bytea NOT NULL
    );
    CREATE TABLE slices (
        name text NOT NULL,
        owner text NOT NULL,
        amount bigint NOT NULL,
        expires_at timestamptz NOT NULL,
        PRIMARY KEY (name, owner)
    );
    """,
    # 5: names under which an event was kept that must not come twice.
    """
    CREATE TABLE event_onces (
        name text PRIMARY KEY,
        kept_at timestamptz NOT NULL DEFAULT clock_timestamp()
    );
    CREATE INDEX event_onces_kept ON event_onces (kept_at);
    """,
)

_STEP_SECONDS = 3600.0
_FORM = "CREATE TABLE IF NOT EXISTS lambent_form (step integer PRIMARY KEY, applied_at timestamptz NOT NULL)"


class SchemaTooNewError(StoreUnusableError):
    """The database was written by a newer Lambent; this one would damage it."""


async def migrate(connection: asyncpg.Connection, *, up_to: int = len(MIGRATIONS)) -> None:
    """Bring the database to step `up_to`, one transaction for each step: a crash leaves a whole step or none.

    Daemons that start together take turns: the lock is that of commits.

    Raises:
        SchemaTooNewError: the database has steps that this program does not know.
    """
    # An index over a large table takes its time, and so does waiting for the daemon that makes it.
    await connection.execute("SET lock_timeout = 0")
    while True:
        async with connection.transaction(isolation="read_committed"):
            await connection.execute(queries.LOCK, timeout=_STEP_SECONDS)
            await connection.execute(_FORM)
            current: int = await connection.fetchval("SELECT COALESCE(MAX(step), 0) FROM lambent_form")
            if current > len(MIGRATIONS):
                raise SchemaTooNewError(
                    f"The database has form {current}, this Lambent knows up to {len(MIGRATIONS)}: use a newer Lambent."
                )
            if current >= up_to:
                return
            await connection.execute(MIGRATIONS[current], timeout=_STEP_SECONDS)
            await connection.execute("INSERT INTO lambent_form VALUES ($1, now())", current + 1)
