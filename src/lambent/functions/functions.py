"""Functions: create, read, update, delete, list."""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, NamedTuple

from msgspec.structs import replace

from lambent.functions import names, paging
from lambent.functions.configuration import configuration_of, listed
from lambent.functions.definition.building import NO_CODE, check_storage_mode, new_function, updated_function
from lambent.functions.definition.images import code_location, with_new_image
from lambent.functions.definition.runtimes import check_runtime
from lambent.functions.encryption.variables import Variables
from lambent.functions.layers.lookup import LayerLookup, check_unpacked_size
from lambent.functions.lookups import changeable, existing, update_in_progress
from lambent.functions.packages.sources import Packages, PackageSource
from lambent.functions.rules import check_publish_to
from lambent.functions.versions import check_unreferenced
from lambent.model.arn import LATEST
from lambent.model.concurrency import ReservedConcurrency
from lambent.model.errors import (
    InvalidParameterValueError,
    LambdaError,
    PreconditionFailedError,
    ResourceConflictError,
    StateReasonError,
)
from lambent.model.function import FunctionVersion, PackageType, VersionCounter
from lambent.store.contracts import CommitRefusedError
from lambent.wire.generated import get_function, list_functions
from lambent.wire.generated.delete_function import DeleteFunctionResponse
from lambent.wire.generated.get_function import FunctionCodeLocation
from lambent.wire.generated.shared import Concurrency

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from lambent.functions.account import CodeStorage
    from lambent.functions.code_signing.signatures import Signatures
    from lambent.functions.configs.runtime_moves import RuntimeMoves
    from lambent.functions.ids import Ids
    from lambent.functions.packages.links import CodeLinks
    from lambent.functions.packages.sweeping import Sweeper
    from lambent.functions.parts import ControlPlaneParts
    from lambent.functions.transitions import Transitions
    from lambent.functions.versions import Publication, Publisher
    from lambent.model.arn import FunctionArn
    from lambent.model.caller import Caller
    from lambent.model.function import CodeReference
    from lambent.store.contracts import Write
    from lambent.wire.generated.create_function import CreateFunctionRequest
    from lambent.wire.generated.delete_function import DeleteFunctionRequest
    from lambent.wire.generated.get_function_configuration import GetFunctionConfigurationRequest
    from lambent.wire.generated.shared import FunctionConfiguration
    from lambent.wire.generated.update_function_code import UpdateFunctionCodeRequest
    from lambent.wire.generated.update_function_configuration import UpdateFunctionConfigurationRequest

# How often a change that lost against another one of the same function is begun anew.
_TRIES = 10


class FunctionTools(NamedTuple):
    """What the operations on functions work with beside the parts of the control plane."""

    ids: Ids
    transitions: Transitions
    publisher: Publisher
    links: CodeLinks
    sweeper: Sweeper
    signatures: Signatures
    storage: CodeStorage
    moves: RuntimeMoves


class Functions:
    """The seven operations on functions. Scope: cluster; keeps no state, the store does."""

    def __init__(self, parts: ControlPlaneParts, tools: FunctionTools) -> None:
        self._store = parts.store
        self._code = parts.code
        self._clock = parts.clock
        self._rules = parts.rules
        self._packages = Packages(parts.download)
        self._resolve_image = parts.resolve_image
        self._networked = parts.networked
        self._is_known = parts.is_known
        self._is_ready_at_once = parts.is_ready_at_once
        self._layers = LayerLookup(parts.store.resources)
        self._variables = Variables(parts.keys)
        self._ids = tools.ids
        self._transitions = tools.transitions
        self._publisher = tools.publisher
        self._links = tools.links
        self._sweeper = tools.sweeper
        self._signatures = tools.signatures
        self._moves = tools.moves
        self._storage = tools.storage

    async def create_function(self, caller: Caller, request: CreateFunctionRequest) -> FunctionConfiguration:
        """Create a function; it is Pending in the answer and Active or Failed soon after, or already. With Publish it
        has a version at once, which the answer describes, under the function's own ARN.

        Raises:
            ResourceConflictError: the name is taken (409).
            CodeStorageExceededError: the account's code quota is used up (400).
            Others: see `new_function`, `Packages.open`, `CodeStore.add`, `names.resolve_new`.
        """
        arn = names.resolve_new(caller, request.function_name)
        refuse_deprecated = self._rules.refuse_deprecated
        function = new_function(request, arn, refuse_deprecated=refuse_deprecated, is_system=caller.is_system)
        function = await self._layers.given(caller, function, request.layers)
        if self._is_known(arn) and await self._store.resources.is_taken(arn):
            # Source: observed. Said before the package is unpacked; the commit says it again to the second of two.
            raise ResourceConflictError(f"Function already exist: {arn.name}")
        function = await self._resolved(function)
        signing = await self._signatures.check_new(caller, function, request.code_signing_config_arn)
        function = await self._variables.sealed(function, None, is_given=True)
        code = request.code
        source = PackageSource("Code.ZipFile", code.zip_file, code.s3_bucket, code.s3_key, code.s3_object_version)
        try:
            async with self._placed(caller, function, source) as reference:
                await self._check_code_storage(arn, reference)
                # After the package: of a request with both wrong, the package is told. Source: observed.
                function = await self._networked(caller, function)
                function = await self._moves.renewed(self._renewed(function, reference))
                function = self._transitions.creating(function)
                check_unpacked_size(function)
                published = await self._insert(function, request, signing)
        except LambdaError:
            # The package may have been placed before the commit failed.
            self._sweeper.want()
            raise
        # Source: recorded (test_publish_version_on_create): the version's number under the function's own ARN.
        return configuration_of(published or function, arn)

    async def get_function(
        self, caller: Caller, request: get_function.GetFunctionRequest
    ) -> get_function.GetFunctionResponse:
        """Return configuration, a URL of the package, and the tags that a function has; its versions have none.

        Raises ResourceNotFoundError (404). Source: recorded (test_lambda_version_provisioned_concurrency).
        """
        arn = names.resolve(caller, request.function_name, request.qualifier)
        function = await existing(self._store, arn)
        tags = await self._store.get_tags(arn) if function.version == LATEST else None
        return get_function.GetFunctionResponse(
            configuration=configuration_of(await self._variables.shown(function), arn),
            code=self._location(caller, function),
            tags=tags or None,
            concurrency=await self._concurrency(arn),
        )

    async def get_function_configuration(
        self, caller: Caller, request: GetFunctionConfigurationRequest
    ) -> FunctionConfiguration:
        """Return the configuration. Raises ResourceNotFoundError (404)."""
        arn = names.resolve(caller, request.function_name, request.qualifier)
        return configuration_of(await self._variables.shown(await existing(self._store, arn)), arn)

    async def update_function_code(self, caller: Caller, request: UpdateFunctionCodeRequest) -> FunctionConfiguration:
        """Give $LATEST another package and, with Publish, publish it; with DryRun only say what would be.

        Raises:
            PreconditionFailedError: RevisionId is not the present one (412).
            ResourceConflictError: the function is being created or updated (409).
            Others: as `create_function`.
        Source: recorded (test_lambda_versions_with_code_changes: the answer is the new version, Pending).
        """
        check_publish_to(request.publish_to)
        check_storage_mode(request.s3_object_storage_mode)
        arn = names.resolve_latest(caller, request.function_name)
        current = await changeable(self._store, arn, request.revision_id)
        changed = with_new_image(current, request)
        if request.architectures:
            changed = replace(changed, architecture=request.architectures[0])
        changed = await self._resolved(replace(changed, source_kms_key_arn=request.source_kms_key_arn))
        source = PackageSource(
            "ZipFile", request.zip_file, request.s3_bucket, request.s3_key, request.s3_object_version
        )
        if request.dry_run:
            await self._signatures.check(arn)
            would_be = self._renewed(changed, await self._checked(caller, changed, source))
            return configuration_of(await self._variables.shown(would_be), arn)
        async with self._placed(caller, changed, source) as reference:
            await self._check_code_storage(arn, reference, replaced_bytes=current.code.size_bytes)
            changed = await self._moves.renewed(self._renewed(changed, reference), current)
            changed = self._transitions.updating(changed)
            check_unpacked_size(changed)
            await self._signatures.check(arn)
            published = await self._commit(
                changed, current, is_revision_given=request.revision_id is not None, publish=bool(request.publish)
            )
        self._sweeper.want()
        version, version_arn = published or (changed, arn)
        return configuration_of(await self._variables.shown(version), version_arn)

    async def update_function_configuration(
        self, caller: Caller, request: UpdateFunctionConfigurationRequest
    ) -> FunctionConfiguration:
        """Change the members that are given. Raises as `update_function_code` and `updated_function`."""
        arn = names.resolve_latest(caller, request.function_name)
        if request.runtime is not None:
            # What is no runtime at all is so for every function.
            check_runtime(request.runtime, refuse_deprecated=False)
        current = await changeable(self._store, arn, request.revision_id)
        changed = updated_function(current, request, refuse_deprecated=self._rules.refuse_deprecated)
        changed = await self._networked(caller, await self._layers.given(caller, changed, request.layers))
        check_unpacked_size(changed)
        if request.layers:
            await self._signatures.check(arn)
        changed = await self._variables.sealed(changed, current, is_given=request.environment is not None)
        changed = await self._moves.renewed(self._renewed(changed, changed.code), current)
        changed = self._transitions.updating(changed)
        await self._commit(changed, current, is_revision_given=request.revision_id is not None)
        if request.layers is not None:
            # One that it had may be deleted already.
            self._sweeper.want()
        return configuration_of(await self._variables.shown(changed), arn)

    async def delete_function(self, caller: Caller, request: DeleteFunctionRequest) -> DeleteFunctionResponse:
        """Remove a function with all that belongs to it, or one version; one that is not there is deleted already.

        Raises:
            ResourceNotFoundError: there is no such function (404).
            InvalidParameterValueError: the qualifier is $LATEST or an alias (400).
            ResourceConflictError: aliases point at the version (409).
        Source: recorded (test_function_lifecycle: 204; test_version_lifecycle); observed for the qualifiers.
        """
        arn = names.resolve(caller, request.function_name, request.qualifier)
        if arn.qualifier == LATEST:
            raise InvalidParameterValueError(f"{LATEST} version cannot be deleted without deleting the function.")
        if arn.qualifier is None:
            if not await self._store.delete(arn):
                raise names.not_found(arn)
        else:
            await existing(self._store, arn.unqualified)
            if not arn.qualifier.isdigit() and not arn.qualifier.startswith("$"):
                raise InvalidParameterValueError("Deletion of aliases is not currently supported.")
            await self._delete_version(arn, arn.qualifier)
        self._sweeper.want()
        return DeleteFunctionResponse(status_code=204)

    async def list_functions(
        self, caller: Caller, request: list_functions.ListFunctionsRequest
    ) -> list_functions.ListFunctionsResponse:
        """Return a page of functions by name; with ALL every version of each, under its qualified ARN.

        Source: API reference; recorded (test_list_functions).
        """
        if request.master_region is not None:
            # Only replicas of Lambda@Edge functions have a master region, and there are none.
            return list_functions.ListFunctionsResponse(functions=[])
        limit = paging.page_size(request.max_items)
        is_qualified = request.function_version == "ALL"
        place = paging.place_of(request.marker, 2)
        scope = (caller.account_id, caller.region)
        found: Sequence[FunctionVersion]
        if is_qualified:
            after = None if place is None else (place[0], place[1])
            found = await self._store.resources.page(FunctionVersion, *scope, after=after, limit=limit + 1)
        else:
            after_name = None if place is None else place[0]
            found = await self._store.list_functions(*scope, after_name=after_name, limit=limit + 1)
        page, last = paging.cut(found, limit)
        page = await self._variables.all_shown(page)
        return list_functions.ListFunctionsResponse(
            next_marker=None if last is None else paging.marker_of(last.name, last.version),
            functions=await listed(page, is_qualified=is_qualified),
        )

    async def _concurrency(self, arn: FunctionArn) -> Concurrency | None:
        reserved = await self._store.resources.get(ReservedConcurrency, arn.account_id, arn.region, arn.name)
        return None if reserved is None else Concurrency(reserved_concurrent_executions=reserved.executions)

    def _renewed(self, function: FunctionVersion, code: CodeReference) -> FunctionVersion:
        """Return the function as changed now: its environments of before retire."""
        return replace(function, code=code, configuration_id=self._ids.new(), last_modified_ms=self._clock.time_ms())

    async def _resolved(self, function: FunctionVersion) -> FunctionVersion:
        """Return a function with what its image's reference means now; one that cannot be told yet is told later.

        Raises:
            StateReasonError: there is no such image, it may not be read, or is none (400, 403).
        """
        if self._resolve_image is None or function.image_uri is None:
            return function
        try:
            return replace(function, image_manifest=await self._resolve_image(function))
        except StateReasonError as error:
            if not error.is_told_later:
                raise
        return function

    @contextlib.asynccontextmanager
    async def _placed(
        self, caller: Caller, function: FunctionVersion, source: PackageSource
    ) -> AsyncIterator[CodeReference]:
        """Have a request's package in the code store for a block; of an image there is only the reference."""
        if function.package_type is PackageType.IMAGE:
            yield NO_CODE
            return
        async with self._packages.open(caller, source) as package, self._code.add(package) as reference:
            yield reference

    async def _checked(self, caller: Caller, function: FunctionVersion, source: PackageSource) -> CodeReference:
        if function.package_type is PackageType.IMAGE:
            return NO_CODE
        async with self._packages.open(caller, source) as package:
            return await self._code.check(package)

    def _location(self, caller: Caller, function: FunctionVersion) -> FunctionCodeLocation:
        if function.image_uri is not None:
            return code_location(function.image_uri, function.image_digest)
        return FunctionCodeLocation(
            repository_type="S3",
            location=self._links.url(caller, function.code.sha256, function.name),
            source_kms_key_arn=function.source_kms_key_arn,
        )

    async def _insert(
        self, function: FunctionVersion, request: CreateFunctionRequest, others: tuple[Write, ...]
    ) -> FunctionVersion | None:
        """Commit a new function, and other writes; return its first version if one is asked for."""
        if not request.publish and await self._is_ready_at_once(function):
            # One commit and one change of the catalog instead of two of each: half of what a creation costs.
            await self._store.insert(self._transitions.created(function), request.tags or {}, *others)
            return None
        publication = await self._publication(function) if request.publish else None
        writes = () if publication is None else publication.writes
        await self._store.insert(function, request.tags or {}, *writes, *others)
        self._begin(function, publication)
        return None if publication is None else publication.version

    async def _publication(self, latest: FunctionVersion) -> Publication:
        """Return what Publish makes of a $LATEST that is about to be committed: a Pending version, if it is new."""
        publication = await self._publisher.of(self._transitions.creating(latest))
        if publication.writes:
            await self._check_code_storage(latest.arn, latest.code)
        return publication

    def _begin(self, changed: FunctionVersion, publication: Publication | None) -> None:
        if publication is not None and publication.writes:
            self._transitions.begin(publication.version, changed)
        else:
            self._transitions.begin(changed)

    async def _delete_version(self, arn: FunctionArn, number: str) -> None:
        resources = self._store.resources
        for _ in range(_TRIES):
            counter = await resources.get(VersionCounter, arn.account_id, arn.region, arn.name)
            if counter is None or await self._store.get(arn) is None:
                return
            await check_unreferenced(self._store, arn, number)
            # An alias that is pointed at the version at this moment writes the counter too: one of both is refused.
            touched = resources.put_over(replace(counter, revision_id=self._ids.new()), counter.revision_id)
            try:
                await resources.commit(touched, *await resources.delete_qualified(arn))
            except CommitRefusedError:
                continue
            return
        raise ResourceConflictError(f"Other changes of {arn} were faster; try again.")

    async def _commit(
        self, changed: FunctionVersion, current: FunctionVersion, *, is_revision_given: bool, publish: bool = False
    ) -> tuple[FunctionVersion, FunctionArn] | None:
        """Commit an update of $LATEST; return the version that Publish made of it, with its ARN."""
        for _ in range(_TRIES):
            publication = await self._publication(changed) if publish else None
            writes = () if publication is None else publication.writes
            try:
                await self._store.update(changed, *writes, expected_revision_id=current.revision_id)
            except PreconditionFailedError:
                latest = await self._store.get(current.arn)
                if latest is not None and latest.revision_id == current.revision_id:
                    # Only the function's counter was written meanwhile.
                    continue
                self._sweeper.want()
                if is_revision_given:
                    raise
                break
            self._begin(changed, publication)
            version = None if publication is None else publication.version
            return None if version is None else (version, version.arn.qualified(version.version))
        # Another update was first; who did not ask for a revision is told what AWS tells.
        raise update_in_progress(current.arn)

    async def _check_code_storage(self, arn: FunctionArn, code: CodeReference, *, replaced_bytes: int = 0) -> None:
        try:
            await self._storage.check(arn, code, replaced_bytes=replaced_bytes)
        except LambdaError:
            self._sweeper.want()
            raise
