"""Permissions: statements (AddPermission and its kin) and whole documents (PutResourcePolicy and its kin)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from lambent.functions import names
from lambent.functions.configs.targets import Targets
from lambent.functions.policies.statements import check_document, check_length, compact, document_of, statement_of
from lambent.model.arn import LATEST
from lambent.model.configs.policy import FunctionPolicy
from lambent.model.errors import (
    InvalidParameterValueError,
    PreconditionFailedError,
    ResourceConflictError,
    ResourceNotFoundError,
)
from lambent.store.contracts import CommitRefusedError
from lambent.wire.generated.add_permission import AddPermissionResponse
from lambent.wire.generated.get_policy import GetPolicyResponse
from lambent.wire.generated.get_resource_policy import GetResourcePolicyResponse
from lambent.wire.generated.put_resource_policy import PutResourcePolicyResponse

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.functions.configs.targets import Target
    from lambent.functions.ids import Ids
    from lambent.model.arn import FunctionArn
    from lambent.model.caller import Caller
    from lambent.store import Resources
    from lambent.wire.generated.add_permission import AddPermissionRequest
    from lambent.wire.generated.delete_resource_policy import DeleteResourcePolicyRequest
    from lambent.wire.generated.get_policy import GetPolicyRequest
    from lambent.wire.generated.get_resource_policy import GetResourcePolicyRequest
    from lambent.wire.generated.put_resource_policy import PutResourcePolicyRequest
    from lambent.wire.generated.remove_permission import RemovePermissionRequest

# Source: recorded (test_permission_exceptions).
_NOTHING = "The resource you requested does not exist."
_NO_POLICY = "No policy is associated with the given resource."
# Source: observed.
_STALE = (
    "The Revision Id provided does not match the latest Revision Id. "
    "Call the GetPolicy API to retrieve the latest Revision Id"
)
# How often a change that another one came before is tried anew.
_ATTEMPTS = 5


class Permissions:
    """The six operations on resource policies. Scope: cluster; keeps no state, the store does.

    A policy has no revision of its own: a change of it is a new RevisionId of the function, version or alias.
    Source: test_function_revisions_permissions ("function revision is the same as policy revision").
    """

    def __init__(self, resources: Resources, ids: Ids) -> None:
        self._resources = resources
        self._targets = Targets(resources)
        self._ids = ids

    async def add_permission(self, caller: Caller, request: AddPermissionRequest) -> AddPermissionResponse:
        """Add a statement and return it.

        Raises:
            InvalidParameterValueError: $LATEST, or see `statement_of` (400).
            ResourceNotFoundError: no such function, version or alias (404).
            ResourceConflictError: the statement id is taken (409).
            PreconditionFailedError: RevisionId is not the present one (412).
            LambdaError: PolicyLengthExceededException (400).
        """
        arn = _changeable(names.resolve(caller, request.function_name, request.qualifier))
        await self._targets.get(arn)
        statement = statement_of(request, arn)

        def added(policy: FunctionPolicy | None) -> str:
            statements = [] if policy is None else _statements(policy)
            if any(one.get("Sid") == request.statement_id for one in statements):
                raise ResourceConflictError(
                    f"The statement id ({request.statement_id}) provided already exists. "
                    "Please provide a new statement id, or remove the existing statement."
                )
            return _with_statements(policy, [*statements, statement])

        await self._change(arn, request.revision_id, added)
        return AddPermissionResponse(statement=compact(statement))

    async def remove_permission(self, caller: Caller, request: RemovePermissionRequest) -> None:
        """Take a statement away; the policy goes with its last one.

        Raises:
            ResourceNotFoundError: no such function, version, alias, policy or statement (404).
            PreconditionFailedError: RevisionId is not the present one (412).
        """
        arn = _latest_is_none(names.resolve(caller, request.function_name, request.qualifier))
        if await self._targets.find(arn.unqualified) is None:
            raise ResourceNotFoundError(f"No policy found for: {arn}")
        await self._targets.get(arn)

        def removed(policy: FunctionPolicy | None) -> str | None:
            if policy is None:
                raise ResourceNotFoundError(_NO_POLICY)
            statements = _statements(policy)
            left = [one for one in statements if one.get("Sid") != request.statement_id]
            if len(left) == len(statements):
                # Source: observed.
                raise ResourceNotFoundError(f"Statement {request.statement_id} is not found in resource policy.")
            return _with_statements(policy, left) if left else None

        await self._change(arn, request.revision_id, removed)

    async def get_policy(self, caller: Caller, request: GetPolicyRequest) -> GetPolicyResponse:
        """Return the policy of a function, version or alias. Raises ResourceNotFoundError (404)."""
        policy, revision_id = await self._existing(
            names.resolve(caller, request.function_name, request.qualifier), _NOTHING
        )
        return GetPolicyResponse(policy=policy.document, revision_id=revision_id)

    async def put_resource_policy(self, caller: Caller, request: PutResourcePolicyRequest) -> PutResourcePolicyResponse:
        """Replace the whole policy, statements of AddPermission included.

        Raises:
            InvalidParameterValueError: $LATEST, or see `check_document` (400).
            Others: as `add_permission`.
        """
        arn = _changeable(_of_arn(caller, request.resource_arn))
        await self._targets.get(arn)
        check_length(request.policy)
        check_document(request.policy, arn)
        revision_id = await self._change(arn, request.revision_id, lambda _policy: request.policy)
        return PutResourcePolicyResponse(policy=request.policy, revision_id=revision_id)

    async def get_resource_policy(self, caller: Caller, request: GetResourcePolicyRequest) -> GetResourcePolicyResponse:
        """Return the policy of an ARN. Raises ResourceNotFoundError (404)."""
        policy, revision_id = await self._existing(_of_arn(caller, request.resource_arn), _NO_POLICY)
        return GetResourcePolicyResponse(policy=policy.document, revision_id=revision_id)

    async def delete_resource_policy(self, caller: Caller, request: DeleteResourcePolicyRequest) -> None:
        """Remove the whole policy. Raises as `remove_permission`."""
        arn = _latest_is_none(_of_arn(caller, request.resource_arn))
        await self._targets.get(arn)

        def removed(policy: FunctionPolicy | None) -> None:
            if policy is None:
                raise ResourceNotFoundError(_NO_POLICY)

        await self._change(arn, request.revision_id, removed)

    async def _existing(self, arn: FunctionArn, missing: str) -> tuple[FunctionPolicy, str]:
        arn = _latest_is_none(arn)
        target = await self._targets.find(arn)
        policy = await self._policy(arn)
        if target is None or policy is None:
            raise ResourceNotFoundError(missing)
        return policy, target.revision_id

    async def _change(
        self, arn: FunctionArn, revision_id: str | None, change: Callable[[FunctionPolicy | None], str | None]
    ) -> str:
        """Commit the document that `change` makes of the present policy (None: none); return the new RevisionId."""
        for _ in range(_ATTEMPTS):
            target = await self._targets.get(arn)
            if revision_id is not None and revision_id != target.revision_id:
                raise PreconditionFailedError(_STALE)
            policy = await self._policy(arn)
            document = change(policy)
            try:
                return await self._commit(arn, target, policy, document)
            except CommitRefusedError:
                continue
        raise ResourceConflictError(f"Other requests change the policy of {arn} at the same time. Try again.")

    async def _commit(
        self, arn: FunctionArn, target: Target, policy: FunctionPolicy | None, document: str | None
    ) -> str:
        resources = self._resources
        revision_id = self._ids.new()
        # The target's revision guards the policy too: every change of a policy changes it.
        renewed = resources.put_over(replace(target, revision_id=revision_id), target.revision_id)
        if document is None:
            assert policy is not None
            await resources.commit(renewed, resources.delete(policy))
        else:
            check_length(document)
            kept = FunctionPolicy(arn.account_id, arn.region, arn.name, arn.qualifier or "", document, revision_id)
            await resources.commit(renewed, resources.put_over(kept))
        return revision_id

    async def _policy(self, arn: FunctionArn) -> FunctionPolicy | None:
        return await self._resources.get(FunctionPolicy, arn.account_id, arn.region, arn.name, arn.qualifier or "")


def _changeable(arn: FunctionArn) -> FunctionArn:
    if arn.qualifier == LATEST:
        # Source: recorded (test_permission_exceptions).
        raise InvalidParameterValueError("We currently do not support adding policies for $LATEST.")
    return arn


def _latest_is_none(arn: FunctionArn) -> FunctionArn:
    return arn.unqualified if arn.qualifier == LATEST else arn


def _of_arn(caller: Caller, resource_arn: str) -> FunctionArn:
    if ":function:" not in resource_arn:
        # Runtimes have ARNs, and nothing here that a policy could belong to.
        raise ResourceNotFoundError(_NOTHING)
    return names.resolve(caller, resource_arn)


def _statements(policy: FunctionPolicy) -> list[dict[str, Any]]:
    given = json.loads(policy.document)["Statement"]
    return list(given) if isinstance(given, list) else [given]


def _with_statements(policy: FunctionPolicy | None, statements: list[dict[str, Any]]) -> str:
    if policy is None:
        return document_of(statements)
    return compact({**json.loads(policy.document), "Statement": statements})
