"""Reserved concurrency through the public API: reservations are caps and guarantees, throttles have AWS's form."""

from __future__ import annotations

import itertools
import json
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.running import create_function, invoke, make_zip_bytes
from tests.scenario.holding import HELD, RESERVED_REASON, Hold, throttle

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def server(lambent_server_factory: ServerFactory) -> LambentServer:
    return lambent_server_factory({"quotas.concurrent_executions": "105"})


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
        client.put_function_concurrency(FunctionName="rest", ReservedConcurrentExecutions=4)
    assert refused.value.response["Error"] == {
        "Code": "InvalidParameterValueException",
        "Message": "Specified ReservedConcurrentExecutions for function decreases account's "
        "UnreservedConcurrentExecution below its minimum value of [100].",
    }
    assert "Type" not in refused.value.response, "as recorded of this one"
    limits = client.get_account_settings()["AccountLimit"]
    assert (limits["ConcurrentExecutions"], limits["UnreservedConcurrentExecutions"]) == (105, 103)

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


BUSY = """
import os, time
def handler(event, context):
    begun = time.monotonic_ns()
    time.sleep(event["seconds"])
    if event["end"] == "exit":
        os._exit(3)
    if event["end"] == "raise":
        raise ValueError("as told")
    if event["end"] == "hang":
        time.sleep(60)
    return [begun, time.monotonic_ns()]
"""


def test_a_storm_with_deaths_keeps_the_cap_and_leaks_nothing(client: Any, threads: ThreadPoolExecutor) -> None:
    create_function(client, "stormy", {"index.py": BUSY}, Timeout=1)
    client.put_function_concurrency(FunctionName="stormy", ReservedConcurrentExecutions=2)
    ends = ("well", "well", "well", "exit", "raise", "well", "hang", "well")
    requests = [{"seconds": 0.01 * (number % 5), "end": ends[number % 8]} for number in range(80)]
    answers = list(threads.map(lambda event: _storm(client, event), requests))
    assert None in answers, "eight callers for two places"
    failures = {answer["errorType"] for answer in answers if isinstance(answer, dict)}
    assert failures <= {"Runtime.ExitError", "ValueError", "Sandbox.Timedout"}
    runs = [answer for answer in answers if isinstance(answer, list)]
    edges = sorted([(begun, 1) for begun, _ in runs] + [(ended, -1) for _, ended in runs])
    at_once = list(itertools.accumulate(change for _, change in edges))
    assert max(at_once) <= 2

    # Two places are free again, not one and not three.
    code = make_zip_bytes({"index.py": HELD})
    client.update_function_code(FunctionName="stormy", ZipFile=code)
    client.get_waiter("function_updated_v2").wait(FunctionName="stormy")
    client.update_function_configuration(FunctionName="stormy", Timeout=60, MemorySize=256)
    client.get_waiter("function_updated_v2").wait(FunctionName="stormy")
    held = [Hold(client, threads, "stormy", tag) for tag in ("a", "b")]
    assert throttle(client, "stormy")["Reason"] == RESERVED_REASON
    for hold in held:
        hold.end()


def _storm(client: Any, event: dict[str, Any]) -> Any:
    """Return the function's answer or error, or None when it was throttled."""
    try:
        answer = client.invoke(FunctionName="stormy", Payload=json.dumps(event))
    except ClientError as error:
        return None if error.response.get("Reason") == RESERVED_REASON else error.response
    return json.loads(answer["Payload"].read())


def test_a_reservation_outlives_a_crash(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory()
    create_function(server.client(), "stopped", {"index.py": HELD})
    server.client().put_function_concurrency(FunctionName="stopped", ReservedConcurrentExecutions=0)
    server.kill()
    server.start()
    assert throttle(server.client(), "stopped")["Reason"] == RESERVED_REASON
    assert server.client().get_function_concurrency(FunctionName="stopped")["ReservedConcurrentExecutions"] == 0
