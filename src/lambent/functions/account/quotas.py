"""Quotas of an account in a region: AWS's figures, the installation's settings, and what was set for the account."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.functions.account.budget import Fences, read_budget
from lambent.model.errors import InvalidParameterValueError, ResourceNotFoundError
from lambent.model.quotas import (
    CODE_STORAGE_BYTES,
    CONCURRENT_EXECUTIONS,
    QUOTAS,
    UNRESERVED_CONCURRENCY_MIN,
    AccountQuota,
    Quota,
    QuotaState,
)

if TYPE_CHECKING:
    from lambent.functions.account.budget import ConcurrencyBudget
    from lambent.functions.ids import Ids
    from lambent.functions.parts import ControlPlaneRules
    from lambent.model.caller import Caller
    from lambent.store import Resources
    from lambent.store.contracts import Write


class AccountQuotas:
    """Reads and sets quotas. Scope: cluster. Keeps no state, the store does; what is set is in force at once.

    `fences` guard everything that divides the account's concurrency.
    """

    def __init__(self, resources: Resources, rules: ControlPlaneRules, ids: Ids) -> None:
        self._resources = resources
        self._ids = ids
        self._defaults = {
            CONCURRENT_EXECUTIONS.name: rules.concurrent_executions,
            CODE_STORAGE_BYTES.name: rules.code_storage_bytes,
        }
        self.fences = Fences(resources, ids)

    async def value(self, account_id: str, region: str, quota: Quota) -> int:
        """Return what is in force, in the unit of the quota's name."""
        return await quota_value(self._resources, account_id, region, quota, self._default(quota))

    async def budget(self, account_id: str, region: str) -> ConcurrencyBudget:
        """Return how the account's concurrency in the region is divided now."""
        limit = await self.value(account_id, region, CONCURRENT_EXECUTIONS)
        return await read_budget(self._resources, limit, account_id, region)

    async def list_quotas(self, caller: Caller) -> list[QuotaState]:
        """Return every quota as it is in force for the caller's account and region."""
        own = await self._resources.page(AccountQuota, caller.account_id, caller.region, limit=len(QUOTAS))
        values = {one.name: one.value for one in own}
        return [
            QuotaState(quota, values.get(quota.name, self._default(quota)), self._default(quota)) for quota in QUOTAS
        ]

    async def set_quota(self, caller: Caller, name: str, value: int | None) -> QuotaState:
        """Set a soft quota for the caller's account and region; None: the installation's default again.

        Raises:
            ResourceNotFoundError: there is no quota of that name (404).
            InvalidParameterValueError: it is hard, or the value is out of its bounds, or below what is reserved (400).
            ResourceConflictError: see `Fences.change`.
        """
        quota = next((one for one in QUOTAS if one.name == name), None)
        if quota is None:
            raise ResourceNotFoundError(f"There is no quota named {name}; lambent quotas list shows them all.")
        if not quota.is_adjustable:
            raise InvalidParameterValueError(
                f"{name} is a hard quota: it is {quota.value:,} for every account, as on AWS, and cannot be changed."
            )
        if value is not None and not quota.value_min <= value <= quota.value_max:
            raise InvalidParameterValueError(f"{name} must be from {quota.value_min:,} to {quota.value_max:,}.")
        account_id, region = caller.account_id, caller.region

        async def decide() -> list[Write]:
            present = await self._resources.get(AccountQuota, account_id, region, quota.name)
            if quota is CONCURRENT_EXECUTIONS:
                await self._check_reserved(caller, self._default(quota) if value is None else value)
            if value is not None:
                own = AccountQuota(account_id, region, quota.name, value, self._ids.new())
                return [self._resources.put_over(own)]
            return [] if present is None else [self._resources.delete(present)]

        await self.fences.change(account_id, region, decide)
        return QuotaState(quota, self._default(quota) if value is None else value, self._default(quota))

    async def _check_reserved(self, caller: Caller, limit: int) -> None:
        budget = await self.budget(caller.account_id, caller.region)
        kept = budget.limit - budget.unreserved()
        if kept and limit - kept < UNRESERVED_CONCURRENCY_MIN.value:
            raise InvalidParameterValueError(
                f"{kept} concurrent executions are reserved or provisioned for functions, and "
                f"{UNRESERVED_CONCURRENCY_MIN.value} must stay unreserved: concurrent_executions cannot be {limit:,}."
            )

    def _default(self, quota: Quota) -> int:
        return self._defaults.get(quota.name, quota.value)


async def quota_value(resources: Resources, account_id: str, region: str, quota: Quota, default: int) -> int:
    """Return what is in force for an account in a region: what was set, else `default`."""
    own = await resources.peek(AccountQuota, account_id, region, quota.name) if quota.is_adjustable else None
    return default if own is None else own.value
