"""What REST APIs give functions and take from them in proxy integrations, where MiniStack does as HTTP APIs do."""

from __future__ import annotations

from typing import Any

_MEMBERS = frozenset({"statusCode", "headers", "multiValueHeaders", "body", "isBase64Encoded"})
_LAST_VALUES = (("queryStringParameters", "multiValueQueryStringParameters"), ("headers", "multiValueHeaders"))
# Source: REST API developer guide, "Output format of a Lambda function for proxy integration".
_MALFORMED = "Internal server error"


def proxy_event(event: Any) -> Any:
    """Return the event of a REST API: without a version, and of many values the last.

    Source: REST API developer guide, "Input format of a Lambda function for proxy integration"; recorded
    (test_lambda_aws_proxy_integration).
    """
    if not isinstance(event, dict):
        return event
    made = {name: value for name, value in event.items() if name != "version"}
    for one, many in _LAST_VALUES:
        if made.get(many):
            made[one] = {name: values[-1] for name, values in made[many].items() if values}
    return made


def whole_contexts(module: Any) -> None:
    """Let events say by which name and which deployment they came. Source: recorded, as above."""
    build = module._build_lambda_event_v1

    def built(api_id: str, stage_name: str, stage: dict[str, Any], *given: Any, **named: Any) -> Any:
        event = build(api_id, stage_name, stage, *given, **named)
        host = next((value for name, value in event["headers"].items() if name.lower() == "host"), "")
        name = str(host).partition(":")[0]
        event["requestContext"] |= {
            "deploymentId": stage.get("deploymentId"), "domainName": name, "domainPrefix": name.partition(".")[0],
        }  # fmt: skip
        return event

    vars(module)["_build_lambda_event_v1"] = built


def whole_answers(module: Any) -> None:
    """Let REST APIs answer 502 to what is no answer of a proxy integration."""
    shape = module._lambda_proxy_response

    def checked(result: dict[str, Any]) -> tuple[Any, str | None]:
        if not result.get("error") and not result.get("throttle") and not is_answer(result.get("body")):
            return None, _MALFORMED
        # Nothing at all is an empty answer. Source: recorded (test_lambda_aws_proxy_response_format).
        shaped = result if result.get("body") != {} else {**result, "body": {"statusCode": 200, "body": ""}}
        answer: tuple[Any, str | None] = shape(shaped)
        return answer

    vars(module)["_lambda_proxy_response"] = checked


def is_answer(given: Any) -> bool:
    """Return whether a function's result has the form of an answer. Source: recorded (proxy response formats)."""
    if not isinstance(given, dict) or not set(given) <= _MEMBERS:
        return False
    if any(
        given.get(name) is not None and not isinstance(given[name], dict) for name in ("headers", "multiValueHeaders")
    ):
        return False
    return isinstance(given.get("statusCode", 200), int) or str(given["statusCode"]).isdigit()
