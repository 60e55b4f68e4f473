"""The arithmetic of concurrency under any order of events: cap, guarantee, and that nothing leaks."""

from __future__ import annotations

import asyncio
from typing import Any

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from lambent.clock import SystemClock
from lambent.invocation import ConcurrencyLimiter
from lambent.model.concurrency import ConcurrencyLease, ConcurrencyPool
from lambent.model.errors import TooManyRequestsError
from tests.unit.invocation.test_concurrency import SCOPE, Events, a_version, an_arn

NAMES = st.sampled_from(["a", "b", "c"])
VERSIONS = st.sampled_from(["$LATEST", "1", "2"])
LIMIT = 6


class Load(RuleBasedStateMachine):
    """Three functions with two versions each: invocations begin and end, settings change, environments come and go."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.limiter = ConcurrencyLimiter(LIMIT, Events(), SystemClock())
        self.limit = LIMIT
        self.reserved: dict[str, int] = {}
        self.environments: dict[tuple[str, str], int] = {}
        self.running: list[tuple[str, str, ConcurrencyLease]] = []

    def used(self, name: str | None = None) -> int:
        return sum(1 for one, _, _ in self.running if name in (None, one))

    @rule(name=NAMES, version=VERSIONS)
    def invoke(self, name: str, version: str) -> None:
        before = self.used(name), self.used()
        try:
            lease = self.loop.run_until_complete(self.limiter.wait_lease(a_version(name=name, version=version)))
        except TooManyRequestsError as refused:
            self.check_refusal(name, refused.members["Reason"])
            return
        self.running.append((name, version, lease))
        assert before[1] < self.limit
        if name in self.reserved:
            assert before[0] < self.reserved[name]
        if lease.pool is ConcurrencyPool.PROVISIONED:
            of_version = [one for one in self.running if one[:2] == (name, version)]
            provisioned = sum(1 for *_, one in of_version if one.pool is ConcurrencyPool.PROVISIONED)
            assert provisioned <= self.environments.get((name, version), 0)

    def check_refusal(self, name: str, reason: str) -> None:
        """A function within its reservation is only refused while others still run from before it was made."""
        mine = self.reserved.get(name)
        kept = sum(count for (one, _), count in self.environments.items() if one == name)
        others_within = all(self.used(one) <= self.reserved.get(one, 0) for one in self.reserved if one != name)
        pool = sum(self.used(one) for one in ("a", "b", "c") if one not in self.reserved)
        is_settled = others_within and pool <= self.limit - sum(self.reserved.values())
        if mine is not None and not kept and is_settled:
            assert self.used(name) >= mine, "the guarantee"
        if mine is None:
            assert reason == "ConcurrentInvocationLimitExceeded"

    @rule(data=st.data())
    def end(self, data: Any) -> None:
        if self.running:
            # Both draws come first: one that ends the example must not leave a lease that nobody has.
            index = data.draw(st.integers(0, len(self.running) - 1))
            is_settling = data.draw(st.booleans())
            _, _, lease = self.running.pop(index)
            if is_settling:
                lease.begin_settling()
            lease.release()
            lease.release()

    @rule(name=NAMES, count=st.none() | st.integers(0, 2))
    def reserve(self, name: str, count: int | None) -> None:
        self.limiter.put_reserved(an_arn(name), count)
        self.reserved.pop(name, None)
        if count is not None:
            self.reserved[name] = count

    @rule(name=NAMES, version=st.sampled_from(["1", "2"]), count=st.integers(0, 2))
    def provision(self, name: str, version: str, count: int) -> None:
        # Environments die under running invocations, too.
        self.limiter.put_provisioned(an_arn(name), version, count)
        self.environments[name, version] = count

    @rule(limit=st.none() | st.integers(1, 8))
    def set_limit(self, limit: int | None) -> None:
        self.limiter.put_limit(*SCOPE, limit)
        self.limit = LIMIT if limit is None else limit

    @invariant()
    def leases_out_are_what_runs(self) -> None:
        assert self.limiter.in_use(*SCOPE) == self.used()
        for name in ("a", "b", "c"):
            assert self.limiter.in_use(*SCOPE, name) == self.used(name)

    @invariant()
    def counts_agree(self) -> None:
        scope = self.limiter._scopes.get(SCOPE)
        if scope is None:
            return
        shared = [one for one in scope.functions.values() if one.reserved is None]
        for member in ("used", "provisioned_used", "environments", "settling"):
            assert getattr(scope.pool, member) == sum(getattr(one.use, member) for one in shared)
        assert scope.reserved == sum(self.reserved.values())
        for function in scope.functions.values():
            versions = function.versions.values()
            assert function.use.used == sum(one.used for one in versions)
            assert function.use.environments == sum(one.environments for one in versions)
            assert function.use.provisioned_used == sum(one.provisioned_used for one in versions)
            assert function.use.settling == 0

    def teardown(self) -> None:
        self.loop.close()
        for _, _, lease in self.running:
            lease.release()
        for name in ("a", "b", "c"):
            self.limiter.put_reserved(an_arn(name), None)
            for version in ("1", "2"):
                self.limiter.put_provisioned(an_arn(name), version, 0)
        assert self.limiter.in_use(*SCOPE) == 0
        scope = self.limiter._scopes.get(SCOPE)
        assert scope is None or not scope.functions


Load.TestCase.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
TestLoad = Load.TestCase
