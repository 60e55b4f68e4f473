"""Scaling configurations: kept for published versions, answered as requested, gone with the function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.functions.conftest import PREFIX

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

BOUNDS = {"MinExecutionEnvironments": 2, "MaxExecutionEnvironments": 5}


async def test_put_get_and_take_back(scene: Scene) -> None:
    await scene.create_settled()
    await scene.call("publish_version", FunctionName="f")
    which = {"FunctionName": "f", "Qualifier": "1"}
    assert await scene.call("get_function_scaling_config", **which) == {"FunctionArn": f"{PREFIX}f:1"}
    put = await scene.call("put_function_scaling_config", **which, FunctionScalingConfig=BOUNDS)
    assert put == {"FunctionState": "Active"}
    found = await scene.call("get_function_scaling_config", **which)
    assert found == {"FunctionArn": f"{PREFIX}f:1", "RequestedFunctionScalingConfig": BOUNDS}
    for _ in range(2):
        await scene.call("put_function_scaling_config", **which)
        assert await scene.call("get_function_scaling_config", **which) == {"FunctionArn": f"{PREFIX}f:1"}


async def test_what_is_refused(scene: Scene) -> None:
    await scene.create_settled()
    await scene.call("publish_version", FunctionName="f")
    upside_down = {"MinExecutionEnvironments": 5, "MaxExecutionEnvironments": 2}
    code, _ = await scene.refused(
        "put_function_scaling_config", FunctionName="f", Qualifier="1", FunctionScalingConfig=upside_down
    )
    assert code == "InvalidParameterValueException"
    for name, qualifier in (("g", "1"), ("f", "2"), ("f", "$LATEST.PUBLISHED")):
        missing = ("ResourceNotFoundException", f"Function not found: {PREFIX}{name}:{qualifier}")
        for operation in ("put_function_scaling_config", "get_function_scaling_config"):
            assert await scene.refused(operation, FunctionName=name, Qualifier=qualifier) == missing
