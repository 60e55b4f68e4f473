"""The form of the events' database, as numbered steps, and its statements. A released step is never edited."""

from __future__ import annotations

STEPS: tuple[str, ...] = (
    # 1. An event's index entry is rewritten by each claim and each return, and by nothing else; `is_leased` stands in
    # it so that counting reads the index alone. A payload of some size lies on pages of its own that no scan touches.
    """
    CREATE TABLE queues (
        number INTEGER PRIMARY KEY,
        account_id TEXT NOT NULL,
        region TEXT NOT NULL,
        name TEXT NOT NULL,
        received INTEGER NOT NULL DEFAULT 0,
        succeeded INTEGER NOT NULL DEFAULT 0,
        dropped INTEGER NOT NULL DEFAULT 0,
        dead_lettered INTEGER NOT NULL DEFAULT 0,
        events INTEGER NOT NULL DEFAULT 0,
        bytes INTEGER NOT NULL DEFAULT 0,
        UNIQUE (account_id, region, name)
    );
    CREATE TABLE events (
        number INTEGER PRIMARY KEY,
        queue INTEGER NOT NULL,
        next_ms INTEGER NOT NULL,
        is_leased INTEGER NOT NULL,
        epoch INTEGER NOT NULL,
        payload_bytes INTEGER NOT NULL,
        head BLOB NOT NULL,
        payload BLOB NOT NULL,
        record BLOB
    );
    CREATE INDEX events_next ON events (queue, next_ms, is_leased);
    CREATE TABLE starts (count INTEGER NOT NULL);
    INSERT INTO starts VALUES (0);
    CREATE TABLE leases (
        name TEXT PRIMARY KEY,
        owner TEXT NOT NULL,
        epoch INTEGER NOT NULL,
        until_ms INTEGER NOT NULL,
        value BLOB NOT NULL
    ) WITHOUT ROWID;
    CREATE TABLE slices (
        name TEXT NOT NULL,
        owner TEXT NOT NULL,
        amount INTEGER NOT NULL,
        until_ms INTEGER NOT NULL,
        PRIMARY KEY (name, owner)
    ) WITHOUT ROWID;
    """,
    # 2. Names under which an event was kept that must not come twice.
    """
    CREATE TABLE onces (
        name TEXT PRIMARY KEY,
        kept_ms INTEGER NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX onces_kept ON onces (kept_ms);
    """,
)

ONCE_MS = 172_800_000
FORGET_ONCES = "DELETE FROM onces WHERE kept_ms < ?"
PUT_ONCE = "INSERT INTO onces (name, kept_ms) VALUES (?, ?) ON CONFLICT (name) DO NOTHING"

QUEUES = "SELECT * FROM queues"
PUT_QUEUE = "INSERT INTO queues (number, account_id, region, name) VALUES (?, ?, ?, ?)"
# Numbers begin anew, and above all before, with every process: none is given twice, not even that of an event whose
# commit failed and of which somebody may still hold a lease.
BEGIN_NUMBERS = "UPDATE starts SET count = count + 1 RETURNING count << 32"

# Each step of a statement lets another thread run, and Python is back only when that one pauses: some ms when the loop
# is busy. So all that a commit writes goes through one statement, which is a transaction by itself: rows for a view,
# and triggers that do with each row what its kind says. They are the connection's own and not part of the file.
PUT, GONE, BACK, SUM, NOTHING = 1, 2, 3, 4, 0
WRITES = """
CREATE TEMP VIEW IF NOT EXISTS writes (kind, number, a, b, c, d, e, head, content) AS SELECT 0, 0, 0, 0, 0, 0, 0, 0, 0;
CREATE TEMP TRIGGER IF NOT EXISTS writes_put INSTEAD OF INSERT ON writes WHEN NEW.kind = 1 BEGIN
    INSERT INTO events (number, queue, next_ms, is_leased, epoch, payload_bytes, head, payload)
    VALUES (NEW.number, NEW.a, NEW.b, NEW.c, NEW.d, NEW.e, NEW.head, NEW.content);
END;
CREATE TEMP TRIGGER IF NOT EXISTS writes_gone INSTEAD OF INSERT ON writes WHEN NEW.kind = 2 BEGIN
    DELETE FROM events WHERE number = NEW.number;
END;
CREATE TEMP TRIGGER IF NOT EXISTS writes_back INSTEAD OF INSERT ON writes WHEN NEW.kind = 3 BEGIN
    UPDATE events SET is_leased = 0, next_ms = NEW.b, head = NEW.head, record = NEW.content WHERE number = NEW.number;
END;
CREATE TEMP TRIGGER IF NOT EXISTS writes_sum INSTEAD OF INSERT ON writes WHEN NEW.kind = 4 BEGIN
    UPDATE queues SET received = received + NEW.a, succeeded = succeeded + NEW.b, dropped = dropped + NEW.c,
                      dead_lettered = dead_lettered + NEW.d, events = events + NEW.e, bytes = bytes + NEW.head
    WHERE number = NEW.number;
END;
"""
WRITE = "INSERT INTO writes VALUES "
WRITE_ROW = "(?, ?, ?, ?, ?, ?, ?, ?, ?)"
NO_ROW = (NOTHING,) * 9
DELETE = "DELETE FROM events WHERE number IN (SELECT value FROM json_each(?))"
EXTEND = "UPDATE events SET next_ms = ? WHERE number IN (SELECT value FROM json_each(?))"

# For the same reason what is claimed comes as one row; only large payloads, and records, are fetched one by one.
# INDEXED BY: the planner has no say; without the index the statement would fail, which a test would see.
INLINE_BYTES_MAX = 4_096
PICK = f"""
SELECT json_group_array(json_array(number, epoch, payload_bytes, head, payload)) FROM (
    SELECT number, epoch, payload_bytes, hex(head) AS head,
           CASE WHEN payload_bytes <= {INLINE_BYTES_MAX} AND record IS NULL THEN hex(payload) END AS payload
    FROM events INDEXED BY events_next WHERE queue = :queue AND next_ms <= :now_ms
    ORDER BY next_ms, is_leased, number LIMIT :limit)
"""
PICKED = "SELECT number, payload, record FROM events WHERE number IN (SELECT value FROM json_each(?))"
CLAIM = """
UPDATE events SET is_leased = 1, epoch = epoch + 1, next_ms = ? WHERE number IN (SELECT value FROM json_each(?))
"""
NEXT = "SELECT MIN(next_ms) FROM events INDEXED BY events_next WHERE queue = ?"
# Of a process that is gone: nobody else may have this file, so what it had claimed is free at once.
VOID_LEASES = """
UPDATE events SET is_leased = 0, next_ms = :now_ms
WHERE number IN (SELECT number FROM events INDEXED BY events_next WHERE is_leased = 1)
"""
# Nobody else has this file: who held them is gone. What was written stays.
FREE_NAMED_LEASES = "UPDATE leases SET until_ms = 0 WHERE until_ms > 0"
LEASED = """
SELECT number, epoch, payload_bytes FROM events
WHERE number IN (SELECT number FROM events INDEXED BY events_next WHERE is_leased = 1)
"""

COUNTS = """
SELECT queue, COUNT(*) AS events, COALESCE(SUM(is_leased), 0) AS in_flight, MIN(next_ms) AS next_ms
FROM events INDEXED BY events_next GROUP BY queue
"""
PEEK = """
SELECT number, epoch, head, payload, record FROM events INDEXED BY events_next WHERE queue = ?
ORDER BY next_ms, is_leased, number LIMIT ?
"""
UNCLAIMED = """
SELECT number, payload_bytes FROM events INDEXED BY events_next WHERE queue = ? AND is_leased = 0
ORDER BY next_ms LIMIT ?
"""
