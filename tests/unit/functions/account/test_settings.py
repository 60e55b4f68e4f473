"""GetAccountSettings tells what is applied and what is used."""

from __future__ import annotations

import base64
from typing import TYPE_CHECKING

import pytest

from lambent.functions import ControlPlaneRules
from tests.unit.functions.conftest import zipped

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene


@pytest.mark.parametrize("rules", [ControlPlaneRules(concurrent_executions=77, code_storage_bytes=5_000)])
async def test_limits_and_usage(scene: Scene) -> None:
    package = zipped()
    for name in ("one", "two"):
        await scene.create(name, Code={"ZipFile": package})
    assert await scene.call("get_account_settings") == {
        "AccountLimit": {
            "TotalCodeSize": 5_000,
            "CodeSizeUnzipped": 262_144_000,
            "CodeSizeZipped": 52_428_800,
            "ConcurrentExecutions": 77,
            "UnreservedConcurrentExecutions": 77,
        },
        "AccountUsage": {"TotalCodeSize": 2 * len(base64.b64decode(package)), "FunctionCount": 2},
    }
