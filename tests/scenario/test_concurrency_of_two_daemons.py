"""Two daemons on one PostgreSQL: each enforces and provisions its share of what either was told."""

from __future__ import annotations

import json
from functools import partial
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.running import create_function
from tests.scenario.holding import RESERVED_REASON, wait_until

if TYPE_CHECKING:
    from tests.running import LambentServer
    from tests.scenario.conftest import PairFactory

pytestmark = pytest.mark.slow

KIND = "import os\ndef handler(event, context):\n    return os.environ['AWS_LAMBDA_INITIALIZATION_TYPE']\n"


@pytest.fixture
def pair(start_pair: PairFactory) -> tuple[LambentServer, LambentServer]:
    return start_pair("halves")


def state(client: Any) -> tuple[str, int, int]:
    try:
        answer = client.get_provisioned_concurrency_config(FunctionName="halved", Qualifier="1")
    except ClientError as error:
        return error.response["Error"]["Code"], 0, 0
    allocated = answer["AllocatedProvisionedConcurrentExecutions"]
    return answer["Status"], allocated, answer["AvailableProvisionedConcurrentExecutions"]


def outcome(client: Any) -> str:
    """Return the kind of environment that answered, or the reason of a throttle."""
    try:
        answer = client.invoke(FunctionName="halved", Qualifier="1", Payload="{}")
    except ClientError as error:
        return str(error.response.get("Reason"))
    return str(json.loads(answer["Payload"].read()))


def provisioned(server: LambentServer) -> int:
    return int(json.loads(server.get("/_lambent/v1/status")[1])["pool"]["provisioned"])


def test_each_keeps_its_share(pair: tuple[LambentServer, LambentServer]) -> None:
    one, other = (server.client() for server in pair)
    create_function(one, "halved", {"index.py": KIND}, Publish=True)
    one.put_provisioned_concurrency_config(FunctionName="halved", Qualifier="1", ProvisionedConcurrentExecutions=4)
    for client, server in ((one, pair[0]), (other, pair[1])):
        wait_until(partial(_is_ready, client))
        assert provisioned(server) == 2
        assert outcome(client) == "provisioned-concurrency"
    other.delete_provisioned_concurrency_config(FunctionName="halved", Qualifier="1")
    wait_until(lambda: outcome(one) == outcome(other) == "on-demand")
    one.put_function_concurrency(FunctionName="halved", ReservedConcurrentExecutions=0)
    wait_until(lambda: outcome(one) == outcome(other) == RESERVED_REASON)
    other.delete_function_concurrency(FunctionName="halved")
    wait_until(lambda: outcome(one) == outcome(other) == "on-demand")


def _is_ready(client: Any) -> bool:
    return state(client) == ("READY", 4, 4)
