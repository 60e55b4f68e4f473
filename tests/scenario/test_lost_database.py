"""While the database is away: every operation says so in AWS's form and soon, none claims anything; then all go on."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from lambent.api.operations import OPERATIONS
from tests.contract.samples import SERVICE, SHAPES, sample
from tests.postgres import Postgres
from tests.running import create_function, invoke, make_zip_bytes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

ECHO = {"index.py": "def handler(event, context):\n    return event\n"}
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
# Invocations go on; and nothing starts an execution yet, so that there are none whatever the database has.
APART = {name for name in OPERATIONS if name.startswith("Invoke")} | {
    name for name in OPERATIONS if "DurableExecution" in name and name != "ListDurableExecutionsByFunction"
}
# Where the smallest request is refused before anything is looked up.
GIVEN: dict[str, dict[str, Any]] = {
    "AddLayerVersionPermission": {"Action": "lambda:GetLayerVersion"},
    "AddPermission": {"Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com", "StatementId": "s"},
    "CreateEventSourceMapping": {"EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:q"},
    "CreateFunction": {
        "FunctionName": "g", "Runtime": "python3.11", "Handler": "index.handler", "Code": {"ZipFile": b""}
    },
    "PublishLayerVersion": {"Content": {"ZipFile": b""}},
    "PutFunctionEventInvokeConfig": {"MaximumRetryAttempts": 1},
    "PutProvisionedConcurrencyConfig": {"ProvisionedConcurrentExecutions": 1},
    "UpdateCapacityProvider": {"TelemetryConfig": {"LoggingConfig": {"SystemLogLevel": "DEBUG"}}},
    "UpdateEventSourceMapping": {"BatchSize": 1},
    "UpdateFunctionCode": {"ZipFile": b""},
    "UpdateFunctionEventInvokeConfig": {"MaximumRetryAttempts": 1},
}  # fmt: skip


@pytest.fixture(scope="module")
def database() -> Iterator[Postgres]:
    server = Postgres()
    try:
        yield server
    finally:
        server.remove()


@pytest.fixture(scope="module")
def server(lambent_server_factory: ServerFactory, database: Postgres) -> Iterator[LambentServer]:
    """A daemon with a function; its database dies when the fixture is made, and comes back at the end."""
    found = lambent_server_factory({"store.url": database.make_database("lost"), "isolation.level": "L0"})
    client = found.client()
    create_function(client, "f", ECHO, Publish=True)
    client.create_alias(FunctionName="f", Name="live", FunctionVersion="1")
    assert invoke(client, "f", 1) == 1
    database.kill()
    yield found
    database.start()
    found.stop()


def request(operation: str) -> dict[str, Any]:
    """Return the smallest request that is about the function, where it can be about one."""
    shape = SHAPES[SERVICE["operations"][operation]["input"]["shape"]]
    found = {member: sample(shape["members"][member]["shape"], 1) for member in shape.get("required", ())}
    about = {
        **dict.fromkeys(("Resource", "ResourceArn"), ARN),
        "FunctionName": "f",
        "LayerName": "l",
        "CapacityProviderName": "p",
        "Name": "live",
        "Qualifier": "1",
        "DurableExecutionArn": f"{ARN}:1/durable-execution/a/b",
    }
    found |= {member: value for member, value in about.items() if member in found}
    found |= GIVEN.get(operation, {})
    package = make_zip_bytes({"index.py": f"# {operation}\n"})
    for holder in (found, found.get("Code"), found.get("Content")):
        if isinstance(holder, dict) and "ZipFile" in holder:
            holder["ZipFile"] = package
    return found


@pytest.mark.parametrize("operation", sorted(set(OPERATIONS) - APART))
def test_nothing_is_claimed(server: LambentServer, operation: str) -> None:
    began = time.monotonic()
    with pytest.raises(ClientError) as refused:
        getattr(server.client(), xform_name(operation))(**request(operation))
    answer = refused.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == ("ServiceException", 503)
    assert time.monotonic() - began < 5


def test_functions_run(server: LambentServer) -> None:
    for name in ("f", "f:1", "f:live", ARN):
        assert invoke(server.client(), name, name) == name
