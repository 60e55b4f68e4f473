"""What a batch of commits does to what is there: decided in memory, written afterwards in few statements."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.store.contracts import (
    ANY_REVISION,
    Change,
    CommitRefusedError,
    Delete,
    DeleteAll,
    Put,
    Require,
)

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from lambent.store.contracts import Record, RecordKey, Write


def keys_to_read(commits: Iterable[Sequence[Write]]) -> list[RecordKey]:
    """Return the records that some write expects something of."""
    found: dict[RecordKey, None] = {}
    for writes in commits:
        for write in writes:
            if isinstance(write, Delete | Require):
                found[write.key] = None
            elif isinstance(write, Put) and write.expected_revision_id != ANY_REVISION:
                found[write.record.key] = None
    return list(found)


def names_to_read(commits: Iterable[Sequence[Write]]) -> list[tuple[str, str, str, str]]:
    """Return (account, region, kind, name) of all that some write removes by name."""
    found: dict[tuple[str, str, str, str], None] = {}
    for writes in commits:
        for write in writes:
            if isinstance(write, DeleteAll):
                found |= {(write.account_id, write.region, kind, write.name): None for kind in write.kinds}
    return list(found)


class Batch:
    """The content as it is after the commits so far. Holds what was read, nothing else; no input, no output."""

    def __init__(self, content: Iterable[Record]) -> None:
        self._content: dict[RecordKey, Record | None] = {record.key: record for record in content}
        self._written: dict[RecordKey, None] = {}

    def commit(self, writes: Sequence[Write]) -> list[Change]:
        """Take one commit, whole or not at all; return its changes in order.

        Raises:
            CommitRefusedError: an expectation did not hold; it is as if the commit had not been there.
        """
        new: dict[RecordKey, Record | None] = {}
        changes: list[Change] = []

        def set_to(key: RecordKey, record: Record | None) -> None:
            new[key] = record
            changes.append(Change(key, record))

        for write in writes:
            if isinstance(write, Put):
                if write.expected_revision_id != ANY_REVISION:
                    self._expect(write.record.key, write.expected_revision_id, new)
                set_to(write.record.key, write.record)
            elif isinstance(write, Delete):
                self._expect(write.key, write.expected_revision_id, new)
                set_to(write.key, None)
            elif isinstance(write, DeleteAll):
                for key in self._named(write, new):
                    set_to(key, None)
            elif isinstance(write, Require):
                self._expect(write.key, write.expected_revision_id, new)
        self._content |= new
        self._written |= dict.fromkeys(new)
        return changes

    def written(self) -> tuple[list[Record], list[RecordKey]]:
        """Return what is to be put and what is to be removed, each record once, as the last commit left it."""
        put: list[Record] = []
        gone: list[RecordKey] = []
        for key in self._written:
            record = self._content[key]
            if record is None:
                gone.append(key)
            else:
                put.append(record)
        return put, gone

    def _expect(self, key: RecordKey, expected_revision_id: str | None, new: Mapping[RecordKey, Record | None]) -> None:
        found = new[key] if key in new else self._content.get(key)
        if found is None:
            if expected_revision_id is not None:
                raise CommitRefusedError(key, None)
        elif expected_revision_id not in (found.revision_id, ANY_REVISION):
            raise CommitRefusedError(key, found)

    def _named(self, write: DeleteAll, new: Mapping[RecordKey, Record | None]) -> list[RecordKey]:
        there = {**self._content, **new}
        return sorted(
            key
            for key, record in there.items()
            if record is not None
            and key.kind in write.kinds
            and (key.account_id, key.region, key.name) == (write.account_id, write.region, write.name)
        )
