"""EnvironmentPool: who runs an invocation, a warm environment or a new one, and how long idle ones stay."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections import deque
from typing import TYPE_CHECKING, NamedTuple

from lambent.environments.environment import EnvironmentRules, ExecutionEnvironment, Surroundings, pool_key
from lambent.environments.lifecycle import EnvironmentState
from lambent.environments.sandbox.sandbox import SandboxError
from lambent.model.environment import InitializationType
from lambent.model.errors import TooManyRequestsError

if TYPE_CHECKING:
    from collections.abc import Callable, Coroutine

    from lambent.clock import Clock
    from lambent.environments.factory import EnvironmentFactory
    from lambent.environments.prewarm import PrewarmedSandboxes
    from lambent.model.arn import FunctionArn
    from lambent.model.function import FunctionVersion
    from lambent.model.platform_event import TelemetrySink

_log = logging.getLogger(__name__)

_TICK_SECONDS = 0.01
_REAP_SECONDS = 1.0
_FREEZE_AFTER_NS = 20_000_000
# What a new environment is charged until its own use was measured once, MiB.
_FIRST_CHARGE_MIB = 24
_MEMORY_WAIT_SECONDS = 1.0
_SETTLE_SECONDS = 0.02
_CLOSE_SECONDS_MAX = 10.0
# Source: developer guide, "Lambda execution environment": Init of provisioned concurrency may take 130 s, or the
# function's time-out where that is longer.
_PROVISIONED_INIT_SECONDS = 130.0


class InitFailedError(Exception):
    """Init of an environment failed by the function's fault; the text is AWS's error type."""


class PoolRules(NamedTuple):
    """Bounds of a node: seconds a warm environment stays idle, MiB all environments may use (measured)."""

    idle_seconds_max: float
    memory_mib_max: int
    environments: EnvironmentRules


class EnvironmentPool:
    """All environments of this node. Scope: node. After a crash: none, the supervisor has killed them.

    Idle environments are kept by configuration id, so one of an older revision is never given out; the most recently
    used goes first, the least recently used is evicted first when memory is short. Those of provisioned concurrency
    are kept apart: only who holds a lease on one gets it, and none is reaped or evicted.
    """

    def __init__(
        self,
        factory: EnvironmentFactory,
        prewarmed: PrewarmedSandboxes,
        rules: PoolRules,
        sink: TelemetrySink,
        clock: Clock,
    ) -> None:
        self._factory = factory
        self._prewarmed = prewarmed
        self._rules = rules
        self._clock = clock
        callbacks = (self._settling_begun, self._settled, self._broken, self._ended)
        self._around = Surroundings(sink, clock, rules.environments, *callbacks, self._spawn)
        self._idle: dict[str, list[ExecutionEnvironment]] = {}
        self._all: set[ExecutionEnvironment] = set()
        self._watchers: dict[ExecutionEnvironment, Callable[[ExecutionEnvironment], None]] = {}
        self._unfrozen: list[ExecutionEnvironment] = []
        self._settling: dict[str, set[ExecutionEnvironment]] = {}
        self._waiters: dict[str, deque[asyncio.Future[ExecutionEnvironment]]] = {}
        self._creating = 0
        self._tasks: asyncio.TaskGroup | None = None
        self._freed = asyncio.Event()
        self._is_closing = False

    async def run(self) -> None:
        """Own every environment's task, freeze and reap idle ones. Runs until cancelled; never raises."""
        async with asyncio.TaskGroup() as tasks:
            self._tasks = tasks
            tasks.create_task(self._prewarmed.run())
            tasks.create_task(self._reap())
            while True:
                await asyncio.sleep(_TICK_SECONDS)
                self._freeze_idle()

    def retire(self, arn: FunctionArn, version: str, configuration_id: str | None) -> None:
        """The version has a new configuration (or none): shut down idle environments of older ones, busy ones later."""
        for environment in list(self._all):
            mine = environment.version
            if mine.version != version or mine.arn != arn or mine.configuration_id == configuration_id:
                continue
            self.dismiss(environment)

    def dismiss(self, environment: ExecutionEnvironment) -> None:
        """Shut an environment down when it is idle, at once or after its invocation."""
        environment.is_retired = True
        if environment in self._idle.get(environment.pool_key, ()):
            self._take_out(environment)
            self._spawn(environment.shut_down())
        self._tell_watcher(environment)

    async def close(self) -> None:
        """Shut every environment down, in parallel, each within its grace; then the waiting sandboxes."""
        self._is_closing = True
        async with asyncio.TaskGroup() as closing:
            for environment in list(self._all):
                closing.create_task(environment.shut_down())
        # Those whose end had begun before have tasks of their own, which would be cancelled in the middle of it.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_CLOSE_SECONDS_MAX):
                while self._all:
                    self._freed.clear()
                    await self._freed.wait()
        await self._prewarmed.close()

    def code_in_use(self) -> frozenset[str]:
        """Return the sha256 of every package that a living environment has mounted."""
        return frozenset(name for environment in self._all for name in environment.version.packages)

    def statistics(self) -> dict[str, int]:
        """Return counts: environments by state, provisioned ones, waiting sandboxes by family, measured MiB."""
        counts = {f"environments_{state.value.lower()}": 0 for state in EnvironmentState}
        for environment in self._all:
            counts[f"environments_{environment.state.value.lower()}"] += 1
        counts.update({f"prewarmed_{family}": n for family, n in self._prewarmed.statistics().items()})
        counts["provisioned"] = sum(environment.is_provisioned for environment in self._all)
        counts["memory_mib"] = self._charged_mib()
        return counts

    async def acquire(self, version: FunctionVersion, *, is_provisioned: bool = False) -> ExecutionEnvironment:
        """Return an idle environment of this configuration, else a new one whose Init is under way.

        `is_provisioned`: the caller's lease is on one of provisioned concurrency; if that has just died, an ordinary
        one stands in. It comes back by itself when it is idle again, whatever becomes of the caller.

        Raises:
            TooManyRequestsError: the host's memory bound is reached and nothing got free within 1 s (429).
            SandboxError: no sandbox could be made; nothing of the customer's ran.
            ServiceError: the runtime is not on this machine any more.
        """
        found = self._pop_idle(pool_key(version, is_provisioned=True)) if is_provisioned else None
        found = found or self._pop_idle(version.configuration_id)
        if found is not None:
            return found
        settled = await self._wait_settled(version.configuration_id)
        if settled is not None:
            return settled
        return await self._create(version, InitializationType.ON_DEMAND)

    async def provision(self, version: FunctionVersion, watch: Callable[[ExecutionEnvironment], None]) -> None:
        """Make an environment of provisioned concurrency and run its Init; it is idle afterwards.

        `watch(environment)` is called when it becomes idle, is dismissed, breaks or ends.

        Raises:
            InitFailedError: Init failed by the function's fault; the environment is gone.
            TooManyRequestsError, SandboxError, ServiceError: see `acquire`.
        """
        environment = await self._create(version, InitializationType.PROVISIONED_CONCURRENCY)
        self._watchers[environment] = watch
        error_type = await environment.initialize(max(_PROVISIONED_INIT_SECONDS, version.timeout_seconds))
        if error_type is not None:
            environment.is_retired = True
            await environment.shut_down()
            raise InitFailedError(error_type)

    async def _create(self, version: FunctionVersion, kind: InitializationType) -> ExecutionEnvironment:
        await self._make_room()
        self._creating += 1
        try:
            environment = await self._factory.create(version, self._around, kind)
        finally:
            self._creating -= 1
        self._all.add(environment)
        self._spawn(environment.run())
        if self._is_closing and kind is not InitializationType.ON_DEMAND:
            await environment.shut_down()
            raise SandboxError("the pool is closing")
        return environment

    def _pop_idle(self, key: str) -> ExecutionEnvironment | None:
        idle = self._idle.get(key)
        while idle:
            environment = idle.pop()
            if environment.is_usable:
                return environment
        return None

    def _settling_begun(self, environment: ExecutionEnvironment) -> None:
        self._settling.setdefault(environment.pool_key, set()).add(environment)

    def _settling_over(self, environment: ExecutionEnvironment) -> None:
        settling = self._settling.get(environment.pool_key)
        if settling is not None:
            settling.discard(environment)
            if not settling:
                del self._settling[environment.pool_key]

    async def _wait_settled(self, configuration_id: str) -> ExecutionEnvironment | None:
        # The runtime has answered and is about to ask for the next invocation: a caller that calls again at once
        # expects the same environment, and waiting some milliseconds is cheaper than a cold start.
        waiters = self._waiters.setdefault(configuration_id, deque())
        if len(self._settling.get(configuration_id, ())) <= len(waiters):
            if not waiters:
                del self._waiters[configuration_id]
            return None
        waiter: asyncio.Future[ExecutionEnvironment] = asyncio.get_running_loop().create_future()
        waiters.append(waiter)
        await asyncio.wait([waiter], timeout=_SETTLE_SECONDS)
        if waiter.done():
            return waiter.result()
        waiters.remove(waiter)
        if not waiters:
            self._waiters.pop(configuration_id, None)
        return None

    def _settled(self, environment: ExecutionEnvironment) -> None:
        self._freed.set()
        key = environment.pool_key
        self._settling_over(environment)
        if environment.is_provisioned and environment.state is not EnvironmentState.IDLE:
            # Its promise is that Init has been run: one that would have to run it again is replaced.
            environment.is_retired = True
        waiters = self._waiters.get(key)
        if waiters and not environment.is_retired:
            waiters.popleft().set_result(environment)
            if not waiters:
                del self._waiters[key]
            return
        if environment.is_retired or self._tasks is None:
            self._spawn(environment.shut_down())
        else:
            self._idle.setdefault(key, []).append(environment)
            self._unfrozen.append(environment)
        self._tell_watcher(environment)

    def _broken(self, environment: ExecutionEnvironment) -> None:
        # An ordinary one is started again inside the next invocation.
        if environment.is_provisioned:
            self.dismiss(environment)

    def _ended(self, environment: ExecutionEnvironment) -> None:
        self._all.discard(environment)
        self._settling_over(environment)
        self._take_out(environment)
        self._freed.set()
        self._tell_watcher(environment)
        self._watchers.pop(environment, None)

    def _tell_watcher(self, environment: ExecutionEnvironment) -> None:
        watch = self._watchers.get(environment)
        if watch is not None:
            watch(environment)

    def _take_out(self, environment: ExecutionEnvironment) -> None:
        idle = self._idle.get(environment.pool_key)
        if idle is not None:
            if environment in idle:
                idle.remove(environment)
            if not idle:
                del self._idle[environment.pool_key]

    def _freeze_idle(self) -> None:
        # Freezing at once would cost a thaw on every call of a busy function; 20 ms later only real pauses pay.
        if not self._unfrozen:
            return
        now_ns = self._clock.monotonic_ns()
        later: list[ExecutionEnvironment] = []
        for environment in self._unfrozen:
            if environment.state is not EnvironmentState.IDLE:
                continue
            if now_ns - environment.idle_since_ns < _FREEZE_AFTER_NS or not environment.is_freezable:
                later.append(environment)
                continue
            if not environment.is_cpu_limited:
                self._spawn(environment.limit_cpu())
            environment.freeze()
        self._unfrozen = later

    async def _reap(self) -> None:
        while True:
            await asyncio.sleep(_REAP_SECONDS)
            bound_ns = int(self._rules.idle_seconds_max * 1e9)
            now_ns = self._clock.monotonic_ns()
            for environments in list(self._idle.values()):
                for environment in [one for one in environments if now_ns - one.idle_since_ns > bound_ns]:
                    if environment.is_provisioned:
                        break
                    self._take_out(environment)
                    self._spawn(environment.shut_down())
            await self._prewarmed.drop_unused()

    async def _make_room(self) -> None:
        if self._charged_mib() + _FIRST_CHARGE_MIB <= self._rules.memory_mib_max:
            return
        try:
            async with asyncio.timeout(_MEMORY_WAIT_SECONDS):
                while self._charged_mib() + _FIRST_CHARGE_MIB > self._rules.memory_mib_max:
                    self._freed.clear()
                    oldest = self._least_recently_used()
                    if oldest is None:
                        await self._freed.wait()
                    else:
                        self._take_out(oldest)
                        await oldest.shut_down()
                        # Its memory is free when it is gone, which its own task may yet be about to see to.
                        while oldest in self._all:
                            self._freed.clear()
                            await self._freed.wait()
        except TimeoutError:
            raise TooManyRequestsError(
                "Rate Exceeded.", members={"Reason": "ConcurrentInvocationLimitExceeded"}
            ) from None

    def _least_recently_used(self) -> ExecutionEnvironment | None:
        idle = [one for environments in self._idle.values() for one in environments if not one.is_provisioned]
        return min(idle, key=lambda environment: environment.idle_since_ns, default=None)

    def _charged_mib(self) -> int:
        measured = sum(max(one.memory_peak_mib, _FIRST_CHARGE_MIB) for one in self._all)
        return measured + self._creating * _FIRST_CHARGE_MIB

    def _spawn(self, work: Coroutine[None, None, None]) -> None:
        if self._tasks is None:
            work.close()
            return
        self._tasks.create_task(_logged(work))


async def _logged(work: Coroutine[None, None, None]) -> None:
    # One raising task would cancel the whole group, so this is the outermost frame of each.
    try:
        await work
    except SandboxError as error:
        _log.warning("environment: %s", error)
    except Exception:
        _log.exception("environment task failed")
