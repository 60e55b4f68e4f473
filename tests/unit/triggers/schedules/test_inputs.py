"""What a rule's target gets: the event, a part of it, a constant, a template."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambent.model.configs.schedule import ScheduledRule
from lambent.triggers.schedules.inputs import rule_event, rule_payload

RULE = ScheduledRule(
    "000000000000", "us-east-1", "r", "1", "arn:aws:events:us-east-1:000000000000:rule/r", "rate(1 minute)", "ENABLED",
    (), 0,
)  # fmt: skip
EVENT = rule_event(RULE, 1_767_225_600_000)


def _paths(template: str, **paths: str) -> dict[str, Any]:
    return {"InputTransformer": {"InputPathsMap": paths, "InputTemplate": template}}


@pytest.mark.parametrize(
    ("target", "expected"),
    [
        ({}, json.dumps(EVENT, separators=(",", ":"))),
        ({"Input": '{"a": 1}'}, '{"a": 1}'),
        ({"InputPath": "$"}, json.dumps(EVENT, separators=(",", ":"))),
        ({"InputPath": "$.time"}, '"2026-01-01T00:00:00Z"'),
        ({"InputPath": "$.detail"}, "{}"),
        ({"InputPath": "$.resources[0]"}, f'"{RULE.arn}"'),
        ({"InputPath": "$['detail-type']"}, '"Scheduled Event"'),
        ({"InputPath": "$.nothing"}, json.dumps(EVENT, separators=(",", ":"))),
        (
            _paths('{"at": <t>, "from": "<s>!"}', t="$.time", s="$.source"),
            '{"at": "2026-01-01T00:00:00Z", "from": "aws.events!"}',
        ),
        (_paths('"It is <t>"', t="$.time"), '"It is 2026-01-01T00:00:00Z"'),
        (
            _paths('{"all": <d>, "list": <l>}', d="$.detail", l="$.resources"),
            f'{{"all": {{}}, "list": ["{RULE.arn}"]}}',
        ),
        (_paths('{"none": "<n>"}', n="$.nothing"), '{"none": ""}'),
        (
            _paths('{"rule": "<aws.events.rule-name>", "arn": <aws.events.rule-arn>}'),
            f'{{"rule": "r", "arn": "{RULE.arn}"}}',
        ),
        (_paths("<t> is the time", t="$.time"), "2026-01-01T00:00:00Z is the time"),
        (_paths('{"unknown": "<what>"}'), '{"unknown": "<what>"}'),
    ],
)  # fmt: skip
def test_payloads(target: dict[str, Any], expected: str) -> None:
    assert rule_payload(target, EVENT, RULE) == expected


def test_the_event_as_a_variable() -> None:
    text = rule_payload(_paths('{"e": <aws.events.event.json>}'), EVENT, RULE)
    assert json.loads(text) == {"e": EVENT}


def test_the_id_is_that_of_the_time_and_of_the_rule() -> None:
    assert rule_event(RULE, 1_767_225_600_000)["id"] == EVENT["id"]
    assert rule_event(RULE, 1_767_225_660_000)["id"] != EVENT["id"]
