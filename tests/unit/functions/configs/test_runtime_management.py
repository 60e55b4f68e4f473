"""When a version gets another build of its runtime: what can be pinned here."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.functions.conftest import PREFIX

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

ARN = f"{PREFIX}f"


async def test_runtime_management(scene: Scene) -> None:
    put, get = "put_runtime_management_config", "get_runtime_management_config"
    missing = ("ResourceNotFoundException", f"Function not found: {ARN}")
    assert await scene.refused(get, FunctionName="f") == missing
    assert await scene.refused(put, FunctionName="f", UpdateRuntimeOn="Auto") == missing
    created = await scene.create_settled()
    assert await scene.call(get, FunctionName="f") == {"UpdateRuntimeOn": "Auto", "FunctionArn": ARN}
    runtime = created["RuntimeVersionConfig"]["RuntimeVersionArn"]
    for members in (
        {"UpdateRuntimeOn": "Manual"},
        {"UpdateRuntimeOn": "Auto", "RuntimeVersionArn": runtime},
        {"UpdateRuntimeOn": "Manual", "RuntimeVersionArn": f"{runtime[:-1]}x"},
    ):
        assert (await scene.refused(put, FunctionName="f", **members))[0] == "InvalidParameterValueException"
    pinned = {"UpdateRuntimeOn": "Manual", "RuntimeVersionArn": runtime}
    assert await scene.call(put, FunctionName="f", **pinned) == {**pinned, "FunctionArn": ARN}
    assert await scene.call(get, FunctionName="f", Qualifier="$LATEST") == {**pinned, "FunctionArn": f"{ARN}:$LATEST"}
    assert (await scene.refused(get, FunctionName="f", Qualifier="7"))[1] == f"Function not found: {ARN}:7"
