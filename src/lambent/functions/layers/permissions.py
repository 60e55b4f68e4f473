"""Who may use a layer version: its policy, statement by statement."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from msgspec.structs import replace

from lambent.functions.layers.layers import check_number
from lambent.functions.layers.lookup import own_layer
from lambent.functions.lookups import TRIES, overtaken
from lambent.model.errors import LambdaError, PreconditionFailedError, ResourceConflictError, ResourceNotFoundError
from lambent.model.layer import LayerArn, LayerPolicy, LayerStatement, LayerVersion
from lambent.model.quotas import POLICY_BYTES
from lambent.store.contracts import CommitRefusedError
from lambent.wire.generated.add_layer_version_permission import AddLayerVersionPermissionResponse
from lambent.wire.generated.get_layer_version_policy import GetLayerVersionPolicyResponse

if TYPE_CHECKING:
    from lambent.functions.ids import Ids
    from lambent.functions.parts import ControlPlaneParts
    from lambent.model.caller import Caller
    from lambent.store.contracts import Write
    from lambent.wire.generated.add_layer_version_permission import AddLayerVersionPermissionRequest
    from lambent.wire.generated.get_layer_version_policy import GetLayerVersionPolicyRequest
    from lambent.wire.generated.remove_layer_version_permission import RemoveLayerVersionPermissionRequest


class LayerPermissions:
    """The three operations on the policy of a layer version. Scope: cluster; keeps no state, the store does."""

    def __init__(self, parts: ControlPlaneParts, ids: Ids) -> None:
        self._resources = parts.store.resources
        self._ids = ids

    async def add_layer_version_permission(
        self, caller: Caller, request: AddLayerVersionPermissionRequest
    ) -> AddLayerVersionPermissionResponse:
        """Add a statement.

        Raises:
            ResourceNotFoundError: there is no such version (404).
            ResourceConflictError: the statement's id is taken (409).
            PreconditionFailedError: RevisionId is not the policy's (412).
            PolicyLengthExceededException: more than 20,480 bytes (400).
        """
        statement = LayerStatement(request.statement_id, request.action, request.principal, request.organization_id)
        for _ in range(TRIES):
            version, policy = await self._found(
                caller, request.layer_name, request.version_number, "lambda:AddLayerVersionPermission"
            )
            before = policy.statements if policy is not None else ()
            if any(item.statement_id == statement.statement_id for item in before):
                raise ResourceConflictError(
                    f"The statement id ({statement.statement_id}) provided already exists. "
                    "Please provide a new statement id, or remove the existing statement."
                )
            _check_revision(policy, request.revision_id)
            changed = self._policy(version, (*before, statement))
            _check_size(changed)
            if await self._commit(version, policy, changed):
                return AddLayerVersionPermissionResponse(
                    statement=_text(_shown(statement, version.arn)), revision_id=changed.revision_id
                )
        raise overtaken(request.layer_name)

    async def get_layer_version_policy(
        self, caller: Caller, request: GetLayerVersionPolicyRequest
    ) -> GetLayerVersionPolicyResponse:
        """Return the policy. Raises ResourceNotFoundError: no version, or no policy (404)."""
        _, policy = await self._found(
            caller, request.layer_name, request.version_number, "lambda:GetLayerVersionPolicy"
        )
        if policy is None:
            raise ResourceNotFoundError("No policy is associated with the given resource.")
        return GetLayerVersionPolicyResponse(policy=_document(policy), revision_id=policy.revision_id)

    async def remove_layer_version_permission(
        self, caller: Caller, request: RemoveLayerVersionPermissionRequest
    ) -> None:
        """Remove a statement; the policy goes with the last.

        Raises:
            ResourceNotFoundError: no such version or statement (404).
            PreconditionFailedError: RevisionId is not the policy's (412).
        """
        for _ in range(TRIES):
            version, policy = await self._found(
                caller, request.layer_name, request.version_number, "lambda:RemoveLayerVersionPermission"
            )
            _check_revision(policy, request.revision_id)
            before = policy.statements if policy is not None else ()
            left = tuple(item for item in before if item.statement_id != request.statement_id)
            if len(left) == len(before):
                raise ResourceNotFoundError(f"Statement {request.statement_id} is not found in resource policy.")
            if await self._commit(version, policy, self._policy(version, left)):
                return
        raise overtaken(request.layer_name)

    async def _found(
        self, caller: Caller, reference: str, number: int, action: str
    ) -> tuple[LayerVersion, LayerPolicy | None]:
        check_number(number)
        arn = own_layer(caller, reference, action)
        key = (arn.account_id, arn.region, arn.name, number)
        version = await self._resources.get(LayerVersion, *key)
        if version is None:
            raise ResourceNotFoundError(f"Layer version {replace(arn, version=number)} does not exist.")
        return version, await self._resources.get(LayerPolicy, *key)

    def _policy(self, version: LayerVersion, statements: tuple[LayerStatement, ...]) -> LayerPolicy:
        return LayerPolicy(
            version.account_id, version.region, version.name, version.version, statements, self._ids.new()
        )

    async def _commit(self, version: LayerVersion, before: LayerPolicy | None, after: LayerPolicy) -> bool:
        """Return False when somebody else changed version or policy first."""
        resources = self._resources
        write: Write
        if before is None:
            write = resources.put_new(after)
        elif after.statements:
            write = resources.put_over(after, before.revision_id)
        else:
            write = resources.delete(before)
        try:
            await resources.commit(resources.require(version), write)
        except CommitRefusedError:
            return False
        return True


def _check_revision(policy: LayerPolicy | None, wanted: str | None) -> None:
    if wanted is not None and (policy is None or wanted != policy.revision_id):
        raise PreconditionFailedError(
            "The Revision Id provided does not match the latest Revision Id. "
            "Call the GetLayerPolicy API to retrieve the latest Revision Id"
        )


def _check_size(policy: LayerPolicy) -> None:
    size_bytes = len(_document(policy).encode())
    if size_bytes > POLICY_BYTES.value:
        raise LambdaError(
            f"The final policy size ({size_bytes}) is bigger than the limit ({POLICY_BYTES.value}).",
            code="PolicyLengthExceededException",
        )


def _document(policy: LayerPolicy) -> str:
    arn = LayerArn(policy.account_id, policy.region, policy.name, policy.version)
    return _text({"Version": "2012-10-17", "Id": "default", "Statement": [_shown(s, arn) for s in policy.statements]})


def _shown(statement: LayerStatement, arn: LayerArn) -> dict[str, Any]:
    """Return a statement as AWS writes it: an account is shown as the ARN of its root."""
    principal: Any = statement.principal
    if principal != "*":
        account = principal if principal.startswith("arn:") else f"arn:{arn.partition}:iam::{principal}:root"
        principal = {"AWS": account}
    shown = {
        "Sid": statement.statement_id,
        "Effect": "Allow",
        "Principal": principal,
        "Action": statement.action,
        "Resource": str(arn),
    }
    if statement.organization_id is not None:
        shown["Condition"] = {"StringEquals": {"aws:PrincipalOrgID": statement.organization_id}}
    return shown


def _text(document: dict[str, Any]) -> str:
    return json.dumps(document, separators=(",", ":"))
