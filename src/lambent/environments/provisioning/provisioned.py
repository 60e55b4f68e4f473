"""Provisioned concurrency: so many environments that have run their Init, for versions and what aliases point at.

    configurations  ──routes──►  target of each version  ──reconcile──►  environments in the pool

A configuration of an alias belongs to the versions that the alias points at, by their weights, so it moves when the
alias does. Whatever changes (a configuration, an alias, an environment that dies) only marks the function; the loop
compares targets with what is there, starts what is missing, and lets go what is too much once nothing is missing.
"""

from __future__ import annotations

import asyncio
import logging
import math
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct, field

from lambent.environments.lifecycle import EnvironmentState
from lambent.environments.pool import InitFailedError
from lambent.environments.provisioning.shares import shared_out
from lambent.environments.sandbox.sandbox import SandboxError
from lambent.model.arn import LATEST, FunctionArn
from lambent.model.concurrency import Allocation, AllocationStatus
from lambent.model.errors import LambdaError, TooManyRequestsError
from lambent.model.function import FunctionState

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from lambent.clock import Clock
    from lambent.environments.environment import ExecutionEnvironment
    from lambent.model.concurrency import ProvisionedConcurrency
    from lambent.model.function import FunctionVersion

_log = logging.getLogger(__name__)

# Source: recorded (lambda/test_lambda.json, test_provisioned_concurrency_init_failure): the reason; observed there: six
# attempts.
_INIT_FAILURE = "FUNCTION_ERROR_INIT_FAILURE"
_UNPUBLISHED = "Provisioned Concurrency Configs cannot be applied to unpublished function versions."
_NO_MEMORY = "The memory that this machine may use (host.memory_mib_max) has no room for more environments."
_ATTEMPTS_MAX = 6
# What has failed is tried again at this pace: the database that Init asks for may be back by then. What the function
# is not to blame for heals sooner.
_FAILED_RETRY_SECONDS = 60.0
_LOST_RETRY_SECONDS = 5.0
_LATER_SECONDS = 0.01
_STARTS_MAX = 8
_READY_STATES = frozenset({EnvironmentState.IDLE, EnvironmentState.INVOKE, EnvironmentState.SETTLING})

_Key = tuple[str, str, str]


class Provisions(Protocol):
    """What is needed of the pool; see EnvironmentPool."""

    async def provision(self, version: FunctionVersion, watch: Callable[[ExecutionEnvironment], None]) -> None:
        """Make an environment and run its Init."""

    def dismiss(self, environment: ExecutionEnvironment) -> None:
        """Shut an environment down when it is idle."""


class _Stock(Struct, eq=False):
    """One version's environments. Times in monotonic nanoseconds; `reason` is set while its last attempts failed."""

    version: FunctionVersion
    target: int = 0
    ready: set[ExecutionEnvironment] = field(default_factory=set)
    starting: int = 0
    failures: int = 0
    reason: str | None = None
    retry_at_ns: int = 0

    @property
    def missing(self) -> int:
        """How many are still to be started."""
        return self.target - len(self.ready) - self.starting

    @property
    def is_growing(self) -> bool:
        """Whether more are on their way or will be tried soon."""
        return self.reason is None and len(self.ready) < self.target

    def forgive(self) -> None:
        """Forget what failed: somebody has asked anew."""
        self.failures, self.reason, self.retry_at_ns = 0, None, 0


class _Function(Struct, eq=False):
    """The configurations of one function by version or alias, and its versions' environments by number."""

    arn: FunctionArn
    configs: dict[str, ProvisionedConcurrency] = field(default_factory=dict)
    stocks: dict[str, _Stock] = field(default_factory=dict)


class ProvisionedEnvironments:
    """Keeps provisioned concurrency. Scope: node. After a crash: made anew from the committed configurations.

    `routes(arn)` returns the versions that a qualifier means, each with its share. `report(arn, version, count)` is
    told how many environments of a version there are. `share` (above 0, up to 1) is the part of each configuration
    that this node keeps. What cannot be made is tried again: six times, after `retry_seconds` times 2, 4, 8 …, then
    once a minute, or every five seconds when it is not the function's fault.
    """

    def __init__(
        self,
        pool: Provisions,
        routes: Callable[[FunctionArn], Sequence[tuple[FunctionVersion, float]]],
        report: Callable[[FunctionArn, str, int], None],
        clock: Clock,
        share: float = 1.0,
        retry_seconds: float = 0.05,
    ) -> None:
        self._pool = pool
        self._routes = routes
        self._report = report
        self._clock = clock
        self._share = share
        self._retry_seconds = retry_seconds
        self._functions: dict[_Key, _Function] = {}
        self._changed: set[_Key] = set()
        self._wake = asyncio.Event()
        self._slots = asyncio.Semaphore(_STARTS_MAX)
        self._is_closing = False

    def put(self, config: ProvisionedConcurrency) -> None:
        """Take a committed configuration, new or changed."""
        function = self._functions.setdefault(_key(config.arn), _Function(config.arn.unqualified))
        function.configs[config.qualifier] = config
        for version, _ in self._routes(config.arn):
            if version.version in function.stocks:
                function.stocks[version.version].forgive()
        self.changed(config.arn)

    def remove(self, arn: FunctionArn) -> None:
        """A configuration is gone; `arn` has its qualifier."""
        function = self._functions.get(_key(arn))
        if function is not None:
            function.configs.pop(arn.qualifier or "", None)
            self.changed(arn)

    def changed(self, arn: FunctionArn) -> None:
        """A version or an alias of a function has changed."""
        key = _key(arn)
        if key in self._functions:
            self._changed.add(key)
            self._wake.set()

    def allocation(self, arn: FunctionArn) -> Allocation:
        """Return how far the configuration of a version or an alias has come; `arn` has its qualifier."""
        function = self._functions.get(_key(arn))
        config = None if function is None else function.configs.get(arn.qualifier or "")
        if function is None or config is None:
            return Allocation(0, 0, AllocationStatus.IN_PROGRESS)
        wanted = self._wanted(config)
        if not wanted:
            return Allocation(0, 0, AllocationStatus.FAILED, _UNPUBLISHED)
        stocks = [(function.stocks.get(version.version), count) for version, count in wanted]
        mine = sum(min(len(stock.ready), count) for stock, count in stocks if stock is not None)
        ready = [environment for stock in function.stocks.values() for environment in stock.ready]
        # What still stands at the version that the alias has left counts until the new ones are there.
        left_over = sum(max(0, len(stock.ready) - stock.target) for stock in function.stocks.values())
        needed = sum(count for _, count in wanted)
        allocated = min(mine + left_over, needed)
        idle = sum(1 for environment in ready if environment.state is EnvironmentState.IDLE)
        reason = next((stock.reason for stock, _ in stocks if stock is not None and stock.reason is not None), None)
        status = AllocationStatus.IN_PROGRESS
        if mine >= needed:
            status, reason = AllocationStatus.READY, None
        elif reason is not None:
            status = AllocationStatus.FAILED
        counts = (self._whole(config, allocated, needed), self._whole(config, min(allocated, idle), needed))
        return Allocation(*counts, status, reason)

    async def run(self) -> None:
        """Keep what is configured until cancelled; never raises."""
        async with asyncio.TaskGroup() as tasks:
            while True:
                await self._wake.wait()
                self._wake.clear()
                changed, self._changed = self._changed, set()
                for key in changed:
                    function = self._functions.get(key)
                    if function is not None and not self._is_closing:
                        self._run_reconcile(function, tasks)

    def close(self) -> None:
        """Start no environment any more: the pool is about to close."""
        self._is_closing = True

    def _run_reconcile(self, function: _Function, tasks: asyncio.TaskGroup) -> None:
        # One function's trouble must not end the others.
        try:
            self._reconcile(function, tasks)
        except Exception:
            _log.exception("provisioned concurrency of %s could not be brought up to date", function.arn)

    def _reconcile(self, function: _Function, tasks: asyncio.TaskGroup) -> None:
        self._set_targets(function)
        now_ns = self._clock.monotonic_ns()
        for stock in function.stocks.values():
            if stock.version.state is FunctionState.PENDING or now_ns < stock.retry_at_ns:
                continue
            # After a failure one is tried at a time: six attempts are six, however many are missing.
            starts_max = 1 if stock.failures else _STARTS_MAX
            for _ in range(min(stock.missing, starts_max - stock.starting)):
                stock.starting += 1
                tasks.create_task(self._run_start(function, stock))
        if not any(stock.is_growing for stock in function.stocks.values()):
            for stock in function.stocks.values():
                self._let_go(function, stock)
        for number in [number for number, one in function.stocks.items() if _is_empty(one)]:
            del function.stocks[number]
        if not function.configs and not function.stocks:
            self._functions.pop(_key(function.arn), None)

    def _set_targets(self, function: _Function) -> None:
        targets: dict[str, int] = {}
        for config in function.configs.values():
            for version, count in self._wanted(config):
                targets[version.version] = targets.get(version.version, 0) + count
                stock = function.stocks.setdefault(version.version, _Stock(version))
                stock.version = version
        for number, stock in function.stocks.items():
            stock.target = targets.get(number, 0)

    def _wanted(self, config: ProvisionedConcurrency) -> list[tuple[FunctionVersion, int]]:
        """Return how many environments of which versions this node is to keep for a configuration."""
        routes = [route for route in self._routes(config.arn) if route[0].version != LATEST and route[1] > 0]
        count = config.executions if self._share >= 1 else math.ceil(config.executions * self._share)
        shares = shared_out(count, [weight for _, weight in routes])
        return [(version, share) for (version, _), share in zip(routes, shares, strict=True)]

    def _whole(self, config: ProvisionedConcurrency, count: int, needed: int) -> int:
        """Return what a count of this node stands for in the whole configuration."""
        return config.executions if count >= needed else min(config.executions, int(count / self._share))

    async def _run_start(self, function: _Function, stock: _Stock) -> None:
        # The outermost frame of a task: one that raises would end the others of its group.
        try:
            async with self._slots:
                await self._pool.provision(stock.version, lambda one: self._environment_changed(function, stock, one))
            stock.forgive()
        except InitFailedError:
            self._failed(function, stock, _INIT_FAILURE)
        except TooManyRequestsError:
            self._failed(function, stock, _NO_MEMORY, _LOST_RETRY_SECONDS)
        except SandboxError as error:
            self._failed(function, stock, str(error), _LOST_RETRY_SECONDS)
        except LambdaError as error:
            self._failed(function, stock, error.message)
        except Exception as error:
            _log.exception("an environment of %s could not be provisioned", function.arn)
            self._failed(function, stock, f"{type(error).__name__}: {error}")
        finally:
            stock.starting -= 1
            self.changed(function.arn)

    def _failed(
        self, function: _Function, stock: _Stock, reason: str, later_seconds: float = _FAILED_RETRY_SECONDS
    ) -> None:
        stock.failures += 1
        if stock.failures < _ATTEMPTS_MAX:
            delay_seconds = self._retry_seconds * 2**stock.failures
        else:
            stock.reason = reason
            delay_seconds = later_seconds
        stock.retry_at_ns = self._clock.monotonic_ns() + int(delay_seconds * 1e9)
        # The loop's clock may be a little before ours.
        asyncio.get_running_loop().call_later(delay_seconds + _LATER_SECONDS, self.changed, function.arn)

    def _environment_changed(self, function: _Function, stock: _Stock, environment: ExecutionEnvironment) -> None:
        is_ready = environment.state in _READY_STATES and not environment.is_retired
        if is_ready is (environment in stock.ready):
            return
        if is_ready:
            stock.ready.add(environment)
        else:
            stock.ready.discard(environment)
        self._report(function.arn, stock.version.version, len(stock.ready))
        self.changed(function.arn)

    def _let_go(self, function: _Function, stock: _Stock) -> None:
        surplus = len(stock.ready) - stock.target
        if surplus > 0:
            # Idle ones first; a busy one ends after its invocation.
            by_use = sorted(stock.ready, key=lambda one: one.state is not EnvironmentState.IDLE)
            for environment in by_use[:surplus]:
                self._pool.dismiss(environment)


def _is_empty(stock: _Stock) -> bool:
    return not (stock.target or stock.ready or stock.starting)


def _key(arn: FunctionArn) -> _Key:
    return (arn.account_id, arn.region, arn.name)
