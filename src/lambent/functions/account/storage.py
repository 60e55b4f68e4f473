"""The room that an account's code may take, without adding up all its packages for each one that comes."""

from __future__ import annotations

from typing import TYPE_CHECKING

from msgspec import Struct

from lambent.functions.account.quotas import quota_value
from lambent.model.errors import CodeStorageExceededError
from lambent.model.quotas import CODE_STORAGE_BYTES

if TYPE_CHECKING:
    from lambent.clock import Clock
    from lambent.functions.parts import ControlPlaneRules
    from lambent.model.arn import FunctionArn
    from lambent.model.function import CodeReference
    from lambent.model.layer import LayerArn
    from lambent.store import FunctionStore

_SUM_NS = 1_000_000_000


class _Sum(Struct):
    """The bytes in use at `read_ns`, with all that was let through since."""

    used_bytes: int
    read_ns: int


class CodeStorage:
    """Refuses code that the account has no room for. Scope: node; remembers sums of the last second, nothing else.

    Far from the quota a sum that is a second old is as good as a new one; from half of it on every package is weighed
    against what is really there.
    """

    def __init__(self, store: FunctionStore, rules: ControlPlaneRules, clock: Clock) -> None:
        self._store = store
        self._default_bytes = rules.code_storage_bytes
        self._clock = clock
        self._sums: dict[tuple[str, str], _Sum] = {}

    async def check(self, arn: FunctionArn | LayerArn, code: CodeReference, *, replaced_bytes: int = 0) -> None:
        """Return if there is room for `code` in the place of `replaced_bytes`.

        Raises:
            CodeStorageExceededError: (400). Source: developer guide, quotas; observed text.
        """
        resources = self._store.resources
        account_id, region = arn.account_id, arn.region
        bytes_max = await quota_value(resources, account_id, region, CODE_STORAGE_BYTES, self._default_bytes)
        now_ns = self._clock.monotonic_ns()
        known = self._sums.get((account_id, region))
        if (
            known is not None
            and now_ns - known.read_ns < _SUM_NS
            and known.used_bytes + code.size_bytes < bytes_max // 2
        ):
            known.used_bytes += code.size_bytes
            return
        used_bytes = await resources.blob_bytes(account_id, region)
        if used_bytes - replaced_bytes + code.size_bytes > bytes_max:
            raise CodeStorageExceededError("Code storage limit exceeded.")
        self._sums[(account_id, region)] = _Sum(used_bytes + code.size_bytes, now_ns)
