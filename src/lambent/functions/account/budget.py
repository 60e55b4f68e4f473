"""How an account's concurrency in one region is divided: read before each change, and guarded against a second one.

    limit = reserved of functions + provisioned of functions without a reservation + unreserved

Two changes at one time must not both find room for themselves. So each of them writes the scope's fence, and the one
that comes second finds it changed, reads again and decides anew.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from msgspec import Struct

from lambent.model.concurrency import ConcurrencyFence, ProvisionedConcurrency, ReservedConcurrency
from lambent.model.errors import ResourceConflictError
from lambent.store.contracts import CommitRefusedError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping, Sequence

    from lambent.functions.ids import Ids
    from lambent.store import Resources
    from lambent.store.contracts import Write

T = TypeVar("T")

_FENCE = "concurrency"
_TRIES = 10
_PAGE = 500


class ConcurrencyBudget(Struct, frozen=True):
    """One account in one region, in invocations at one time.

    `reserved` is by function name; `provisioned` by function name, then by version or alias.
    """

    limit: int
    reserved: Mapping[str, int]
    provisioned: Mapping[str, Mapping[str, int]]

    def unreserved(self, *, without: str | None = None) -> int:
        """Return what is left for functions that have nothing of their own; `without` is not counted as having any.

        Source: developer guide, "Configuring provisioned concurrency": it counts towards the reservation of its
        function or, without one, is taken from the unreserved concurrency.
        """
        kept = sum(count for name, count in self.reserved.items() if name != without)
        for name, configs in self.provisioned.items():
            if name != without and name not in self.reserved:
                kept += sum(configs.values())
        return self.limit - kept

    def provisioned_of(self, name: str, *, without: str | None = None) -> int:
        """Return what is provisioned for a function in all, but for the version or alias `without`."""
        return sum(count for qualifier, count in self.provisioned.get(name, {}).items() if qualifier != without)


async def read_budget(resources: Resources, limit: int, account_id: str, region: str) -> ConcurrencyBudget:
    """Return how the concurrency of an account in a region, `limit` in all, is divided now."""
    reserved = await _all(resources, ReservedConcurrency, account_id, region)
    provisioned: dict[str, dict[str, int]] = {}
    for config in await _all(resources, ProvisionedConcurrency, account_id, region):
        provisioned.setdefault(config.function_name, {})[config.qualifier] = config.executions
    return ConcurrencyBudget(limit, {one.function_name: one.executions for one in reserved}, provisioned)


class Fences:
    """Commits changes of what an account's concurrency is divided into. Scope: cluster.

    Changes through one node take turns; of two through different nodes the second is decided anew.
    """

    def __init__(self, resources: Resources, ids: Ids) -> None:
        self._resources = resources
        self._ids = ids
        self._turn = asyncio.Lock()

    async def change(self, account_id: str, region: str, decide: Callable[[], Awaitable[Sequence[Write]]]) -> None:
        """Commit the writes that `decide()` returns, if any; what it has read does not change in between.

        Raises:
            ResourceConflictError: changes through other nodes kept coming first (409).
            ServiceError: see RecordStore.commit. And what `decide` raises.
        """
        async with self._turn:
            for _ in range(_TRIES):
                fence = await self._resources.get(ConcurrencyFence, account_id, region, _FENCE)
                writes = await decide()
                if not writes:
                    return
                renewed = ConcurrencyFence(account_id, region, _FENCE, self._ids.new())
                put = self._resources.put_new(renewed)
                if fence is not None:
                    put = self._resources.put_over(renewed, fence.revision_id)
                try:
                    await self._resources.commit(put, *writes)
                except CommitRefusedError:
                    continue
                return
        raise ResourceConflictError("Other changes of the account's concurrency were faster; try again.")


async def _all(resources: Resources, kind: type[T], account_id: str, region: str) -> list[T]:
    found: list[T] = []
    after: tuple[str, str | int] | None = None
    while True:
        page = await resources.page(kind, account_id, region, after=after, limit=_PAGE)
        found += page
        if len(page) < _PAGE:
            return found
        last = page[-1]
        assert isinstance(last, ReservedConcurrency | ProvisionedConcurrency)
        after = (last.function_name, last.qualifier if isinstance(last, ProvisionedConcurrency) else "")
