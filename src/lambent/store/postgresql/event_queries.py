"""Every statement about events, named. Values are always parameters; time is the database's."""

from __future__ import annotations

# Committed is what the disk has, whatever the server's default is. The rest pins the plan of the claim: on stale
# statistics the planner takes a scan or a sort for cheaper, and consumers fall to a tenth.
BEGIN = """
BEGIN ISOLATION LEVEL READ COMMITTED;
SET LOCAL enable_seqscan = off; SET LOCAL enable_bitmapscan = off; SET LOCAL enable_sort = off;
SET LOCAL enable_hashjoin = off; SET LOCAL enable_mergejoin = off
"""
COMMIT = "COMMIT"

PUT_QUEUE = """
INSERT INTO event_queues (account_id, region, name) VALUES ($1, $2, $3)
ON CONFLICT (account_id, region, name) DO NOTHING
"""
QUEUE = "SELECT number FROM event_queues WHERE account_id = $1 AND region = $2 AND name = $3"
QUEUES = "SELECT number, account_id, region, name FROM event_queues"

FORGET_ONCES = "DELETE FROM event_onces WHERE kept_at < clock_timestamp() - interval '2 days'"
PUT_ONCES = "INSERT INTO event_onces (name) SELECT unnest($1::text[]) ON CONFLICT (name) DO NOTHING RETURNING name"
# In the order in which they were given, so that numbers can be matched with them.
PUT = """
INSERT INTO events (queue, next_at, is_leased, epoch, payload_bytes, head, payload)
SELECT queue, clock_timestamp() + lease_ms * interval '1 millisecond', lease_ms > 0, (lease_ms > 0)::integer,
       payload_bytes, head, payload
FROM unnest($1::integer[], $2::bigint[], $3::integer[], $4::bytea[], $5::bytea[]) WITH ORDINALITY
  AS given (queue, lease_ms, payload_bytes, head, payload, position)
ORDER BY position
RETURNING number
"""

CLAIM = """
WITH picked AS (
    SELECT number FROM events WHERE queue = $1 AND next_at <= clock_timestamp()
    ORDER BY queue, next_at, number LIMIT $2 FOR UPDATE SKIP LOCKED)
UPDATE events SET is_leased = true, epoch = epoch + 1, next_at = clock_timestamp() + $3 * interval '1 millisecond'
FROM picked WHERE events.number = picked.number
RETURNING events.number, epoch, payload_bytes, head, payload, record
"""
NEXT = """
SELECT (EXTRACT(EPOCH FROM next_at - clock_timestamp()) * 1000)::bigint FROM events
WHERE queue = $1 ORDER BY queue, next_at, number LIMIT 1
"""

_CURRENT = "events.number = given.number AND events.epoch = given.epoch AND events.is_leased"
EXTEND = f"""
UPDATE events SET next_at = clock_timestamp() + $3 * interval '1 millisecond'
FROM unnest($1::bigint[], $2::integer[]) AS given (number, epoch) WHERE {_CURRENT}
RETURNING events.number, events.epoch
"""
END = f"""
DELETE FROM events USING unnest($1::bigint[], $2::integer[]) AS given (number, epoch) WHERE {_CURRENT}
RETURNING events.number, events.epoch
"""
RETURN = f"""
UPDATE events SET is_leased = false, next_at = clock_timestamp() + given.delay_ms * interval '1 millisecond',
                  head = given.head, record = given.record
FROM unnest($1::bigint[], $2::integer[], $3::bigint[], $4::bytea[], $5::bytea[])
  AS given (number, epoch, delay_ms, head, record) WHERE {_CURRENT}
RETURNING events.number, events.epoch
"""

# Each daemon adds to rows of its own: none waits for another's commit.
ADD = """
INSERT INTO event_sums (queue, node, received, succeeded, dropped, dead_lettered, events, bytes)
SELECT queue, $2, received, succeeded, dropped, dead_lettered, events, bytes
FROM unnest($1::integer[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::bigint[], $8::bigint[])
  AS given (queue, received, succeeded, dropped, dead_lettered, events, bytes)
ON CONFLICT (queue, node) DO UPDATE
SET received = event_sums.received + excluded.received, succeeded = event_sums.succeeded + excluded.succeeded,
    dropped = event_sums.dropped + excluded.dropped,
    dead_lettered = event_sums.dead_lettered + excluded.dead_lettered,
    events = event_sums.events + excluded.events, bytes = event_sums.bytes + excluded.bytes
"""

SIZES = """
SELECT account_id, region, name, SUM(events)::bigint AS events, SUM(bytes)::bigint AS bytes
FROM event_sums JOIN event_queues ON number = queue GROUP BY account_id, region, name
"""
# One look into the index for each queue, however long it is.
BACKLOG = """
SELECT account_id, region, name, (EXTRACT(EPOCH FROM first.next_at - clock_timestamp()) * 1000)::bigint AS next_ms
FROM event_queues CROSS JOIN LATERAL (
    SELECT next_at FROM events WHERE queue = event_queues.number ORDER BY queue, next_at, number LIMIT 1) AS first
"""
TOTALS = """
SELECT account_id, region, name, received, succeeded, dropped, dead_lettered, events, in_flight,
       (EXTRACT(EPOCH FROM next_at - clock_timestamp()) * 1000)::bigint AS next_ms
FROM event_queues
CROSS JOIN LATERAL (
    SELECT COALESCE(SUM(received), 0)::bigint AS received, COALESCE(SUM(succeeded), 0)::bigint AS succeeded,
           COALESCE(SUM(dropped), 0)::bigint AS dropped, COALESCE(SUM(dead_lettered), 0)::bigint AS dead_lettered
    FROM event_sums WHERE queue = event_queues.number) AS sums
CROSS JOIN LATERAL (
    SELECT COUNT(*) AS events, COUNT(*) FILTER (WHERE is_leased) AS in_flight, MIN(next_at) AS next_at
    FROM events WHERE queue = event_queues.number) AS counts
"""
PEEK = """
SELECT events.number, epoch, payload_bytes, head, payload, record
FROM events JOIN event_queues ON event_queues.number = queue
WHERE account_id = $1 AND region = $2 AND name = $3 ORDER BY next_at, events.number LIMIT $4
"""
DISCARD = """
DELETE FROM events WHERE queue = $1 AND NOT is_leased RETURNING payload_bytes
"""

ACQUIRE = """
INSERT INTO leases (name, owner, epoch, expires_at, value)
VALUES ($1, $2, 1, clock_timestamp() + $3 * interval '1 millisecond', '')
ON CONFLICT (name) DO UPDATE
SET epoch = leases.epoch + (leases.owner <> excluded.owner OR leases.expires_at <= clock_timestamp())::integer,
    owner = excluded.owner, expires_at = excluded.expires_at
WHERE leases.owner = excluded.owner OR leases.expires_at <= clock_timestamp()
RETURNING epoch
"""
_HELD = "WHERE name = $1 AND epoch = $2 AND expires_at > clock_timestamp() RETURNING true"
RENEW = f"UPDATE leases SET expires_at = clock_timestamp() + $3 * interval '1 millisecond' {_HELD}"
WRITE = f"UPDATE leases SET value = $3 {_HELD}"
RELEASE = f"UPDATE leases SET expires_at = '-infinity' {_HELD}"
READ_LEASE = "SELECT owner, epoch, value FROM leases WHERE name = $1"
LEASE_NAMES = "SELECT name FROM leases WHERE starts_with(name, $1) ORDER BY name"
FORGET_LEASES = "DELETE FROM leases WHERE starts_with(name, $1) RETURNING true"

# Takers of one limit stand in line, others do not.
LOCK_LIMIT = "SELECT pg_advisory_xact_lock(1279348306, hashtext($1))"
END_SLICES = "DELETE FROM slices WHERE name = $1 AND (owner = $2 OR expires_at <= clock_timestamp())"
LENT = "SELECT COALESCE(SUM(amount), 0)::bigint FROM slices WHERE name = $1"
LEND = """
INSERT INTO slices (name, owner, amount, expires_at)
VALUES ($1, $2, $3, clock_timestamp() + $4 * interval '1 millisecond')
"""
