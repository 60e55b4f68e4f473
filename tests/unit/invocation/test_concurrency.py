"""Leases: limits, reservations, provisioned environments, the hand-over, and that nothing is given back twice."""

from __future__ import annotations

import asyncio

import pytest
from msgspec.structs import replace

from lambent.clock import SystemClock
from lambent.invocation import ConcurrencyLimiter
from lambent.model.arn import FunctionArn
from lambent.model.concurrency import ConcurrencyPool
from lambent.model.errors import TooManyRequestsError
from lambent.model.function import CodeReference, FunctionVersion
from lambent.model.platform_event import PlatformEvent, ProvisionedSpillover, Throttled

SCOPE = ("000000000000", "us-east-1")


class Events:
    def __init__(self) -> None:
        self.seen: list[PlatformEvent] = []

    def emit(self, event: PlatformEvent) -> None:
        self.seen.append(event)


def a_version(
    account_id: str = SCOPE[0], region: str = SCOPE[1], name: str = "f", version: str = "$LATEST"
) -> FunctionVersion:
    code = CodeReference(sha256="0" * 64, size_bytes=1, unpacked_bytes=1)
    return FunctionVersion(
        account_id=account_id,
        region=region,
        name=name,
        role="arn:aws:iam::000000000000:role/r",
        code=code,
        configuration_id="c",
        revision_id="r",
        last_modified_ms=0,
        version=version,
    )


def an_arn(name: str) -> FunctionArn:
    return FunctionArn(*SCOPE, name)


def limiter_of(limit: int, share: float = 1.0) -> ConcurrencyLimiter:
    return ConcurrencyLimiter(limit, Events(), SystemClock(), share)


async def refusal(limiter: ConcurrencyLimiter, version: FunctionVersion) -> str:
    with pytest.raises(TooManyRequestsError) as refused:
        await limiter.wait_lease(version)
    assert refused.value.message == "Rate Exceeded."
    return refused.value.members["Reason"]


async def test_the_limit_counts_by_account_and_region() -> None:
    events = Events()
    limiter = ConcurrencyLimiter(2, events, SystemClock())
    leases = [await limiter.wait_lease(a_version()) for _ in range(2)]
    assert await refusal(limiter, a_version()) == "ConcurrentInvocationLimitExceeded"
    await limiter.wait_lease(a_version(region="eu-west-1"))
    await limiter.wait_lease(a_version(account_id="111111111111"))
    assert limiter.in_use("111111111111", "us-east-1") == 1
    assert [type(event) for event in events.seen] == [Throttled]
    for lease in leases:
        lease.release()
    assert limiter.in_use(*SCOPE) == 0


async def test_a_lease_that_an_environment_owns_outlives_the_block() -> None:
    limiter = limiter_of(1)
    async with limiter.lease(a_version()) as lease:
        lease.hand_over()
    assert limiter.in_use(*SCOPE) == 1
    lease.release()
    lease.release()
    assert limiter.in_use(*SCOPE) == 0


async def test_a_block_gives_back_what_no_environment_took() -> None:
    limiter = limiter_of(1)
    async with limiter.lease(a_version()):
        assert limiter.in_use(*SCOPE, "f") == 1
    assert limiter.in_use(*SCOPE, "f") == 0


async def test_a_reservation_is_cap_and_guarantee() -> None:
    limiter = limiter_of(3)
    limiter.put_reserved(an_arn("mine"), 1)
    others = [await limiter.wait_lease(a_version(name=name)) for name in ("a", "b")]
    assert [lease.pool for lease in others] == [ConcurrencyPool.UNRESERVED] * 2
    assert await refusal(limiter, a_version(name="c")) == "ConcurrentInvocationLimitExceeded"
    mine = await limiter.wait_lease(a_version(name="mine"))
    assert mine.pool is ConcurrencyPool.RESERVED
    others[0].release()
    assert await refusal(limiter, a_version(name="mine")) == "ReservedFunctionConcurrentInvocationLimitExceeded"


async def test_a_reservation_of_nothing_stops_the_function() -> None:
    limiter = limiter_of(3)
    limiter.put_reserved(an_arn("f"), 0)
    assert await refusal(limiter, a_version()) == "ReservedFunctionConcurrentInvocationLimitExceeded"
    limiter.put_reserved(an_arn("f"), None)
    (await limiter.wait_lease(a_version())).release()


async def test_what_runs_counts_towards_a_new_reservation_and_a_new_limit() -> None:
    limiter = limiter_of(4)
    leases = [await limiter.wait_lease(a_version()) for _ in range(2)]
    limiter.put_reserved(an_arn("f"), 2)
    assert await refusal(limiter, a_version()) == "ReservedFunctionConcurrentInvocationLimitExceeded"
    for name in ("a", "b"):
        await limiter.wait_lease(a_version(name=name))
    assert await refusal(limiter, a_version(name="c")) == "ConcurrentInvocationLimitExceeded"
    limiter.put_reserved(an_arn("f"), None)
    assert await refusal(limiter, a_version(name="c")) == "ConcurrentInvocationLimitExceeded"
    limiter.put_limit(*SCOPE, 5)
    await limiter.wait_lease(a_version(name="c"))
    limiter.put_limit(*SCOPE, None)
    for lease in leases:
        lease.release()
    await limiter.wait_lease(a_version(name="c"))
    assert await refusal(limiter, a_version(name="c")) == "ConcurrentInvocationLimitExceeded"


async def test_provisioned_environments_first_then_on_demand_in_what_is_left() -> None:
    events = Events()
    limiter = ConcurrencyLimiter(10, events, SystemClock())
    limiter.put_reserved(an_arn("f"), 3)
    limiter.put_provisioned(an_arn("f"), "1", 2)
    one = a_version(version="1")
    leases = [await limiter.wait_lease(one) for _ in range(3)]
    assert [lease.pool for lease in leases] == [*[ConcurrencyPool.PROVISIONED] * 2, ConcurrencyPool.RESERVED]
    (spilled,) = events.seen
    assert isinstance(spilled, ProvisionedSpillover)
    assert (spilled.name, spilled.version) == ("f", "1")
    assert await refusal(limiter, a_version()) == "ReservedFunctionConcurrentInvocationLimitExceeded"
    leases[0].release()
    assert await refusal(limiter, a_version()) == "ReservedFunctionConcurrentInvocationLimitExceeded", (
        "another version's"
    )
    assert (await limiter.wait_lease(one)).pool is ConcurrencyPool.PROVISIONED


async def test_a_reservation_wholly_provisioned_leaves_nothing_for_latest() -> None:
    limiter = limiter_of(10)
    limiter.put_reserved(an_arn("f"), 1)
    limiter.put_provisioned(an_arn("f"), "1", 1)
    assert await refusal(limiter, a_version()) == "ReservedFunctionConcurrentInvocationLimitExceeded"
    assert (await limiter.wait_lease(a_version(version="1"))).pool is ConcurrencyPool.PROVISIONED


async def test_provisioned_without_a_reservation_is_cut_out_of_the_unreserved_pool() -> None:
    limiter = limiter_of(2)
    limiter.put_provisioned(an_arn("f"), "1", 1)
    await limiter.wait_lease(a_version(name="other"))
    assert await refusal(limiter, a_version(name="other")) == "ConcurrentInvocationLimitExceeded"
    lease = await limiter.wait_lease(a_version(version="1"))
    assert lease.pool is ConcurrencyPool.PROVISIONED
    limiter.put_provisioned(an_arn("f"), "1", 0)
    lease.release()
    assert (await limiter.wait_lease(a_version(name="other"))).pool is ConcurrencyPool.UNRESERVED


async def test_who_calls_one_after_the_other_is_not_throttled() -> None:
    limiter = limiter_of(10)
    limiter.put_reserved(an_arn("f"), 1)
    first = await limiter.wait_lease(a_version())
    first.begin_settling()
    second = asyncio.ensure_future(limiter.wait_lease(a_version()))
    await asyncio.sleep(0)
    assert not second.done()
    first.release()
    assert (await second).pool is ConcurrencyPool.RESERVED
    with pytest.raises(TooManyRequestsError):
        await limiter.wait_lease(a_version())


async def test_who_calls_one_after_the_other_meets_the_provisioned_environment() -> None:
    limiter = limiter_of(10)
    limiter.put_provisioned(an_arn("f"), "1", 1)
    one = a_version(version="1")
    first = await limiter.wait_lease(one)
    first.begin_settling()
    second = asyncio.ensure_future(limiter.wait_lease(one))
    await asyncio.sleep(0)
    first.release()
    assert (await second).pool is ConcurrencyPool.PROVISIONED
    assert (await limiter.wait_lease(one)).pool is ConcurrencyPool.UNRESERVED


async def test_a_wait_for_one_that_does_not_settle_ends() -> None:
    limiter = limiter_of(1)
    (await limiter.wait_lease(a_version())).begin_settling()
    with pytest.raises(TooManyRequestsError):
        await limiter.wait_lease(a_version())


async def test_a_share_of_the_limit_and_of_reservations() -> None:
    limiter = limiter_of(10, share=0.5)
    limiter.put_reserved(an_arn("f"), 1)
    await limiter.wait_lease(a_version())
    for _ in range(4):
        await limiter.wait_lease(a_version(name="g"))
    assert await refusal(limiter, a_version(name="g")) == "ConcurrentInvocationLimitExceeded"


async def test_an_idle_limiter_remembers_nothing() -> None:
    limiter = limiter_of(10)
    version = a_version()
    for number in range(5):
        (await limiter.wait_lease(replace(version, name=f"f{number}"))).release()
    assert not limiter._scopes[SCOPE].functions
