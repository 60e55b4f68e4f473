"""The contracts of the store. A driver (sqlite/, postgresql/) implements them; one suite of tests runs over each.

Everything durable is a record: identity, revision, a document. What a document means is told in one place
(`resources.py`), so a driver knows no resource of Lambda's and a new resource needs no new table.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from msgspec import Struct

from lambent.model.errors import LambdaError

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Sequence
    from pathlib import Path


class RecordKey(Struct, frozen=True, order=True):
    """Whose record it is and which. Records of one kind are ordered by name, then qualifier (as bytes of UTF-8)."""

    account_id: str
    region: str
    kind: str
    name: str
    qualifier: str = ""


@dataclass(frozen=True, slots=True)
class Record:
    """One row. `document` is JSON; `sealed` is what must not lie open on disk, encrypted, or None.

    `revision_id` is new with every commit. `blob_sha256` (lower-case hex) names the package it needs in the code
    store (a function with layers several, separated by a space) and `blob_bytes` what it counts against the account's
    code storage. `is_unsettled`: a crash now would leave it between two states.
    `origin`: the value it was made from in this process, which spares the feed to decode it; drivers pass it on.
    """

    key: RecordKey
    revision_id: str
    document: bytes
    sealed: bytes | None = None
    is_unsettled: bool = False
    blob_sha256: str | None = None
    blob_bytes: int = 0
    origin: object = field(default=None, compare=False, repr=False)


class Put(NamedTuple):
    """Write a record over the one with that revision; None: there must be none; ANY_REVISION: over any or none."""

    record: Record
    expected_revision_id: str | None


class Delete(NamedTuple):
    """Remove a record that must be there with that revision, or with ANY_REVISION."""

    key: RecordKey
    expected_revision_id: str


class DeleteAll(NamedTuple):
    """Remove every record of these kinds with this name; none is no failure."""

    account_id: str
    region: str
    kinds: tuple[str, ...]
    name: str


class Require(NamedTuple):
    """Refuse the commit unless the record is there with that revision (ANY_REVISION: any; None: it is not there)."""

    key: RecordKey
    expected_revision_id: str | None


class StoreUnusableError(Exception):
    """The store cannot be used as it is; the text tells a person what to do. Raised at start only."""


Write = Put | Delete | DeleteAll | Require
ANY_REVISION = "*"


class CommitRefusedError(LambdaError):
    """A write's expectation did not hold; nothing of the commit happened. `found` is what is there, None if nothing.

    The control plane answers in AWS's words for the case at hand; one that gets through is a 409.
    """

    def __init__(self, key: RecordKey, found: Record | None) -> None:
        super().__init__(f"Another request changed {key.name} at the same time.", code="ResourceConflictException")
        self.key = key
        self.found = found


class Change(NamedTuple):
    """One committed change: the new record, or None when it was removed."""

    key: RecordKey
    record: Record | None


class ChangeBatch(NamedTuple):
    """What one commit (or, first of all, everything before) changed. `sequence` grows with every commit.

    `is_whole`: with this batch all is told up to `sequence`. The content comes in several, all but the last are not.
    """

    sequence: int
    changes: Sequence[Change]
    is_whole: bool = True


class ResourceChange(NamedTuple):
    """A change in the words of `model`: the type of the resource, and its new value or None when it was deleted."""

    resource: type
    key: RecordKey
    value: Any | None


class Blobs(Protocol):
    """Packages as they came, by the SHA-256 of their bytes (lower-case hex). Scope: installation. After a crash: whole.

    Each node unpacks what it needs and keeps it on its own disk (`CodeStore`); this is where it comes from.
    """

    async def put(self, sha256: str, path: Path, *, is_replacing: bool = False) -> None:
        """Keep a file's content durably, as it is or sealed; it is safe from sweeps for an hour.

        What is there already stays, for it is the same package, unless it `is_replacing` that by its sealed form.

        Raises:
            ServiceError: it could not be written.
        """

    async def fetch(self, sha256: str, path: Path) -> None:
        """Write the content to a new file `path`. Who uses it compares the hash.

        Raises:
            ServiceError: it is not there, or could not be read or written.
        """

    async def sweep(self, in_use: Collection[str]) -> int:
        """Remove what is not `in_use` and was not put within the last hour; return how many went."""


class RecordStore(Protocol):
    """All records. Scope: cluster. After a crash: as committed, whole commits only.

    `blobs` is where packages are when several daemons share them; None: they are in the data directory alone.
    """

    @property
    def blobs(self) -> Blobs | None:
        """See above."""

    async def commit(self, writes: Sequence[Write]) -> int:
        """Do all writes or none, durably; return the sequence of the commit.

        Raises:
            CommitRefusedError: an expectation did not hold.
            ServiceError: the database could not be written; nothing was changed.
        """

    async def read(self, key: RecordKey, *, may_be_ahead: bool = False) -> Record | None:
        """Return a record. What it says has been given to the change feed before, unless it `may_be_ahead`."""

    async def read_page(
        self,
        account_id: str,
        region: str,
        kind: str,
        *,
        name: str | None = None,
        after: tuple[str, str] | None = None,
        limit: int,
    ) -> Sequence[Record]:
        """Return up to `limit` records of a kind (of one name, if given) after (name, qualifier), in order."""

    async def read_page_of_qualifier(
        self, account_id: str, region: str, kind: str, qualifier: str, *, after_name: str | None = None, limit: int
    ) -> Sequence[Record]:
        """Return up to `limit` records of a kind with this qualifier and name > `after_name`, by name.

        What other qualifiers these names have costs nothing.
        """

    async def read_named(self, account_id: str, region: str, kinds: Sequence[str], name: str) -> Sequence[Record]:
        """Return every record of these kinds with this name, as one moment saw them, by kind and qualifier."""

    async def read_unsettled(self) -> Sequence[Record]:
        """Return the unsettled records of all accounts."""

    async def count(self, account_id: str, region: str, kind: str) -> int:
        """Return how many records of a kind there are, each name counted once."""

    async def blob_bytes(self, account_id: str, region: str) -> int:
        """Return the sum of `blob_bytes` over all records."""

    async def blobs_in_use(self) -> frozenset[str]:
        """Return every `blob_sha256` of all accounts."""

    def changes(self) -> AsyncIterator[ChangeBatch]:
        """Yield the whole content first, as one moment saw it, then every commit, in order, without gaps."""

    async def run(self) -> None:
        """Do what must go on beside the calls, until cancelled; app.py starts it before the first call."""

    async def close(self) -> None:
        """Commit what waits and close."""
