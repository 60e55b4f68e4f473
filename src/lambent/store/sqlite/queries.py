"""Every statement of the driver, named. Values are always parameters; nothing is pasted into a statement."""

from __future__ import annotations

_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
_INTO = """
INSERT INTO records (account_id, region, kind, name, qualifier, revision_id, is_unsettled, blob_sha256, blob_bytes,
                     document, sealed)
"""
_INSERT = f"{_INTO} VALUES {_ROW}"

# Where nothing may be: it writes no row if there is one.
PUT_NEW = f"{_INSERT} ON CONFLICT (account_id, region, kind, name, qualifier) DO NOTHING"


def put_all_new(count: int) -> str:
    """Return the statement that writes `count` rows where nothing may be: all of them or, with an error, none."""
    return f"{_INTO} VALUES {', '.join([_ROW] * count)}"


# One row per record; the writer has looked at the revision before (one thread writes, in one transaction).
PUT = f"""
{_INSERT}
ON CONFLICT (account_id, region, kind, name, qualifier) DO UPDATE
SET revision_id = excluded.revision_id, is_unsettled = excluded.is_unsettled, blob_sha256 = excluded.blob_sha256,
    blob_bytes = excluded.blob_bytes, document = excluded.document, sealed = excluded.sealed
"""

READ = "SELECT * FROM records WHERE account_id = ? AND region = ? AND kind = ? AND name = ? AND qualifier = ?"

REVISION = """
SELECT revision_id FROM records WHERE account_id = ? AND region = ? AND kind = ? AND name = ? AND qualifier = ?
"""

DELETE = "DELETE FROM records WHERE account_id = ? AND region = ? AND kind = ? AND name = ? AND qualifier = ?"

# Pages, in the primary key's order: a page costs what it holds, however many records there are.
FIRST_PAGE = """
SELECT * FROM records WHERE account_id = :account_id AND region = :region AND kind = :kind
ORDER BY name, qualifier LIMIT :limit
"""

PAGE = """
SELECT * FROM records WHERE account_id = :account_id AND region = :region AND kind = :kind
  AND (name, qualifier) > (:after_name, :after_qualifier)
ORDER BY name, qualifier LIMIT :limit
"""

FIRST_PAGE_OF_NAME = """
SELECT * FROM records WHERE account_id = :account_id AND region = :region AND kind = :kind AND name = :name
ORDER BY qualifier LIMIT :limit
"""

PAGE_OF_NAME = """
SELECT * FROM records WHERE account_id = :account_id AND region = :region AND kind = :kind AND name = :name
  AND (name, qualifier) > (:after_name, :after_qualifier)
ORDER BY qualifier LIMIT :limit
"""

# Every function's $LATEST, however many versions it has: the index of step 4 has them side by side. Left to itself
# SQLite would walk over the versions, in the primary key.
PAGE_OF_QUALIFIER = """
SELECT * FROM records INDEXED BY records_qualifier
WHERE account_id = ? AND region = ? AND kind = ? AND qualifier = ? AND name > ?
ORDER BY name LIMIT ?
"""

# What goes with a function, by its name.
NAMED = "SELECT * FROM records WHERE account_id = ? AND region = ? AND kind = ? AND name = ? ORDER BY qualifier"
QUALIFIERS = "SELECT qualifier FROM records WHERE account_id = ? AND region = ? AND kind = ? AND name = ?"
DELETE_NAMED = "DELETE FROM records WHERE account_id = ? AND region = ? AND kind = ? AND name = ?"

# For the change feed's first part.
ALL = "SELECT * FROM records ORDER BY account_id, region, kind, name, qualifier"

# What a crash left between two states; a partial index keeps this independent of the number of records.
UNSETTLED = "SELECT * FROM records WHERE is_unsettled = 1 ORDER BY account_id, region, kind, name, qualifier"

COUNT = "SELECT COUNT(DISTINCT name) FROM records WHERE account_id = ? AND region = ? AND kind = ?"

# AWS counts every version's package, also when two are the same bytes.
BLOB_BYTES = """
SELECT COALESCE(SUM(blob_bytes), 0) FROM records WHERE account_id = ? AND region = ? AND blob_bytes > 0
"""

BLOBS_IN_USE = "SELECT DISTINCT blob_sha256 FROM records WHERE blob_sha256 IS NOT NULL"
