"""Published versions: immutable snapshots of $LATEST."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from lambent.functions import names, paging, rules
from lambent.functions.configuration import code_sha256_of, configuration_of, listed
from lambent.functions.encryption.variables import Variables
from lambent.functions.lookups import changeable
from lambent.model.arn import LATEST
from lambent.model.errors import InvalidParameterValueError, ResourceConflictError
from lambent.model.function import Alias, FunctionVersion, UpdateStatus, VersionCounter
from lambent.store.contracts import CommitRefusedError
from lambent.wire.generated.list_versions_by_function import ListVersionsByFunctionResponse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambent.clock import Clock
    from lambent.functions.account import CodeStorage
    from lambent.functions.ids import Ids
    from lambent.functions.parts import ControlPlaneParts
    from lambent.model.arn import FunctionArn
    from lambent.model.caller import Caller
    from lambent.store import FunctionStore
    from lambent.store.contracts import Write
    from lambent.wire.generated.list_versions_by_function import ListVersionsByFunctionRequest
    from lambent.wire.generated.publish_version import PublishVersionRequest
    from lambent.wire.generated.shared import FunctionConfiguration

# How often a publication that lost against another change of the same function is begun anew.
_TRIES = 10


class Publication(Struct, frozen=True):
    """A version that is to be (or, without `writes`, already is) there, and what must be committed for it."""

    version: FunctionVersion
    writes: tuple[Write, ...] = ()


class Publisher:
    """Decides what a publication makes. Scope: cluster; keeps no state, the store does."""

    def __init__(self, store: FunctionStore, ids: Ids, clock: Clock) -> None:
        self._store = store
        self._ids = ids
        self._clock = clock

    async def of(self, latest: FunctionVersion, description: str | None = None) -> Publication:
        """Return the version that `latest` becomes, in its state; the last published one if no update came since.

        An update counts although it gave what was there already: AWS does not compare.
        Source: API reference, PublishVersion; observed for equal code; recorded (test_version_lifecycle: the
        description of a publication that makes no version is forgotten).
        """
        resources = self._store.resources
        counter = await resources.get(VersionCounter, latest.account_id, latest.region, latest.name)
        last_number = 0 if counter is None else counter.last_number
        last = await self._store.get(latest.arn.qualified(str(last_number)))
        if last is not None and last.latest_configuration_id == latest.configuration_id:
            return Publication(last)
        version = replace(
            latest,
            version=str(last_number + 1),
            description=latest.description if description is None else description,
            latest_configuration_id=latest.configuration_id,
            # Environments belong to one version: its own number is in their variables.
            configuration_id=self._ids.new(),
            revision_id=self._ids.new(),
            last_modified_ms=self._clock.time_ms(),
            last_update_status=UpdateStatus.SUCCESSFUL,
            last_update_status_reason=None,
            last_update_status_reason_code=None,
        )
        counted = VersionCounter(
            latest.account_id, latest.region, latest.name, last_number + 1, revision_id=self._ids.new()
        )
        count = resources.put_new(counted) if counter is None else resources.put_over(counted, counter.revision_id)
        return Publication(version, (resources.put_new(version), count))


class Versions:
    """The two operations on versions; DeleteFunction with a qualifier is with the functions. Scope: cluster."""

    def __init__(self, parts: ControlPlaneParts, publisher: Publisher, ids: Ids, storage: CodeStorage) -> None:
        self._store = parts.store
        self._storage = storage
        self._publisher = publisher
        self._ids = ids
        self._variables = Variables(parts.keys)

    async def publish_version(self, caller: Caller, request: PublishVersionRequest) -> FunctionConfiguration:
        """Publish $LATEST; it has a new RevisionId afterwards, as on AWS.

        Raises:
            ResourceNotFoundError: there is no such function (404).
            PreconditionFailedError: RevisionId is not that of $LATEST (412).
            InvalidParameterValueError: CodeSha256 is not that of $LATEST; PublishTo (400).
            ResourceConflictError: $LATEST is being created or updated (409).
            CodeStorageExceededError: the account's code quota is used up (400).
        Source: recorded (TestLambdaVersions, test_function_revisions_version_and_alias).
        """
        rules.check_publish_to(request.publish_to)
        arn = names.resolve_latest(caller, request.function_name)
        for _ in range(_TRIES):
            latest = await changeable(self._store, arn, request.revision_id)
            _check_code(latest, request.code_sha256)
            publication = await self._publisher.of(latest, request.description)
            if publication.writes:
                await self._storage.check(arn, latest.code)
                renewed = replace(latest, revision_id=self._ids.new())
                try:
                    await self._store.resources.commit(
                        self._store.resources.put_over(renewed, latest.revision_id), *publication.writes
                    )
                except CommitRefusedError:
                    continue
            version = await self._variables.shown(publication.version)
            return configuration_of(version, arn.qualified(version.version))
        raise ResourceConflictError(f"Other changes of {arn} were faster; try again.")

    async def list_versions_by_function(
        self, caller: Caller, request: ListVersionsByFunctionRequest
    ) -> ListVersionsByFunctionResponse:
        """Return a page of versions: $LATEST first, then by number. Raises ResourceNotFoundError (404)."""
        arn = names.resolve(caller, request.function_name).unqualified
        if await self._store.get(arn) is None:
            raise names.not_found(arn)
        limit = paging.page_size(request.max_items)
        place = paging.place_of(request.marker, 1)
        found = await self._store.resources.page(
            FunctionVersion,
            arn.account_id,
            arn.region,
            name=arn.name,
            after=None if place is None else (arn.name, place[0]),
            limit=limit + 1,
        )
        page, last = paging.cut(found, limit)
        page = await self._variables.all_shown(page)
        return ListVersionsByFunctionResponse(
            next_marker=None if last is None else paging.marker_of(last.version),
            versions=await listed(page, is_qualified=True),
        )


async def check_unreferenced(store: FunctionStore, arn: FunctionArn, version: str) -> None:
    """Refuse the deletion of a version that aliases use.

    Raises:
        ResourceConflictError: in AWS's words (409). Source: API reference, DeleteFunction; observed text.
    """
    aliases: Sequence[Alias] = await store.resources.named(arn.account_id, arn.region, arn.name, Alias)
    using = [alias.name for alias in aliases if alias.points_at(version)]
    if using:
        raise ResourceConflictError(
            f"Unable to delete version because the following aliases reference it: [{', '.join(using)}]"
        )


def _check_code(latest: FunctionVersion, code_sha256: str | None) -> None:
    present = code_sha256_of(latest)
    if code_sha256 and code_sha256 != present:
        raise InvalidParameterValueError(
            f"CodeSHA256 ({code_sha256}) is different from current CodeSHA256 in {LATEST} ({present}). "
            f"Please try again with the CodeSHA256 in {LATEST}."
        )
