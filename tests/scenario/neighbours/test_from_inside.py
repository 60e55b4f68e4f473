"""Functions and key holders reach the services in their own account, without an endpoint in their code."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.running import clean_environment, create_function, invoke
from tests.scenario.neighbours.conftest import wait_for_line

if TYPE_CHECKING:
    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

_ACCOUNT = "111122223333"
_KEYS = [str(Path(sys.executable).parent / "lambent"), "keys", "create"]
_PYTHON = """
import urllib.request
import boto3

def handler(event, context):
    s3, sqs = boto3.client("s3"), boto3.client("sqs")
    s3.put_object(Bucket="of-the-function", Key="key", Body=b"from inside")
    url = s3.generate_presigned_url("get_object", Params={"Bucket": "of-the-function", "Key": "key"})
    queue = sqs.create_queue(QueueName="inside")["QueueUrl"]
    sqs.send_message(QueueUrl=queue, MessageBody="message")
    return {
        "object": s3.get_object(Bucket="of-the-function", Key="key")["Body"].read().decode(),
        "presigned": urllib.request.urlopen(url).read().decode(),
        "message": sqs.receive_message(QueueUrl=queue)["Messages"][0]["Body"],
        "account": boto3.client("sts").get_caller_identity()["Account"],
    }
"""
# This SDK speaks to the address in a queue's URL, whatever its endpoint.
_NODE = """
import { SQSClient, CreateQueueCommand, SendMessageCommand, ReceiveMessageCommand } from "@aws-sdk/client-sqs";

export const handler = async () => {
  const sqs = new SQSClient({});
  const { QueueUrl } = await sqs.send(new CreateQueueCommand({ QueueName: "inside-node" }));
  await sqs.send(new SendMessageCommand({ QueueUrl, MessageBody: "message" }));
  return (await sqs.send(new ReceiveMessageCommand({ QueueUrl }))).Messages[0].Body;
};
"""


@pytest.fixture(scope="module")
def verifying(lambent_server_factory: ServerFactory) -> LambentServer:
    """A server that verifies signatures and isolates as well as the machine can."""
    return lambent_server_factory({"neighbours.enabled": "true", "auth.mode": "verify"})


@pytest.fixture(scope="module")
def key(verifying: LambentServer) -> dict[str, str]:
    """An access key of an account."""
    made = subprocess.run(
        [*_KEYS, "--data-dir", str(verifying.data_dir), "--account", _ACCOUNT],
        env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    found: dict[str, str] = json.loads(made.stdout)
    return found


def _client(server: LambentServer, key: dict[str, str], service: str) -> Any:
    return server.client(service, access_key=key["AccessKeyId"], secret_key=key["SecretAccessKey"])


def test_a_function_works_in_its_account(verifying: LambentServer, key: dict[str, str]) -> None:
    s3 = _client(verifying, key, "s3")
    s3.create_bucket(Bucket="of-the-function")
    client = _client(verifying, key, "lambda")
    role = f"arn:aws:iam::{_ACCOUNT}:role/r"
    create_function(client, "inside", {"index.py": _PYTHON}, Timeout=30, MemorySize=512, Role=role)
    assert invoke(client, "inside") == {
        "object": "from inside", "presigned": "from inside", "message": "message", "account": _ACCOUNT
    }  # fmt: skip
    assert s3.get_object(Bucket="of-the-function", Key="key")["Body"].read() == b"from inside"


def test_log_lines_are_in_the_functions_account_and_survive_a_stop(
    verifying: LambentServer, key: dict[str, str]
) -> None:
    client, logs = _client(verifying, key, "lambda"), _client(verifying, key, "logs")
    code = "def handler(event, context):\n    print('said', event)"
    create_function(client, "talkative", {"index.py": code}, Role=f"arn:aws:iam::{_ACCOUNT}:role/r")
    invoke(client, "talkative", 1)
    wait_for_line(logs, "/aws/lambda/talkative", "said 1", seconds=10)
    invoke(client, "talkative", 2)
    verifying.stop()
    verifying.start()
    events = logs.filter_log_events(logGroupName="/aws/lambda/talkative")["events"]
    assert [one["message"] for one in events if "said" in one["message"]] == ["said 1\n", "said 2\n"]
    made = subprocess.run(
        [*_KEYS, "--data-dir", str(verifying.data_dir), "--account", "444455556666"],
        env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60, check=True,
    )  # fmt: skip
    assert _client(verifying, json.loads(made.stdout), "logs").describe_log_groups()["logGroups"] == []


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
def test_a_queues_url_leads_to_the_queue_from_inside(verifying: LambentServer, key: dict[str, str]) -> None:
    client = _client(verifying, key, "lambda")
    role = f"arn:aws:iam::{_ACCOUNT}:role/r"
    create_function(client, "node", {"index.mjs": _NODE}, Timeout=30, MemorySize=512, Runtime="nodejs22.x", Role=role)
    assert invoke(client, "node") == "message"
    urls = _client(verifying, key, "sqs").list_queues()["QueueUrls"]
    assert f"{verifying.url}/{_ACCOUNT}/inside-node" in urls


def test_strangers_reach_no_service(verifying: LambentServer, key: dict[str, str]) -> None:
    for service, method in {"s3": "list_buckets", "sqs": "list_queues", "iam": "list_roles"}.items():
        with pytest.raises(ClientError) as refused:
            getattr(verifying.client(service), method)()
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403
        getattr(_client(verifying, key, service), method)()
