"""examples/structured-logging: every line of the log is an object."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.examples.deployment import EXAMPLES, deploy, invoke


@pytest.mark.slow
def test_every_line_is_an_object(lambda_client: Any) -> None:
    """The function's lines and the platform's, with levels applied."""
    deploy(
        lambda_client,
        "example-structured-logging",
        EXAMPLES / "structured-logging",
        Handler="structured.handler",
        LoggingConfig={"LogFormat": "JSON", "ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO"},
    )
    answer = invoke(lambda_client, "example-structured-logging", {"order_id": "o-1", "amount": 0})
    assert answer.error is None, answer
    lines = [json.loads(line) for line in answer.log.splitlines()]
    mine = [line for line in lines if line.get("logger") == "orders"]
    assert [line["level"] for line in mine] == ["INFO", "ERROR", "WARNING"]
    assert (mine[0]["message"], mine[0]["order_id"], mine[0]["amount"]) == ("order placed", "o-1", 0)
    assert (mine[1]["errorType"], mine[1]["errorMessage"]) == ("ZeroDivisionError", "division by zero")
    assert mine[1]["stackTrace"]
    assert mine[2]["message"] == {"reason": "a dictionary is a message too"}
    assert len({line["requestId"] for line in mine}) == 1
    assert {"platform.start", "platform.report"} <= {line.get("type") for line in lines}
