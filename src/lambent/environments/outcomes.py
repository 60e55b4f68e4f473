"""What went wrong inside, in AWS's words: the payloads and log lines of failures the platform itself reports.

Source: recorded answers (lambda/test_lambda.json) and the runtime interface's own error types.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

from lambent.environments.log_writer import iso_time
from lambent.environments.runtimes.plan import ENTRY_POINT_DENIED, ENTRY_POINT_MISSING
from lambent.environments.session import Answered, DeadlinePassed, Exited, ExtensionFailed, InitFailed, Truncated

if TYPE_CHECKING:
    from lambent.environments.sandbox.sandbox import RuntimeExit
    from lambent.environments.session import Outcome

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


class RuntimeFailure(NamedTuple):
    """One failure: AWS's error type, the payload the caller gets, the log text, and the word in REPORT's Status."""

    error_type: str
    payload: bytes
    log_text: str
    status: str


def failure_of(outcome: Outcome, request_id: str, timeout_seconds: int, at_ms: int) -> RuntimeFailure | None:
    """Return what the platform itself reports of an outcome; None where the runtime has spoken for itself."""
    match outcome:
        case Exited(ended):
            return exit_failure(request_id, ended)
        case DeadlinePassed():
            return timeout_failure(request_id, timeout_seconds, iso_time(at_ms))
        case ExtensionFailed(error_type, reason):
            return extension_failure(request_id, error_type, reason)
        case Answered(is_oversize=True, bytes_max=bytes_max):
            return oversize_failure(bytes_max)
        case Truncated():
            return truncated_failure(request_id)
        case _:
            return None


def init_status(failed: Outcome | None) -> tuple[str, str | None]:
    """Return status and error type of an Init that was ended by `failed`, or went well."""
    match failed:
        case None:
            return "success", None
        case InitFailed(error_type=error_type):
            return "error", error_type or "Runtime.Unknown"
        case Exited(ended):
            return "error", exit_error_type(ended)
        case ExtensionFailed(error_type=error_type):
            return "error", error_type
        case DeadlinePassed():
            return "timeout", None
        case _:
            return "failure", "Sandbox.Failure"


def exit_failure(request_id: str, ended: RuntimeExit) -> RuntimeFailure:
    """Return the failure of a runtime process that ended by itself or was killed."""
    error_type = exit_error_type(ended)
    if ended.start_failure is not None:
        reason = ended.start_failure[1]
    elif error_type == "Runtime.InvalidEntrypoint":
        reason = _ENTRY_POINTS[ended.code or 0]
    elif ended.code == 0:
        reason = "Runtime exited without providing a reason"
    else:
        reason = f"Runtime exited with error: {exit_words(ended)}"
    message = f"RequestId: {request_id} Error: {reason}"
    return RuntimeFailure(error_type, _payload(error_type, message), f"{message}\n{error_type}\n", "error")


def exit_words(ended: RuntimeExit) -> str:
    """Return how a process ended, in AWS's words."""
    if ended.signal is not None:
        return f"signal: {_SIGNAL_NAMES.get(ended.signal, f'signal {ended.signal}')}"
    return f"exit status {ended.code}" if ended.code else "exit code 0"


def extension_failure(request_id: str, error_type: str, reason: str) -> RuntimeFailure:
    """Return the failure of an extension: crashed, could not be started, or reported an error and ended."""
    message = f"RequestId: {request_id} Error: {reason}"
    return RuntimeFailure(error_type, _payload(error_type, message), f"{message}\n{error_type}\n", "error")


def exit_error_type(ended: RuntimeExit) -> str:
    """Return AWS's error type for the end of a runtime process."""
    if ended.start_failure is not None:
        return ended.start_failure[0]
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
