"""Durable executions: there are none, and every operation says so."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from lambent.durable import DurableExecutions
from lambent.model.caller import Caller
from lambent.model.errors import InvalidParameterValueError, ResourceNotFoundError
from lambent.model.function import CodeReference, FunctionVersion
from lambent.store import InstallationKey, Resources, open_records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

CALLER = Caller("000000000000", "us-east-1", "arn:aws:iam::000000000000:root", "r", "http://localhost:4566")
ARN = "arn:aws:lambda:us-east-1:000000000000:function:f"
EXECUTION = f"{ARN}:1/durable-execution/name/id"


@pytest.fixture
async def resources(tmp_path: Path) -> AsyncIterator[Resources]:
    records = open_records(tmp_path)
    yield Resources(records, InstallationKey.open(tmp_path / "keys"))
    await records.close()


async def call(resources: Resources, operation: str, **members: Any) -> Any:
    module = importlib.import_module(f"lambent.wire.generated.{operation}")
    request = msgspec.convert(members, module.REQUEST)
    return msgspec.to_builtins(await getattr(DurableExecutions(resources), operation)(CALLER, request))


@pytest.mark.parametrize("verb", ["get", "delete", "pause", "resume", "stop"])
async def test_no_execution(resources: Resources, verb: str) -> None:
    with pytest.raises(ResourceNotFoundError, match=EXECUTION.replace("$", r"\$")):
        await call(resources, f"{verb}_durable_execution", DurableExecutionArn=EXECUTION)


async def test_no_history_and_no_state(resources: Resources) -> None:
    with pytest.raises(ResourceNotFoundError):
        await call(resources, "get_durable_execution_history", DurableExecutionArn=EXECUTION)
    for operation in ("get_durable_execution_state", "checkpoint_durable_execution"):
        with pytest.raises(InvalidParameterValueError):
            await call(resources, operation, DurableExecutionArn=EXECUTION, CheckpointToken="dG9rZW4=")


@pytest.mark.parametrize("outcome", ["success", "failure", "heartbeat"])
async def test_no_callback(resources: Resources, outcome: str) -> None:
    with pytest.raises(ResourceNotFoundError):
        await call(resources, f"send_durable_execution_callback_{outcome}", CallbackId="aWQ=")


async def test_a_function_has_none(resources: Resources) -> None:
    for reference in ("f", ARN.replace("east", "west")):
        with pytest.raises(ResourceNotFoundError, match="Function not found"):
            await call(resources, "list_durable_executions_by_function", FunctionName=reference)
    code = CodeReference("", 0, 0)
    function = FunctionVersion("000000000000", "us-east-1", "f", "arn:aws:iam::0:role/r", code, "c", "1", 0)
    await resources.commit(resources.put_new(function))
    assert await call(resources, "list_durable_executions_by_function", FunctionName="f") == {"DurableExecutions": []}
