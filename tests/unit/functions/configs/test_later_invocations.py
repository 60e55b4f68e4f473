"""What cannot be invoked yet is checked first."""

from __future__ import annotations

from typing import TYPE_CHECKING

from tests.unit.functions.conftest import PREFIX

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

ARN = f"{PREFIX}f"


async def test_what_cannot_be_invoked_yet(scene: Scene) -> None:
    asked = {"invoke_async": {"InvokeArgs": "e30="}}
    for operation, members in asked.items():
        refused = await scene.refused(operation, FunctionName="f", **members)
        assert refused == ("ResourceNotFoundException", f"Function not found: {ARN}")
    await scene.create_settled()
    for operation, members in asked.items():
        assert (await scene.refused(operation, FunctionName="f", **members))[0] == "NotImplementedException"
        spoilt = dict.fromkeys(members, "bm8=")
        assert (await scene.refused(operation, FunctionName="f", **spoilt))[0] == "InvalidRequestContentException"
