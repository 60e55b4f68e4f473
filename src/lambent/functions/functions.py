"""Functions: create, read, update, delete, list."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from lambent.functions import names
from lambent.functions.building import new_function, updated_function
from lambent.functions.configuration import configuration_of
from lambent.functions.packages.sources import Packages, PackageSource
from lambent.functions.rules import refuse_unfinished
from lambent.model.arn import LATEST
from lambent.model.errors import (
    CodeStorageExceededError,
    InvalidParameterValueError,
    LambdaError,
    NotImplementedHereError,
    PreconditionFailedError,
    ResourceConflictError,
)
from lambent.model.function import FunctionState, UpdateStatus
from lambent.wire.generated import get_function, list_functions
from lambent.wire.generated.delete_function import DeleteFunctionResponse

if TYPE_CHECKING:
    from lambent.functions.ids import Ids
    from lambent.functions.packages.links import CodeLinks
    from lambent.functions.packages.sweeping import Sweeper
    from lambent.functions.parts import ControlPlaneParts
    from lambent.functions.transitions import Transitions
    from lambent.model.arn import FunctionArn
    from lambent.model.caller import Caller
    from lambent.model.function import CodeReference, FunctionVersion
    from lambent.wire.generated.create_function import CreateFunctionRequest
    from lambent.wire.generated.delete_function import DeleteFunctionRequest
    from lambent.wire.generated.get_function_configuration import GetFunctionConfigurationRequest
    from lambent.wire.generated.shared import FunctionConfiguration
    from lambent.wire.generated.update_function_code import UpdateFunctionCodeRequest
    from lambent.wire.generated.update_function_configuration import UpdateFunctionConfigurationRequest

# Source: API reference, ListFunctions, MaxItems: at most 50 in a response, whatever is asked.
_PAGE_MAX = 50
# Source: recorded (test_function_revisions_version_and_alias).
_STALE_REVISION = (
    "The Revision Id provided does not match the latest Revision Id. "
    "Call the GetFunction/GetAlias API to retrieve the latest Revision Id"
)


class Functions:
    """The seven operations on functions. Scope: cluster; keeps no state, the store does."""

    def __init__(
        self, parts: ControlPlaneParts, ids: Ids, transitions: Transitions, links: CodeLinks, sweeper: Sweeper
    ) -> None:
        self._store = parts.store
        self._code = parts.code
        self._clock = parts.clock
        self._rules = parts.rules
        self._packages = Packages(parts.download)
        self._ids = ids
        self._transitions = transitions
        self._links = links
        self._sweeper = sweeper

    async def create_function(self, caller: Caller, request: CreateFunctionRequest) -> FunctionConfiguration:
        """Create a function; it is Pending in the answer and Active or Failed soon after.

        Raises:
            ResourceConflictError: the name is taken (409).
            CodeStorageExceededError: the account's code quota is used up (400).
            Others: see `new_function`, `Packages.open`, `CodeStore.add`, `names.resolve_new`.
        """
        arn = names.resolve_new(caller, request.function_name)
        function = new_function(request, arn, refuse_deprecated=self._rules.refuse_deprecated)
        if await self._store.get(arn) is not None:
            # Source: observed. Said before the package is unpacked; the commit says it again to the second of two.
            raise ResourceConflictError(f"Function already exist: {arn.name}")
        code = request.code
        source = PackageSource("Code.ZipFile", code.zip_file, code.s3_bucket, code.s3_key, code.s3_object_version)
        try:
            async with self._packages.open(caller, source) as package, self._code.add(package) as reference:
                await self._check_code_storage(arn, reference)
                function = self._transitions.creating(self._renewed(function, reference))
                await self._store.insert(function, request.tags or {})
        except LambdaError:
            # The package may have been placed before the commit failed.
            self._sweeper.want()
            raise
        self._transitions.begin(arn)
        return configuration_of(function, arn)

    async def get_function(
        self, caller: Caller, request: get_function.GetFunctionRequest
    ) -> get_function.GetFunctionResponse:
        """Return configuration, a URL of the package, and tags if there are any. Raises ResourceNotFoundError (404)."""
        arn = names.resolve(caller, request.function_name, request.qualifier)
        function = await self._existing(arn)
        tags = await self._store.get_tags(arn)
        return get_function.GetFunctionResponse(
            configuration=configuration_of(function, arn),
            code=get_function.FunctionCodeLocation(
                repository_type="S3",
                location=self._links.url(caller, function),
                source_kms_key_arn=function.source_kms_key_arn,
            ),
            tags=tags or None,
        )

    async def get_function_configuration(
        self, caller: Caller, request: GetFunctionConfigurationRequest
    ) -> FunctionConfiguration:
        """Return the configuration. Raises ResourceNotFoundError (404)."""
        arn = names.resolve(caller, request.function_name, request.qualifier)
        return configuration_of(await self._existing(arn), arn)

    async def update_function_code(self, caller: Caller, request: UpdateFunctionCodeRequest) -> FunctionConfiguration:
        """Give $LATEST another package; with DryRun only say what would be.

        Raises:
            PreconditionFailedError: RevisionId is not the present one (412).
            ResourceConflictError: the function is being created or updated (409).
            NotImplementedHereError: Publish (501).
            Others: as `create_function`.
        """
        if request.publish:
            raise NotImplementedHereError("Lambent does not publish versions yet: leave Publish out.")
        refuse_unfinished(PublishTo=request.publish_to, ImageUri=request.image_uri)
        arn = names.resolve_latest(caller, request.function_name)
        current = await self._changeable(arn, request.revision_id)
        changed = current
        if request.architectures:
            changed = replace(changed, architecture=request.architectures[0])
        changed = replace(changed, source_kms_key_arn=request.source_kms_key_arn)
        source = PackageSource(
            "ZipFile", request.zip_file, request.s3_bucket, request.s3_key, request.s3_object_version
        )
        async with self._packages.open(caller, source) as package:
            if request.dry_run:
                return configuration_of(self._renewed(changed, await self._code.check(package)), arn)
            async with self._code.add(package) as reference:
                await self._check_code_storage(arn, reference, replaced_bytes=current.code.size_bytes)
                changed = self._transitions.updating(self._renewed(changed, reference))
                await self._commit(changed, current, is_revision_given=request.revision_id is not None)
        self._sweeper.want()
        return configuration_of(changed, arn)

    async def update_function_configuration(
        self, caller: Caller, request: UpdateFunctionConfigurationRequest
    ) -> FunctionConfiguration:
        """Change the members that are given. Raises as `update_function_code` and `updated_function`."""
        arn = names.resolve_latest(caller, request.function_name)
        current = await self._changeable(arn, request.revision_id)
        changed = updated_function(current, request, refuse_deprecated=self._rules.refuse_deprecated)
        changed = self._transitions.updating(self._renewed(changed, changed.code))
        await self._commit(changed, current, is_revision_given=request.revision_id is not None)
        return configuration_of(changed, arn)

    async def delete_function(self, caller: Caller, request: DeleteFunctionRequest) -> DeleteFunctionResponse:
        """Remove a function and its tags.

        Raises:
            ResourceNotFoundError: there is none (404).
            InvalidParameterValueError: the qualifier is $LATEST or an alias (400).
        Source: recorded (test_function_lifecycle: 204); observed for the qualifiers.
        """
        arn = names.resolve(caller, request.function_name, request.qualifier)
        if arn.qualifier == LATEST:
            raise InvalidParameterValueError("$LATEST version cannot be deleted without deleting the function.")
        if arn.qualifier is not None:
            await self._existing(arn.unqualified)
            if not arn.qualifier.isdigit():
                raise InvalidParameterValueError("Deletion of aliases is not currently supported.")
            # A version that is not there is deleted already, says AWS; and no version is there yet.
            return DeleteFunctionResponse(status_code=204)
        if not await self._store.delete(arn):
            raise names.not_found(arn)
        self._sweeper.want()
        return DeleteFunctionResponse(status_code=204)

    async def list_functions(
        self, caller: Caller, request: list_functions.ListFunctionsRequest
    ) -> list_functions.ListFunctionsResponse:
        """Return a page of functions by name; `NextMarker` is the last name of a page that has a successor.

        Source: API reference; recorded (test_list_functions: with ALL the ARN ends with the version).
        """
        if request.master_region is not None:
            # Only replicas of Lambda@Edge functions have a master region, and there are none.
            return list_functions.ListFunctionsResponse(functions=[])
        limit = min(request.max_items or _PAGE_MAX, _PAGE_MAX)
        found = await self._store.list_functions(
            caller.account_id, caller.region, after_name=request.marker, limit=limit + 1
        )
        page = found[:limit]
        is_qualified = request.function_version == "ALL"
        return list_functions.ListFunctionsResponse(
            next_marker=page[-1].name if len(found) > limit else None,
            functions=[
                configuration_of(f, f.arn.qualified(f.version) if is_qualified else f.arn, is_listed=True) for f in page
            ],
        )

    def _renewed(self, function: FunctionVersion, code: CodeReference) -> FunctionVersion:
        """Return the function as changed now: its environments of before retire."""
        return replace(function, code=code, configuration_id=self._ids.new(), last_modified_ms=self._clock.time_ms())

    async def _existing(self, arn: FunctionArn) -> FunctionVersion:
        function = await self._store.get(arn)
        if function is None:
            raise names.not_found(arn)
        return function

    async def _changeable(self, arn: FunctionArn, revision_id: str | None) -> FunctionVersion:
        function = await self._existing(arn)
        if revision_id is not None and revision_id != function.revision_id:
            raise PreconditionFailedError(_STALE_REVISION)
        if function.state is FunctionState.PENDING:
            # Source: observed; the same sentence as for an invocation of a pending function.
            raise ResourceConflictError(
                "The operation cannot be performed at this time. "
                f"The function is currently in the following state: {function.state.value}"
            )
        if function.last_update_status is UpdateStatus.IN_PROGRESS:
            raise _update_in_progress(arn)
        return function

    async def _commit(self, changed: FunctionVersion, current: FunctionVersion, *, is_revision_given: bool) -> None:
        try:
            await self._store.update(changed, expected_revision_id=current.revision_id)
        except PreconditionFailedError:
            self._sweeper.want()
            if is_revision_given:
                raise
            # Another update was first; who did not ask for a revision is told what AWS tells.
            raise _update_in_progress(current.arn) from None
        self._transitions.begin(changed.arn)

    async def _check_code_storage(self, arn: FunctionArn, code: CodeReference, *, replaced_bytes: int = 0) -> None:
        # Source: developer guide, quotas; observed text.
        _, used_bytes = await self._store.usage(arn.account_id, arn.region)
        if used_bytes - replaced_bytes + code.size_bytes > self._rules.code_storage_bytes:
            self._sweeper.want()
            raise CodeStorageExceededError("Code storage limit exceeded.")


def _update_in_progress(arn: FunctionArn) -> ResourceConflictError:
    # Source: recorded (test_lambda_concurrent_code_updates).
    return ResourceConflictError(
        f"The operation cannot be performed at this time. An update is in progress for resource: {arn}"
    )
