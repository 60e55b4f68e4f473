"""What hangs on functions, through the public API: it is there after a crash, and goes with what it hangs on."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.running import create_function

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import ServerFactory

pytestmark = pytest.mark.slow

NAME = "configured"
ARN = f"arn:aws:lambda:us-east-1:000000000000:function:{NAME}"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
ROLE = "arn:aws:iam::000000000000:role/r"
PROVIDER = {
    "CapacityProviderName": NAME,
    "VpcConfig": {"SubnetIds": ["subnet-0"], "SecurityGroupIds": []},
    "PermissionsConfig": {"CapacityProviderOperatorRoleArn": ROLE},
}


def configure(client: Any) -> dict[str, Callable[[], Any]]:
    """Give a function everything that can hang on it; return how to read it all."""
    create_function(client, NAME, {"index.py": "def handler(event, context): pass\n"}, Role=ROLE)
    client.publish_version(FunctionName=NAME)
    client.create_alias(FunctionName=NAME, Name="live", FunctionVersion="1")
    live = {"FunctionName": NAME, "Qualifier": "live"}
    grant = {"StatementId": "s3", "Action": "lambda:InvokeFunction", "Principal": "s3.amazonaws.com"}
    client.add_permission(**live, **grant)
    client.put_resource_policy(
        ResourceArn=ARN,
        Policy=json.dumps(
            {"Statement": [{"Effect": "Allow", "Principal": "*", "Action": "lambda:*", "Resource": ARN}]}
        ),
    )
    client.put_function_event_invoke_config(**live, MaximumRetryAttempts=0)
    client.create_function_url_config(**live, AuthType="NONE", Cors={"AllowOrigins": ["*"]})
    client.put_function_recursion_config(FunctionName=NAME, RecursiveLoop="Allow")
    client.put_runtime_management_config(FunctionName=NAME, UpdateRuntimeOn="FunctionUpdate")
    client.create_capacity_provider(**PROVIDER, Tags={"a": "b"})
    criteria = {"Filters": [{"Pattern": '{"body": {"a": [1]}}'}]}
    mapping = client.create_event_source_mapping(
        FunctionName=f"{NAME}:live", EventSourceArn=QUEUE, FilterCriteria=criteria, Tags={"c": "d"}
    )
    return {
        "policy": lambda: client.get_policy(**live),
        "document": lambda: client.get_resource_policy(ResourceArn=ARN),
        "invoke config": lambda: client.get_function_event_invoke_config(**live),
        "url": lambda: client.get_function_url_config(**live),
        "recursion": lambda: client.get_function_recursion_config(FunctionName=NAME),
        "runtime": lambda: client.get_runtime_management_config(FunctionName=NAME),
        "provider": lambda: client.get_capacity_provider(CapacityProviderName=NAME),
        "mapping": lambda: client.get_event_source_mapping(UUID=mapping["UUID"]),
        "mapping's tags": lambda: client.list_tags(Resource=mapping["EventSourceMappingArn"]),
    }


def read(readers: dict[str, Callable[[], Any]]) -> dict[str, Any]:
    answers = {}
    for what, reader in readers.items():
        answers[what] = reader()
        del answers[what]["ResponseMetadata"]
    return answers


def test_it_survives_a_crash_and_goes_with_its_function(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"neighbours.enabled": "false", "logs.deliver": "false"})
    client = server.client()
    readers = configure(client)
    before = read(readers)
    assert before["recursion"] == {"RecursiveLoop": "Allow"}
    assert before["mapping"]["State"] == "Enabled"
    assert before["mapping's tags"] == {"Tags": {"c": "d"}}
    server.kill()
    server.start()
    assert read(readers) == before

    client.delete_alias(FunctionName=NAME, Name="live")
    client.create_alias(FunctionName=NAME, Name="live", FunctionVersion="1")
    for what in ("policy", "invoke config", "url"):
        with pytest.raises(client.exceptions.ResourceNotFoundException):
            readers[what]()
    client.delete_function(FunctionName=NAME)
    with pytest.raises(client.exceptions.ResourceNotFoundException):
        readers["document"]()
    # As on AWS, mappings and capacity providers are their own.
    assert readers["mapping"]()["FunctionArn"] == f"{ARN}:live"
    client.delete_event_source_mapping(UUID=before["mapping"]["UUID"])
    client.delete_capacity_provider(CapacityProviderName=NAME)
    assert client.list_event_source_mappings()["EventSourceMappings"] == []


def test_bodies_of_invoke_async_have_its_own_bound(lambda_client: Any) -> None:
    create_function(lambda_client, "later-sizes", {"index.py": "def handler(event, context): pass\n"})
    for size_bytes, status in ((1_048_577, 413), (6_291_457, 413)):
        with pytest.raises(ClientError) as refused:
            lambda_client.invoke_async(FunctionName="later-sizes", InvokeArgs=b'"' + b"x" * (size_bytes - 2) + b'"')
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
    for name, body, status in (("nobody-made-it", b"{}", 404), ("later-sizes", b"{", 400)):
        with pytest.raises(ClientError) as refused:
            lambda_client.invoke_async(FunctionName=name, InvokeArgs=body)
        assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == status
