"""Every statement of the driver, named. Values are always parameters; nothing is pasted into a statement."""

from __future__ import annotations

# One number for the whole database: whoever holds it commits, everybody else waits. So the order of the log is the
# order of commits, and what a batch has checked stays true until it is written. The lock ends with the transaction.
# READ COMMITTED, whatever the database's default is: only then do later statements see what the last holder wrote.
LOCK = "SELECT pg_advisory_xact_lock(30506419914894964)"
BEGIN = f"BEGIN ISOLATION LEVEL READ COMMITTED; {LOCK}"

# A notification carries nothing: it may be lost, and the log has all there is to know.
NOTIFY_AND_COMMIT = "NOTIFY lambent_changes; COMMIT"
CHANNEL = "lambent_changes"

# What a batch of commits has expectations about. FOR UPDATE keeps out whoever does not know of the lock.
READ_MANY = """
SELECT records.*
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
  AS wanted (account_id, region, kind, name, qualifier)
JOIN records USING (account_id, region, kind, name, qualifier)
FOR UPDATE OF records
"""

# What a batch removes by name.
READ_MANY_NAMED = """
SELECT records.*
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS wanted (account_id, region, kind, name)
JOIN records USING (account_id, region, kind, name)
FOR UPDATE OF records
"""

# One statement for all that a batch writes.
PUT_MANY = """
INSERT INTO records (account_id, region, kind, name, qualifier, revision_id, is_unsettled, blob_sha256, blob_bytes,
                     document, sealed)
SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[], $6::text[], $7::boolean[], $8::text[],
                     $9::bigint[], $10::bytea[], $11::bytea[])
ON CONFLICT (account_id, region, kind, name, qualifier) DO UPDATE
SET revision_id = excluded.revision_id, is_unsettled = excluded.is_unsettled, blob_sha256 = excluded.blob_sha256,
    blob_bytes = excluded.blob_bytes, document = excluded.document, sealed = excluded.sealed
"""

DELETE_MANY = """
DELETE FROM records USING unnest($1::text[], $2::text[], $3::text[], $4::text[], $5::text[])
  AS gone (account_id, region, kind, name, qualifier)
WHERE (records.account_id, records.region, records.kind, records.name, records.qualifier)
    = (gone.account_id, gone.region, gone.kind, gone.name, gone.qualifier)
"""

# Sequences have no gaps: a reader that finds one knows that the log was cut before it came.
TAKE_SEQUENCES = "UPDATE installation SET last_sequence = last_sequence + $1 RETURNING last_sequence"
LAST_SEQUENCE = "SELECT last_sequence FROM installation"

# A row for each change of each commit; revision_id is NULL where a record was removed.
LOG_MANY = """
INSERT INTO change_log (sequence, position, account_id, region, kind, name, qualifier, revision_id, is_unsettled,
                        blob_sha256, blob_bytes, document, sealed)
SELECT * FROM unnest($1::bigint[], $2::integer[], $3::text[], $4::text[], $5::text[], $6::text[], $7::text[],
                     $8::text[], $9::boolean[], $10::text[], $11::bigint[], $12::bytea[], $13::bytea[])
"""

# Whole commits after $1, at most $2 of them, and in every row how far the log goes (one row at least: the join is
# a left one). One statement is one moment. The sub-select keeps the planner from guessing how many rows that table has.
LOG_AFTER = """
SELECT (SELECT last_sequence FROM installation) AS last_sequence, log.*
FROM (SELECT 1) AS one
LEFT JOIN (SELECT * FROM change_log WHERE sequence > $1 AND sequence <= $1 + $2) AS log ON true
ORDER BY log.sequence, log.position
"""

# What is older than $1 seconds by the database's clock, and what is more than $2 commits back.
TRIM_LOG = """
DELETE FROM change_log
WHERE sequence <= (SELECT last_sequence FROM installation) - $2
   OR sequence <= (SELECT max(sequence) FROM change_log WHERE committed_at < now() - make_interval(secs => $1))
"""

READ = """
SELECT * FROM records WHERE account_id = $1 AND region = $2 AND kind = $3 AND name = $4 AND qualifier = $5
"""

# Pages, in the primary key's order (COLLATE "C": bytes): a page costs what it holds, however many records there are.
FIRST_PAGE = """
SELECT * FROM records WHERE account_id = $1 AND region = $2 AND kind = $3
ORDER BY name, qualifier LIMIT $4
"""

PAGE = """
SELECT * FROM records WHERE account_id = $1 AND region = $2 AND kind = $3 AND (name, qualifier) > ($5, $6)
ORDER BY name, qualifier LIMIT $4
"""

FIRST_PAGE_OF_NAME = """
SELECT * FROM records WHERE account_id = $1 AND region = $2 AND kind = $3 AND name = $5
ORDER BY qualifier LIMIT $4
"""

PAGE_OF_NAME = """
SELECT * FROM records WHERE account_id = $1 AND region = $2 AND kind = $3 AND name = $5
  AND (name, qualifier) > ($6, $7)
ORDER BY qualifier LIMIT $4
"""

# Every function's $LATEST, however many versions it has: the index of step 3 has them side by side.
PAGE_OF_QUALIFIER = """
SELECT * FROM records WHERE account_id = $1 AND region = $2 AND kind = $3 AND qualifier = $4 AND name > $5
ORDER BY name LIMIT $6
"""

# What goes with a function, by its name; one statement is one moment.
NAMED = """
SELECT * FROM records WHERE account_id = $1 AND region = $2 AND kind = ANY($3::text[]) AND name = $4
ORDER BY kind, qualifier
"""

# For the change feed's first part.
ALL = "SELECT * FROM records ORDER BY account_id, region, kind, name, qualifier"

# What a crash left between two states; a partial index keeps this independent of the number of records.
UNSETTLED = "SELECT * FROM records WHERE is_unsettled ORDER BY account_id, region, kind, name, qualifier"

COUNT = "SELECT COUNT(DISTINCT name) FROM records WHERE account_id = $1 AND region = $2 AND kind = $3"

# AWS counts every version's package, also when two are the same bytes.
BLOB_BYTES = """
SELECT COALESCE(SUM(blob_bytes), 0)::bigint FROM records WHERE account_id = $1 AND region = $2 AND blob_bytes > 0
"""

BLOBS_IN_USE = "SELECT DISTINCT blob_sha256 FROM records WHERE blob_sha256 IS NOT NULL"

# Asked at start. `synchronous_commit` is this session's own: a URL or a role may set it.
DURABILITY = """
SELECT current_setting('server_version_num')::integer AS version, current_setting('server_encoding') AS encoding,
       current_setting('fsync') AS fsync, current_setting('synchronous_commit') AS synchronous_commit,
       current_setting('synchronous_standby_names') AS standbys, pg_is_in_recovery() AS is_standby
"""

# The first daemon says with which key the database's secrets are sealed, all others must have the same.
KEEP_KEY_DIGEST = "UPDATE installation SET key_digest = $1 WHERE key_digest IS NULL"
KEY_DIGEST = "SELECT key_digest FROM installation"

# Packages. A daemon that puts one another has is content; of two that put one at once the second waits for the first.
KEEP_BLOB = "UPDATE blobs SET kept_at = now() WHERE sha256 = $1 RETURNING sha256"
PUT_BLOB = """
INSERT INTO blobs (sha256, size_bytes, kept_at) VALUES ($1, $2, now()) ON CONFLICT DO NOTHING RETURNING sha256
"""
DELETE_BLOB = "DELETE FROM blobs WHERE sha256 = $1"
PUT_BLOB_CHUNK = "INSERT INTO blob_chunks (sha256, number, content) VALUES ($1, $2, $3)"
BLOB_SIZE = "SELECT size_bytes FROM blobs WHERE sha256 = $1"
BLOB_CHUNK = "SELECT content FROM blob_chunks WHERE sha256 = $1 AND number = $2"

# The hour is for what is put and not committed yet, here or by another daemon: no commit takes that long.
SWEEP_BLOBS = """
DELETE FROM blobs WHERE kept_at < now() - interval '1 hour' AND sha256 <> ALL($1::text[]) RETURNING sha256
"""
