"""Environments and their pool with real processes (level 0): reuse, failures in AWS's words, restart, retirement."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from lambent.clock import SystemClock
from lambent.environments import (
    EnvironmentFactory,
    EnvironmentPool,
    EnvironmentRules,
    FactoryParts,
    PoolRules,
    PrewarmedSandboxes,
)
from lambent.environments.lifecycle import EnvironmentState
from lambent.environments.pool import InitFailedError
from lambent.environments.runtimes.plan import RuntimePlan, Unavailable
from lambent.environments.sandbox.process import ProcessDriver
from lambent.environments.sandbox.sandbox import RuntimeFamily, SandboxKind
from lambent.invocation import Admission, Catalog, ConcurrencyLimiter, Invoker
from lambent.model.arn import FunctionArn
from lambent.model.caller import Credentials
from lambent.model.environment import InitializationType
from lambent.model.errors import ServiceError, TooManyRequestsError
from lambent.model.function import CodeReference, FunctionVersion, LogFormat, LoggingConfig
from lambent.model.invocation import FunctionErrorKind, InvocationResult, InvokeRequest
from lambent.model.platform_event import InitReport, InvokeReport, LogLines, PlatformEvent
from lambent.settings import Settings

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lambent.environments.environment import ExecutionEnvironment

pytestmark = pytest.mark.slow

FIXTURES = Path(__file__).parent / "fixtures"


class Events:
    def __init__(self) -> None:
        self.seen: list[PlatformEvent] = []

    def emit(self, event: PlatformEvent) -> None:
        self.seen.append(event)

    def log(self) -> str:
        return b"".join(event.lines for event in self.seen if isinstance(event, LogLines)).decode()


class Node:
    """A data plane over level 0 in `directory`."""

    def __init__(
        self, directory: Path, *, limit: int = 10, memory_mib_max: int = 4_096, idle_seconds_max: float = 60.0
    ) -> None:
        code = directory / "data" / "code" / "one"
        code.mkdir(parents=True)
        shutil.copy(FIXTURES / "custom_runtime.py", code / "custom_runtime.py")
        clock = SystemClock()
        self.events = Events()
        self.driver = ProcessDriver(directory / "data", directory / "run")
        prewarmed = PrewarmedSandboxes(self.driver, {RuntimeFamily.EXEC: 1}, clock)
        parts = FactoryParts(
            plan=self._plan,
            code_directory=lambda version: "code/one",
            layers_directory=lambda version: None,
            credentials_for=lambda version: Credentials("AKIA", "secret", version.account_id),
            random_bytes=os.urandom,
        )
        rules = PoolRules(idle_seconds_max, memory_mib_max, EnvironmentRules(init_seconds=2.0))
        factory = EnvironmentFactory(parts, prewarmed, clock)
        self.pool = EnvironmentPool(factory, prewarmed, rules, self.events, clock)
        self.catalog = Catalog()
        self.limiter = ConcurrencyLimiter(limit, self.events, clock)
        self.invoker = Invoker(self.catalog, Admission(clock, os.urandom), self.limiter, self.pool)
        self.is_available = True

    def _plan(self, version: FunctionVersion) -> RuntimePlan | Unavailable:
        if not self.is_available:
            return Unavailable("python9.9 is not installed: install it")
        kind = SandboxKind(RuntimeFamily.EXEC, version.account_id)
        return RuntimePlan(kind, "provided.v1", (sys.executable, "/var/task/custom_runtime.py"))

    def put(self, name: str = "f", *, version: FunctionVersion | None = None, **environment: str) -> FunctionVersion:
        if version is None:
            version = FunctionVersion(
                account_id="000000000000",
                region="us-east-1",
                name=name,
                role="arn:aws:iam::000000000000:role/r",
                code=CodeReference(sha256="0" * 64, size_bytes=1, unpacked_bytes=1),
                configuration_id=f"{name}-1",
                revision_id="r",
                last_modified_ms=0,
                runtime="provided.al2023",
                handler="x.y",
                timeout_seconds=2,
                environment=environment,
            )
        self.catalog.put(version)
        return version

    async def invoke(self, name: str = "f", *, tail: bool = False, **event: object) -> InvocationResult:
        function = FunctionArn("000000000000", "us-east-1", name)
        payload = json.dumps(event).encode()
        async with self.invoker.invoke(InvokeRequest(function, "req-1", payload, wants_log_tail=tail)) as result:
            return result

    async def call(self, name: str = "f", **event: object) -> Any:
        return json.loads((await self.invoke(name, tail=False, **event)).payload)

    async def wait_free(self) -> None:
        async with asyncio.timeout(5):
            while self.limiter.in_use("000000000000", "us-east-1"):
                await asyncio.sleep(0.005)


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    node = Node(tmp_path)
    async with running(node):
        yield node


class running:
    def __init__(self, node: Node) -> None:
        self._node = node
        self._tasks: list[asyncio.Task[None]] = []

    async def __aenter__(self) -> None:
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._node.driver.run()), loop.create_task(self._node.pool.run())]
        await self._node.driver.wait_ready()

    async def __aexit__(self, *exc_info: object) -> None:
        await self._node.pool.close()
        for task in reversed(self._tasks):
            task.cancel()
        await asyncio.wait(self._tasks)


async def test_one_environment_serves_one_call_after_another(node: Node) -> None:
    node.put()
    first, second = await node.call(), await node.call()
    assert (first["calls"], second["calls"]) == (1, 2)
    assert first["pid"] == second["pid"]
    assert first["headers"]["Lambda-Runtime-Invoked-Function-Arn"] == (
        "arn:aws:lambda:us-east-1:000000000000:function:f"
    )


async def test_parallel_calls_get_an_environment_each(node: Node) -> None:
    node.put()
    async with asyncio.TaskGroup() as tasks:
        calls = [tasks.create_task(node.call(do="sleep", seconds=0.3)) for _ in range(3)]
    assert len({call.result()["pid"] for call in calls}) == 3
    await node.wait_free()


async def test_the_log_in_order_and_the_tail(node: Node) -> None:
    node.put()
    result = await node.invoke(tail=True, do="print", bytes=10)
    assert result.log_tail is not None
    lines = result.log_tail.decode().splitlines()
    assert lines[0] == "START RequestId: req-1 Version: $LATEST"
    assert lines[1] == "x" * 10
    assert lines[2] == "END RequestId: req-1"
    assert lines[3].startswith("REPORT RequestId: req-1\tDuration: ")
    assert "\tInit Duration: " in lines[3]
    again = await node.invoke(tail=True)
    assert again.log_tail is not None
    assert b"Init Duration" not in again.log_tail
    assert node.events.log().startswith("INIT_START Runtime Version: provided.v1\t")


async def test_what_is_said_after_the_answer_is_in_the_tail(node: Node) -> None:
    node.put()
    result = await node.invoke(tail=True, do="say-after")
    assert result.log_tail is not None
    assert b"after the answer\nEND RequestId: req-1" in result.log_tail


async def test_json_format(node: Node) -> None:
    version = node.put()
    node.put(version=replace(version, logging=LoggingConfig(LogFormat.JSON), configuration_id="json"))
    await node.call()
    records = [json.loads(line) for line in node.events.log().splitlines()]
    assert [record["type"] for record in records] == ["platform.initStart", "platform.start", "platform.report"]
    assert records[2]["record"]["requestId"] == "req-1"
    assert records[2]["record"]["metrics"]["memorySizeMB"] == 128


async def test_an_error_of_the_function(node: Node) -> None:
    node.put()
    result = await node.invoke(do="error")
    assert result.function_error is FunctionErrorKind.UNHANDLED
    assert json.loads(result.payload) == {"errorMessage": "bad", "errorType": "Bad"}
    assert (await node.call())["calls"] == 2


@pytest.mark.parametrize(
    ("event", "error_type", "text"),
    [
        ({"do": "exit", "code": 3}, "Runtime.ExitError", "Runtime exited with error: exit status 3"),
        ({"do": "exit", "code": 0}, "Runtime.ExitError", "Runtime exited without providing a reason"),
        ({"do": "kill", "signal": 9}, "Runtime.ExitError", "Runtime exited with error: signal: killed"),
    ],
)
async def test_an_exit_is_reported_and_the_environment_starts_again(
    node: Node, event: dict[str, Any], error_type: str, text: str
) -> None:
    node.put()
    result = await node.invoke("f", tail=False, **event)
    assert json.loads(result.payload) == {"errorType": error_type, "errorMessage": f"RequestId: req-1 Error: {text}"}
    after = await node.call()
    assert (after["inits"], after["calls"]) == (2, 1)
    reports = [event.figures for event in node.events.seen if isinstance(event, InvokeReport)]
    assert [(figures.status, figures.error_type) for figures in reports] == [("error", error_type), ("success", None)]


async def test_a_time_out_stops_the_function_and_keeps_tmp(node: Node) -> None:
    version = node.put()
    node.put(version=replace(version, timeout_seconds=1))
    result = await node.invoke(do="sleep", seconds=30)
    assert json.loads(result.payload) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: req-1 Error: Task timed out after 1.00 seconds",
    }
    assert "Status: timeout" in node.events.log()
    assert (await node.call())["inits"] == 2


async def test_a_failed_init_is_repeated_inside_the_first_invocation(node: Node) -> None:
    node.put(INIT="fail-once")
    assert (await node.call())["inits"] == 2
    assert "INIT_REPORT Init Duration: " in node.events.log()
    assert "Phase: init\tStatus: error\tError Type: Runtime.ImportModuleError" in node.events.log()


async def test_an_init_that_always_fails_is_the_answer(node: Node) -> None:
    node.put(INIT="fail")
    for _ in range(2):
        result = await node.invoke()
        assert json.loads(result.payload)["errorType"] == "Runtime.ImportModuleError"
        assert result.function_error is FunctionErrorKind.UNHANDLED
        await node.wait_free()


async def test_a_runtime_that_exits_in_init(node: Node) -> None:
    node.put(INIT="exit")
    result = await node.invoke()
    assert json.loads(result.payload) == {
        "errorType": "Runtime.ExitError",
        "errorMessage": "RequestId: req-1 Error: Runtime exited with error: exit status 7",
    }


async def test_an_init_over_its_time_is_repeated(node: Node) -> None:
    node.put(INIT="hang-once")
    assert (await node.call())["inits"] == 2
    assert "Phase: init\tStatus: timeout" in node.events.log()


async def test_a_response_over_the_quota(node: Node) -> None:
    node.put()
    result = await node.invoke(do="big", bytes=6_291_556)
    assert json.loads(result.payload)["errorType"] == "Function.ResponseSizeTooLarge"
    fits = await node.invoke(do="big", bytes=6_291_554)
    assert len(fits.payload) == 6_291_556
    assert fits.function_error is None


async def test_a_new_configuration_never_meets_an_old_environment(node: Node) -> None:
    version = node.put()
    before = await node.call()
    newer = node.put(version=replace(version, configuration_id="f-2", environment={"NEW": "1"}))
    node.pool.retire(newer.arn, "$LATEST", "f-2")
    after = await node.call()
    assert before["pid"] != after["pid"]
    async with asyncio.timeout(5):
        while node.pool.statistics()["environments_idle"] != 1:
            await asyncio.sleep(0.01)


async def test_sigterm_reaches_the_function_at_shutdown(node: Node, tmp_path: Path) -> None:
    flushed = tmp_path / "flushed"
    version = node.put(SIGTERM_FILE=str(flushed))
    await node.call()
    node.pool.retire(version.arn, "$LATEST", None)
    async with asyncio.timeout(5):
        while not flushed.exists():
            await asyncio.sleep(0.01)


async def test_a_flood_of_output_is_cut_and_said(tmp_path: Path) -> None:
    node = Node(tmp_path)
    async with running(node):
        version = node.put()
        node.put(version=replace(version, timeout_seconds=30))
        await node.invoke(do="print", bytes=80 * 1024 * 1024)
    log = node.events.log()
    assert len(log) < 66 * 1024 * 1024
    assert "LOGS_DROPPED " in log


async def test_the_host_bound_evicts_idle_environments_then_throttles(tmp_path: Path) -> None:
    node = Node(tmp_path, memory_mib_max=50)
    async with running(node):
        for name in ("a", "b", "c"):
            node.put(name)
            await node.call(name)
        async with asyncio.TaskGroup() as tasks:
            calls = [tasks.create_task(node.call(name, do="sleep", seconds=1.9)) for name in ("a", "b")]
            await asyncio.sleep(0.3)
            with pytest.raises(TooManyRequestsError):
                await node.call("c")
        assert all(call.result()["calls"] for call in calls)


async def test_the_least_recently_used_goes_first(tmp_path: Path) -> None:
    node = Node(tmp_path / "measured")
    async with running(node):
        node.put()
        await node.call()
        used_mib = node.pool.statistics()["memory_mib"]
    # Room for two, and for a third while one is there.
    node = Node(tmp_path / "bounded", memory_mib_max=int(used_mib * 1.5) + 24)
    async with running(node):
        for name in ("a", "b", "a", "c"):
            node.put(name)
            await node.call(name)
            await node.wait_free()
        assert (await node.call("a"))["calls"] == 3, "b had to go for c"
        assert (await node.call("b"))["calls"] == 1


async def test_idle_environments_are_reaped(tmp_path: Path) -> None:
    assert Settings().environments.idle_seconds_max == 600
    node = Node(tmp_path, idle_seconds_max=0.05)
    async with running(node):
        node.put()
        first = await node.call()
        async with asyncio.timeout(10):
            while any(number for name, number in node.pool.statistics().items() if name.startswith("environments_")):
                await asyncio.sleep(0.02)
        assert (await node.call())["pid"] != first["pid"]


async def test_no_interpreter(node: Node) -> None:
    node.put()
    node.is_available = False
    with pytest.raises(ServiceError, match="python9.9 is not installed"):
        await node.call()
    assert node.limiter.in_use("000000000000", "us-east-1") == 0


class Watched:
    """What the pool tells of environments of provisioned concurrency."""

    def __init__(self) -> None:
        self.ready: set[ExecutionEnvironment] = set()

    def __call__(self, environment: ExecutionEnvironment) -> None:
        if environment.state is EnvironmentState.IDLE and not environment.is_retired:
            self.ready.add(environment)
        else:
            self.ready.discard(environment)


async def test_a_provisioned_environment_has_run_init_and_is_kept_apart(node: Node) -> None:
    version = node.put()
    watched = Watched()
    await node.pool.provision(version, watched)
    (provisioned,) = watched.ready
    assert (await node.call())["headers"]
    assert await node.pool.acquire(version, is_provisioned=True) is provisioned
    other = await node.pool.acquire(version, is_provisioned=True)
    assert not other.is_provisioned, "an ordinary one stands in"
    types = [event.initialization_type for event in node.events.seen if isinstance(event, InitReport)]
    assert types[0] is InitializationType.PROVISIONED_CONCURRENCY


async def test_a_provisioned_environment_that_breaks_is_not_used_again(node: Node) -> None:
    version = node.put()
    watched = Watched()
    node.limiter.put_provisioned(version.arn, version.version, 1)
    await node.pool.provision(version, watched)
    result = await node.invoke(do="exit", code=3)
    assert json.loads(result.payload)["errorType"] == "Runtime.ExitError"
    assert not watched.ready
    await node.wait_free()
    assert not (await node.pool.acquire(version, is_provisioned=True)).is_provisioned


async def test_a_provisioned_environment_that_dies_while_idle_is_told(node: Node) -> None:
    version = node.put()
    watched = Watched()
    node.limiter.put_provisioned(version.arn, version.version, 1)
    await node.pool.provision(version, watched)
    pid = (await node.call())["pid"]
    await node.wait_free()
    assert len(watched.ready) == 1
    os.kill(pid, signal.SIGKILL)
    async with asyncio.timeout(5):
        while watched.ready:
            await asyncio.sleep(0.005)


async def test_a_provisioned_environment_whose_init_fails(node: Node) -> None:
    version = node.put(INIT="fail")
    with pytest.raises(InitFailedError, match="Runtime.ImportModuleError"):
        await node.pool.provision(version, Watched())
    assert not node.pool._watchers
    assert "INIT_REPORT" in node.events.log()


async def test_provisioned_environments_are_neither_evicted_nor_reaped(tmp_path: Path) -> None:
    node = Node(tmp_path, memory_mib_max=50, idle_seconds_max=0.0)
    async with running(node):
        kept, other = node.put("kept"), node.put("other")
        watched = Watched()
        for _ in range(2):
            await node.pool.provision(kept, watched)
        with pytest.raises(TooManyRequestsError):
            await node.pool.acquire(other)
        assert len(watched.ready) == 2
        for environment in list(watched.ready):
            node.pool.dismiss(environment)
        assert (await node.call("other"))["calls"] == 1


@pytest.mark.parametrize("seed", [1, 2])
async def test_leases_out_are_environments_busy_whatever_dies(tmp_path: Path, seed: int) -> None:
    rng = random.Random(seed)
    node = Node(tmp_path, limit=6)
    scope = ("000000000000", "us-east-1")
    caps = {"a": 2, "b": 6, "c": 6}
    outcomes: list[str] = []

    async def calls(name: str) -> None:
        for _ in range(12):
            event = rng.choice(
                [{}, {"do": "sleep", "seconds": 0.02}, {"do": "exit", "code": 3}, {"do": "kill", "signal": 9}]
            )
            try:
                outcomes.append((await node.invoke(name, tail=False, **event)).executed_version)
            except TooManyRequestsError as error:
                outcomes.append(error.members["Reason"])
                await asyncio.sleep(0.005)
            except ServiceError as error:
                if "lost while the function was running" not in error.message:
                    raise

    def check() -> None:
        # An environment at work holds a lease; a lease may be on its way to one.
        busy = [one.version.name for one in node.pool._all if one._lease is not None]
        assert len(busy) <= node.limiter.in_use(*scope) <= 6
        for name, cap in caps.items():
            assert busy.count(name) <= node.limiter.in_use(*scope, name) <= cap

    async with running(node):
        for name in caps:
            node.put(name)
        node.limiter.put_reserved(node.put("a").arn, 2)
        async with asyncio.TaskGroup() as tasks:
            work = [tasks.create_task(calls(name)) for name in caps for _ in range(4)]
            while not all(task.done() for task in work):
                check()
                victims = [one for one in node.pool._all if one.state is EnvironmentState.INVOKE]
                if victims and rng.random() < 0.1:
                    tasks.create_task(rng.choice(victims).shut_down())
                await asyncio.sleep(0.004)
        await node.wait_free()
        check()
    assert node.limiter.in_use(*scope) == 0
    assert outcomes.count("$LATEST") > 20
