"""What a target gets: the scheduled event, a constant, a part of the event, or a template with parts of it."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from lambent.triggers.schedules.names import random_looking_id

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.model.configs.schedule import Firing, ScheduledRule

_STEP = re.compile(r"\.([A-Za-z0-9_\-]+)|\[(\d+)\]|\['([^']+)'\]")
_STRING_OR_PLACEHOLDER = re.compile(r'"(?:\\.|[^"\\])*"|<[^<>"]*>')
_PLACEHOLDER = re.compile(r"<([^<>]*)>")
_MISSING = object()


def time_text(at_ms: int) -> str:
    """Return a time as events have it: to the second, UTC."""
    return datetime.fromtimestamp(at_ms // 1_000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def rule_event(rule: ScheduledRule, scheduled_ms: int) -> dict[str, Any]:
    """Return the event of a scheduled rule. Source: recorded (test_events_schedule); Lambda developer guide."""
    return _event(rule.arn, "aws.events", rule.account_id, rule.region, scheduled_ms, {})


def schedule_event(firing: Firing) -> str:
    """Return the event that a target without an Input gets, JSON; its detail is a text. Source: observed."""
    event = _event(firing.source, "aws.scheduler", firing.account_id, firing.region, firing.scheduled_ms, "{}")
    return _json(event)


def rule_payload(target: Mapping[str, Any], event: Mapping[str, Any], rule: ScheduledRule) -> str:
    """Return what a rule's target gets, as its Input, InputPath or InputTransformer says; text, mostly JSON."""
    if target.get("InputTransformer"):
        return _transformed(target["InputTransformer"], event, rule)
    if target.get("Input"):
        return str(target["Input"])
    if target.get("InputPath"):
        found = _found(str(target["InputPath"]), event)
        return _json(event if found is _MISSING else found)
    return _json(event)


def with_context(text: str, firing: Firing, execution_id: str) -> str:
    """Replace the context attributes of EventBridge Scheduler in an Input.

    Source: user guide, "Adding context attributes".
    """
    values = {
        "schedule-arn": firing.source,
        "scheduled-time": time_text(firing.scheduled_ms),
        "execution-id": execution_id,
        "attempt-number": str(firing.attempts + 1),
    }
    for name, value in values.items():
        text = text.replace(f"<aws.scheduler.{name}>", value)
    return text


def _event(
    source_arn: str, source: str, account_id: str, region: str, scheduled_ms: int, detail: object
) -> dict[str, Any]:
    return {
        "version": "0",
        "id": random_looking_id(source_arn, str(scheduled_ms)),
        "detail-type": "Scheduled Event",
        "source": source,
        "account": account_id,
        "time": time_text(scheduled_ms),
        "region": region,
        "resources": [source_arn],
        "detail": detail,
    }


def _transformed(transformer: Mapping[str, Any], event: Mapping[str, Any], rule: ScheduledRule) -> str:
    values: dict[str, Any] = {}
    for name, path in (transformer.get("InputPathsMap") or {}).items():
        found = _found(str(path), event)
        values[name] = "" if found is _MISSING else found
    # Source: EventBridge user guide, "Input transformation": predefined variables.
    values |= {
        "aws.events.rule-arn": rule.arn,
        "aws.events.rule-name": rule.name,
        "aws.events.event.ingestion-time": event["time"],
        "aws.events.event": {name: value for name, value in event.items() if name != "detail"},
        "aws.events.event.json": dict(event),
    }
    template = str(transformer.get("InputTemplate", ""))
    if '"' not in template:
        # No JSON at all: a line of text with variables in it.
        return _PLACEHOLDER.sub(lambda match: _in_text(match, values), template)
    return _STRING_OR_PLACEHOLDER.sub(lambda match: _rendered(match[0], values), template)


def _rendered(token: str, values: Mapping[str, Any]) -> str:
    if token.startswith('"'):
        return _PLACEHOLDER.sub(lambda match: _in_text(match, values), token)
    name = token[1:-1]
    return _json(values[name]) if name in values else token


def _in_text(match: re.Match[str], values: Mapping[str, Any]) -> str:
    """Return a variable inside a text: as it is, and without quotes where it is an object."""
    if match[1] not in values:
        return match[0]
    value = values[match[1]]
    return value if isinstance(value, str) else _json(value).replace('"', "")


def _found(path: str, event: Mapping[str, Any]) -> Any:  # noqa: ANN401
    """Return what a JSON path of names and numbers leads to."""
    if not path.startswith("$"):
        return _MISSING
    value: Any = event
    position = 1
    while position < len(path):
        step = _STEP.match(path, position)
        if step is None:
            return _MISSING
        position = step.end()
        key = step[1] or step[3]
        if key is not None and isinstance(value, dict) and key in value:
            value = value[key]
        elif step[2] is not None and isinstance(value, list) and int(step[2]) < len(value):
            value = value[int(step[2])]
        else:
            return _MISSING
    return value


def _json(value: object) -> str:
    return json.dumps(value, separators=(",", ":"))
