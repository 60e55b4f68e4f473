"""Leases: the account's limit, the hand-over, and that nothing is given back twice."""

from __future__ import annotations

import pytest

from lambent.clock import SystemClock
from lambent.invocation import ConcurrencyLimiter
from lambent.model.errors import TooManyRequestsError
from lambent.model.function import CodeReference, FunctionVersion
from lambent.model.platform_event import PlatformEvent, Throttled


class Events:
    def __init__(self) -> None:
        self.seen: list[PlatformEvent] = []

    def emit(self, event: PlatformEvent) -> None:
        self.seen.append(event)


def a_version(account_id: str = "000000000000", region: str = "us-east-1") -> FunctionVersion:
    code = CodeReference(sha256="0" * 64, size_bytes=1, unpacked_bytes=1)
    return FunctionVersion(
        account_id=account_id,
        region=region,
        name="f",
        role="arn:aws:iam::000000000000:role/r",
        code=code,
        configuration_id="c",
        revision_id="r",
        last_modified_ms=0,
    )


def test_the_limit_counts_by_account_and_region() -> None:
    events = Events()
    limiter = ConcurrencyLimiter(2, events, SystemClock())
    with limiter.lease(a_version()), limiter.lease(a_version()):
        with pytest.raises(TooManyRequestsError) as refused:
            limiter.lease(a_version())
        with limiter.lease(a_version(region="eu-west-1")), limiter.lease(a_version(account_id="111111111111")):
            assert limiter.in_use("111111111111", "us-east-1") == 1
    assert refused.value.message == "Rate Exceeded."
    assert refused.value.members == {"Reason": "ConcurrentInvocationLimitExceeded"}
    assert [type(event) for event in events.seen] == [Throttled]
    assert limiter.in_use("000000000000", "us-east-1") == 0


def test_a_lease_that_an_environment_owns_outlives_the_block() -> None:
    limiter = ConcurrencyLimiter(1, Events(), SystemClock())
    with limiter.lease(a_version()) as lease:
        lease.hand_over()
    assert limiter.in_use("000000000000", "us-east-1") == 1
    lease.release()
    lease.release()
    assert limiter.in_use("000000000000", "us-east-1") == 0
