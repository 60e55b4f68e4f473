"""Changes of one function at the same moment: they take turns, and the losers are told in AWS's words."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.running import create_function

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
CODE = {"index.py": "def handler(event, context):\n    return 1\n"}
AT_ONCE = 8


def wait_settled(client: Any, name: str) -> None:
    client.get_waiter("function_updated_v2").wait(FunctionName=name, WaiterConfig={"Delay": 0, "MaxAttempts": 5_000})


def test_updates_at_once(lambent_server: LambentServer, lambda_client: Any) -> None:
    # Source: lambda/test_lambda_api.json, test_lambda_concurrent_code_updates.
    create_function(lambda_client, "at-once", CODE)
    clients = [lambent_server.client() for _ in range(AT_ONCE)]

    def update(number: int) -> str | None:
        try:
            answer = clients[number].update_function_configuration(FunctionName="at-once", Description=str(number))
        except clients[number].exceptions.ResourceConflictException as error:
            return str(error.response["Error"]["Message"])
        # What was acknowledged is what is read, or something later.
        seen = clients[number].get_function_configuration(FunctionName="at-once")
        assert seen["LastModified"] >= answer["LastModified"]
        return None

    with ThreadPoolExecutor(AT_ONCE) as threads:
        refusals = [text for text in threads.map(update, range(AT_ONCE)) if text is not None]
    assert len(refusals) < AT_ONCE
    assert set(refusals) <= {
        f"The operation cannot be performed at this time. An update is in progress for resource: {ARN}at-once"
    }
    wait_settled(lambda_client, "at-once")


def test_one_revision_is_changed_once(lambent_server: LambentServer, lambda_client: Any) -> None:
    create_function(lambda_client, "one-revision", CODE, Publish=True)
    lambda_client.get_waiter("published_version_active").wait(FunctionName="one-revision", Qualifier="1")
    alias = lambda_client.create_alias(FunctionName="one-revision", Name="live", FunctionVersion="1")
    clients = [lambent_server.client() for _ in range(AT_ONCE)]

    def update(number: int) -> bool:
        try:
            clients[number].update_alias(
                FunctionName="one-revision", Name="live", Description=str(number), RevisionId=alias["RevisionId"]
            )
        except clients[number].exceptions.PreconditionFailedException:
            return False
        return True

    with ThreadPoolExecutor(AT_ONCE) as threads:
        outcomes = list(threads.map(update, range(AT_ONCE)))
    assert outcomes.count(True) == 1
    kept = lambda_client.get_alias(FunctionName="one-revision", Name="live")
    assert kept["Description"] == str(outcomes.index(True))


def test_creations_and_publications_at_once(lambent_server: LambentServer, lambda_client: Any) -> None:
    clients = [lambent_server.client() for _ in range(AT_ONCE)]

    def create(number: int) -> str:
        try:
            create_function(clients[number], "born-once", CODE)
        except ClientError as error:
            return str(error.response["Error"]["Message"])
        return ""

    with ThreadPoolExecutor(AT_ONCE) as threads:
        outcomes = sorted(threads.map(create, range(AT_ONCE)))
    assert outcomes == ["", *["Function already exist: born-once"] * (AT_ONCE - 1)]

    def publish(number: int) -> str:
        return str(clients[number].publish_version(FunctionName="born-once")["Version"])

    with ThreadPoolExecutor(AT_ONCE) as threads:
        assert set(threads.map(publish, range(AT_ONCE))) == {"1"}
