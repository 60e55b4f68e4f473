"""What the account may use and does use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.model.quotas import CODE_STORAGE_BYTES, UNPACKED_BYTES, ZIP_REQUEST_BYTES
from lambent.wire.generated.get_account_settings import AccountLimit, AccountUsage, GetAccountSettingsResponse

if TYPE_CHECKING:
    from lambent.functions.account.quotas import AccountQuotas
    from lambent.model.caller import Caller
    from lambent.store import FunctionStore
    from lambent.wire.generated.get_account_settings import GetAccountSettingsRequest


class Account:
    """GetAccountSettings. Keeps no state."""

    def __init__(self, store: FunctionStore, quotas: AccountQuotas) -> None:
        self._store = store
        self._quotas = quotas

    async def get_account_settings(
        self, caller: Caller, _request: GetAccountSettingsRequest
    ) -> GetAccountSettingsResponse:
        """Return the limits that are really applied, and the usage, of the caller's account and region."""
        account_id, region = caller.account_id, caller.region
        function_count, code_bytes = await self._store.usage(account_id, region)
        budget = await self._quotas.budget(account_id, region)
        return GetAccountSettingsResponse(
            account_limit=AccountLimit(
                total_code_size=await self._quotas.value(account_id, region, CODE_STORAGE_BYTES),
                code_size_unzipped=UNPACKED_BYTES.value,
                code_size_zipped=ZIP_REQUEST_BYTES.value,
                concurrent_executions=budget.limit,
                unreserved_concurrent_executions=budget.unreserved(),
            ),
            account_usage=AccountUsage(total_code_size=code_bytes, function_count=function_count),
        )
