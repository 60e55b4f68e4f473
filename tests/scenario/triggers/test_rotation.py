"""A secret is rotated by a function in four steps."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from tests.scenario.triggers.conftest import events_of, function_arn, permit, printing, wait_until

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.long

# What AWS's own templates for rotation functions do, without a database.
_CODE = """
import json
import boto3

client = boto3.client("secretsmanager")

def handler(event, context):
    print("got", json.dumps([event, context.invoked_function_arn]))
    arn, token, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    stages = client.describe_secret(SecretId=arn)["VersionIdsToStages"]
    if token not in stages or "AWSPENDING" not in stages[token]:
        raise ValueError("no such version")
    if step == "createSecret":
        client.get_secret_value(SecretId=arn, VersionStage="AWSCURRENT")
        try:
            client.get_secret_value(SecretId=arn, VersionId=token, VersionStage="AWSPENDING")
        except client.exceptions.ResourceNotFoundException:
            client.put_secret_value(
                SecretId=arn, ClientRequestToken=token, SecretString="new", VersionStages=["AWSPENDING"]
            )
    if step == "testSecret":
        pending = client.get_secret_value(SecretId=arn, VersionId=token, VersionStage="AWSPENDING")
        assert pending["SecretString"] == "new"
    if step == "finishSecret":
        [current] = [version for version, names in stages.items() if "AWSCURRENT" in names]
        client.update_secret_version_stage(
            SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=current
        )
"""


def test_four_steps(triggered: LambentServer) -> None:
    client = triggered.client("secretsmanager")
    created = client.create_secret(Name="rotating", SecretString="old")
    printing(triggered, "rotator", _CODE, Timeout=30, MemorySize=512)
    with pytest.raises(ClientError) as refused:
        client.rotate_secret(SecretId="rotating")
    assert refused.value.response["Error"] == {
        "Code": "InvalidRequestException", "Message": "No Lambda rotation function ARN is associated with this secret."
    }  # fmt: skip
    with pytest.raises(ClientError) as refused:
        client.rotate_secret(SecretId="rotating", RotationLambdaARN=function_arn("rotator"))
    # Recorded: test_rotate_secret_invalid_lambda_arn.
    assert refused.value.response["Error"] == {
        "Code": "AccessDeniedException",
        "Message": "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy "
        "grants access to the principal secretsmanager.amazonaws.com.",
    }
    assert not client.describe_secret(SecretId="rotating").get("RotationEnabled")
    permit(triggered, "rotator", "secretsmanager.amazonaws.com", created["ARN"])
    answer = client.rotate_secret(
        SecretId="rotating", RotationLambdaARN=function_arn("rotator"), RotationRules={"AutomaticallyAfterDays": 1}
    )
    assert answer["VersionId"] != created["VersionId"]
    wait_until(lambda: client.get_secret_value(SecretId="rotating")["SecretString"] == "new", "the new value")
    wait_until(lambda: "LastRotatedDate" in client.describe_secret(SecretId="rotating"), "the rotation's end")
    described = client.describe_secret(SecretId="rotating")
    # Recorded: test_rotate_secret_with_lambda_success.
    assert described["VersionIdsToStages"] == {
        created["VersionId"]: ["AWSPREVIOUS"], answer["VersionId"]: ["AWSCURRENT"]
    }  # fmt: skip
    assert (described["RotationEnabled"], described["RotationLambdaARN"]) == (True, function_arn("rotator"))
    steps = [event["Step"] for event in events_of(triggered, "rotator", 4)]
    assert steps == ["createSecret", "setSecret", "testSecret", "finishSecret"]
    assert {(event["SecretId"], event["ClientRequestToken"]) for event in events_of(triggered, "rotator", 4)} == {
        (created["ARN"], answer["VersionId"])
    }
