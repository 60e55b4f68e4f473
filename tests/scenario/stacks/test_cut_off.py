"""The embedded services die between a stack's steps: no half-made function stays."""

from __future__ import annotations

import signal
import time
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.scenario.neighbours.conftest import patient_client, signal_child
from tests.scenario.stacks.conftest import Stack, body, function, names

if TYPE_CHECKING:
    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow
_SECONDS = 90.0


@pytest.fixture
def dying(lambent_server_factory: ServerFactory) -> LambentServer:
    """A server of the test's own."""
    return lambent_server_factory({"neighbours.enabled": "true", "isolation.level": "L0"})


def _chain(count: int) -> dict[str, Any]:
    """Return functions of which each waits for the one before."""
    return {
        f"F{number}": {**function(FunctionName=f"f{number}"), **({"DependsOn": f"F{number - 1}"} if number else {})}
        for number in range(count)
    }


def _wait_function(server: LambentServer, name: str) -> None:
    deadline = time.monotonic() + _SECONDS
    while name not in names(server):
        assert time.monotonic() < deadline
        time.sleep(0.005)


def _wait_ended(stack: Stack) -> str:
    deadline = time.monotonic() + _SECONDS
    while True:
        try:
            if not stack.status.endswith("_IN_PROGRESS"):
                return stack.status
        except ClientError:
            pass
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.long
def test_a_stack_that_is_being_made_is_rolled_back(dying: LambentServer) -> None:
    stack = Stack(dying, "cut-off")
    stack.client = patient_client(dying, "cloudformation")
    stack.client.create_stack(StackName=stack.name, TemplateBody=body(_chain(40), {}))
    _wait_function(dying, "f5")
    signal_child(dying, signal.SIGKILL)
    assert _wait_ended(stack) == "ROLLBACK_COMPLETE"
    assert names(dying) == set()
    again = Stack(dying, "again").create(_chain(2))
    assert again.status == "CREATE_COMPLETE"


def test_a_stack_that_is_being_changed_is_taken_back(dying: LambentServer) -> None:
    stack = Stack(dying, "changed").create({"F0": function("handler = lambda *_: 1", FunctionName="f0")})
    stack.client = patient_client(dying, "cloudformation")
    resources = {**_chain(40), "F0": function("handler = lambda *_: 2", FunctionName="f0")}
    stack.client.update_stack(StackName=stack.name, TemplateBody=body(resources, {}))
    _wait_function(dying, "f5")
    signal_child(dying, signal.SIGKILL)
    assert _wait_ended(stack) == "UPDATE_ROLLBACK_COMPLETE"
    assert names(dying) == {"f0"}
    assert dying.client().invoke(FunctionName="f0")["Payload"].read() == b"1"


@pytest.mark.long
def test_a_stack_that_is_being_removed_is_removed(dying: LambentServer) -> None:
    stack = Stack(dying, "removed").create(_chain(30))
    stack.client = patient_client(dying, "cloudformation")
    stack.client.delete_stack(StackName=stack.name)
    stack.name = stack.described["StackId"]
    deadline = time.monotonic() + _SECONDS
    while "f29" in names(dying):
        assert time.monotonic() < deadline
    signal_child(dying, signal.SIGKILL)
    assert _wait_ended(stack) == "DELETE_COMPLETE"
    assert names(dying) == set()
