"""Who uses how much concurrency: the counts behind the limiter, one scope for each account and region.

    scope       limit = what functions have reserved + the unreserved pool
      function  reserved (cap and guarantee), or paid from the scope's unreserved pool
        version environments of provisioned concurrency, cut out of its function's reservation or of the pool

Only counts and their arithmetic; who waits and who is told of a throttle stands in concurrency.py.
"""

from __future__ import annotations

import asyncio

from lambent.model.concurrency import ConcurrencyPool

ACCOUNT_LIMIT = "ConcurrentInvocationLimitExceeded"
RESERVED_LIMIT = "ReservedFunctionConcurrentInvocationLimitExceeded"


class ScopeUse:
    """One account in one region. `limit` is in invocations at one time."""

    __slots__ = ("_waiters", "functions", "has_own_limit", "limit", "pool", "reserved", "used")

    def __init__(self, limit: int) -> None:
        self.limit = limit
        self.has_own_limit = False
        self.used = 0
        self.reserved = 0
        # Of the functions without a reservation together.
        self.pool = PoolUse()
        self.functions: dict[str, FunctionUse] = {}
        self._waiters: list[asyncio.Future[None]] = []

    def function(self, name: str) -> FunctionUse:
        """Return a function's counts, new ones if there are none."""
        found = self.functions.get(name)
        if found is None:
            found = self.functions[name] = FunctionUse(self, name)
        return found

    def drop_unused(self, function: FunctionUse) -> None:
        """Forget a function that nothing needs to be known of."""
        use = function.use
        if function.reserved is None and not use.used and not use.environments:
            self.functions.pop(function.name, None)

    @property
    def is_unused(self) -> bool:
        """Whether nothing is known of it but the default limit."""
        return not self.functions and not self.has_own_limit

    def is_waiting_worthwhile(self, settling: int) -> bool:
        """Whether more environments are about to be idle than callers wait for one."""
        return settling > len(self._waiters)

    async def wait_released(self, seconds_max: float) -> None:
        """Return when some lease of this scope has ended, or time is over."""
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        try:
            await asyncio.wait([waiter], timeout=seconds_max)
        finally:
            if waiter in self._waiters:
                self._waiters.remove(waiter)

    def released(self) -> None:
        """Wake who waits."""
        if self._waiters:
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)


class PoolUse:
    """Counts of one pool: a function's own, or the sum over all that share the unreserved one.

    `used` is all that runs, `provisioned_used` that part of it which runs in environments of provisioned
    concurrency, of which there are `environments`; `settling` have answered.
    """

    __slots__ = ("environments", "provisioned_used", "settling", "used")

    def __init__(self) -> None:
        self.used = 0
        self.provisioned_used = 0
        self.environments = 0
        self.settling = 0

    def add(self, other: PoolUse, sign: int) -> None:
        """Add (1) or take away (-1) another pool's counts."""
        self.used += sign * other.used
        self.provisioned_used += sign * other.provisioned_used
        self.environments += sign * other.environments
        self.settling += sign * other.settling

    def has_room(self, size: int) -> bool:
        """Whether one more may run in a pool of this size, on demand."""
        return self.used < size and self.used - self.provisioned_used < size - self.environments


class FunctionUse:
    """One function. `reserved` is None where it shares the unreserved pool."""

    __slots__ = ("name", "reserved", "scope", "use", "versions")

    def __init__(self, scope: ScopeUse, name: str) -> None:
        self.scope = scope
        self.name = name
        self.reserved: int | None = None
        self.use = PoolUse()
        self.versions: dict[str, VersionUse] = {}

    def version(self, version: str) -> VersionUse:
        """Return a version's counts, new ones if there are none."""
        found = self.versions.get(version)
        if found is None:
            found = self.versions[version] = VersionUse(self, version)
        return found

    def reserve(self, executions: int | None) -> None:
        """Reserve; what runs is counted in the new pool from now on."""
        scope = self.scope
        if self.reserved is None and executions is not None:
            scope.pool.add(self.use, -1)
        elif self.reserved is not None and executions is None:
            scope.pool.add(self.use, 1)
        scope.reserved += (executions or 0) - (self.reserved or 0)
        self.reserved = executions
        scope.released()

    def settling(self) -> int:
        """Return how many units of the pool that pays for this function are about to be free."""
        return self.use.settling if self.reserved is not None else self.scope.pool.settling

    def pools(self) -> tuple[PoolUse, ...]:
        """Return the counts that an invocation changes: the function's and, if it shares it, the unreserved pool's."""
        return (self.use,) if self.reserved is not None else (self.use, self.scope.pool)


class VersionUse:
    """One version: the ledger of its leases."""

    __slots__ = ("environments", "function", "number", "provisioned_settling", "provisioned_used", "used")

    def __init__(self, function: FunctionUse, version: str) -> None:
        self.function = function
        self.number = version
        self.environments = 0
        self.used = 0
        self.provisioned_used = 0
        self.provisioned_settling = 0

    def choose(self) -> ConcurrencyPool | str:
        """Return the pool that pays for one more invocation, or AWS's reason against it."""
        function = self.function
        scope = function.scope
        if scope.used >= scope.limit:
            return ACCOUNT_LIMIT if function.reserved != 0 else RESERVED_LIMIT
        reserved = function.reserved
        size = scope.limit - scope.reserved if reserved is None else reserved
        pool = scope.pool if reserved is None else function.use
        if self.provisioned_used < self.environments and pool.used < size:
            return ConcurrencyPool.PROVISIONED
        if pool.has_room(size):
            return ConcurrencyPool.UNRESERVED if reserved is None else ConcurrencyPool.RESERVED
        return ACCOUNT_LIMIT if reserved is None else RESERVED_LIMIT

    def take(self, pool: ConcurrencyPool) -> None:
        """Count one more invocation."""
        is_provisioned = pool is ConcurrencyPool.PROVISIONED
        self.used += 1
        self.provisioned_used += is_provisioned
        self.function.scope.used += 1
        for use in self.function.pools():
            use.used += 1
            use.provisioned_used += is_provisioned

    def settling(self, pool: ConcurrencyPool) -> None:
        """See LeaseLedger."""
        self.provisioned_settling += pool is ConcurrencyPool.PROVISIONED
        for use in self.function.pools():
            use.settling += 1

    def give_back(self, pool: ConcurrencyPool, *, is_settling: bool) -> None:
        """See LeaseLedger."""
        scope = self.function.scope
        is_provisioned = pool is ConcurrencyPool.PROVISIONED
        self.used -= 1
        self.provisioned_used -= is_provisioned
        self.provisioned_settling -= is_provisioned and is_settling
        scope.used -= 1
        for use in self.function.pools():
            use.used -= 1
            use.provisioned_used -= is_provisioned
            use.settling -= is_settling
        assert self.used >= 0 <= scope.used
        self.drop_unused()
        scope.released()

    def set_environments(self, environments: int) -> None:
        """So many environments of provisioned concurrency are there."""
        for use in self.function.pools():
            use.environments += environments - self.environments
        self.environments = environments
        self.drop_unused()
        self.function.scope.released()

    def drop_unused(self) -> None:
        """Forget a version, and a function, that nothing needs to be known of."""
        if not self.used and not self.environments:
            self.function.versions.pop(self.number, None)
            self.function.scope.drop_unused(self.function)
