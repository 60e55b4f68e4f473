"""The platform's own failures, word for word. Source: aws-recorded lambda/test_lambda.json, TestLambdaErrors."""

from __future__ import annotations

import json

import pytest

from lambent.environments.outcomes import exit_failure, oversize_failure, timeout_failure
from lambent.environments.runtimes.plan import ENTRY_POINT_DENIED, ENTRY_POINT_MISSING
from lambent.environments.sandbox.sandbox import RuntimeExit


@pytest.mark.parametrize(
    ("ended", "error_type", "text"),
    [
        (RuntimeExit(0, None), "Runtime.ExitError", "Runtime exited without providing a reason"),
        (RuntimeExit(3, None), "Runtime.ExitError", "Runtime exited with error: exit status 3"),
        (RuntimeExit(None, 9), "Runtime.ExitError", "Runtime exited with error: signal: killed"),
        (RuntimeExit(None, 11), "Runtime.ExitError", "Runtime exited with error: signal: segmentation fault"),
        (
            RuntimeExit(ENTRY_POINT_MISSING, None),
            "Runtime.InvalidEntrypoint",
            "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
        ),
        (
            RuntimeExit(ENTRY_POINT_DENIED, None),
            "Runtime.InvalidEntrypoint",
            "fork/exec /var/task/bootstrap: permission denied",
        ),
        (RuntimeExit(None, 9, True), "Runtime.OutOfMemory", "Runtime exited with error: signal: killed"),
    ],
)
def test_exit(ended: RuntimeExit, error_type: str, text: str) -> None:
    failure = exit_failure("id-1", ended)
    assert json.loads(failure.payload) == {"errorType": error_type, "errorMessage": f"RequestId: id-1 Error: {text}"}
    assert failure.log_text == f"RequestId: id-1 Error: {text}\n{error_type}\n"


def test_timeout() -> None:
    failure = timeout_failure("id-1", 3, "2026-01-01T00:00:00.000Z")
    assert json.loads(failure.payload) == {
        "errorType": "Sandbox.Timedout",
        "errorMessage": "RequestId: id-1 Error: Task timed out after 3.00 seconds",
    }
    assert failure.log_text == "2026-01-01T00:00:00.000Z id-1 Task timed out after 3.00 seconds\n\n"
    assert failure.status == "timeout"


def test_response_over_the_quota() -> None:
    failure = oversize_failure(6_291_556)
    assert json.loads(failure.payload) == {
        "errorType": "Function.ResponseSizeTooLarge",
        "errorMessage": "Response payload size exceeded maximum allowed payload size (6291556 bytes).",
    }
