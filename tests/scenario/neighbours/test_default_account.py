"""`account.default_id`: whose everything is, at Lambda and the embedded services, where an access key says nothing."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.running import create_function, invoke

if TYPE_CHECKING:
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.slow

_DEFAULT, _OTHER = "999988887777", "111122223333"
_CODE = """
import boto3

def handler(event, context):
    return [context.invoked_function_arn, boto3.client("sts").get_caller_identity()["Account"]]
"""


def test_the_scope_decides(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory(
        {"account.default_id": _DEFAULT, "neighbours.enabled": "true", "isolation.level": "L0"}
    )
    for key, account_id in (("test", _DEFAULT), (_OTHER, _OTHER)):
        for region in ("eu-west-1", "ap-south-1"):
            client = server.client(access_key=key, region=region)
            role = f"arn:aws:iam::{account_id}:role/r"
            made = create_function(client, "whose", {"index.py": _CODE}, Role=role, Timeout=30, MemorySize=512)
            assert made["FunctionArn"] == f"arn:aws:lambda:{region}:{account_id}:function:whose"
            assert invoke(client, "whose") == [made["FunctionArn"], account_id]
            assert [one["FunctionArn"] for one in client.list_functions()["Functions"]] == [made["FunctionArn"]]
            sqs = server.client("sqs", access_key=key, region=region)
            url = sqs.create_queue(QueueName="whose")["QueueUrl"]
            attributes = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["QueueArn"])["Attributes"]
            assert attributes["QueueArn"] == f"arn:aws:sqs:{region}:{account_id}:whose"
            assert server.client("sts", access_key=key).get_caller_identity()["Account"] == account_id
