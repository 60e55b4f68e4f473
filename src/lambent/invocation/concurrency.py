"""Leases on concurrency: the only place that throttles an invocation.

An account's limit in one region is cut into what functions have reserved and the rest, the unreserved pool:

    limit = reserved of f + reserved of g + … + unreserved

A reservation is cap and guarantee: its function never runs more, and nobody else takes it. Environments of
provisioned concurrency are cut out of the reservation of their function, or out of the unreserved pool: as long as one
of them is free its version's invocations run there, the others on demand in what is left.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from lambent.invocation.ledger import ScopeUse
from lambent.model.concurrency import ConcurrencyLease, ConcurrencyPool
from lambent.model.errors import TooManyRequestsError
from lambent.model.platform_event import ProvisionedSpillover, Throttled

if TYPE_CHECKING:
    from lambent.clock import Clock
    from lambent.invocation.ledger import VersionUse
    from lambent.model.arn import FunctionArn
    from lambent.model.function import FunctionVersion
    from lambent.model.platform_event import TelemetrySink

# A function that has answered holds its unit until its runtime asks for the next invocation, some milliseconds as a
# rule. Who calls one after the other expects no throttle, and no cold start beside a provisioned environment.
_THROTTLE_WAIT_SECONDS = 0.1
_SPILL_WAIT_SECONDS = 0.05


class ConcurrencyLimiter:
    """Counts running invocations. Scope: account and region. After a crash: zero.

    `limit` is an account's concurrent executions in one region where `put_limit` says nothing else (default 1,000).
    `share` (above 0, up to 1) is the part of every limit and reservation that this node may use; of a reservation at
    least one. Fed by app.py with committed changes, and by the pool with the environments it has provisioned.
    """

    def __init__(self, limit: int, sink: TelemetrySink, clock: Clock, share: float = 1.0) -> None:
        self._limit = limit
        self._share = share
        self._sink = sink
        self._clock = clock
        self._scopes: dict[tuple[str, str], ScopeUse] = {}

    def lease(self, version: FunctionVersion) -> LeaseBlock:
        """Return an asynchronous context that holds one unit of concurrency for `version`.

        Entering waits, some milliseconds at most, for an environment that has answered and is about to be idle.

        Entering raises:
            TooManyRequestsError: the function's or the account's limit is reached (429).
            Source: recorded (lambda/test_lambda.json, test_lambda_concurrency_block): Reason, and no Retry-After.
        """
        return LeaseBlock(self, version)

    async def wait_lease(self, version: FunctionVersion) -> ConcurrencyLease:
        """Return one unit of concurrency, to be released. Waits and raises as `lease`."""
        use = self._use(version)
        pool = use.choose()
        if pool is not ConcurrencyPool.PROVISIONED and use.provisioned_settling:
            await use.function.scope.wait_released(_SPILL_WAIT_SECONDS)
            use = self._use(version)
            pool = use.choose()
        loop = asyncio.get_running_loop()
        until = 0.0
        while not isinstance(pool, ConcurrencyPool):
            scope = use.function.scope
            until = until or loop.time() + _THROTTLE_WAIT_SECONDS
            left_seconds = until - loop.time()
            if left_seconds <= 0 or not scope.is_waiting_worthwhile(use.function.settling()):
                raise self._throttled(version, use, pool)
            await scope.wait_released(left_seconds)
            use = self._use(version)
            pool = use.choose()
        return self._taken(version, use, pool)

    def put_limit(self, account_id: str, region: str, limit: int | None) -> None:
        """Give an account another limit in a region; None: the default again."""
        scope = self._scope(account_id, region)
        scope.has_own_limit = limit is not None
        scope.limit = self._own(self._limit if limit is None else limit)
        scope.released()
        self._drop_unused(account_id, region)

    def put_reserved(self, arn: FunctionArn, executions: int | None) -> None:
        """Reserve so much for a function; None: nothing. What runs already counts towards the new cap."""
        function = self._scope(arn.account_id, arn.region).function(arn.name)
        function.reserve(None if executions is None else self._own(executions))
        function.scope.drop_unused(function)
        self._drop_unused(arn.account_id, arn.region)

    def put_provisioned(self, arn: FunctionArn, version: str, environments: int) -> None:
        """So many environments of a version's provisioned concurrency have run their Init and are alive."""
        scope = self._scope(arn.account_id, arn.region)
        scope.function(arn.name).version(version).set_environments(environments)
        self._drop_unused(arn.account_id, arn.region)

    def is_switched_off(self, arn: FunctionArn) -> bool:
        """Whether the function's reservation is 0, so that none of its invocations runs."""
        scope = self._scopes.get((arn.account_id, arn.region))
        function = None if scope is None else scope.functions.get(arn.name)
        return function is not None and function.reserved == 0

    def in_use(self, account_id: str, region: str, name: str | None = None) -> int:
        """Return how many invocations run in that account and region, of one function if given."""
        scope = self._scopes.get((account_id, region))
        if scope is None:
            return 0
        if name is None:
            return scope.used
        function = scope.functions.get(name)
        return function.use.used if function is not None else 0

    def _own(self, count: int) -> int:
        return count if self._share >= 1 else max(int(count * self._share), min(count, 1))

    def _scope(self, account_id: str, region: str) -> ScopeUse:
        scope = self._scopes.get((account_id, region))
        if scope is None:
            scope = self._scopes[account_id, region] = ScopeUse(self._own(self._limit))
        return scope

    def _drop_unused(self, account_id: str, region: str) -> None:
        if self._scopes[account_id, region].is_unused:
            del self._scopes[account_id, region]

    def _use(self, version: FunctionVersion) -> VersionUse:
        return self._scope(version.account_id, version.region).function(version.name).version(version.version)

    def _taken(self, version: FunctionVersion, use: VersionUse, pool: ConcurrencyPool) -> ConcurrencyLease:
        use.take(pool)
        if use.environments and pool is not ConcurrencyPool.PROVISIONED:
            now_ms = self._clock.time_ms()
            event = ProvisionedSpillover(version.account_id, version.region, version.name, version.version, now_ms)
            self._sink.emit(event)
        return ConcurrencyLease(pool, use)

    def _throttled(self, version: FunctionVersion, use: VersionUse, reason: str) -> TooManyRequestsError:
        use.drop_unused()
        self._sink.emit(Throttled(version.account_id, version.region, version.name, self._clock.time_ms(), reason))
        return TooManyRequestsError("Rate Exceeded.", members={"Reason": reason})


class LeaseBlock:
    """Holds a lease for a block; on leaving, gives it back unless an environment owns it by then."""

    __slots__ = ("_lease", "_limiter", "_version")

    def __init__(self, limiter: ConcurrencyLimiter, version: FunctionVersion) -> None:
        self._limiter = limiter
        self._version = version
        self._lease: ConcurrencyLease | None = None

    async def __aenter__(self) -> ConcurrencyLease:
        self._lease = await self._limiter.wait_lease(self._version)
        return self._lease

    async def __aexit__(self, *exc_info: object) -> None:
        if self._lease is not None and not self._lease.is_handed_over:
            self._lease.release()
