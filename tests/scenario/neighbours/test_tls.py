"""An endpoint that speaks TLS: what the embedded services answer leads back to it, from outside and from inside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from botocore.config import Config

from tests.certificates import self_signed
from tests.running import LambentServer, make_zip_bytes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

pytestmark = pytest.mark.slow

_CODE = """
import boto3

def handler(event, context):
    sqs = boto3.client("sqs")
    url = sqs.get_queue_url(QueueName="q")["QueueUrl"]
    return [url, boto3.client("sqs", endpoint_url=url).receive_message(QueueUrl=url)["Messages"][0]["Body"]]
"""


@pytest.fixture(scope="module")
def secured(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[LambentServer, Callable[[str], Any]]]:
    """A server with TLS, and a maker of clients that check its certificate."""
    directory: Path = tmp_path_factory.mktemp("tls")
    certificate, key = self_signed(directory)
    settings = {"server.tls_cert": str(certificate), "server.tls_key": str(key), "neighbours.enabled": "true"}
    server = LambentServer({**settings, "isolation.level": "L0"})
    server.scheme = "https"

    def client(service: str) -> Any:
        return boto3.client(
            service, endpoint_url=server.url, region_name="us-east-1", aws_access_key_id="test",
            aws_secret_access_key="test", verify=str(certificate), config=Config(retries={"total_max_attempts": 1}),
        )  # fmt: skip

    try:
        yield server.start(), client
    finally:
        server.close()


def test_a_queues_address_leads_back_to_the_endpoint(secured: tuple[LambentServer, Callable[[str], Any]]) -> None:
    server, client = secured
    sqs = client("sqs")
    url = sqs.create_queue(QueueName="q")["QueueUrl"]
    assert url == f"{server.url}/000000000000/q"
    assert url.startswith("https://")
    assert sqs.get_queue_url(QueueName="q")["QueueUrl"] == url
    assert sqs.list_queues()["QueueUrls"] == [url]
    sqs.send_message(QueueUrl=url, MessageBody="hello")
    # A function reaches its endpoint without TLS, and is told an address that it can use.
    functions = client("lambda")
    functions.create_function(
        FunctionName="inside", Runtime="python3.11", Handler="index.handler", Timeout=30, MemorySize=512,
        Role="arn:aws:iam::000000000000:role/r", Code={"ZipFile": make_zip_bytes({"index.py": _CODE})},
    )  # fmt: skip
    functions.get_waiter("function_active_v2").wait(FunctionName="inside", WaiterConfig={"Delay": 1})
    answer = functions.invoke(FunctionName="inside")
    inside, body = json.loads(answer["Payload"].read())
    assert (inside[:7], body) == ("http://", "hello")
