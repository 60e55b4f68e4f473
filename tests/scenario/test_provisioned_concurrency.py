"""Provisioned concurrency through the public API: environments that have run their Init, whatever happens to them."""

from __future__ import annotations

import json
import os
import signal
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.running import create_function, make_zip_bytes
from tests.scenario.holding import HELD, RESERVED_REASON, Hold, throttle, wait_until
from tests.scenario.test_crashes import supervisor

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

PROVISIONED, ON_DEMAND = "provisioned-concurrency", "on-demand"
# Which environment answers (born at Init), of which kind; `exit` ends the runtime in the middle.
WHO = """
import os, uuid
born = uuid.uuid4().hex
def handler(event, context):
    if event.get("exit"):
        os._exit(1)
    return [os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"], born, context.function_version]
"""
FAILING = """
import os
if os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"] == "provisioned-concurrency":
    raise Exception("not here")
def handler(event, context):
    return os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
"""
# Its Init says that it has begun by a tag of the function, and ends when another tag tells it to.
HELD_INIT = """
import boto3, os, time
kind = os.environ["AWS_LAMBDA_INITIALIZATION_TYPE"]
arn = "arn:aws:lambda:us-east-1:000000000000:function:" + os.environ["AWS_LAMBDA_FUNCTION_NAME"]
if kind == "provisioned-concurrency":
    client = boto3.client("lambda")
    client.tag_resource(Resource=arn, Tags={"init": "begun"})
    while client.list_tags(Resource=arn)["Tags"]["init"] != "end":
        time.sleep(0.02)
def handler(event, context):
    return kind
"""


@pytest.fixture(scope="module")
def server(lambent_server_factory: ServerFactory) -> LambentServer:
    return lambent_server_factory()


@pytest.fixture(scope="module")
def client(server: LambentServer) -> Any:
    return server.client()


@pytest.fixture
def threads() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(8) as executor:
        yield executor


def put(client: Any, name: str, qualifier: str, count: int) -> dict[str, Any]:
    answer = client.put_provisioned_concurrency_config(
        FunctionName=name, Qualifier=qualifier, ProvisionedConcurrentExecutions=count
    )
    return dict(answer)


def state(client: Any, name: str, qualifier: str) -> tuple[str, int, int]:
    """Return status, allocated, available."""
    answer = client.get_provisioned_concurrency_config(FunctionName=name, Qualifier=qualifier)
    allocated = answer["AllocatedProvisionedConcurrentExecutions"]
    return answer["Status"], allocated, answer["AvailableProvisionedConcurrentExecutions"]


def provision(client: Any, name: str, qualifier: str, count: int = 1) -> None:
    put(client, name, qualifier, count)
    wait_until(lambda: state(client, name, qualifier) == ("READY", count, count))


def who(client: Any, name: str, qualifier: str) -> list[str]:
    answer = client.invoke(FunctionName=name, Qualifier=qualifier, Payload="{}")
    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    return list(payload)


def environments(server: LambentServer) -> int:
    return sum(n for name, n in _status(server)["pool"].items() if name.startswith("environments_"))


def _status(server: LambentServer) -> dict[str, Any]:
    return dict(json.loads(server.get("/_lambent/v1/status")[1]))


def test_environments_that_have_run_init(client: Any) -> None:
    create_function(client, "ready", {"index.py": WHO}, Publish=True)
    answer = put(client, "ready", "1", 3)
    assert answer["ResponseMetadata"]["HTTPStatusCode"] == 202
    assert (answer["Status"], answer["RequestedProvisionedConcurrentExecutions"]) == ("IN_PROGRESS", 3)
    wait_until(lambda: state(client, "ready", "1") == ("READY", 3, 3))
    listed = client.list_provisioned_concurrency_configs(FunctionName="ready")["ProvisionedConcurrencyConfigs"]
    assert [(one["FunctionArn"].rpartition(":")[2], one["Status"]) for one in listed] == [("1", "READY")]
    # One after the other, all of them in environments that were there before the first.
    answers = [who(client, "ready", "1") for _ in range(20)]
    assert {kind for kind, _, _ in answers} == {PROVISIONED}
    assert who(client, "ready", "$LATEST")[0] == ON_DEMAND
    limits = client.get_account_settings()["AccountLimit"]
    assert limits["UnreservedConcurrentExecutions"] == limits["ConcurrentExecutions"] - 3
    client.delete_provisioned_concurrency_config(FunctionName="ready", Qualifier="1")
    assert who(client, "ready", "1")[0] == ON_DEMAND
    with pytest.raises(ClientError) as missing:
        client.get_provisioned_concurrency_config(FunctionName="ready", Qualifier="1")
    assert missing.value.response["Error"] == {
        "Code": "ProvisionedConcurrencyConfigNotFoundException",
        "Message": "No Provisioned Concurrency Config found for this function",
    }


def test_it_is_ready_when_init_is_over_and_not_before(client: Any) -> None:
    arn = create_function(client, "held-init", {"index.py": HELD_INIT}, Publish=True, MemorySize=512)["FunctionArn"]
    put(client, "held-init", "1", 1)
    wait_until(lambda: client.list_tags(Resource=arn)["Tags"].get("init") == "begun")
    assert state(client, "held-init", "1") == ("IN_PROGRESS", 0, 0)
    assert who_kind(client, "held-init", "1") == ON_DEMAND
    client.tag_resource(Resource=arn, Tags={"init": "end"})
    wait_until(lambda: state(client, "held-init", "1") == ("READY", 1, 1))
    assert who_kind(client, "held-init", "1") == PROVISIONED


def test_spill_over_runs_on_demand_and_is_counted(
    server: LambentServer, client: Any, threads: ThreadPoolExecutor
) -> None:
    create_function(client, "spill", {"index.py": HELD}, Publish=True, Timeout=60, MemorySize=256)
    provision(client, "spill", "1")
    held = Hold(client, threads, "spill", "h", "1")
    assert state(client, "spill", "1") == ("READY", 1, 0)
    assert who_kind(client, "spill", "1") == ON_DEMAND
    assert held.end() == PROVISIONED
    assert who_kind(client, "spill", "1") == PROVISIONED
    metrics = json.loads(server.get("/_lambent/v1/metrics")[1])
    counts = metrics["functions"]["spill"]
    assert (counts["provisioned_spillovers"], counts["provisioned_invocations"], counts["invocations"]) == (1, 2, 3)


def who_kind(client: Any, name: str, qualifier: str) -> Any:
    return json.loads(client.invoke(FunctionName=name, Qualifier=qualifier, Payload="{}")["Payload"].read())


def test_a_wholly_provisioned_reservation_leaves_nothing_for_latest(client: Any) -> None:
    create_function(client, "block", {"index.py": WHO}, Publish=True)
    client.put_function_concurrency(FunctionName="block", ReservedConcurrentExecutions=1)
    with pytest.raises(ClientError) as refused:
        put(client, "block", "1", 2)
    assert refused.value.response["Error"]["Message"] == (
        "Requested Provisioned Concurrency should not be greater than the reservedConcurrentExecution for function"
    )
    assert who(client, "block", "$LATEST")[0] == ON_DEMAND
    provision(client, "block", "1")
    for _ in range(2):
        assert throttle(client, "block")["Reason"] == RESERVED_REASON
        assert who(client, "block", "1")[0] == PROVISIONED
    with pytest.raises(ClientError) as refused:
        client.put_function_concurrency(FunctionName="block", ReservedConcurrentExecutions=0)
    assert refused.value.response["Error"]["Message"] == (
        " ReservedConcurrentExecutions  0 should not be lower than function's total provisioned concurrency [1]."
    )


def test_it_moves_with_the_alias(client: Any) -> None:
    create_function(client, "moves", {"index.py": WHO}, Publish=True)
    client.create_alias(FunctionName="moves", Name="live", FunctionVersion="1")
    provision(client, "moves", "live")
    assert who(client, "moves", "live")[::2] == [PROVISIONED, "1"]
    first = who(client, "moves", "1")
    assert first[0] == PROVISIONED, "the version's own invocations run there too"
    # A new package for $LATEST leaves it alone.
    client.update_function_code(FunctionName="moves", ZipFile=make_zip_bytes({"index.py": WHO + "# second\n"}))
    client.get_waiter("function_updated_v2").wait(FunctionName="moves")
    assert who(client, "moves", "live") == first
    client.publish_version(FunctionName="moves")
    client.update_alias(FunctionName="moves", Name="live", FunctionVersion="2")
    # The old one counts until the new one is there.
    assert state(client, "moves", "live") in (("IN_PROGRESS", 1, 1), ("READY", 1, 1))
    wait_until(lambda: state(client, "moves", "live")[0] == "READY")
    assert who(client, "moves", "live")[::2] == [PROVISIONED, "2"]
    wait_until(lambda: who(client, "moves", "1")[0] == ON_DEMAND)
    with pytest.raises(ClientError) as missing:
        client.get_provisioned_concurrency_config(FunctionName="moves", Qualifier="2")
    assert missing.value.response["Error"]["Code"] == "ProvisionedConcurrencyConfigNotFoundException"


def test_weights_share_it_out(client: Any) -> None:
    create_function(client, "weights", {"index.py": WHO}, Publish=True)
    client.update_function_code(FunctionName="weights", ZipFile=make_zip_bytes({"index.py": WHO + "# 2\n"}))
    client.get_waiter("function_updated_v2").wait(FunctionName="weights")
    client.publish_version(FunctionName="weights")
    routing = {"AdditionalVersionWeights": {"2": 0.25}}
    client.create_alias(FunctionName="weights", Name="live", FunctionVersion="1", RoutingConfig=routing)
    provision(client, "weights", "live", 4)
    for version in ("1", "2"):
        assert who(client, "weights", version)[0] == PROVISIONED


def test_an_init_that_fails(server: LambentServer, client: Any) -> None:
    create_function(client, "fails", {"index.py": FAILING}, Publish=True)
    assert put(client, "fails", "1", 1)["Status"] == "IN_PROGRESS"
    assert who_kind(client, "fails", "1") == ON_DEMAND
    wait_until(lambda: state(client, "fails", "1") == ("FAILED", 0, 0))
    answer = client.get_provisioned_concurrency_config(FunctionName="fails", Qualifier="1")
    assert answer["StatusReason"] == "FUNCTION_ERROR_INIT_FAILURE"
    assert who_kind(client, "fails", "1") == ON_DEMAND
    lines = [json.loads(line)["message"] for line in server.get("/_lambent/v1/logs?function=fails")[1].splitlines()]
    assert sum("Exception: not here" in line for line in lines) == 6


def test_it_is_replaced_after_a_crash_and_kept_through_a_restart(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"environments.idle_seconds_max": "1"})
    client = server.client()
    create_function(client, "kept", {"index.py": WHO}, Publish=True)
    provision(client, "kept", "1", 2)
    before = who(client, "kept", "1")
    answer = client.invoke(FunctionName="kept", Qualifier="1", Payload='{"exit": true}')
    assert answer["FunctionError"] == "Unhandled"
    wait_until(lambda: state(client, "kept", "1") == ("READY", 2, 2))
    assert who(client, "kept", "1")[0] == PROVISIONED

    # Idle environments of the ordinary kind are reaped after a second here; a supervisor's death takes all.
    who(client, "kept", "$LATEST")
    wait_until(lambda: environments(server) == 2)
    pid = supervisor(server)
    assert pid is not None
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: _is_another(client, before))
    wait_until(lambda: state(client, "kept", "1") == ("READY", 2, 2))

    server.kill()
    server.start()
    client = server.client()
    wait_until(lambda: state(client, "kept", "1") == ("READY", 2, 2))
    assert who(client, "kept", "1")[0] == PROVISIONED
    client.delete_function(FunctionName="kept")
    wait_until(lambda: environments(server) == 0)


def _is_another(client: Any, before: list[str]) -> bool:
    try:
        kind, born, _ = who(client, "kept", "1")
    except ClientError:
        # While the supervisor is away.
        return False
    return kind == PROVISIONED and born != before[1]
