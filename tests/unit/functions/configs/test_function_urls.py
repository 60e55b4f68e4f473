"""Function URL configs against the recorded answers (lambda/test_lambda_api.json: TestLambdaUrl)."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

import pytest

from lambent.functions.configs.function_urls import url_of
from lambent.model.function import Alias
from tests.unit.functions.conftest import PREFIX

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

ARN = f"{PREFIX}f"
TIME = "2026-01-01T00:00:00.000+0000"


async def test_life_of_a_url(scene: Scene) -> None:
    await scene.create_settled()
    created = await scene.call("create_function_url_config", FunctionName="f", AuthType="NONE")
    url = created["FunctionUrl"]
    assert re.fullmatch(r"http://[a-z2-7]{32}\.lambda-url\.us-east-1\.localhost:4566/", url)
    assert created == {"FunctionUrl": url, "FunctionArn": ARN, "AuthType": "NONE", "CreationTime": TIME}
    assert await scene.refused("create_function_url_config", FunctionName="f", AuthType="NONE") == (
        "ResourceConflictException",
        f"Failed to create function url config for [functionArn = {ARN}]. "
        "Error message:  FunctionUrlConfig exists for this Lambda function",
    )
    got = await scene.call("get_function_url_config", FunctionName="f")
    assert got == {**created, "LastModifiedTime": TIME, "InvokeMode": "BUFFERED"}
    updated = await scene.call("update_function_url_config", FunctionName="f", AuthType="AWS_IAM")
    assert updated == {**created, "AuthType": "AWS_IAM", "LastModifiedTime": TIME}
    await scene.call("delete_function_url_config", FunctionName="f")
    assert await scene.refused("get_function_url_config", FunctionName="f") == (
        "ResourceNotFoundException",
        "The resource you requested does not exist.",
    )


async def test_cors_and_invoke_mode(scene: Scene) -> None:
    await scene.create_settled()
    cors = {
        "AllowCredentials": True,
        "AllowHeaders": ["x-a"],
        "AllowMethods": ["GET", "*"],
        "AllowOrigins": ["https://example.com"],
        "ExposeHeaders": [],
        "MaxAge": 60,
    }
    created = await scene.call(
        "create_function_url_config", FunctionName="f", AuthType="NONE", Cors=cors, InvokeMode="RESPONSE_STREAM"
    )
    assert (created["Cors"], created["InvokeMode"]) == (cors, "RESPONSE_STREAM")
    await scene.call("update_function_url_config", FunctionName="f", Cors={"MaxAge": 1})
    got = await scene.call("get_function_url_config", FunctionName="f")
    assert (got["Cors"], got["InvokeMode"], got["AuthType"]) == ({"MaxAge": 1}, "RESPONSE_STREAM", "NONE")
    await scene.call("update_function_url_config", FunctionName="f", Cors={})
    assert "Cors" not in await scene.call("get_function_url_config", FunctionName="f")


async def test_what_is_not_there(scene: Scene) -> None:
    no_function = ("ResourceNotFoundException", "Function does not exist")
    no_url = ("ResourceNotFoundException", "The resource you requested does not exist.")
    assert await scene.refused("create_function_url_config", FunctionName="f", AuthType="NONE") == no_function
    assert await scene.refused("update_function_url_config", FunctionName="f") == no_function
    assert await scene.refused("list_function_url_configs", FunctionName="f") == no_function
    await scene.create_settled()
    assert await scene.refused("update_function_url_config", FunctionName="f") == no_url
    assert await scene.refused("delete_function_url_config", FunctionName="f") == no_url
    assert await scene.refused("get_function_url_config", FunctionName="f", Qualifier="gone") == no_url
    refused = await scene.refused("create_function_url_config", FunctionName="f", AuthType="NONE", Qualifier="gone")
    assert refused == no_function
    assert await scene.call("list_function_url_configs", FunctionName="f") == {"FunctionUrlConfigs": []}


async def test_an_alias_has_a_url_of_its_own(scene: Scene) -> None:
    await scene.create_settled()
    alias = Alias("000000000000", "us-east-1", "f", "live", "$LATEST", "1")
    await scene.store.resources.commit(scene.store.resources.put_new(alias))
    await scene.call("create_function_url_config", FunctionName="f", AuthType="NONE")
    await scene.call("create_function_url_config", FunctionName="f:live", AuthType="NONE")
    listed = await scene.call("list_function_url_configs", FunctionName="f")
    assert [one["FunctionArn"] for one in listed["FunctionUrlConfigs"]] == [ARN, f"{ARN}:live"]
    first = await scene.call("list_function_url_configs", FunctionName="f", MaxItems=1)
    second = await scene.call("list_function_url_configs", FunctionName="f", MaxItems=1, Marker=first["NextMarker"])
    assert first["FunctionUrlConfigs"] + second["FunctionUrlConfigs"] == listed["FunctionUrlConfigs"]
    await scene.call("delete_function_url_config", FunctionName="f")
    assert (await scene.call("get_function_url_config", FunctionName="f:live"))["FunctionArn"] == f"{ARN}:live"


@pytest.mark.parametrize(
    ("base_url", "url"),
    [
        ("http://127.0.0.1:4566", "http://id.lambda-url.eu-west-1.localhost:4566/"),
        ("https://[::1]:443", "https://id.lambda-url.eu-west-1.localhost:443/"),
        ("http://localhost", "http://id.lambda-url.eu-west-1.localhost/"),
        ("http://lambent.example:99999", "http://id.lambda-url.eu-west-1.lambent.example:99999/"),
    ],
)
def test_the_url_is_below_the_endpoint(base_url: str, url: str) -> None:
    assert url_of("id", "eu-west-1", base_url) == url
