"""Every statement of the driver, named. Values are always parameters; nothing is pasted into a statement."""

from __future__ import annotations

# One row per version of a function. `document` is JSON (see rows.py), `environment` is sealed (see keys.py) or NULL.
INSERT_FUNCTION = """
INSERT INTO functions (account_id, region, name, version, revision_id, is_unsettled, code_sha256, code_size_bytes,
                       document, environment)
VALUES (:account_id, :region, :name, :version, :revision_id, :is_unsettled, :code_sha256, :code_size_bytes,
        :document, :environment)
"""

# The revision in the condition is the whole of our optimistic locking: the second of two writers changes no row.
UPDATE_FUNCTION = """
UPDATE functions
SET revision_id = :revision_id, is_unsettled = :is_unsettled, code_sha256 = :code_sha256,
    code_size_bytes = :code_size_bytes, document = :document, environment = :environment
WHERE account_id = :account_id AND region = :region AND name = :name AND version = :version
  AND revision_id = :expected_revision_id
"""

GET_FUNCTION = """
SELECT * FROM functions WHERE account_id = ? AND region = ? AND name = ? AND version = ?
"""

# By name, from the primary key's order: a page costs what it holds, however many functions there are.
LIST_FUNCTIONS = """
SELECT * FROM functions
WHERE account_id = ? AND region = ? AND version = '$LATEST' AND name > ?
ORDER BY name LIMIT ?
"""

# For the change feed's first part.
ALL_FUNCTIONS = "SELECT * FROM functions ORDER BY account_id, region, name, version"

# What a crash left between two states; a partial index keeps this independent of the number of functions.
UNSETTLED_FUNCTIONS = "SELECT * FROM functions WHERE is_unsettled = 1 ORDER BY account_id, region, name, version"

VERSIONS_OF_FUNCTION = "SELECT version FROM functions WHERE account_id = ? AND region = ? AND name = ?"

DELETE_FUNCTION = "DELETE FROM functions WHERE account_id = ? AND region = ? AND name = ?"

# AWS counts every version's package, also when two are the same bytes.
USAGE = """
SELECT COUNT(*) FILTER (WHERE version = '$LATEST') AS functions, COALESCE(SUM(code_size_bytes), 0) AS code_bytes
FROM functions WHERE account_id = ? AND region = ?
"""

CODE_IN_USE = "SELECT DISTINCT code_sha256 FROM functions"

# Tags belong to the function, not to a version. A function without tags has a row too: its absence is "no function".
INSERT_TAGS = "INSERT INTO function_tags (account_id, region, name, tags) VALUES (?, ?, ?, ?)"
GET_TAGS = "SELECT tags FROM function_tags WHERE account_id = ? AND region = ? AND name = ?"
UPDATE_TAGS = "UPDATE function_tags SET tags = ? WHERE account_id = ? AND region = ? AND name = ?"
DELETE_TAGS = "DELETE FROM function_tags WHERE account_id = ? AND region = ? AND name = ?"
