"""Alarms that call functions: MiniStack knows their states, and topics as their actions alone."""

from __future__ import annotations

import json
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
        previous = states.get(arn) or _initial(alarm, old_state)
        state = {"value": new_state, "reason": reason, "timestamp": _moment()}
        data = _reason_data(alarm, reason, previous)
        if data:
            state["reasonData"] = data
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


def _initial(alarm: Record, value: str) -> Record:
    """Return the state of an alarm of which nobody here has seen a change: that of its creation, or the last known."""
    created = alarm.get("AlarmConfigurationUpdatedTimestamp") or alarm.get("StateUpdatedTimestamp")
    moment = _moment(float(created)) if isinstance(created, int | float) else _moment()
    return {"value": value, "reason": "Unchecked: Initial alarm creation", "timestamp": moment}


def _reason_data(alarm: Record, reason: str, previous: Record) -> str:
    """Return what is said of why, as JSON text; nothing where nobody has said any.

    MiniStack keeps what somebody said by SetAlarmState while it measures itself: that is no reason of what it measures.
    """
    said = str(alarm.get("StateReasonData") or "")
    if alarm.get("AlarmRule") or not reason.startswith("Threshold Crossed: "):
        return "" if said == previous.get("reasonData") and not alarm.get("AlarmRule") else said
    words = reason.removeprefix("Threshold Crossed: ").split()
    try:
        value = float(words[1])
    except (IndexError, ValueError):
        return ""
    now = _moment()
    described = {
        "version": "1.0", "queryDate": now, "startDate": now, "statistic": alarm.get("Statistic") or "Average",
        "period": int(alarm.get("Period") or 60), "recentDatapoints": [value],
        "threshold": float(alarm.get("Threshold") or 0), "evaluatedDatapoints": [{"timestamp": now, "value": value}],
    }  # fmt: skip
    return json.dumps(described, separators=(",", ":"))


def _alarm_event(alarm: Record, state: Record, previous: Record) -> Event:
    """Return what a function gets of an alarm. Source: recorded (cloudwatch/test_cloudwatch.json)."""
    arn = alarm["AlarmArn"]
    configuration: Record = {"description": alarm.get("AlarmDescription") or ""}
    if alarm.get("AlarmRule"):
        configuration["alarmRule"] = alarm["AlarmRule"]
    elif alarm.get("Metrics"):
        configuration["metrics"] = [_query(one) for one in alarm["Metrics"]]
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


def _query(query: Record) -> Record:
    """Return one of several metrics, or what is calculated of them, as events have it."""
    found: Record = {"id": query.get("Id", "")}
    if query.get("Expression"):
        found["expression"] = query["Expression"]
    if query.get("Label"):
        found["label"] = query["Label"]
    stat = query.get("MetricStat")
    if stat:
        metric = stat.get("Metric") or {}
        found["metricStat"] = {
            "metric": {
                "namespace": metric.get("Namespace", ""), "name": metric.get("MetricName", ""),
                "dimensions": {one["Name"]: one["Value"] for one in metric.get("Dimensions") or ()},
            },
            "period": int(stat.get("Period") or 60), "stat": stat.get("Stat", ""),
        }  # fmt: skip
    return {**found, "returnData": bool(query.get("ReturnData", True))}


def _moment(seconds: float | None = None) -> str:
    moment = datetime.now(UTC) if seconds is None else datetime.fromtimestamp(seconds, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f")[:-3] + "+0000"


PARTICIPANTS: dict[str, Callable[[Bridge, Any], None]] = {"cloudwatch": cloudwatch}
