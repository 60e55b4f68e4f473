"""Alarms that call functions: MiniStack knows their states, and topics as their actions alone."""

from __future__ import annotations

import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.neighbours.program.bridge import Bridge

    Event = Any
    Record = dict[str, Any]

_ALARMS = "lambda.alarms.cloudwatch.amazonaws.com"


def cloudwatch(bridge: Bridge, module: Any) -> None:
    """Alarms: the alarm calls."""
    dispatch = module._dispatch_alarm_actions
    # ARN of an alarm → its state when it last changed: what the next event calls the previous one.
    states: dict[str, Record] = {}

    def dispatch_to_functions(alarm: Record, old_state: str, new_state: str, reason: str) -> None:
        dispatch(alarm, old_state, new_state, reason)
        arn = alarm.get("AlarmArn", "")
        state = {"value": new_state, "reason": reason, "timestamp": _moment()}
        if alarm.get("StateReasonData"):
            state["reasonData"] = alarm["StateReasonData"]
        initial = {"value": old_state, "reason": "Unchecked: Initial alarm creation", "timestamp": state["timestamp"]}
        previous = states.get(arn, initial)
        states[arn] = state
        name = {"ALARM": "AlarmActions", "OK": "OKActions"}.get(new_state, "InsufficientDataActions")
        functions = [one for one in alarm.get(name) or () if ":lambda:" in one]
        if not functions or not alarm.get("ActionsEnabled", True):
            return
        event = _alarm_event(alarm, state, previous)
        for function in functions:
            source = bridge.source(_ALARMS, arn, arn.split(":")[4])
            bridge.start(function, source, event)

    vars(module)["_dispatch_alarm_actions"] = dispatch_to_functions


def _alarm_event(alarm: Record, state: Record, previous: Record) -> Event:
    """Return what a function gets of an alarm. Source: recorded (cloudwatch/test_cloudwatch.json)."""
    arn = alarm["AlarmArn"]
    configuration: Record = {"description": alarm.get("AlarmDescription") or ""}
    if alarm.get("AlarmRule"):
        configuration["alarmRule"] = alarm["AlarmRule"]
    elif alarm.get("MetricName"):
        metric = {
            "namespace": alarm.get("Namespace", ""),
            "name": alarm["MetricName"],
            "dimensions": {one["Name"]: one["Value"] for one in alarm.get("Dimensions") or ()},
        }
        statistic = alarm.get("ExtendedStatistic") or alarm.get("Statistic", "Average")
        described = {"metric": metric, "period": int(alarm.get("Period") or 60), "stat": statistic}
        identifier = str(uuid.uuid5(uuid.NAMESPACE_URL, arn))
        configuration["metrics"] = [{"id": identifier, "metricStat": described, "returnData": True}]
    return {
        "source": "aws.cloudwatch", "alarmArn": arn, "accountId": arn.split(":")[4], "time": state["timestamp"],
        "region": arn.split(":")[3],
        "alarmData": {
            "alarmName": alarm["AlarmName"], "state": state, "previousState": previous, "configuration": configuration,
        },
    }  # fmt: skip


def _moment() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


PARTICIPANTS: dict[str, Callable[[Bridge, Any], None]] = {"cloudwatch": cloudwatch}
