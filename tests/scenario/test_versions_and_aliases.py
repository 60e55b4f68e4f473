"""Versions and aliases through boto3: what runs is what was published, an alias decides which, weights divide."""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function, make_zip_bytes

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


def telling(answer: str) -> dict[str, str]:
    """Return a function's files: it tells its code's version, what it was invoked as, and its log stream."""
    return {
        "index.py": (
            "import os\ncalls = 0\n"
            "def handler(event, context):\n"
            "    global calls\n    calls += 1\n"
            f"    return {{'code': {answer!r}, 'arn': context.invoked_function_arn,\n"
            "            'version': context.function_version, 'calls': calls,\n"
            "            'variable': os.environ['AWS_LAMBDA_FUNCTION_VERSION'], 'stream': context.log_stream_name}\n"
        )
    }


def told(client: Any, name: str, **members: Any) -> dict[str, Any]:
    """Invoke and return the payload with the executed version."""
    answer = client.invoke(FunctionName=name, **members)
    payload = json.loads(answer["Payload"].read())
    assert "FunctionError" not in answer, payload
    return {**payload, "executed": answer["ExecutedVersion"]}


def change(client: Any, name: str, answer: str) -> None:
    """Give $LATEST other code and wait for it."""
    client.update_function_code(FunctionName=name, ZipFile=make_zip_bytes(telling(answer)))
    client.get_waiter("function_updated_v2").wait(FunctionName=name)


def test_a_published_version_runs_its_own_code(lambda_client: Any) -> None:
    # Source: lambda/test_lambda.json, TestLambdaVersions::test_lambda_versions_with_code_changes.
    create_function(lambda_client, "published", telling("one"))
    first = lambda_client.publish_version(FunctionName="published", Description="the first")
    assert first["FunctionArn"] == f"{ARN}published:1"
    assert told(lambda_client, "published", Qualifier="1")["calls"] == 1
    change(lambda_client, "published", "two")
    latest = told(lambda_client, "published")
    assert (latest["code"], latest["arn"], latest["version"], latest["executed"]) == (
        "two",
        f"{ARN}published",
        "$LATEST",
        "$LATEST",
    )
    again = told(lambda_client, "published:1")
    assert (again["code"], again["arn"], again["version"], again["executed"]) == ("one", f"{ARN}published:1", "1", "1")
    assert again["calls"] == 2, "its environment stays when $LATEST changes"
    assert again["variable"] == "1"
    assert "/[1]" in again["stream"]
    updated = lambda_client.update_function_code(
        FunctionName="published", ZipFile=make_zip_bytes(telling("three")), Publish=True
    )
    assert (updated["Version"], updated["State"]) == ("2", "Pending")
    lambda_client.get_waiter("published_version_active").wait(FunctionName="published", Qualifier="2")
    assert told(lambda_client, f"{ARN}published:2")["code"] == "three"
    pages = lambda_client.get_paginator("list_versions_by_function").paginate(
        FunctionName="published", PaginationConfig={"PageSize": 2}
    )
    assert [one["Version"] for page in pages for one in page["Versions"]] == ["$LATEST", "1", "2"]
    lambda_client.delete_function(FunctionName="published", Qualifier="1")
    with pytest.raises(lambda_client.exceptions.ResourceNotFoundException) as missing:
        lambda_client.invoke(FunctionName="published", Qualifier="1")
    assert missing.value.response["Error"]["Message"] == f"Function not found: {ARN}published:1"


def test_an_alias_moves(lambda_client: Any) -> None:
    # Source: lambda/test_lambda.json, TestLambdaAliases::test_lambda_alias_moving.
    create_function(lambda_client, "moving", telling("one"))
    lambda_client.publish_version(FunctionName="moving")
    created = lambda_client.create_alias(FunctionName="moving", Name="live", FunctionVersion="1")
    assert created["ResponseMetadata"]["HTTPStatusCode"] == 201
    first = told(lambda_client, "moving", Qualifier="live")
    assert (first["code"], first["arn"], first["version"], first["executed"]) == ("one", f"{ARN}moving:live", "1", "1")
    assert "/[1]" in first["stream"], "the log stream names the version, not the alias"
    change(lambda_client, "moving", "two")
    lambda_client.publish_version(FunctionName="moving")
    assert told(lambda_client, created["AliasArn"])["calls"] == 2
    moved = lambda_client.update_alias(
        FunctionName="moving", Name="live", FunctionVersion="2", RevisionId=created["RevisionId"]
    )
    assert moved["RevisionId"] != created["RevisionId"]
    second = told(lambda_client, "moving:live")
    assert (second["code"], second["arn"], second["executed"]) == ("two", f"{ARN}moving:live", "2")
    lambda_client.update_alias(FunctionName="moving", Name="live", FunctionVersion="1")
    assert told(lambda_client, "moving:live")["calls"] == 3, "a move retires no environment"
    with pytest.raises(lambda_client.exceptions.PreconditionFailedException):
        lambda_client.update_alias(FunctionName="moving", Name="live", RevisionId=created["RevisionId"])
    with pytest.raises(lambda_client.exceptions.ResourceConflictException):
        lambda_client.delete_function(FunctionName="moving", Qualifier="1")
    lambda_client.delete_alias(FunctionName="moving", Name="live")
    with pytest.raises(lambda_client.exceptions.ResourceNotFoundException):
        lambda_client.invoke(FunctionName="moving", Qualifier="live")


def test_weights_divide(lambda_client: Any) -> None:
    create_function(lambda_client, "divided", telling("one"), Publish=True)
    lambda_client.get_waiter("published_version_active").wait(FunctionName="divided", Qualifier="1")
    change(lambda_client, "divided", "two")
    lambda_client.publish_version(FunctionName="divided")
    lambda_client.create_alias(
        FunctionName="divided",
        Name="canary",
        FunctionVersion="1",
        RoutingConfig={"AdditionalVersionWeights": {"2": 0.5}},
    )
    executed = Counter(told(lambda_client, "divided:canary")["executed"] for _ in range(60))
    # One in 2^59 runs of this test fails by chance.
    assert set(executed) == {"1", "2"}
    lambda_client.update_alias(
        FunctionName="divided", Name="canary", RoutingConfig={"AdditionalVersionWeights": {"2": 1.0}}
    )
    for _ in range(5):
        answer = told(lambda_client, "divided:canary")
        assert (answer["executed"], answer["code"], answer["arn"]) == ("2", "two", f"{ARN}divided:canary")


def test_versions_and_aliases_outlive_the_server(lambent_server_factory: Any, tmp_path: Any) -> None:
    server: LambentServer = lambent_server_factory(data_dir=tmp_path / "data")
    client = server.client()
    create_function(client, "kept", telling("one"), Publish=True)
    client.get_waiter("published_version_active").wait(FunctionName="kept", Qualifier="1")
    client.create_alias(FunctionName="kept", Name="live", FunctionVersion="1", Description="d")
    before = client.get_alias(FunctionName="kept", Name="live")
    server.kill()
    server.start()
    client = server.client()
    after = client.get_alias(FunctionName="kept", Name="live")
    assert {**after, "ResponseMetadata": None} == {**before, "ResponseMetadata": None}
    assert told(client, "kept:live")["executed"] == "1"
    change(client, "kept", "two")
    assert client.publish_version(FunctionName="kept")["Version"] == "2"
