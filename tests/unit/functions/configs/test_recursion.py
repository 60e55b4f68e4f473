"""What happens to loops: kept, and gone with the function."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.functions.conftest import PREFIX

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

ARN = f"{PREFIX}f"


async def test_recursion(scene: Scene) -> None:
    missing = ("ResourceNotFoundException", f"Function not found: {ARN}")
    assert await scene.refused("get_function_recursion_config", FunctionName="f") == missing
    refused = await scene.refused("put_function_recursion_config", FunctionName="f", RecursiveLoop="Allow")
    assert refused == missing
    await scene.create_settled()
    get = "get_function_recursion_config"
    assert await scene.call(get, FunctionName="f") == {"RecursiveLoop": "Terminate"}
    await scene.call("put_function_recursion_config", FunctionName="f", RecursiveLoop="Allow")
    assert await scene.call(get, FunctionName="f") == {"RecursiveLoop": "Allow"}
    await scene.call("delete_function", FunctionName="f")
    await scene.create_settled()
    assert await scene.call(get, FunctionName="f") == {"RecursiveLoop": "Terminate"}
