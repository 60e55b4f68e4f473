"""Lists in pages, through boto3: every operation that takes a Marker gives the same items in the same order."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from tests.contract.samples import SERVICE, SHAPES
from tests.running import create_function, make_zip_bytes
from tests.scenario.holding import wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory

pytestmark = pytest.mark.slow

CODE = {"index.py": "def handler(event, context):\n    return 1\n"}
ROLE = "arn:aws:iam::000000000000:role/r"
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"
PUBLISHERS = {"SigningProfileVersionArns": ["arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/0123456789"]}
NAMES = ("a", "b", "c")
PAGED = sorted(
    name
    for name, operation in SERVICE["operations"].items()
    if "input" in operation and {"Marker", "MaxItems"} <= SHAPES[operation["input"]["shape"]]["members"].keys()
)
# Nothing starts an execution yet, and no function can use a capacity provider.
EMPTY = {
    "GetDurableExecutionHistory",
    "GetDurableExecutionState",
    "ListDurableExecutionsByFunction",
    "ListFunctionVersionsByCapacityProvider",
}


@pytest.fixture(scope="module")
def client(lambent_server_factory: ServerFactory) -> Any:
    """A client of a server of the module's own, where there are three of everything that is listed."""
    found = lambent_server_factory({"isolation.level": "L0", "logs.deliver": "false"}).client()
    for name in NAMES:
        create_function(found, name, CODE)
    for number, alias in enumerate(NAMES, 1):
        found.update_function_configuration(FunctionName="a", Description=alias)
        found.get_waiter("function_updated_v2").wait(FunctionName="a", WaiterConfig={"Delay": 0, "MaxAttempts": 5_000})
        assert found.publish_version(FunctionName="a")["Version"] == str(number)
        found.create_alias(FunctionName="a", Name=alias, FunctionVersion=str(number))
        found.put_function_event_invoke_config(FunctionName="a", Qualifier=alias, MaximumRetryAttempts=1)
        found.create_function_url_config(FunctionName="a", Qualifier=alias, AuthType="NONE")
        found.put_provisioned_concurrency_config(
            FunctionName="a", Qualifier=str(number), ProvisionedConcurrentExecutions=1
        )
        found.create_event_source_mapping(FunctionName=alias, EventSourceArn=QUEUE)
        found.create_capacity_provider(
            CapacityProviderName=alias,
            VpcConfig={"SubnetIds": ["subnet-0"], "SecurityGroupIds": []},
            PermissionsConfig={"CapacityProviderOperatorRoleArn": ROLE},
        )
        for layer in NAMES:
            found.publish_layer_version(LayerName=layer, Content={"ZipFile": make_zip_bytes({"python/m.py": ""})})
        made = found.create_code_signing_config(AllowedPublishers=PUBLISHERS)["CodeSigningConfig"]
    for name in NAMES:
        found.put_function_code_signing_config(FunctionName=name, CodeSigningConfigArn=made["CodeSigningConfigArn"])
    # Until then the same listing may say something else the next time.
    wait_until(lambda: {one["Status"] for one in listed(found, "ListProvisionedConcurrencyConfigs")} == {"READY"})
    return found


def request(client: Any, operation: str) -> dict[str, Any]:
    """Return what an operation must be asked beside the page."""
    members = SHAPES[SERVICE["operations"][operation]["input"]["shape"]]["required"] if _requires(operation) else ()
    known = {"FunctionName": "a", "LayerName": "a", "CapacityProviderName": "a"}
    if "CodeSigningConfigArn" in members:
        configs = client.list_code_signing_configs()["CodeSigningConfigs"]
        known["CodeSigningConfigArn"] = configs[-1]["CodeSigningConfigArn"]
    return {member: known[member] for member in members}


def _requires(operation: str) -> bool:
    return "required" in SHAPES[SERVICE["operations"][operation]["input"]["shape"]]


def items(answer: dict[str, Any]) -> list[Any]:
    """Return the one list of an answer."""
    [found] = [value for value in answer.values() if isinstance(value, list)]
    return list(found)


def listed(client: Any, operation: str) -> list[Any]:
    return items(getattr(client, xform_name(operation))(**request(client, operation)))


def pages(client: Any, operation: str, size: int) -> Iterator[dict[str, Any]]:
    """Yield the answers of a listing in pages."""
    asked: dict[str, Any] = {**request(client, operation), "MaxItems": size}
    for _ in range(20):
        answer = getattr(client, xform_name(operation))(**asked)
        yield answer
        if "NextMarker" not in answer:
            return
        asked["Marker"] = answer["NextMarker"]
    raise AssertionError("no end of pages")


@pytest.mark.parametrize("operation", [name for name in PAGED if name not in EMPTY])
def test_pages_are_the_whole(client: Any, operation: str) -> None:
    whole = listed(client, operation)
    assert len(whole) >= 3
    for size in (1, 2, 3, 50):
        found = list(pages(client, operation, size))
        lengths = [len(items(answer)) for answer in found]
        assert lengths == [size] * (len(whole) // size) + [len(whole) % size] * (len(whole) % size > 0)
        assert [item for answer in found for item in items(answer)] == whole
    for _ in range(3):
        assert listed(client, operation) == whole, "the order is the same each time"
    if client.can_paginate(xform_name(operation)):
        read = client.get_paginator(xform_name(operation)).paginate(**request(client, operation), MaxItems=1)
        assert [item for answer in read for item in items(answer)] == whole


@pytest.mark.parametrize("operation", [name for name in PAGED if name not in EMPTY])
def test_a_marker_is_what_was_given(client: Any, operation: str) -> None:
    marker = next(pages(client, operation, 1))["NextMarker"]
    call, asked = getattr(client, xform_name(operation)), request(client, operation)
    assert items(call(**asked, Marker=marker)) == listed(client, operation)[1:], "it is good for any size of page"
    for forged in ("forged", marker[:-3] + "!!!"):
        with pytest.raises(ClientError) as refused:
            call(**asked, Marker=forged)
        assert refused.value.response["Error"]["Code"] == "InvalidParameterValueException"


@pytest.mark.parametrize("operation", [name for name in PAGED if name.startswith("List")])
def test_a_page_has_a_bound(client: Any, operation: str) -> None:
    with pytest.raises(ClientError) as refused:
        getattr(client, xform_name(operation))(**request(client, operation), MaxItems=10_001)
    assert refused.value.response["Error"]["Code"] == "ValidationException"


def test_what_changes_between_pages_repeats_and_skips_nothing(client: Any) -> None:
    create_function(client, "b-before", CODE)
    first = client.list_functions(MaxItems=2)
    assert [one["FunctionName"] for one in first["Functions"]] == ["a", "b"]
    create_function(client, "aa", CODE)
    client.delete_function(FunctionName="b")
    rest = client.list_functions(Marker=first["NextMarker"])["Functions"]
    assert [one["FunctionName"] for one in rest] == ["b-before", "c"]
    for name in ("aa", "b-before"):
        client.delete_function(FunctionName=name)
    create_function(client, "b", CODE)


def test_the_longest_name_that_a_url_carries(client: Any) -> None:
    # Source: service description, Arn of an event source: at most 10,000.
    longest = f"{QUEUE}-" + "q" * (10_000 - len(QUEUE) - 1)
    assert client.list_event_source_mappings(EventSourceArn=longest)["EventSourceMappings"] == []
    with pytest.raises(ClientError) as refused:
        client.list_event_source_mappings(EventSourceArn=longest + "q")
    assert refused.value.response["Error"]["Code"] == "ValidationException"
    assert "Member must have length less than or equal to 10000" in refused.value.response["Error"]["Message"]
