"""Targets and what is there, with a pool in the test's hand: counts, moves, failures, replacement."""

from __future__ import annotations

import asyncio
import contextlib
from typing import TYPE_CHECKING, Any, cast

import pytest

from lambent.clock import SystemClock
from lambent.environments.lifecycle import EnvironmentState
from lambent.environments.pool import InitFailedError
from lambent.environments.provisioning import ProvisionedEnvironments
from lambent.environments.sandbox.sandbox import SandboxError
from lambent.model.arn import FunctionArn
from lambent.model.concurrency import Allocation, AllocationStatus, ProvisionedConcurrency
from lambent.model.errors import TooManyRequestsError
from lambent.model.function import CodeReference, FunctionVersion

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable

    from lambent.environments.environment import ExecutionEnvironment

ARN = FunctionArn("000000000000", "us-east-1", "f")
READY, IN_PROGRESS, FAILED = AllocationStatus.READY, AllocationStatus.IN_PROGRESS, AllocationStatus.FAILED


def a_version(number: str) -> FunctionVersion:
    return FunctionVersion(
        account_id=ARN.account_id,
        region=ARN.region,
        name=ARN.name,
        role="arn:aws:iam::000000000000:role/r",
        code=CodeReference(sha256="0" * 64, size_bytes=1, unpacked_bytes=1),
        configuration_id=number,
        revision_id="r",
        last_modified_ms=0,
        version=number,
    )


class FakeEnvironment:
    def __init__(self, version: FunctionVersion) -> None:
        self.version = version
        self.state = EnvironmentState.IDLE
        self.is_retired = False


class FakePool:
    """Makes environments at once, or fails as told, or when `gate` opens."""

    def __init__(self) -> None:
        self.alive: dict[FakeEnvironment, Callable[[Any], None]] = {}
        self.failure: Exception | None = None
        self.attempts = 0
        self.gate = asyncio.Event()
        self.gate.set()

    async def provision(self, version: FunctionVersion, watch: Callable[[ExecutionEnvironment], None]) -> None:
        self.attempts += 1
        await self.gate.wait()
        if self.failure is not None:
            raise self.failure
        environment = FakeEnvironment(version)
        self.alive[environment] = watch
        watch(cast("ExecutionEnvironment", environment))

    def dismiss(self, environment: ExecutionEnvironment) -> None:
        self.end(cast("FakeEnvironment", environment))

    def end(self, environment: FakeEnvironment) -> None:
        environment.is_retired = True
        self.alive.pop(environment)(environment)

    def count(self, number: str) -> int:
        return sum(1 for one in self.alive if one.version.version == number)


class Scene:
    def __init__(self, share: float = 1.0) -> None:
        self.pool = FakePool()
        self.routes: dict[str, list[tuple[FunctionVersion, float]]] = {
            number: [(a_version(number), 1.0)] for number in ("1", "2", "$LATEST")
        }
        self.reported: dict[str, int] = {}
        self.provisioned = ProvisionedEnvironments(
            self.pool,
            lambda arn: self.routes.get(arn.qualifier or "", []),
            self._report,
            SystemClock(),
            share,
            retry_seconds=0.001,
        )

    def _report(self, arn: FunctionArn, version: str, count: int) -> None:
        assert arn == ARN
        self.reported[version] = count

    def put(self, qualifier: str, count: int) -> None:
        config = ProvisionedConcurrency(ARN.account_id, ARN.region, ARN.name, qualifier, count, 0, "r")
        self.provisioned.put(config)

    def state(self, qualifier: str) -> Allocation:
        return self.provisioned.allocation(ARN.qualified(qualifier))

    def point(self, alias: str, **weights: float) -> None:
        self.routes[alias] = [(a_version(number.removeprefix("v")), weight) for number, weight in weights.items()]
        self.provisioned.changed(ARN)

    async def settle(self) -> None:
        for _ in range(30):
            await asyncio.sleep(0)

    async def until(self, is_so: Callable[[], bool]) -> None:
        async with asyncio.timeout(10):
            while not is_so():
                await asyncio.sleep(0.005)


@pytest.fixture
async def scene() -> AsyncIterator[Scene]:
    scene = Scene()
    async with running(scene):
        yield scene


@contextlib.asynccontextmanager
async def running(scene: Scene) -> AsyncIterator[None]:
    task = asyncio.get_running_loop().create_task(scene.provisioned.run())
    yield
    task.cancel()
    await asyncio.wait([task])


async def test_what_is_asked_for_is_there(scene: Scene) -> None:
    scene.pool.gate.clear()
    scene.put("1", 3)
    await scene.settle()
    assert scene.state("1") == Allocation(0, 0, IN_PROGRESS)
    scene.pool.gate.set()
    await scene.settle()
    assert scene.state("1") == Allocation(3, 3, READY)
    assert scene.reported == {"1": 3}
    scene.put("1", 1)
    await scene.settle()
    assert (scene.state("1"), scene.pool.count("1")) == (Allocation(1, 1, READY), 1)
    scene.provisioned.remove(ARN.qualified("1"))
    await scene.settle()
    assert (scene.pool.alive, scene.reported) == ({}, {"1": 0})
    assert not scene.provisioned._functions


async def test_a_busy_one_is_allocated_and_not_available(scene: Scene) -> None:
    scene.put("1", 2)
    await scene.settle()
    next(iter(scene.pool.alive)).state = EnvironmentState.INVOKE
    assert scene.state("1") == Allocation(2, 1, READY)


async def test_one_that_dies_is_replaced(scene: Scene) -> None:
    scene.put("1", 2)
    await scene.settle()
    scene.pool.gate.clear()
    scene.pool.end(next(iter(scene.pool.alive)))
    assert (scene.state("1"), scene.reported) == (Allocation(1, 1, IN_PROGRESS), {"1": 1})
    scene.pool.gate.set()
    await scene.settle()
    assert (scene.state("1"), scene.reported) == (Allocation(2, 2, READY), {"1": 2})


async def test_an_alias_moves_new_ones_first(scene: Scene) -> None:
    scene.point("live", v1=1.0)
    scene.put("live", 2)
    await scene.settle()
    scene.pool.gate.clear()
    scene.point("live", v2=1.0)
    await scene.settle()
    assert (scene.pool.count("1"), scene.state("live")) == (2, Allocation(2, 2, IN_PROGRESS))
    scene.pool.gate.set()
    await scene.settle()
    assert (scene.pool.count("1"), scene.pool.count("2")) == (0, 2)
    assert (scene.state("live"), scene.reported) == (Allocation(2, 2, READY), {"1": 0, "2": 2})


async def test_weights(scene: Scene) -> None:
    scene.point("live", v1=0.8, v2=0.2)
    scene.put("live", 5)
    await scene.settle()
    assert (scene.pool.count("1"), scene.pool.count("2"), scene.state("live").status) == (4, 1, READY)
    scene.point("live", v2=1.0)
    await scene.settle()
    assert (scene.pool.count("1"), scene.pool.count("2"), scene.state("live").allocated) == (0, 5, 5)


async def test_an_init_that_fails_is_tried_six_times(scene: Scene) -> None:
    scene.pool.failure = InitFailedError("Runtime.ExitError")
    scene.put("1", 1)
    await scene.until(lambda: scene.state("1").status is FAILED)
    assert scene.pool.attempts == 6
    assert scene.state("1") == Allocation(0, 0, FAILED, "FUNCTION_ERROR_INIT_FAILURE")
    scene.pool.failure = None
    scene.put("1", 1)
    await scene.settle()
    assert scene.state("1") == Allocation(1, 1, READY), "who asks again is tried again"


async def test_the_old_version_goes_when_the_new_one_cannot_be_made(scene: Scene) -> None:
    scene.point("live", v1=1.0)
    scene.put("live", 1)
    await scene.settle()
    scene.pool.failure = InitFailedError("Runtime.ExitError")
    scene.point("live", v2=1.0)
    await scene.until(lambda: not scene.pool.alive)
    assert scene.state("live") == Allocation(0, 0, FAILED, "FUNCTION_ERROR_INIT_FAILURE")


@pytest.mark.parametrize(
    ("failure", "words"),
    [(SandboxError("the launcher is away"), "launcher is away"), (TooManyRequestsError("Rate Exceeded."), "memory")],
)
async def test_what_is_not_the_functions_fault_heals(scene: Scene, failure: Exception, words: str) -> None:
    scene.pool.failure = failure
    scene.put("1", 1)
    await scene.until(lambda: scene.pool.attempts == 2)
    assert scene.state("1").status is IN_PROGRESS
    await scene.until(lambda: scene.state("1").status is FAILED)
    assert words in (scene.state("1").reason or "")


async def test_one_failure_then_success(scene: Scene) -> None:
    scene.pool.failure = SandboxError("the launcher is away")
    scene.put("1", 3)
    await scene.until(lambda: scene.pool.attempts >= 3)
    scene.pool.failure = None
    await scene.until(lambda: scene.state("1") == Allocation(3, 3, READY))


async def test_latest_gets_none(scene: Scene) -> None:
    scene.point("head")
    scene.routes["head"] = scene.routes["$LATEST"]
    scene.put("head", 1)
    await scene.settle()
    assert (scene.state("head").status, scene.pool.attempts) == (FAILED, 0)


async def test_a_share_stands_for_the_whole() -> None:
    scene = Scene(share=0.5)
    async with running(scene):
        scene.put("1", 5)
        await scene.settle()
        assert (scene.pool.count("1"), scene.state("1")) == (3, Allocation(5, 5, READY))


async def test_nothing_is_started_while_closing(scene: Scene) -> None:
    scene.provisioned.close()
    scene.put("1", 1)
    await scene.settle()
    assert scene.pool.attempts == 0
