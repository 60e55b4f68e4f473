"""Reserved concurrency through the public API: reservations are caps and guarantees, throttles have AWS's form."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.running import create_function, invoke
from tests.scenario.holding import HELD, RESERVED_REASON, Hold, throttle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(lambent_server_factory: ServerFactory) -> LambentServer:
    return lambent_server_factory({"quotas.concurrent_executions": "103"})


@pytest.fixture(scope="module")
def client(server: LambentServer) -> Any:
    return server.client()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as executor:
        yield executor


def test_reservations_are_caps_and_guarantees(client: Any, threads: ThreadPoolExecutor) -> None:
    for name in ("one", "two", "rest"):
        create_function(client, name, {"index.py": HELD}, Timeout=60, MemorySize=256)
    for name in ("one", "two"):
        client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    with pytest.raises(ClientError) as refused:
        client.put_function_concurrency(FunctionName="rest", ReservedConcurrentExecutions=2)
    assert refused.value.response["Error"] == {
        "Code": "InvalidParameterValueException",
        "Message": "Specified ReservedConcurrentExecutions for function decreases account's "
        "UnreservedConcurrentExecution below its minimum value of [100].",
    }
    limits = client.get_account_settings()["AccountLimit"]
    assert (limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]) == (103, 101)

    held = [Hold(client, threads, name, "h") for name in ("one", "two")]
    for name in ("one", "two"):
        answer = throttle(client, name)
        assert answer["Error"] == {"Code": "TooManyRequestsException", "Message": "Rate Exceeded."}
        assert (answer["Reason"], answer["Type"], answer["message"]) == (RESERVED_REASON, "User", "Rate Exceeded.")
        assert answer["ResponseMetadata"]["HTTPStatusCode"] == 429
        assert "retryAfterSeconds" not in answer
    assert invoke(client, "rest", {}) == "on-demand"
    for hold in held:
        hold.end()
    # One after the other, each as soon as the answer is there, none is throttled.
    assert [invoke(client, "one", {}) for _ in range(20)] == ["on-demand"] * 20


def test_zero_stops_a_function(client: Any) -> None:
    create_function(client, "stopped", {"index.py": HELD})
    client.put_function_concurrency(FunctionName="stopped", ReservedConcurrentExecutions=0)
    assert throttle(client, "stopped")["Reason"] == RESERVED_REASON
    client.delete_function_concurrency(FunctionName="stopped")
    assert invoke(client, "stopped", {}) == "on-demand"
