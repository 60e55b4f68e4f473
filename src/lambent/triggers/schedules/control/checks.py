"""What a schedule must be, beyond what the service description says: AWS's texts where they are known.

Source: expressions: recorded by others against AWS; StartDate: API reference. The texts about time zones and windows
are not recorded.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lambent.model.errors import LambdaError
from lambent.triggers.schedules.times.expressions import (
    At,
    ExpressionError,
    UnknownTimezoneError,
    parse_rule_schedule,
    parse_schedule,
    timezone_of,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

_START_MS_MAX = 300_000
_PARAMETERS = (
    ("EventBridgeParameters", ":events:"),
    ("KinesisParameters", ":kinesis:"),
    ("SqsParameters", ":sqs:"),
    ("EcsParameters", ":ecs:"),
    ("SageMakerPipelineParameters", ":sagemaker:"),
)


def check_members(request: Mapping[str, Any], now_ms: int, *, is_new: bool = True) -> None:
    """Refuse what no schedule can be, and dates that no new one can have.

    Raises:
        LambdaError: ValidationException (400).
    """
    text = request["ScheduleExpression"]
    try:
        expression = parse_schedule(text)
    except ExpressionError as error:
        raise _invalid(f"Invalid Schedule Expression {text}.") from error
    timezone = request.get("ScheduleExpressionTimezone", "UTC")
    try:
        timezone_of(timezone)
    except UnknownTimezoneError as error:
        raise _invalid(f"Invalid Schedule Expression Timezone {timezone}.") from error
    _check_window(request["FlexibleTimeWindow"])
    if is_new and not isinstance(expression, At):
        _check_dates(request, now_ms)
    _check_target(request["Target"])


def check_rule_expression(text: str, bus: str) -> None:
    """Refuse what no scheduled rule can be.

    Raises:
        LambdaError: ValidationException (400). Source: recorded by others against AWS (put_rule).
    """
    if bus not in ("", "default") and not bus.endswith(":event-bus/default"):
        raise _invalid("ScheduleExpression is supported only on the default event bus.")
    try:
        parse_rule_schedule(text)
    except ExpressionError as error:
        raise _invalid("Parameter ScheduleExpression is not valid.") from error


def _check_window(window: Mapping[str, Any]) -> None:
    minutes = window.get("MaximumWindowInMinutes")
    if window["Mode"] == "FLEXIBLE" and minutes is None:
        raise _invalid("MaximumWindowInMinutes must be provided when FlexibleTimeWindow Mode is FLEXIBLE.")
    if window["Mode"] == "OFF" and minutes is not None:
        raise _invalid("MaximumWindowInMinutes cannot be provided when FlexibleTimeWindow Mode is OFF.")


def _check_dates(request: Mapping[str, Any], now_ms: int) -> None:
    start, end = request.get("StartDate"), request.get("EndDate")
    for date in (start, end):
        if date is not None and not isinstance(date, int | float):
            raise LambdaError("STRING_VALUE can not be converted to a Timestamp", code="SerializationException")
    if start is not None and start * 1_000 < now_ms - _START_MS_MAX:
        raise _invalid("The StartDate you specify cannot be earlier than 5 minutes ago.")
    if end is not None and end * 1_000 < now_ms:
        raise _invalid("The EndDate you specify cannot be earlier than the current time.")
    if start is not None and end is not None and end <= start:
        raise _invalid("The EndDate you specify cannot be earlier than the StartDate.")


def _check_target(target: Mapping[str, Any]) -> None:
    arn = target["Arn"]
    if not arn.startswith("arn:") or arn.count(":") < 5:
        raise _invalid(f"Provided Arn is not in correct format. Value: {arn}")
    for name, mark in _PARAMETERS:
        if name in target and mark not in arn:
            raise _invalid(f"Parameter {name} is not valid for target {arn}.")
    if ":events:" in arn and ":event-bus/" in arn and "EventBridgeParameters" not in target:
        raise _invalid("Parameter EventBridgeParameters is required for this target.")
    if ":kinesis:" in arn and "KinesisParameters" not in target:
        raise _invalid("Parameter KinesisParameters is required for this target.")


def _invalid(text: str) -> LambdaError:
    return LambdaError(text, code="ValidationException")
