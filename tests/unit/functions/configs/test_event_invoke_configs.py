"""Event invoke configs against the recorded answers (lambda/test_lambda_api.json: TestLambdaEventInvokeConfig)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lambent.model.function import Alias
from tests.unit.functions.conftest import PREFIX

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

ARN = f"{PREFIX}f"
NOTHING: dict[str, Any] = {"OnSuccess": {}, "OnFailure": {}}
QUEUE = "arn:aws:sqs:us-east-1:000000000000:q"


async def test_put_replaces_and_update_adds(scene: Scene) -> None:
    await scene.create_settled()
    put = await scene.call("put_function_event_invoke_config", FunctionName="f", MaximumRetryAttempts=0)
    assert put == {
        "LastModified": scene.clock.now_ms / 1000,
        "FunctionArn": f"{ARN}:$LATEST",
        "MaximumRetryAttempts": 0,
        "DestinationConfig": NOTHING,
    }
    put = await scene.call("put_function_event_invoke_config", FunctionName="f", MaximumEventAgeInSeconds=60)
    assert "MaximumRetryAttempts" not in put
    updated = await scene.call("update_function_event_invoke_config", FunctionName="f", MaximumRetryAttempts=1)
    assert (updated["MaximumRetryAttempts"], updated["MaximumEventAgeInSeconds"]) == (1, 60)
    assert await scene.call("get_function_event_invoke_config", FunctionName="f", Qualifier="$LATEST") == updated
    listed = await scene.call("list_function_event_invoke_configs", FunctionName="f")
    assert listed == {"FunctionEventInvokeConfigs": [updated]}


async def test_what_is_not_there(scene: Scene) -> None:
    missing = f"The function {ARN}:$LATEST doesn't have an EventInvokeConfig"
    for operation in ("get", "delete"):
        refused = await scene.refused(f"{operation}_function_event_invoke_config", FunctionName="f")
        assert refused == ("ResourceNotFoundException", missing)
    no_function = ("ResourceNotFoundException", "The function doesn't exist.")
    for operation in ("put", "update"):
        refused = await scene.refused(
            f"{operation}_function_event_invoke_config", FunctionName="f", MaximumRetryAttempts=1
        )
        assert refused == no_function
        refused = await scene.refused(f"{operation}_function_event_invoke_config", FunctionName="f")
        assert refused == (
            "InvalidParameterValueException",
            "You must specify at least one of error handling or destination setting.",
        )
    assert await scene.refused("list_function_event_invoke_configs", FunctionName="f") == no_function
    await scene.create_settled()
    refused = await scene.refused("update_function_event_invoke_config", FunctionName="f", MaximumRetryAttempts=1)
    assert refused == ("ResourceNotFoundException", missing)
    refused = await scene.refused("get_function_event_invoke_config", FunctionName="f", Qualifier="1221")
    assert refused == ("ResourceNotFoundException", f"The function {ARN}:1221 doesn't have an EventInvokeConfig")
    refused = await scene.refused(
        "put_function_event_invoke_config", FunctionName="f", Qualifier="gone", MaximumRetryAttempts=1
    )
    assert refused == no_function


async def test_destinations(scene: Scene) -> None:
    await scene.create_settled()
    await scene.create_settled("g")
    config = {"OnSuccess": {"Destination": f"{PREFIX}g"}, "OnFailure": {"Destination": QUEUE}}
    put = await scene.call("put_function_event_invoke_config", FunctionName="f", DestinationConfig=config)
    assert put["DestinationConfig"] == config
    emptied = {"OnSuccess": {"Destination": ""}}
    put = await scene.call("put_function_event_invoke_config", FunctionName="f", DestinationConfig=emptied)
    assert put["DestinationConfig"] == NOTHING
    bucket = {"OnFailure": {"Destination": "arn:aws:s3:::bucket"}}
    await scene.call("update_function_event_invoke_config", FunctionName="f", DestinationConfig=bucket)


@pytest.mark.parametrize(
    ("config", "text"),
    [
        ({"OnSuccess": {"Destination": ARN}}, "You can't specify the function as a destination for itself."),
        ({"OnFailure": {"Destination": f"{PREFIX}no"}}, f"The destination ARN {PREFIX}no is invalid."),
        (
            {"OnSuccess": {"Destination": "arn:aws:iam::000000000000:x"}, "OnFailure": {"Destination": QUEUE}},
            "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination="
            f"arn:aws:iam::000000000000:x), onFailure=OnFailure(destination={QUEUE})) is invalid.",
        ),
        (
            {"OnSuccess": {"Destination": "arn:aws:s3:::bucket"}},
            "The provided destination config DestinationConfig(onSuccess=OnSuccess(destination=arn:aws:s3:::bucket), "
            "onFailure=null) is invalid.",
        ),
        (
            {"OnFailure": {"Destination": "kafka://topic"}},
            "The provided destination config DestinationConfig(onSuccess=null, "
            "onFailure=OnFailure(destination=kafka://topic)) is invalid.",
        ),
    ],
)
async def test_destinations_that_cannot_be(scene: Scene, config: Any, text: str) -> None:
    await scene.create_settled()
    refused = await scene.refused("put_function_event_invoke_config", FunctionName="f", DestinationConfig=config)
    assert refused == ("InvalidParameterValueException", text)


async def test_pages_and_deletion(scene: Scene) -> None:
    await scene.create_settled()
    for name in ("blue", "green"):
        alias = Alias("000000000000", "us-east-1", "f", name, "$LATEST", name)
        await scene.store.resources.commit(scene.store.resources.put_new(alias))
    wanted = [f"{ARN}:$LATEST", f"{ARN}:blue", f"{ARN}:green"]
    for arn in wanted:
        await scene.call("put_function_event_invoke_config", FunctionName=arn, MaximumRetryAttempts=1)
    found: list[str] = []
    marker: dict[str, str] = {}
    for _ in wanted:
        page = await scene.call("list_function_event_invoke_configs", FunctionName="f", MaxItems=1, **marker)
        found += [config["FunctionArn"] for config in page["FunctionEventInvokeConfigs"]]
        marker = {"Marker": page.get("NextMarker")}
    assert found == wanted
    assert marker == {"Marker": None}
    await scene.call("delete_function_event_invoke_config", FunctionName="f:blue")
    page = await scene.call("list_function_event_invoke_configs", FunctionName="f")
    assert [config["FunctionArn"] for config in page["FunctionEventInvokeConfigs"]] == [wanted[0], wanted[2]]
