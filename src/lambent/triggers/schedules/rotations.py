"""Rotations of secrets as Secrets Manager tells them: when each is due, for the timer."""

from __future__ import annotations

import json
import logging
import re
from typing import TYPE_CHECKING, Any

from lambent.model.configs.schedule import ScheduledRule
from lambent.triggers.schedules.times.expressions import ExpressionError, parse_rule_schedule

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.wire.client import OutwardClient, Principal

_log = logging.getLogger(__name__)

SERVICE = "secretsmanager"
_SECRETS_MAX = 10_000
_HOUR_SECONDS = 3_600
_DAY_SECONDS = 86_400
_RATE = re.compile(r"rate\(\s*(\d+)\s+(hour|day)s?\s*\)")


async def rotations(client: OutwardClient, principal: Principal, new_id: Callable[[], str]) -> dict[str, ScheduledRule]:
    """Return the rotations that are due at a time, by the ARN of their secret.

    Raises:
        CallError, NeighbourError: Secrets Manager does not tell.
    """
    found: dict[str, ScheduledRule] = {}
    token: str | None = None
    for _ in range(_SECRETS_MAX // 100):
        asked: dict[str, Any] = {"MaxResults": 100} if token is None else {"MaxResults": 100, "NextToken": token}
        answer = await client.call(SERVICE, "ListSecrets", asked, principal)
        for secret in answer.get("SecretList") or ():
            if secret.get("RotationEnabled") and not secret.get("PrimaryRegion"):
                described = await client.call(SERVICE, "DescribeSecret", {"SecretId": secret["ARN"]}, principal)
                told = _told(described, principal, new_id())
                if told is not None:
                    found[told.name] = told
        token = answer.get("NextToken")
        if not token:
            break
    return found


def _told(secret: dict[str, Any], principal: Principal, revision_id: str) -> ScheduledRule | None:
    rules, due = secret.get("RotationRules") or {}, secret.get("NextRotationDate")
    if not isinstance(due, int | float):
        return None
    arn = str(secret["ARN"])
    try:
        expression, window_seconds = _expression(rules)
    except ExpressionError:
        _log.warning("the secret %s has the rotation rules %s, which mean nothing here", arn, rules)
        return None
    # The window is what a target's age is to others: later than that it is left to the next time.
    target = {"Arn": arn, "RetryPolicy": {"MaximumEventAgeInSeconds": window_seconds}}
    due_ms = int(due * 1_000)
    return ScheduledRule(
        principal.account_id, principal.region, arn, revision_id, arn, expression, "ENABLED",
        (json.dumps(target, sort_keys=True),), due_ms, due_ms,
    )  # fmt: skip


def _expression(rules: dict[str, Any]) -> tuple[str, int]:
    """Return the schedule of rotations, and how long each one's window is open.

    Source: user guide, "Rotation schedules": without a Duration an hour where the schedule is in hours, else until the
    day ends. A number of days has no window here: who was away when it was due is rotated as soon as that is over.
    """
    days, text = rules.get("AutomaticallyAfterDays"), str(rules.get("ScheduleExpression", ""))
    if days:
        return _rate(int(days), "day"), int(days) * _DAY_SECONDS
    rate = _RATE.fullmatch(text)
    expression = _rate(int(rate[1]), rate[2]) if rate is not None else text
    parse_rule_schedule(expression)
    duration = str(rules.get("Duration", ""))
    if duration.endswith("h") and duration[:-1].isdigit():
        return expression, int(duration[:-1]) * _HOUR_SECONDS
    is_hourly = rate[2] == "hour" if rate is not None else "/" in text.removeprefix("cron(").split()[1]
    return expression, _HOUR_SECONDS if is_hourly else _DAY_SECONDS


def _rate(count: int, unit: str) -> str:
    """Return a rate in the spelling of rules: 1 goes with the singular."""
    return f"rate({count} {unit}{'' if count == 1 else 's'})"
