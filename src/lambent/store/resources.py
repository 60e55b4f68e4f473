"""What is in the records: the one place that knows how Lambda's resources lie in the store.

A resource is a frozen dataclass of `model` with `account_id`, `region`, `revision_id` and the members that identify it.
A new one needs a row in KINDS, nothing else.
"""

from __future__ import annotations

import asyncio
import contextlib
import heapq
import itertools
import re
import sys
from typing import TYPE_CHECKING, Any, TypeVar, cast
from weakref import WeakValueDictionary

import msgspec
from msgspec import Struct

from lambent.model.arn import LATEST
from lambent.model.code_signing import CodeSigningConfig, CodeSigningFence, FunctionCodeSigning
from lambent.model.concurrency import (
    ConcurrencyFence,
    FunctionScaling,
    ProvisionedConcurrency,
    ReservedConcurrency,
)
from lambent.model.configs.capacity_provider import CapacityProvider
from lambent.model.configs.deployment import (
    Deployment,
    DeploymentApplication,
    DeploymentConfig,
    DeploymentGroup,
)
from lambent.model.configs.event import EventInvokeConfig
from lambent.model.configs.event_source import EventSourceMapping, MappingClaim
from lambent.model.configs.function_url import FunctionUrlConfig
from lambent.model.configs.management import RecursionConfig, RuntimeManagementConfig
from lambent.model.configs.policy import FunctionPolicy
from lambent.model.configs.repository import Repository
from lambent.model.configs.schedule import Firing, RuleScope, Schedule, ScheduledRule, ScheduleGroup
from lambent.model.configs.tags import ResourceTags
from lambent.model.function import (
    Alias,
    FunctionTags,
    FunctionVersion,
    VersionCounter,
)
from lambent.model.layer import Layer, LayerPolicy, LayerVersion
from lambent.model.quotas import AccountQuota
from lambent.store.contracts import ANY_REVISION, Delete, DeleteAll, Put, Record, RecordKey, Require, ResourceChange

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable, Sequence

    from lambent.model.arn import FunctionArn
    from lambent.store.contracts import Change, RecordStore, Write
    from lambent.store.keys import InstallationKey

T = TypeVar("T")

_DIGITS = 10
_ALIKE = ("role", "runtime", "handler", "architecture", "description", "tracing_mode", "snap_start_apply_on")
_APPLIED_SECONDS = 5.0
# How many records are decoded before others have their turn: a quarter of a millisecond.
_TURN = 8
_NUMBER = re.compile(r"[1-9][0-9]*")


def _no(value: Any) -> bool:
    return False


def _no_blob(value: Any) -> tuple[str | None, int]:
    return None, 0


class Kind(Struct, frozen=True):
    """How one type lies in the store.

    `name` and `qualifier` are the members that identify it within account and region; an integer qualifier, and a
    number as text where `is_numbered`, is kept in order of its value. `sealed` is the member that lies encrypted,
    unless another member holds it under a key of its own (`is_sealed_already`). `is_of_function`: `name` is a
    function's, and the resource goes with it. `is_remembered`: there are few, and each creation asks for one. `blob`
    tells the package it needs and the bytes that it counts.
    """

    kind: str
    name: str
    qualifier: str | None = None
    is_numbered: bool = False
    sealed: str | None = None
    is_of_function: bool = False
    is_remembered: bool = False
    is_sealed_already: Callable[[Any], bool] = _no
    is_unsettled: Callable[[Any], bool] = _no
    blob: Callable[[Any], tuple[str | None, int]] = _no_blob


def _function_blob(function: FunctionVersion) -> tuple[str | None, int]:
    # Its layers count where they were published.
    return " ".join(function.packages) or None, function.code.size_bytes


def _is_under_key(function: FunctionVersion) -> bool:
    return function.environment_cipher is not None


def _layer_blob(version: LayerVersion) -> tuple[str | None, int]:
    return version.code.sha256, version.code.size_bytes


KINDS: dict[type, Kind] = {
    FunctionVersion: Kind(
        "function",
        "name",
        "version",
        is_numbered=True,
        sealed="environment",
        is_sealed_already=_is_under_key,
        is_of_function=True,
        is_unsettled=lambda function: function.is_unsettled,
        blob=_function_blob,
    ),
    FunctionTags: Kind("function-tags", "name", is_of_function=True),
    Alias: Kind("alias", "function_name", "name", is_of_function=True),
    VersionCounter: Kind("version-counter", "name"),
    Layer: Kind("layer", "name"),
    LayerVersion: Kind("layer-version", "name", "version", blob=_layer_blob),
    LayerPolicy: Kind("layer-policy", "name", "version"),
    CodeSigningConfig: Kind("code-signing-config", "config_id"),
    CodeSigningFence: Kind("code-signing-fence", "config_id"),
    FunctionCodeSigning: Kind("function-code-signing", "function_name", is_of_function=True),
    FunctionPolicy: Kind("function-policy", "name", "qualifier", is_of_function=True),
    EventInvokeConfig: Kind("event-invoke-config", "name", "qualifier", is_of_function=True),
    FunctionUrlConfig: Kind("function-url-config", "name", "qualifier", is_of_function=True),
    EventSourceMapping: Kind("event-source-mapping", "uuid"),
    MappingClaim: Kind("mapping-claim", "claim"),
    ResourceTags: Kind("resource-tags", "resource"),
    RecursionConfig: Kind("recursion-config", "name", is_of_function=True),
    RuntimeManagementConfig: Kind("runtime-management-config", "name", "qualifier", is_of_function=True),
    CapacityProvider: Kind("capacity-provider", "name"),
    ReservedConcurrency: Kind("reserved-concurrency", "function_name", is_of_function=True),
    ProvisionedConcurrency: Kind(
        "provisioned-concurrency", "function_name", "qualifier", is_numbered=True, is_of_function=True
    ),
    FunctionScaling: Kind("function-scaling", "function_name", "qualifier", is_numbered=True, is_of_function=True),
    ConcurrencyFence: Kind("concurrency-fence", "name"),
    AccountQuota: Kind("account-quota", "name", is_remembered=True),
    # What targets get may be as secret as what environments hold.
    Schedule: Kind("schedule", "name", "group", sealed="target"),
    ScheduleGroup: Kind("schedule-group", "name"),
    ScheduledRule: Kind("scheduled-rule", "name", sealed="targets"),
    RuleScope: Kind("rule-scope", "name"),
    Repository: Kind("repository", "name"),
    Firing: Kind("firing", "name", sealed="target", is_unsettled=lambda _: True),
    DeploymentApplication: Kind("deployment-application", "name"),
    DeploymentGroup: Kind("deployment-group", "application", "name"),
    DeploymentConfig: Kind("deployment-config", "name"),
    Deployment: Kind("deployment", "deployment_id", is_unsettled=lambda deployment: deployment.is_active),
}
_TYPES = {kind.kind: resource for resource, kind in KINDS.items()}


class Resources:
    """The typed view of a RecordStore. Scope: cluster. Only writer: the control plane. After a crash: as committed.

    A commit returns once the data plane of this process has taken it (see `changes`).
    """

    def __init__(self, records: RecordStore, key: InstallationKey) -> None:
        self._records = records
        self._key = key
        self._applied = -1
        self._filled = asyncio.Event()
        self._waiting: list[tuple[int, int, asyncio.Future[None]]] = []
        self._numbers = itertools.count()
        # Versions that somebody holds anyway, the catalog above all, by their revision ids: half of what a read or a
        # listing takes is to make them once more from their records.
        self._remembered: dict[RecordKey, Any] = {}
        self._held: WeakValueDictionary[str, FunctionVersion] = WeakValueDictionary()

    async def get(
        self, resource: type[T], account_id: str, region: str, name: str, qualifier: str | int = ""
    ) -> T | None:
        """Return a resource."""
        record = await self._records.read(_key(resource, account_id, region, name, qualifier))
        return None if record is None else self._value(resource, record)

    async def peek(self, resource: type[T], account_id: str, region: str, name: str) -> T | None:
        """Return a resource, perhaps before the data plane of this process has heard of it: to decide, not to tell.

        It costs less than `get` while commits are under way.
        """
        key = _key(resource, account_id, region, name, "")
        if KINDS[resource].is_remembered and self._filled.is_set() and self._applied >= 0:
            return cast("T | None", self._remembered.get(key))
        record = await self._records.read(key, may_be_ahead=True)
        return None if record is None else self._value(resource, record)

    async def is_taken(self, arn: FunctionArn) -> bool:
        """Whether there is a function of this name, or was one a moment ago. Only a commit knows."""
        key = _key(FunctionVersion, arn.account_id, arn.region, arn.name, LATEST)
        return await self._records.read(key, may_be_ahead=True) is not None

    async def page(
        self,
        resource: type[T],
        account_id: str,
        region: str,
        *,
        name: str | None = None,
        after: tuple[str, str | int] | None = None,
        limit: int,
    ) -> list[T]:
        """Return up to `limit` resources of a type (of one name, if given) after (name, qualifier), in order."""
        place = None if after is None else (after[0], _qualifier_text(resource, after[1]))
        kind = KINDS[resource].kind
        found = await self._records.read_page(account_id, region, kind, name=name, after=place, limit=limit)
        return await self._values(resource, found)

    async def page_of_qualifier(
        self, resource: type[T], account_id: str, region: str, qualifier: str, *, after_name: str | None, limit: int
    ) -> list[T]:
        """Return up to `limit` resources of a type with this qualifier and name > `after_name`, by name."""
        kind = KINDS[resource].kind
        found = await self._records.read_page_of_qualifier(
            account_id, region, kind, _qualifier_text(resource, qualifier), after_name=after_name, limit=limit
        )
        return await self._values(resource, found)

    async def named(self, account_id: str, region: str, name: str, *resources: type) -> list[Any]:
        """Return all resources of these types with this name, as one moment saw them."""
        kinds = [KINDS[resource].kind for resource in resources]
        found = await self._records.read_named(account_id, region, kinds, name)
        return [self._value(_TYPES[record.key.kind], record) for record in found]

    async def unsettled(self, resource: type[T]) -> list[T]:
        """Return the unsettled resources of a type, of all accounts."""
        kind = KINDS[resource].kind
        found = await self._records.read_unsettled()
        return [self._value(resource, record) for record in found if record.key.kind == kind]

    async def count(self, resource: type, account_id: str, region: str) -> int:
        """Return how many resources of a type there are, each name counted once."""
        return await self._records.count(account_id, region, KINDS[resource].kind)

    async def blob_bytes(self, account_id: str, region: str) -> int:
        """Return the bytes of code storage that the account uses in the region."""
        return await self._records.blob_bytes(account_id, region)

    async def blobs_in_use(self) -> frozenset[str]:
        """Return the sha256 of every package that some resource needs."""
        in_use = await self._records.blobs_in_use()
        return frozenset(itertools.chain.from_iterable(names.split() for names in in_use))

    def put_new(self, value: Any) -> Put:
        """Return the write of a resource that must not be there yet."""
        return Put(self._record(value), None)

    def put_over(self, value: Any, revision_id: str = ANY_REVISION) -> Put:
        """Return the write of a resource over the one with that revision (ANY_REVISION: any or none)."""
        return Put(self._record(value), revision_id)

    @staticmethod
    def delete(value: Any, *, is_any_revision: bool = False) -> Delete:
        """Return the write that removes what was read, unless it changed since."""
        return Delete(key_of(value), ANY_REVISION if is_any_revision else value.revision_id)

    @staticmethod
    def require(value: Any, *, is_any_revision: bool = False) -> Require:
        """Return the condition that what was read is still there and, unless told otherwise, still the same."""
        return Require(key_of(value), ANY_REVISION if is_any_revision else value.revision_id)

    @staticmethod
    def require_none(resource: type, account_id: str, region: str, name: str, qualifier: str | int = "") -> Require:
        """Return the condition that there is no such resource."""
        return Require(_key(resource, account_id, region, name, qualifier), None)

    @staticmethod
    def delete_function(arn: FunctionArn) -> list[Write]:
        """Return the writes that remove a function and all that goes with it; it must be there."""
        latest = _key(FunctionVersion, arn.account_id, arn.region, arn.name, "$LATEST")
        kinds = tuple(kind.kind for kind in KINDS.values() if kind.is_of_function)
        return [Require(latest, ANY_REVISION), DeleteAll(arn.account_id, arn.region, kinds, arn.name)]

    async def delete_qualified(self, arn: FunctionArn) -> list[Write]:
        """Return the writes that remove a version or an alias of a function and the configurations that name it."""
        writes: list[Write] = []
        for resource, kind in KINDS.items():
            if not kind.is_of_function or kind.qualifier is None:
                continue
            found: Any = await self.get(resource, arn.account_id, arn.region, arn.name, arn.qualifier or "")
            if found is not None:
                writes.append(self.delete(found))
        return writes

    async def commit(self, *writes: Write) -> None:
        """Do all writes or none, durably.

        Raises:
            CommitRefusedError: an expectation did not hold; see RecordStore.commit.
            ServiceError: the database could not be written; nothing was changed.
        """
        sequence = await self._records.commit(writes)
        if self._applied < 0 or sequence <= self._applied:
            return
        waiter = asyncio.get_running_loop().create_future()
        heapq.heappush(self._waiting, (sequence, next(self._numbers), waiter))
        # What is committed stays so: with a database that went away since, the data plane catches up later.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_APPLIED_SECONDS):
                await waiter

    async def wait_filled(self) -> None:
        """Return when a reader of `changes` has applied the whole content."""
        await self._filled.wait()

    async def changes(self) -> AsyncIterator[list[ResourceChange]]:
        """Yield the whole content first, in several batches, then every commit, in order.

        A reader that asks for the next batch has applied the one before: commits that wait for it return. What a
        newer Lambent keeps in the same database is not told.
        """
        try:
            async for batch in self._records.changes():
                sequence, is_whole = batch.sequence, batch.is_whole
                typed = [self._typed(change) for change in batch.changes if change.key.kind in _TYPES]
                # Not kept until the next one comes: it can be long.
                del batch
                yield typed
                del typed
                if is_whole:
                    self._applied = max(self._applied, sequence)
                    self._answer(self._applied)
                    self._filled.set()
        finally:
            # Nobody applies any more: whoever waits, and whoever comes, has nobody to wait for.
            self._applied = -1
            self._answer(None)

    def _answer(self, applied: int | None) -> None:
        while self._waiting and (applied is None or self._waiting[0][0] <= applied):
            _, _, waiter = heapq.heappop(self._waiting)
            if not waiter.done():
                waiter.set_result(None)

    def _typed(self, change: Change) -> ResourceChange:
        resource = _TYPES[change.key.kind]
        record = change.record
        value = None if record is None else record.origin or self._value(resource, record)
        if KINDS[resource].is_remembered:
            if value is None:
                self._remembered.pop(change.key, None)
            else:
                self._remembered[change.key] = value
        if isinstance(value, FunctionVersion) and value.environment_cipher is None:
            # One whose variables are under a key of somebody else's may hold them in the clear, and is not told so.
            self._held[value.revision_id] = value
        key, qualifier = change.key, _qualifier_of(resource, change.key.qualifier)
        if qualifier != key.qualifier:
            key = RecordKey(key.account_id, key.region, key.kind, key.name, qualifier)
        return ResourceChange(resource, key, value)

    def _record(self, value: Any) -> Record:
        kind = KINDS[type(value)]
        members: dict[str, Any] = msgspec.to_builtins(value)
        for member in ("account_id", "region", "revision_id", kind.name, kind.qualifier):
            if member is not None:
                del members[member]
        sealed = None
        if kind.sealed is not None:
            secret = members.pop(kind.sealed)
            if secret and not kind.is_sealed_already(value):
                sealed = self._key.seal(_secret_text(secret), _context(kind, value))
        sha256, size_bytes = kind.blob(value)
        return Record(
            key_of(value),
            value.revision_id,
            msgspec.json.encode(members),
            sealed,
            kind.is_unsettled(value),
            sha256,
            size_bytes,
            origin=value,
        )

    async def _values(self, resource: type[T], records: Sequence[Record]) -> list[T]:
        values: list[T] = []
        for number, record in enumerate(records, 1):
            values.append(self._value(resource, record))
            if number % _TURN == 0:
                # A page takes milliseconds: whoever is called meanwhile comes in between.
                await asyncio.sleep(0)
        return values

    def _value(self, resource: type[T], record: Record) -> T:
        if resource is FunctionVersion:
            held = self._held.get(record.revision_id)
            # Whose revision it is, is never taken for granted.
            if held is not None and key_of(held) == record.key:
                return cast("T", held)
        kind = KINDS[resource]
        members: dict[str, Any] = msgspec.json.decode(record.document)
        key = record.key
        # Ten thousand functions have a handful of roles, runtimes and handlers: one text each is enough.
        members.update((name, sys.intern(members[name])) for name in _ALIKE if type(members.get(name)) is str)
        members |= {
            "account_id": sys.intern(key.account_id),
            "region": sys.intern(key.region),
            "revision_id": record.revision_id,
        }
        members[kind.name] = key.name
        if kind.qualifier is not None:
            is_number = _is_number(resource, kind.qualifier)
            members[kind.qualifier] = (
                int(key.qualifier) if is_number else sys.intern(_qualifier_of(resource, key.qualifier))
            )
        if kind.sealed is not None and record.sealed is not None:
            context = f"{kind.sealed}/{key.account_id}/{key.region}/{key.name}"
            members[kind.sealed] = _secret(self._key.unseal(record.sealed, context))
        return msgspec.convert(members, resource)


def key_of(value: Any) -> RecordKey:
    """Return the key of a resource's record."""
    kind = KINDS[type(value)]
    qualifier = getattr(value, kind.qualifier) if kind.qualifier is not None else ""
    return _key(type(value), value.account_id, value.region, getattr(value, kind.name), qualifier)


def _key(resource: type, account_id: str, region: str, name: str, qualifier: str | int) -> RecordKey:
    return RecordKey(account_id, region, KINDS[resource].kind, name, _qualifier_text(resource, qualifier))


def _qualifier_text(resource: type, qualifier: str | int) -> str:
    if isinstance(qualifier, int):
        return f"{qualifier:0{_DIGITS}d}"
    # Only a number as AWS writes it: 01 is not version 1.
    is_number = KINDS[resource].is_numbered and _NUMBER.fullmatch(qualifier) is not None
    return qualifier.rjust(_DIGITS, "0") if is_number else qualifier


def _qualifier_of(resource: type, text: str) -> str:
    """Return what `_qualifier_text` was made from."""
    return text.lstrip("0") if KINDS[resource].is_numbered else text


def _is_number(resource: type, member: str) -> bool:
    return resource.__annotations__[member] in (int, "int")


def _context(kind: Kind, value: Any) -> str:
    """What a sealed member is bound to: copied to another resource's record it does not open."""
    return f"{kind.sealed}/{value.account_id}/{value.region}/{getattr(value, kind.name)}"


def _secret_text(secret: Any) -> bytes:
    return msgspec.json.encode(secret)


def _secret(text: bytes) -> Any:
    return msgspec.json.decode(text)
