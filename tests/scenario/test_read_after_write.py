"""What was answered is what the next request finds, whoever sends it: by reading, in lists, and when it is invoked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.running import create_function, make_zip_bytes
from tests.scenario.holding import RESERVED_REASON, throttle

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

CODE = {"index.py": "import os\ndef handler(event, context):\n    return os.environ.get('WORD')\n"}
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"
ROLE = "arn:aws:iam::000000000000:role/r"
ROUNDS = 10


@pytest.fixture
def writer(lambent_server: LambentServer) -> Any:
    return lambent_server.client()


@pytest.fixture
def reader(lambent_server: LambentServer) -> Any:
    """A client with connections of its own."""
    return lambent_server.client()


def is_missing(call: Any, **members: Any) -> bool:
    """Whether an operation answers 404."""
    try:
        call(**members)
    except ClientError as error:
        return bool(error.response["ResponseMetadata"]["HTTPStatusCode"] == 404)
    return False


def names(client: Any) -> set[str]:
    pages = client.get_paginator("list_functions").paginate()
    return {one["FunctionName"] for page in pages for one in page["Functions"]}


def test_functions_come_and_go(writer: Any, reader: Any) -> None:
    package = {"ZipFile": make_zip_bytes(CODE)}
    for number in range(ROUNDS):
        target = {"FunctionName": f"come-{number}"}
        writer.create_function(**target, Runtime="python3.11", Handler="index.handler", Role=ROLE, Code=package)
        assert reader.get_function_configuration(**target)["State"] in ("Pending", "Active")
        assert target["FunctionName"] in names(reader)
        writer.delete_function(**target)
        assert is_missing(reader.get_function_configuration, **target)
        assert is_missing(reader.invoke, **target)
        assert target["FunctionName"] not in names(reader)


def test_an_update_is_what_runs(writer: Any, reader: Any) -> None:
    target = {"FunctionName": "updated-at-once"}
    create_function(writer, target["FunctionName"], CODE)
    for number in range(ROUNDS):
        changed = writer.update_function_configuration(**target, Environment={"Variables": {"WORD": str(number)}})
        seen = reader.get_function_configuration(**target)
        assert seen["Environment"] == changed["Environment"]
        # An invocation meanwhile waits for nobody: it runs the new configuration, and none that was before it.
        assert json.loads(reader.invoke(**target)["Payload"].read()) == str(number)
        writer.get_waiter("function_updated_v2").wait(**target, WaiterConfig={"Delay": 0, "MaxAttempts": 5_000})


def test_what_hangs_on_a_function(writer: Any, reader: Any) -> None:
    target = {"FunctionName": "hung-on"}
    create_function(writer, target["FunctionName"], CODE, Publish=True)
    writer.get_waiter("published_version_active").wait(**target, Qualifier="1")
    writer.update_function_configuration(**target, Description="second")
    writer.get_waiter("function_updated_v2").wait(**target, WaiterConfig={"Delay": 0, "MaxAttempts": 5_000})
    writer.publish_version(**target)
    alias = {**target, "Name": "live"}
    for number in range(ROUNDS):
        version = str(number % 2 + 1)
        writer.create_alias(**alias, FunctionVersion=version)
        assert reader.invoke(**target, Qualifier="live")["ExecutedVersion"] == version
        other = "12"[number % 2 - 1]
        writer.update_alias(**alias, FunctionVersion=other)
        assert reader.invoke(**target, Qualifier="live")["ExecutedVersion"] == other
        writer.delete_alias(**alias)
        assert is_missing(reader.get_alias, **alias)
        assert is_missing(reader.invoke, **target, Qualifier="live")

        writer.tag_resource(Resource=f"{ARN}hung-on", Tags={"n": str(number)})
        assert reader.list_tags(Resource=f"{ARN}hung-on")["Tags"] == {"n": str(number)}

        writer.put_function_concurrency(**target, ReservedConcurrentExecutions=0)
        assert reader.get_function_concurrency(**target)["ReservedConcurrentExecutions"] == 0
        assert throttle(reader, target["FunctionName"])["Reason"] == RESERVED_REASON
        writer.delete_function_concurrency(**target)
        assert reader.invoke(**target)["StatusCode"] == 200
