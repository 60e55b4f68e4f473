"""A batch decides as one commit after the other would, and writes each record once."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from lambent.store.contracts import (
    ANY_REVISION,
    CommitRefusedError,
    Delete,
    DeleteAll,
    Put,
    Record,
    RecordKey,
    Require,
    Write,
)
from lambent.store.postgresql.batch import Batch, keys_to_read, names_to_read

NAMES, QUALIFIERS, KINDS, REVISIONS = ("f", "g"), ("", "1"), ("thing", "other"), ("r1", "r2")
KEYS = st.builds(
    RecordKey,
    st.just("0" * 12),
    st.just("us-east-1"),
    st.sampled_from(KINDS),
    st.sampled_from(NAMES),
    st.sampled_from(QUALIFIERS),
)
EXPECTED = st.sampled_from([*REVISIONS, ANY_REVISION])
RECORDS = st.builds(Record, KEYS, st.sampled_from(REVISIONS), st.binary(max_size=2))
WRITES = st.one_of(
    st.builds(Put, RECORDS, st.none() | EXPECTED),
    st.builds(Delete, KEYS, EXPECTED),
    st.builds(Require, KEYS, st.none() | EXPECTED),
    st.builds(
        DeleteAll,
        st.just("0" * 12),
        st.just("us-east-1"),
        st.lists(st.sampled_from(KINDS), unique=True).map(tuple),
        st.sampled_from(NAMES),
    ),
)


def apply(content: dict[RecordKey, Record], writes: list[Write]) -> dict[RecordKey, Record] | None:
    """Return the content after a commit, None when it is refused: the contract's words, as plainly as can be."""
    new = dict(content)
    for write in writes:
        if isinstance(write, DeleteAll):
            new = {k: r for k, r in new.items() if k.name != write.name or k.kind not in write.kinds}
            continue
        key = write.record.key if isinstance(write, Put) else write.key
        found = new.get(key)
        is_free = isinstance(write, Put) and write.expected_revision_id == ANY_REVISION
        if found is None and write.expected_revision_id is not None and not is_free:
            return None
        if found is not None and write.expected_revision_id not in (found.revision_id, ANY_REVISION):
            return None
        if isinstance(write, Put):
            new[key] = write.record
        elif isinstance(write, Delete):
            del new[key]
    return new


@given(st.lists(RECORDS, unique_by=lambda record: record.key), st.lists(st.lists(WRITES, max_size=4), max_size=6))
def test_a_batch_is_its_commits_one_after_the_other(start: list[Record], commits: list[list[Write]]) -> None:
    everything = {record.key: record for record in start}
    # Only what is asked for is read from the database.
    keys, names = set(keys_to_read(commits)), set(names_to_read(commits))
    read = [
        record
        for key, record in everything.items()
        if key in keys or (key.account_id, key.region, key.kind, key.name) in names
    ]
    batch = Batch(read)
    model = dict(everything)
    told = dict(everything)
    for writes in commits:
        after = apply(model, writes)
        try:
            changes = batch.commit(writes)
        except CommitRefusedError:
            assert after is None
            continue
        assert after is not None
        model = after
        for change in changes:
            if change.record is None:
                told.pop(change.key, None)
            else:
                told[change.key] = change.record
    assert told == model, "the feed tells what happened"
    put, gone = batch.written()
    assert len({*gone, *(record.key for record in put)}) == len(put) + len(gone), "each record once"
    written = {**{k: r for k, r in everything.items() if k not in gone}, **{record.key: record for record in put}}
    assert written == model, "the database ends as the commits say"
