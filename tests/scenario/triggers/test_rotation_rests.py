"""Rotations that fail, are interrupted, are only tried, cancelled, or wrongly asked for."""

from __future__ import annotations

import re
import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.scenario.neighbours.conftest import patient_client, signal_child
from tests.scenario.triggers.conftest import events_of, function_arn, permit, printing, wait_until

if TYPE_CHECKING:
    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.long

_FLAKY = """
import json, os
import boto3

client = boto3.client("secretsmanager")

def handler(event, context):
    print("got", json.dumps([event, context.invoked_function_arn]))
    arn, token, step = event["SecretId"], event["ClientRequestToken"], event["Step"]
    if step == "createSecret":
        client.put_secret_value(
            SecretId=arn, ClientRequestToken=token, SecretString="new", VersionStages=["AWSPENDING"]
        )
    if step == "setSecret" and client.describe_secret(SecretId=arn).get("Description") == "locked":
        raise RuntimeError("the database is away")
    if step == "finishSecret":
        stages = client.describe_secret(SecretId=arn)["VersionIdsToStages"]
        [current] = [version for version, names in stages.items() if "AWSCURRENT" in names]
        client.update_secret_version_stage(
            SecretId=arn, VersionStage="AWSCURRENT", MoveToVersionId=token, RemoveFromVersionId=current
        )
"""


def _secret(server: LambentServer, name: str, **members: Any) -> tuple[Any, str]:
    client = patient_client(server, "secretsmanager")
    arn: str = client.create_secret(Name=name, SecretString="old", **members)["ARN"]
    printing(server, name, _FLAKY, Timeout=30, MemorySize=512)
    permit(server, name, "secretsmanager.amazonaws.com", arn)
    return client, arn


def _steps(server: LambentServer, name: str, count: int) -> list[str]:
    return [event["Step"] for event in events_of(server, name, count)]


def test_a_failed_rotation_stays_pending_and_is_tried_again(triggered: LambentServer) -> None:
    client, _ = _secret(triggered, "locked", Description="locked")
    begun = client.rotate_secret(SecretId="locked", RotationLambdaARN=function_arn("locked"))
    events_of(triggered, "locked", 2)
    described = client.describe_secret(SecretId="locked")
    assert described["VersionIdsToStages"][begun["VersionId"]] == ["AWSPENDING"]
    assert "LastRotatedDate" not in described
    with pytest.raises(ClientError) as refused:
        client.rotate_secret(SecretId="locked")
    assert refused.value.response["Error"] == {
        "Code": "InvalidRequestException",
        "Message": "A previous rotation isn't complete. That rotation will be reattempted.",
    }
    client.update_secret(SecretId="locked", Description="open")
    wait_until(lambda: client.get_secret_value(SecretId="locked")["SecretString"] == "new", "the new value")
    wait_until(lambda: "LastRotatedDate" in client.describe_secret(SecretId="locked"), "the end")
    assert client.describe_secret(SecretId="locked")["VersionIdsToStages"][begun["VersionId"]] == ["AWSCURRENT"]
    tokens = {event["ClientRequestToken"] for event in events_of(triggered, "locked", 6)}
    assert tokens == {begun["VersionId"]}


def test_a_rotation_that_is_only_tried(triggered: LambentServer) -> None:
    client, arn = _secret(triggered, "tried")
    rules = {"ScheduleExpression": "rate(10 days)", "Duration": "3h"}
    client.rotate_secret(
        SecretId="tried", RotationLambdaARN=function_arn("tried"), RotationRules=rules, RotateImmediately=False
    )
    assert _steps(triggered, "tried", 1) == ["testSecret"]
    wait_until(lambda: len(client.describe_secret(SecretId="tried")["VersionIdsToStages"]) == 1, "the version gone")
    described = client.describe_secret(SecretId="tried")
    assert (described["RotationEnabled"], described["RotationRules"]) == (True, rules)
    assert described["NextRotationDate"] > described["LastChangedDate"]
    assert "LastRotatedDate" not in described
    cancelled = client.cancel_rotate_secret(SecretId="tried")
    assert (cancelled["ARN"], cancelled["Name"]) == (arn, "tried")
    described = client.describe_secret(SecretId="tried")
    assert described["RotationEnabled"] is False
    assert "NextRotationDate" not in described


def test_a_rotation_survives_the_death_of_its_service(triggered: LambentServer) -> None:
    client, _ = _secret(triggered, "killed", Description="locked")
    begun = client.rotate_secret(SecretId="killed", RotationLambdaARN=function_arn("killed"))
    events_of(triggered, "killed", 2)
    signal_child(triggered, signal.SIGKILL)
    client.update_secret(SecretId="killed", Description="open")
    wait_until(lambda: client.get_secret_value(SecretId="killed")["SecretString"] == "new", "the new value")
    wait_until(lambda: "LastRotatedDate" in client.describe_secret(SecretId="killed"), "the end")
    stages = client.describe_secret(SecretId="killed")["VersionIdsToStages"]
    assert stages[begun["VersionId"]] == ["AWSCURRENT"]


@pytest.mark.parametrize(
    ("rules", "text"),
    [
        ({"AutomaticallyAfterDays": 1, "ScheduleExpression": "rate(4 hours)"}, "can't specify both"),
        ({"AutomaticallyAfterDays": 1_001}, "between 1 and 1,000"),
        ({"ScheduleExpression": "rate(3 hours)"}, "Invalid ScheduleExpression"),
        ({"ScheduleExpression": "rate(5 minutes)"}, "Invalid ScheduleExpression"),
        ({"ScheduleExpression": "cron(5 8 * * ? *)"}, "Invalid ScheduleExpression"),
        ({"ScheduleExpression": "cron(0 8 * * ? 2030)"}, "Invalid ScheduleExpression"),
        ({"ScheduleExpression": "cron(0 8 1 * 1 *)"}, "Invalid ScheduleExpression"),
        ({"AutomaticallyAfterDays": 2, "Duration": "25h"}, "Invalid Duration"),
    ],
)
def test_rules_that_mean_nothing_are_refused(triggered: LambentServer, rules: dict[str, Any], text: str) -> None:
    client = triggered.client("secretsmanager")
    name = "misruled"
    if not [one for one in client.list_secrets()["SecretList"] if one["Name"] == name]:
        _secret(triggered, name)
    with pytest.raises(ClientError, match=text) as refused:
        client.rotate_secret(SecretId=name, RotationLambdaARN=function_arn(name), RotationRules=rules)
    assert refused.value.response["Error"]["Code"] == "InvalidParameterException"
    assert client.describe_secret(SecretId=name).get("RotationEnabled") is None


def test_the_timer_rotates_when_it_is_time(lambent_server_factory: ServerFactory) -> None:
    """A day passes while the server is off: its last rotation is moved back. Nobody calls a service afterwards."""
    server = lambent_server_factory({"neighbours.enabled": "true", "isolation.level": "L0"})
    client, arn = _secret(server, "daily")
    begun = client.rotate_secret(
        SecretId="daily", RotationLambdaARN=function_arn("daily"), RotationRules={"AutomaticallyAfterDays": 1}
    )
    wait_until(lambda: "LastRotatedDate" in client.describe_secret(SecretId="daily"), "the first rotation")
    due = client.describe_secret(SecretId="daily")["NextRotationDate"]
    assert due.timestamp() - time.time() > 86_000
    server.stop()
    [state] = server.data_dir.rglob("secretsmanager.json")
    moved = re.sub(
        r'"LastRotatedDate": (\d+)',
        lambda match: f'"LastRotatedDate": {int(match[1]) - 86_400 + 20}',
        state.read_text(),
    )
    state.write_text(moved)
    server.start()
    wait_until(lambda: len(events_of(server, "daily", 4)) == 8, "the second rotation", 90)
    tokens = [event["ClientRequestToken"] for event in events_of(server, "daily", 8)]
    assert (tokens[:4], len(set(tokens[4:]))) == ([begun["VersionId"]] * 4, 1)
    client = patient_client(server, "secretsmanager")
    wait_until(lambda: len(client.describe_secret(SecretId="daily")["VersionIdsToStages"]) == 2, "two versions")
    assert client.describe_secret(SecretId="daily")["VersionIdsToStages"][tokens[-1]] == ["AWSCURRENT"]
    server.stop()
    server.start()
    client = patient_client(server, "secretsmanager")
    assert client.describe_secret(SecretId=arn)["NextRotationDate"].timestamp() - time.time() > 86_000
    assert len(events_of(server, "daily", 8)) == 8
    server.stop()
