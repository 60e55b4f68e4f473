"""What is committed is what scripts/generate writes."""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from botocore.loaders import Loader

from lambent.model import quotas
from lambent.wire import validation
from lambent.wire.api_description import ApiDescription

ROOT = Path(__file__).parents[4]


@pytest.mark.slow
def test_committed_equals_generated() -> None:
    run = subprocess.run(
        [sys.executable, str(ROOT / "scripts" / "generate"), "--check"], capture_output=True, text=True, check=False
    )
    assert (run.returncode, json.loads(run.stdout)) == (0, [])


@pytest.mark.slow
def test_every_operation_of_the_description_is_there_and_its_patterns_compile() -> None:
    service = Loader().load_service_model("lambda", "service-2")
    operations = ApiDescription().operations()
    assert {operation.name for operation in operations} == set(service["operations"])
    for operation in operations:
        shapes = operation.shapes()
        described = service["operations"][operation.name]
        assert shapes.REQUEST.__name__ == described["input"]["shape"]
        assert (shapes.RESPONSE is None) == ("output" not in described)
        for pattern in patterns(shapes.INPUT):
            message = validation.violations(("string", None, None, pattern, None), "\0")
            assert message is None or pattern in message


def patterns(spec: object) -> list[str]:
    assert isinstance(spec, tuple)
    if spec[0] == "string":
        return [spec[3]] if spec[3] else []
    if spec[0] == "structure":
        return [found for inner, _, _ in spec[1].values() for found in patterns(inner)]
    return [found for inner in spec[3:] for found in patterns(inner)]


def test_ranges_are_those_of_ordinary_functions() -> None:
    members = importlib.import_module("lambent.wire.generated.create_function").INPUT[1]
    assert members["MemorySize"][0] == ("integer", 128, quotas.MEMORY_MIB_MAX.value)
    assert members["Timeout"][0] == ("integer", 1, quotas.TIMEOUT_SECONDS_MAX.value)
    size = members["EphemeralStorage"][0][1]["Size"][0]
    assert size == ("integer", 512, quotas.EPHEMERAL_STORAGE_MIB_MAX.value)
