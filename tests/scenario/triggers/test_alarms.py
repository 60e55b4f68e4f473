"""Alarms call functions when they go off, when they have recovered, and when they are made of others."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.scenario.triggers.conftest import ACCOUNT, REGION, events_of, permit, printing

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow


def _alarm_arn(name: str) -> str:
    return f"arn:aws:cloudwatch:{REGION}:{ACCOUNT}:alarm:{name}"


def _alarm(server: LambentServer, name: str, **members: Any) -> Any:
    client = server.client("cloudwatch")
    client.put_metric_alarm(
        AlarmName=name, Namespace="N", MetricName="m", Statistic="Average", Period=10, EvaluationPeriods=1,
        Threshold=1.0, ComparisonOperator="GreaterThanThreshold", **members,
    )  # fmt: skip
    return client


def test_an_alarm_that_has_recovered(triggered: LambentServer) -> None:
    function = printing(triggered, "recovered")
    permit(triggered, "recovered", "lambda.alarms.cloudwatch.amazonaws.com", _alarm_arn("hot"))
    client = _alarm(triggered, "hot", OKActions=[function], Dimensions=[{"Name": "host", "Value": "a"}])
    data = json.dumps({"version": "1.0", "threshold": 1.0})
    client.set_alarm_state(AlarmName="hot", StateValue="ALARM", StateReason="too hot", StateReasonData=data)
    client.set_alarm_state(AlarmName="hot", StateValue="OK", StateReason="cool again")
    [event] = events_of(triggered, "recovered")
    state, previous = event["alarmData"]["state"], event["alarmData"]["previousState"]
    assert (state["value"], state["reason"]) == ("OK", "cool again")
    assert "reasonData" not in state
    assert (previous["value"], previous["reason"], previous["reasonData"]) == ("ALARM", "too hot", data)
    [metric] = event["alarmData"]["configuration"]["metrics"]
    assert metric["metricStat"]["metric"]["dimensions"] == {"host": "a"}


def test_an_alarm_of_alarms(triggered: LambentServer) -> None:
    function = printing(triggered, "composed")
    permit(triggered, "composed", "lambda.alarms.cloudwatch.amazonaws.com", _alarm_arn("any"))
    client = _alarm(triggered, "first")
    _alarm(triggered, "second")
    for name in ("first", "second"):
        client.set_alarm_state(AlarmName=name, StateValue="OK", StateReason="fine")
    rule = 'ALARM("first") OR ALARM("second")'
    client.put_composite_alarm(
        AlarmName="any", AlarmDescription="one of them", AlarmRule=rule, AlarmActions=[function], OKActions=[function]
    )
    client.set_alarm_state(AlarmName="second", StateValue="ALARM", StateReason="no")
    client.set_alarm_state(AlarmName="second", StateValue="OK", StateReason="fine")
    events = events_of(triggered, "composed", 2)
    off = [one for one in events if one["alarmData"]["state"]["value"] == "ALARM"]
    assert len(off) == 1
    # Documented: CloudWatch user guide, "Invoke a Lambda function from an alarm", composite alarms.
    assert set(off[0]) == {"source", "alarmArn", "accountId", "time", "region", "alarmData"}
    assert (off[0]["source"], off[0]["alarmArn"]) == ("aws.cloudwatch", _alarm_arn("any"))
    data = off[0]["alarmData"]
    assert data["configuration"] == {"description": "one of them", "alarmRule": rule}
    assert data["previousState"]["value"] == "OK"
    assert data["state"]["reason"].startswith(f"{_alarm_arn('second')} transitioned to ALARM at ")
    [triggering] = json.loads(data["state"]["reasonData"])["triggeringAlarms"]
    assert (triggering["arn"], triggering["state"]["value"]) == (_alarm_arn("second"), "ALARM")


def test_a_metric_sets_an_alarm_off(triggered: LambentServer) -> None:
    function = printing(triggered, "measured")
    permit(triggered, "measured", "lambda.alarms.cloudwatch.amazonaws.com", _alarm_arn("measured"))
    client = _alarm(triggered, "measured", AlarmActions=[function])
    client.put_metric_data(Namespace="N", MetricData=[{"MetricName": "m", "Value": 5.0}])
    client.describe_alarms(AlarmNames=["measured"])
    [event] = events_of(triggered, "measured")
    state = event["alarmData"]["state"]
    assert (state["value"], state["reason"].startswith("Threshold Crossed: ")) == ("ALARM", True)
    data = json.loads(state["reasonData"])
    assert (data["version"], data["threshold"], data["recentDatapoints"]) == ("1.0", 1.0, [5.0])
