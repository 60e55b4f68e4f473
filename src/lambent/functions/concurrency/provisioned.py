"""Provisioned concurrency of versions and aliases: what is asked for. What is there, the data plane tells."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lambent.functions import names, paging
from lambent.functions.lookups import find_alias
from lambent.model.arn import LATEST
from lambent.model.concurrency import ProvisionedConcurrency
from lambent.model.errors import (
    UNTYPED,
    InvalidParameterValueError,
    ProvisionedConcurrencyConfigNotFoundError,
    ResourceConflictError,
    ResourceNotFoundError,
)
from lambent.model.function import Alias
from lambent.model.quotas import UNRESERVED_CONCURRENCY_MIN
from lambent.wire.conversion import copied
from lambent.wire.generated.get_provisioned_concurrency_config import GetProvisionedConcurrencyConfigResponse
from lambent.wire.generated.list_provisioned_concurrency_configs import (
    ListProvisionedConcurrencyConfigsResponse,
    ProvisionedConcurrencyConfigListItem,
)
from lambent.wire.generated.put_provisioned_concurrency_config import PutProvisionedConcurrencyConfigResponse

if TYPE_CHECKING:
    from lambent.functions.account.budget import ConcurrencyBudget
    from lambent.functions.account.quotas import AccountQuotas
    from lambent.functions.ids import Ids
    from lambent.functions.parts import ControlPlaneParts
    from lambent.model.arn import FunctionArn
    from lambent.model.caller import Caller
    from lambent.model.function import FunctionVersion
    from lambent.store.contracts import Write
    from lambent.wire.generated.delete_provisioned_concurrency_config import DeleteProvisionedConcurrencyConfigRequest
    from lambent.wire.generated.get_provisioned_concurrency_config import GetProvisionedConcurrencyConfigRequest
    from lambent.wire.generated.list_provisioned_concurrency_configs import ListProvisionedConcurrencyConfigsRequest
    from lambent.wire.generated.put_provisioned_concurrency_config import PutProvisionedConcurrencyConfigRequest

_CONFIGS_MAX = 10_000
# Source: observed.
_UNPUBLISHED = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
_NOT_QUALIFIED = "The function resource provided must be an alias or a published version."


class ProvisionedConcurrencies:
    """The four operations on provisioned concurrency. Scope: cluster; keeps no state, the store does."""

    def __init__(self, parts: ControlPlaneParts, quotas: AccountQuotas, ids: Ids) -> None:
        self._store = parts.store
        self._resources = parts.store.resources
        self._allocation_of = parts.allocation_of
        self._clock = parts.clock
        self._quotas = quotas
        self._ids = ids

    async def put_provisioned_concurrency_config(
        self, caller: Caller, request: PutProvisionedConcurrencyConfigRequest
    ) -> PutProvisionedConcurrencyConfigResponse:
        """Ask for environments of a version, or of what an alias points at, in place of what was asked before.

        Raises:
            InvalidParameterValueError: $LATEST; or more than the function has reserved or the account left (400).
            ResourceNotFoundError: there is no such version or alias (404).
            ResourceConflictError: version and alias would both have it (409).
        Source: recorded (test_lambda_provisioned_lifecycle); observed for the texts about what is left.
        """
        arn = names.resolve(caller, request.function_name, request.qualifier)
        if arn.qualifier in (None, LATEST):
            raise InvalidParameterValueError(_UNPUBLISHED)
        config = ProvisionedConcurrency(
            arn.account_id,
            arn.region,
            arn.name,
            arn.qualifier or "",
            request.provisioned_concurrent_executions,
            self._clock.time_ms(),
            self._ids.new(),
        )

        async def decide() -> list[Write]:
            target = await self._target(arn)
            if isinstance(target, Alias) and target.points_at(LATEST):
                raise InvalidParameterValueError(_UNPUBLISHED)
            await self._check_overlap(arn, target)
            _check_budget(await self._quotas.budget(arn.account_id, arn.region), arn, config.executions)
            is_there = self._resources.require(target, is_any_revision=True)
            return [is_there, self._resources.put_over(config)]

        await self._quotas.fences.change(arn.account_id, arn.region, decide)
        return copied(self._item(config), PutProvisionedConcurrencyConfigResponse)

    async def get_provisioned_concurrency_config(
        self, caller: Caller, request: GetProvisionedConcurrencyConfigRequest
    ) -> GetProvisionedConcurrencyConfigResponse:
        """Return what was asked for and what is there.

        Raises:
            InvalidParameterValueError: $LATEST (400).
            ResourceNotFoundError: there is no such version or alias (404).
            ProvisionedConcurrencyConfigNotFoundError: nothing was asked for (404).
        Source: recorded (test_lambda_provisioned_lifecycle).
        """
        arn = _qualified(caller, request.function_name, request.qualifier)
        await self._target(arn)
        config = await self._config(arn)
        if config is None:
            raise ProvisionedConcurrencyConfigNotFoundError("No Provisioned Concurrency Config found for this function")
        return copied(self._item(config), GetProvisionedConcurrencyConfigResponse)

    async def delete_provisioned_concurrency_config(
        self, caller: Caller, request: DeleteProvisionedConcurrencyConfigRequest
    ) -> None:
        """Ask for nothing any more; to have asked for nothing is no error. Raises as Get for what is not there."""
        arn = _qualified(caller, request.function_name, request.qualifier)

        async def decide() -> list[Write]:
            await self._target(arn)
            config = await self._config(arn)
            return [] if config is None else [self._resources.delete(config)]

        await self._quotas.fences.change(arn.account_id, arn.region, decide)

    async def list_provisioned_concurrency_configs(
        self, caller: Caller, request: ListProvisionedConcurrencyConfigsRequest
    ) -> ListProvisionedConcurrencyConfigsResponse:
        """Return a page of a function's configurations, versions first. Raises ResourceNotFoundError (404)."""
        arn = names.resolve(caller, request.function_name).unqualified
        if await self._store.get(arn) is None:
            raise names.not_found(arn)
        page, marker = await paging.page_of_function(self._resources, ProvisionedConcurrency, arn, request)
        return ListProvisionedConcurrencyConfigsResponse(
            provisioned_concurrency_configs=[self._item(config) for config in page], next_marker=marker
        )

    def _item(self, config: ProvisionedConcurrency) -> ProvisionedConcurrencyConfigListItem:
        present = self._allocation_of(config.arn)
        return ProvisionedConcurrencyConfigListItem(
            function_arn=str(config.arn),
            requested_provisioned_concurrent_executions=config.executions,
            available_provisioned_concurrent_executions=present.available,
            allocated_provisioned_concurrent_executions=present.allocated,
            status=present.status.value,
            status_reason=present.reason,
            last_modified=_iso_time(config.last_modified_ms),
        )

    async def _config(self, arn: FunctionArn) -> ProvisionedConcurrency | None:
        return await self._resources.get(
            ProvisionedConcurrency, arn.account_id, arn.region, arn.name, arn.qualifier or ""
        )

    async def _target(self, arn: FunctionArn) -> Alias | FunctionVersion:
        alias = await find_alias(self._store, arn)
        if alias is not None:
            return alias
        if not (arn.qualifier or "").isdigit():
            # Source: recorded (test_lambda_provisioned_lifecycle, get_provisioned_alias_postaliasdelete).
            raise ResourceNotFoundError(f"Cannot find alias arn: {arn}")
        version = await self._store.get(arn)
        if version is None:
            raise names.not_found(arn)
        return version

    async def _check_overlap(self, arn: FunctionArn, target: Alias | FunctionVersion) -> None:
        configs = await self._resources.page(
            ProvisionedConcurrency, arn.account_id, arn.region, name=arn.name, limit=_CONFIGS_MAX
        )
        others = {config.qualifier for config in configs} - {arn.qualifier}
        if isinstance(target, Alias):
            if any(target.points_at(qualifier) for qualifier in others if qualifier.isdigit()):
                raise ResourceConflictError(
                    "Alias can't be used for Provisioned Concurrency configuration on an already Provisioned version"
                )
            return
        for qualifier in others:
            alias = await find_alias(self._store, arn.qualified(qualifier))
            if alias is not None and alias.points_at(target.version):
                raise ResourceConflictError("Version is pointed by a Provisioned Concurrency alias")


def _qualified(caller: Caller, reference: str, qualifier: str) -> FunctionArn:
    arn = names.resolve(caller, reference, qualifier)
    if arn.qualifier in (None, LATEST):
        raise InvalidParameterValueError(_NOT_QUALIFIED)
    return arn


def _check_budget(budget: ConcurrencyBudget, arn: FunctionArn, executions: int) -> None:
    others = budget.provisioned_of(arn.name, without=arn.qualifier)
    reserved = budget.reserved.get(arn.name)
    if reserved is not None:
        if others + executions > reserved:
            raise InvalidParameterValueError(
                "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution "
                "for function"
            )
        return
    left = budget.unreserved(without=arn.name) - others
    if executions > left:
        raise InvalidParameterValueError(
            f"Specified ConcurrentExecutions for function is greater than account's unreserved concurrency [{left}].",
            members=UNTYPED,
        )
    unreserved_min = UNRESERVED_CONCURRENCY_MIN.value
    if left - executions < unreserved_min:
        raise InvalidParameterValueError(
            "Specified ConcurrentExecutions for function decreases account's UnreservedConcurrentExecution below its "
            f"minimum value of [{unreserved_min}].",
            members=UNTYPED,
        )


def _iso_time(time_ms: int) -> str:
    # Source: API reference, PutProvisionedConcurrencyConfig, LastModified: whole seconds, unlike a function's.
    return f"{datetime.fromtimestamp(time_ms // 1000, UTC):%Y-%m-%dT%H:%M:%S}+0000"
