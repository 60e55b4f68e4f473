"""Tasks of state machines that wait for a token, name a version, are tried again, or fail."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.scenario.triggers.conftest import (
    ACCOUNT,
    PRINTING,
    calls,
    events_of,
    function_arn,
    printing,
    wait_until,
)

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.long

_ROLE = f"arn:aws:iam::{ACCOUNT}:role/states"
_INVOKE = "arn:aws:states:::lambda:invoke"
_CONTEXT = """
import json
def handler(event, context):
    print("got", json.dumps([event, context.invoked_function_arn]))
    return context.client_context.custom if context.client_context else None
"""


def _start(server: LambentServer, name: str, task: dict[str, Any], value: object) -> str:
    """Start a state machine of one task, whose errors are its output; return the execution."""
    client = server.client("stepfunctions")
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Caught"}]
    states = {"T": {"Type": "Task", "End": True, "Catch": catch, **task}, "Caught": {"Type": "Pass", "End": True}}
    definition = json.dumps({"StartAt": "T", "States": states})
    machine = client.create_state_machine(name=name, definition=definition, roleArn=_ROLE)["stateMachineArn"]
    return str(client.start_execution(stateMachineArn=machine, input=json.dumps(value))["executionArn"])


def _output(server: LambentServer, execution: str) -> Any:
    client = server.client("stepfunctions")
    wait_until(lambda: client.describe_execution(executionArn=execution)["status"] != "RUNNING", "the execution's end")
    described = client.describe_execution(executionArn=execution)
    assert described["status"] == "SUCCEEDED", described
    return json.loads(described["output"])


def _waiting(server: LambentServer, name: str, **members: Any) -> tuple[str, str]:
    """Start a task that waits for its token; return the execution and the token."""
    function = printing(server, name)
    task = {
        "Resource": f"{_INVOKE}.waitForTaskToken", **members,
        "Parameters": {"FunctionName": function, "Payload": {"token.$": "$$.Task.Token", "input.$": "$"}},
    }  # fmt: skip
    execution = _start(server, name, task, {"a": 1})
    [event] = events_of(server, name)
    assert event["input"] == {"a": 1}
    return execution, event["token"]


def test_who_has_the_token_ends_the_task(triggered: LambentServer) -> None:
    client = triggered.client("stepfunctions")
    execution, token = _waiting(triggered, "succeeding", HeartbeatSeconds=30)
    client.send_task_heartbeat(taskToken=token)
    client.send_task_success(taskToken=token, output='{"b": 2}')
    assert _output(triggered, execution) == {"b": 2}
    execution, token = _waiting(triggered, "failing")
    client.send_task_failure(taskToken=token, error="NotToday", cause="because")
    assert _output(triggered, execution)["error"] == {"Error": "NotToday", "Cause": "because"}


def test_a_task_of_which_nothing_is_heard(triggered: LambentServer) -> None:
    execution, token = _waiting(triggered, "silent", HeartbeatSeconds=1, TimeoutSeconds=100)
    assert _output(triggered, execution)["error"]["Error"] == "States.HeartbeatTimeout"
    with pytest.raises(triggered.client("stepfunctions").exceptions.ClientError, match="Task"):
        triggered.client("stepfunctions").send_task_success(taskToken=token, output="{}")
    execution, _ = _waiting(triggered, "late", TimeoutSeconds=1)
    assert _output(triggered, execution)["error"]["Error"] == "States.Timeout"


def test_a_function_that_fails_answers_no_token(triggered: LambentServer) -> None:
    code = PRINTING.replace("    return event", "    raise ValueError('no')")
    function = printing(triggered, "tokenless", code)
    task = {
        "Resource": f"{_INVOKE}.waitForTaskToken",
        "Parameters": {"FunctionName": function, "Payload": {"token.$": "$$.Task.Token"}},
    }
    error = _output(triggered, _start(triggered, "tokenless", task, {}))["error"]
    assert error["Error"] == "ValueError"
    assert json.loads(error["Cause"])["errorMessage"] == "no"


def test_what_a_call_may_say(triggered: LambentServer) -> None:
    printing(triggered, "said", _CONTEXT)
    client = triggered.client()
    client.publish_version(FunctionName="said")
    client.create_alias(FunctionName="said", Name="live", FunctionVersion="1")
    context = base64.b64encode(json.dumps({"custom": {"colour": "blue"}}).encode()).decode()
    parameters = {
        "FunctionName": function_arn("said"), "Qualifier": "live", "ClientContext": context, "Payload": {"x": 1},
    }  # fmt: skip
    output = _output(triggered, _start(triggered, "qualified", {"Resource": _INVOKE, "Parameters": parameters}, {}))
    assert (output["StatusCode"], output["Payload"]) == (200, {"colour": "blue"})
    assert set(output) >= {"Payload", "SdkHttpMetadata", "SdkResponseMetadata", "StatusCode"}
    assert output["SdkHttpMetadata"]["HttpStatusCode"] == 200
    events_of(triggered, "said")
    assert calls(triggered, "said") == [({"x": 1}, function_arn("said:live"))]
    by_name = {"FunctionName": "said", "Payload": {"x": 2}}
    output = _output(triggered, _start(triggered, "by-name", {"Resource": _INVOKE, "Parameters": by_name}, {}))
    assert output["ExecutedVersion"] == "$LATEST"
    event = {"FunctionName": "said:1", "InvocationType": "Event", "Payload": {"x": 3}}
    output = _output(triggered, _start(triggered, "as-event", {"Resource": _INVOKE, "Parameters": event}, {}))
    assert (output["StatusCode"], output["Payload"]) == (202, {})
    wait_until(lambda: ({"x": 3}, function_arn("said:1")) in calls(triggered, "said"), "the event")
    output = _output(triggered, _start(triggered, "direct", {"Resource": function_arn("said:live")}, {"x": 4}))
    assert output is None


def test_errors_of_lambda_have_its_names(triggered: LambentServer) -> None:
    missing = {"Resource": _INVOKE, "Parameters": {"FunctionName": function_arn("nowhere"), "Payload": {}}}
    error = _output(triggered, _start(triggered, "missing", missing, {}))["error"]
    assert error["Error"] == "Lambda.ResourceNotFoundException"
    assert "(Service: Lambda, Status Code: 404, Request ID: " in error["Cause"]
    printing(triggered, "throttled")
    client = triggered.client()
    client.put_function_concurrency(FunctionName="throttled", ReservedConcurrentExecutions=0)
    retry = [
        {
            "ErrorEquals": [
                "Lambda.ServiceException", "Lambda.AWSLambdaException", "Lambda.SdkClientException",
                "Lambda.TooManyRequestsException",
            ],
            "IntervalSeconds": 1, "MaxAttempts": 30, "BackoffRate": 1.0,
        }
    ]  # fmt: skip
    task = {"Resource": _INVOKE, "Parameters": {"FunctionName": function_arn("throttled"), "Payload": {"n": 1}}}
    error = _output(triggered, _start(triggered, "throttled", task, {}))["error"]
    assert error["Error"] == "Lambda.TooManyRequestsException"
    execution = _start(triggered, "patient", {**task, "Retry": retry}, {})
    stepfunctions = triggered.client("stepfunctions")

    def failures() -> int:
        events = stepfunctions.get_execution_history(executionArn=execution)["events"]
        return sum(event["type"] == "TaskFailed" for event in events)

    wait_until(lambda: failures() > 0, "the first attempt")
    client.delete_function_concurrency(FunctionName="throttled")
    assert _output(triggered, execution)["Payload"] == {"n": 1}
