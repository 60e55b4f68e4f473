"""What went wrong inside, in AWS's words: the payloads and log lines of failures the platform itself reports.

Source: recorded answers (lambda/test_lambda.json) and the runtime interface's own error types.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lambent.environments.runtimes.plan import ENTRY_POINT_DENIED, ENTRY_POINT_MISSING

if TYPE_CHECKING:
    from lambent.environments.sandbox.sandbox import RuntimeExit

_ENTRY_POINTS = {
    ENTRY_POINT_MISSING: "Couldn't find valid bootstrap(s): [/var/task/bootstrap /opt/bootstrap]",
    ENTRY_POINT_DENIED: "fork/exec /var/task/bootstrap: permission denied",
}
# What a caller is told who has read a part of the response already.
TRUNCATED = "Runtime.TruncatedResponse"
_SIGNAL_NAMES = {
    1: "hangup",
    2: "interrupt",
    3: "quit",
    4: "illegal instruction",
    5: "trace/breakpoint trap",
    6: "aborted",
    7: "bus error",
    8: "floating point exception",
    9: "killed",
    11: "segmentation fault",
    13: "broken pipe",
    14: "alarm clock",
    15: "terminated",
}


@dataclass(frozen=True, slots=True)
class RuntimeFailure:
    """One failure: AWS's error type, the payload the caller gets, the log text, and the word in REPORT's Status."""

    error_type: str
    payload: bytes
    log_text: str
    status: str


def exit_failure(request_id: str, ended: RuntimeExit) -> RuntimeFailure:
    """Return the failure of a runtime process that ended by itself or was killed."""
    error_type = exit_error_type(ended)
    if error_type == "Runtime.InvalidEntrypoint":
        reason = _ENTRY_POINTS[ended.code or 0]
    elif ended.signal is not None:
        name = _SIGNAL_NAMES.get(ended.signal, f"signal {ended.signal}")
        reason = f"Runtime exited with error: signal: {name}"
    elif ended.code:
        reason = f"Runtime exited with error: exit status {ended.code}"
    else:
        reason = "Runtime exited without providing a reason"
    message = f"RequestId: {request_id} Error: {reason}"
    return RuntimeFailure(error_type, _payload(error_type, message), f"{message}\n{error_type}\n", "error")


def exit_error_type(ended: RuntimeExit) -> str:
    """Return AWS's error type for the end of a runtime process."""
    if ended.is_out_of_memory:
        return "Runtime.OutOfMemory"
    return "Runtime.InvalidEntrypoint" if ended.code in _ENTRY_POINTS else "Runtime.ExitError"


def timeout_failure(request_id: str, timeout_seconds: int, at_text: str) -> RuntimeFailure:
    """Return the failure of an invocation that ran over the function's time-out. `at_text` is the log's time stamp."""
    text = f"Task timed out after {timeout_seconds}.00 seconds"
    payload = _payload("Sandbox.Timedout", f"RequestId: {request_id} Error: {text}")
    return RuntimeFailure("Sandbox.Timedout", payload, f"{at_text} {request_id} {text}\n\n", "timeout")


def truncated_failure(request_id: str) -> RuntimeFailure:
    """Return the failure of a runtime that broke off the response it was streaming, and lives on."""
    message = f"RequestId: {request_id} Error: HTTP request detected as truncated"
    return RuntimeFailure(TRUNCATED, _payload(TRUNCATED, message), f"{message}\n", "error")


def oversize_failure(limit_bytes: int) -> RuntimeFailure:
    """Return the failure of a response over the quota of `limit_bytes`."""
    error_type = "Function.ResponseSizeTooLarge"
    message = f"Response payload size exceeded maximum allowed payload size ({limit_bytes} bytes)."
    return RuntimeFailure(error_type, _payload(error_type, message), f"{message}\n", "error")


def _payload(error_type: str, message: str) -> bytes:
    return json.dumps({"errorType": error_type, "errorMessage": message}, separators=(",", ":")).encode()
