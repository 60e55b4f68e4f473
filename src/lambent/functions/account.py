"""What the account may use and does use."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.model.quotas import UNPACKED_BYTES, ZIP_REQUEST_BYTES
from lambent.wire.generated.get_account_settings import AccountLimit, AccountUsage, GetAccountSettingsResponse

if TYPE_CHECKING:
    from lambent.functions.parts import ControlPlaneRules
    from lambent.model.caller import Caller
    from lambent.store import FunctionStore
    from lambent.wire.generated.get_account_settings import GetAccountSettingsRequest


class Account:
    """GetAccountSettings. Keeps no state."""

    def __init__(self, store: FunctionStore, rules: ControlPlaneRules) -> None:
        self._store = store
        self._rules = rules

    async def get_account_settings(
        self, caller: Caller, _request: GetAccountSettingsRequest
    ) -> GetAccountSettingsResponse:
        """Return the limits that are really applied, and the usage, of the caller's account and region."""
        function_count, code_bytes = await self._store.usage(caller.account_id, caller.region)
        return GetAccountSettingsResponse(
            account_limit=AccountLimit(
                total_code_size=self._rules.code_storage_bytes,
                code_size_unzipped=UNPACKED_BYTES.value,
                code_size_zipped=ZIP_REQUEST_BYTES.value,
                concurrent_executions=self._rules.concurrent_executions,
                # Nothing can be reserved yet.
                unreserved_concurrent_executions=self._rules.concurrent_executions,
            ),
            account_usage=AccountUsage(total_code_size=code_bytes, function_count=function_count),
        )
