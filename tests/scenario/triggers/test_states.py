"""State machines, log groups and devices call functions."""

from __future__ import annotations

import base64
import gzip
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.scenario.triggers.conftest import (
    ACCOUNT,
    REGION,
    calls,
    events_of,
    function_arn,
    permit,
    printing,
    refusals,
    wait_until,
)

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

_ROLE = f"arn:aws:iam::{ACCOUNT}:role/states"
_FLAKY = """
import json
class TooEarly(Exception):
    pass
tries = []
def handler(event, context):
    print("got", json.dumps([event, context.invoked_function_arn]))
    tries.append(event)
    if len(tries) <= event["until"]:
        raise TooEarly("try %d" % len(tries))
    return {"tries": len(tries)}
"""
_ANSWERING = """
import json, boto3
def handler(event, context):
    print("got", json.dumps([event, context.invoked_function_arn]))
    output = json.dumps({"for": event["input"]})
    boto3.client("stepfunctions").send_task_success(taskToken=event["token"], output=output)
"""


def _run(server: LambentServer, name: str, states: dict[str, Any], value: object) -> dict[str, Any]:
    """Run a state machine that begins with the first of its states; return the execution's description."""
    client = server.client("stepfunctions")
    definition = json.dumps({"StartAt": next(iter(states)), "States": states})
    machine = client.create_state_machine(name=name, definition=definition, roleArn=_ROLE)["stateMachineArn"]
    execution = client.start_execution(stateMachineArn=machine, input=json.dumps(value))["executionArn"]
    wait_until(lambda: client.describe_execution(executionArn=execution)["status"] != "RUNNING", "the execution's end")
    return dict(client.describe_execution(executionArn=execution))


def test_tasks_call_functions(triggered: LambentServer) -> None:
    function = printing(triggered, "task")
    invoke = {
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke", "End": True,
        "Parameters": {"FunctionName": function, "Payload": {"given.$": "$.a"}},
    }  # fmt: skip
    done = _run(triggered, "by-invoke", {"T": invoke}, {"a": 5})
    assert done["status"] == "SUCCEEDED", done
    output = json.loads(done["output"])
    assert (output["StatusCode"], output["Payload"]) == (200, {"given": 5})
    direct = {"Type": "Task", "Resource": function, "ResultPath": "$.result", "End": True}
    done = _run(triggered, "by-arn", {"T": direct}, {"a": 5})
    assert json.loads(done["output"]) == {"a": 5, "result": {"a": 5}}
    assert events_of(triggered, "task", 2) == [{"given": 5}, {"a": 5}]


def test_a_task_waits_for_its_token(triggered: LambentServer) -> None:
    function = printing(triggered, "token", _ANSWERING, Timeout=30, MemorySize=512)
    task = {
        "Type": "Task", "Resource": "arn:aws:states:::lambda:invoke.waitForTaskToken", "End": True,
        "Parameters": {"FunctionName": function, "Payload": {"token.$": "$$.Task.Token", "input.$": "$"}},
    }  # fmt: skip
    done = _run(triggered, "by-token", {"T": task}, {"a": 1})
    assert (done["status"], json.loads(done["output"])) == ("SUCCEEDED", {"for": {"a": 1}}), done


def test_a_task_is_tried_again_and_its_error_caught(triggered: LambentServer) -> None:
    function = printing(triggered, "flaky", _FLAKY)
    retry = [{"ErrorEquals": ["TooEarly"], "IntervalSeconds": 1, "MaxAttempts": 2, "BackoffRate": 1.0}]
    task = {"Type": "Task", "Resource": function, "Retry": retry, "End": True}
    done = _run(triggered, "again", {"T": task}, {"until": 1})
    assert (done["status"], json.loads(done["output"])) == ("SUCCEEDED", {"tries": 2}), done
    printing(triggered, "hopeless", _FLAKY)
    catch = [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.error", "Next": "Caught"}]
    states = {
        "T": {"Type": "Task", "Resource": function_arn("hopeless"), "Catch": catch, "End": True},
        "Caught": {"Type": "Pass", "End": True},
    }
    output = json.loads(_run(triggered, "caught", states, {"until": 9})["output"])
    assert output["error"]["Error"] == "TooEarly"
    cause = json.loads(output["error"]["Cause"])
    assert (cause["errorType"], cause["errorMessage"]) == ("TooEarly", "try 1")


def test_lines_of_a_log_group_call_a_function(triggered: LambentServer) -> None:
    function, logs = printing(triggered, "lines"), triggered.client("logs")
    logs.create_log_group(logGroupName="/app")
    logs.create_log_stream(logGroupName="/app", logStreamName="stream")
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/app:*"
    permit(triggered, "lines", f"logs.{REGION}.amazonaws.com", group, SourceAccount=ACCOUNT)
    logs.put_subscription_filter(
        logGroupName="/app", filterName="errors", filterPattern="ERROR", destinationArn=function
    )
    moment = 1_700_000_000_000
    logs.put_log_events(
        logGroupName="/app", logStreamName="stream",
        logEvents=[{"timestamp": moment, "message": "fine"}, {"timestamp": moment + 1, "message": "ERROR no"}],
    )  # fmt: skip
    [event] = events_of(triggered, "lines")
    assert list(event) == ["awslogs"]
    data = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    [line] = data.pop("logEvents")
    # The form is documented: CloudWatch Logs user guide, "Subscription filters with AWS Lambda".
    assert data == {
        "messageType": "DATA_MESSAGE", "owner": ACCOUNT, "logGroup": "/app", "logStream": "stream",
        "subscriptionFilters": ["errors"],
    }  # fmt: skip
    assert set(line) == {"id", "timestamp", "message"}
    assert (line["timestamp"], line["message"]) == (moment + 1, "ERROR no")


def test_a_filter_of_documents_calls_an_alias(triggered: LambentServer) -> None:
    printing(triggered, "documents")
    client, logs = triggered.client(), triggered.client("logs")
    client.publish_version(FunctionName="documents")
    client.create_alias(FunctionName="documents", Name="live", FunctionVersion="1")
    logs.create_log_group(logGroupName="/json")
    logs.create_log_stream(logGroupName="/json", logStreamName="s")
    group = f"arn:aws:logs:{REGION}:{ACCOUNT}:log-group:/json:*"
    permit(triggered, "documents", "logs.amazonaws.com", group, Qualifier="live")
    logs.put_subscription_filter(
        logGroupName="/json", filterName="slow", filterPattern='{ $.ms > 100 && $.path = "/a*" }',
        destinationArn=function_arn("documents:live"),
    )  # fmt: skip
    lines = [{"ms": 50, "path": "/a"}, {"ms": 150, "path": "/b"}, {"ms": 150, "path": "/abc"}]
    logs.put_log_events(
        logGroupName="/json", logStreamName="s",
        logEvents=[{"timestamp": 1_700_000_000_000 + n, "message": json.dumps(one)} for n, one in enumerate(lines)],
    )  # fmt: skip
    [event] = events_of(triggered, "documents")
    data = json.loads(gzip.decompress(base64.b64decode(event["awslogs"]["data"])))
    assert [json.loads(one["message"]) for one in data["logEvents"]] == [lines[2]]
    assert calls(triggered, "documents")[0][1] == function_arn("documents:live")


def test_a_device_calls_a_function_by_a_rule(triggered: LambentServer) -> None:
    function, iot = printing(triggered, "device"), triggered.client("iot")
    rule = f"arn:aws:iot:{REGION}:{ACCOUNT}:rule/hot"
    permit(triggered, "device", "iot.amazonaws.com", rule)
    payload = {
        "sql": "SELECT temperature AS t, topic(2) AS device FROM 'sensors/+/state' WHERE temperature > 30",
        "actions": [{"lambda": {"functionArn": function}}], "awsIotSqlVersion": "2016-03-23",
    }  # fmt: skip
    iot.create_topic_rule(ruleName="hot", topicRulePayload=payload)
    data = triggered.client("iot-data")
    data.publish(topic="sensors/one/state", qos=1, payload=json.dumps({"temperature": 20}))
    data.publish(topic="sensors/two/state", qos=1, payload=json.dumps({"temperature": 31, "x": 1}))
    assert events_of(triggered, "device") == [{"t": 31, "device": "two"}]


def test_an_alarm_calls_a_function(triggered: LambentServer) -> None:
    function, cloudwatch = printing(triggered, "alarmed"), triggered.client("cloudwatch")
    alarm = f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:too-much"
    cloudwatch.put_metric_alarm(
        AlarmName="too-much", AlarmDescription="it is", Namespace="N", MetricName="m", Statistic="Average", Period=10,
        EvaluationPeriods=1, Threshold=1.0, ComparisonOperator="GreaterThanThreshold", AlarmActions=[function],
    )  # fmt: skip
    cloudwatch.set_alarm_state(AlarmName="too-much", StateValue="ALARM", StateReason="forbidden")
    wait_until(lambda: [one for one in refusals(triggered) if one["source_arn"] == alarm], "the refusal")
    cloudwatch.set_alarm_state(AlarmName="too-much", StateValue="OK", StateReason="fine again")
    permit(triggered, "alarmed", "lambda.alarms.cloudwatch.amazonaws.com", alarm)
    cloudwatch.set_alarm_state(AlarmName="too-much", StateValue="ALARM", StateReason="testing alarm")
    [event] = events_of(triggered, "alarmed")
    # Recorded: test_alarm_lambda_target.
    assert set(event) == {"source", "alarmArn", "accountId", "time", "region", "alarmData"}
    assert (event["source"], event["alarmArn"], event["accountId"]) == ("aws.cloudwatch", alarm, ACCOUNT)
    data = event["alarmData"]
    assert data["alarmName"] == "too-much"
    assert (data["state"]["value"], data["state"]["reason"]) == ("ALARM", "testing alarm")
    assert (data["previousState"]["value"], data["previousState"]["reason"]) == ("OK", "fine again")
    [metric] = data["configuration"].pop("metrics")
    assert data["configuration"] == {"description": "it is"}
    assert metric["returnData"] is True
    assert metric["metricStat"] == {
        "metric": {"namespace": "N", "name": "m", "dimensions": {}}, "period": 10, "stat": "Average"
    }  # fmt: skip
