"""Leases on concurrency: the only place that throttles an invocation."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.model.concurrency import ConcurrencyLease, ConcurrencyPool
from lambent.model.errors import TooManyRequestsError
from lambent.model.platform_event import Throttled

if TYPE_CHECKING:
    from lambent.clock import Clock
    from lambent.model.function import FunctionVersion
    from lambent.model.platform_event import TelemetrySink


class ConcurrencyLimiter:
    """Counts running invocations. Scope: account and region. After a crash: zero.

    `limit` is the account's concurrent executions in one region (default 1,000).
    """

    def __init__(self, limit: int, sink: TelemetrySink, clock: Clock) -> None:
        self._limit = limit
        self._sink = sink
        self._clock = clock
        self._used: dict[tuple[str, str], int] = {}

    def lease(self, version: FunctionVersion) -> LeaseBlock:
        """Return a context that holds one unit of concurrency for `version`.

        Raises:
            TooManyRequestsError: the account's limit is reached (429). Source: recorded (lambda/test_lambda.json).
        """
        scope = (version.account_id, version.region)
        used = self._used.get(scope, 0)
        if used >= self._limit:
            reason = "ConcurrentInvocationLimitExceeded"
            self._sink.emit(Throttled(*scope, version.name, self._clock.time_ms(), reason))
            raise TooManyRequestsError("Rate Exceeded.", members={"Reason": reason})
        self._used[scope] = used + 1
        return LeaseBlock(ConcurrencyLease(ConcurrencyPool.UNRESERVED, lambda: self._give_back(scope)))

    def in_use(self, account_id: str, region: str) -> int:
        """Return how many invocations run in that account and region."""
        return self._used.get((account_id, region), 0)

    def _give_back(self, scope: tuple[str, str]) -> None:
        left = self._used[scope] - 1
        assert left >= 0
        if left:
            self._used[scope] = left
        else:
            del self._used[scope]


class LeaseBlock:
    """Holds a lease for a block; on leaving, gives it back unless an environment owns it by then."""

    __slots__ = ("_lease",)

    def __init__(self, lease: ConcurrencyLease) -> None:
        self._lease = lease

    def __enter__(self) -> ConcurrencyLease:
        return self._lease

    def __exit__(self, *exc_info: object) -> None:
        if not self._lease.is_handed_over:
            self._lease.release()
