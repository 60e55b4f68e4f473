"""Tasks of state machines that call functions: what they may say of the call, what they get back, and their errors.

Source: Step Functions developer guide, "Invoke an AWS Lambda function with Step Functions", "Handling errors in Step
Functions workflows", "Wait for a Callback with Task Token".
"""

from __future__ import annotations

import base64
import binascii
import json
import threading
import time
import uuid
from email.utils import formatdate
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.neighbours.program.bridge import Bridge

    Members = dict[str, Any]
    Answer = tuple[int, dict[str, str], bytes]

_INVOKE = "states:::lambda:invoke"
_TOKEN = ".waitForTaskToken"
_STATUSES = {
    "ResourceNotFoundException": 404, "AccessDeniedException": 403, "TooManyRequestsException": 429,
    "InvalidParameterValueException": 400, "InvalidRequestContentException": 400, "RequestTooLargeException": 413,
    "ResourceConflictException": 409,
}  # fmt: skip
# What the daemon calls a failure of its own.
_OWN_FAILURES = frozenset({"ServiceException", "ServiceUnavailable"})
_FOREVER_SECONDS = 99_999_999.0


class Tasks:
    """Stands in the place of MiniStack's calls of functions. Scope: process; tokens are MiniStack's."""

    def __init__(self, bridge: Bridge, module: Any) -> None:
        self._bridge = bridge
        self._module = module
        self._invoke_resource = module._invoke_resource
        self._wait = module._invoke_with_callback
        self._beat = module._send_task_heartbeat

    def take_part(self) -> None:
        """Stand there from now on."""
        known = vars(self._module)
        known["_invoke_resource"] = self.invoke
        known["_invoke_with_callback"] = self.wait
        known["_send_task_heartbeat"] = self.beat
        known["_call_lambda"] = self.call

    def invoke(self, resource: str, given: Any) -> Any:
        """Do a task; return its result."""
        if _INVOKE in resource:
            return self._invoke_function(given)
        return self._invoke_resource(resource, given)

    def wait(self, resource: str, given: Any, token: str, state: Members) -> Any:
        """Call a function that is given a token, and return what somebody sends with it."""
        plain = resource.replace(_TOKEN, "")
        if _INVOKE not in plain and ":function:" not in plain:
            return self._wait(resource, given, token, state)
        tokens = self._module._task_tokens
        info: Members = {
            "event": threading.Event(),
            "result": None,
            "error": None,
            "heartbeat": None,
            "beat_at": _now(),
        }
        tokens[token] = info
        try:
            # A function that fails will send nothing.
            self.invoke(plain, given)
            self._await_answer(info, state)
        finally:
            tokens.pop(token, None)
        if info["error"]:
            raise self._error(info["error"].get("Error", "TaskFailed"), info["error"].get("Cause", ""))
        text = info["result"]
        try:
            return json.loads(text) if isinstance(text, str) else text
        except ValueError:
            return text

    def beat(self, data: Members) -> Answer:
        """Answer SendTaskHeartbeat."""
        info = self._module._task_tokens.get(data.get("taskToken"))
        if info:
            info["beat_at"] = _now()
        answer: Answer = self._beat(data)
        return answer

    def call(self, reference: str, event: Any, **changed: Any) -> Any:
        """Call a function by its ARN or name; return its answer. Raises MiniStack's error of executions."""
        source = self._bridge.caller("stepfunctions")._replace(**changed)
        arn = self._arn(reference)
        source = source._replace(account=arn.split(":")[4])
        result = self._bridge.call(arn, source, event)
        refused = result.get("refused")
        if refused:
            code = "ServiceException" if refused in _OWN_FAILURES else refused
            status, text = _STATUSES.get(code, 500), result["body"].get("errorMessage", "")
            raise self._error(f"Lambda.{code}", f"{text} (Service: Lambda, Status Code: {status}, Request ID: {_id()})")
        if result.get("error"):
            body = result.get("body")
            error = body.get("errorType", "Lambda.Unknown") if isinstance(body, dict) else "Lambda.Unknown"
            raise self._error(error, json.dumps(body) if isinstance(body, dict) else str(body))
        return result.get("body")

    def _invoke_function(self, given: Any) -> Members:
        """Do what `lambda:invoke` does; return what it returns of Lambda's answer."""
        if not isinstance(given, dict) or not given.get("FunctionName"):
            raise self._error("States.Runtime", "The field 'FunctionName' is required but was missing")
        reference = self._arn(str(given["FunctionName"]))
        qualifier = given.get("Qualifier")
        if qualifier and reference.count(":") == 6:
            reference = f"{reference}:{qualifier}"
        is_event = given.get("InvocationType") == "Event"
        context = self._context(given.get("ClientContext"))
        answered = self.call(reference, given.get("Payload", {}), is_event=is_event, client_context=context)
        status = 202 if is_event else 200
        identifier = _id()
        headers = {
            "Content-Type": "application/json", "Date": formatdate(usegmt=True), "x-amzn-RequestId": identifier,
        }  # fmt: skip
        qualifier = reference.split(":")[7] if reference.count(":") > 6 else "$LATEST"
        # An alias' version is not known here.
        is_known = not is_event and (qualifier.isdigit() or qualifier == "$LATEST")
        return {
            **({"ExecutedVersion": qualifier} if is_known else {}),
            "Payload": {} if is_event else answered,
            "SdkHttpMetadata": {
                "AllHttpHeaders": {name: [value] for name, value in headers.items()},
                "HttpHeaders": headers,
                "HttpStatusCode": status,
            },
            "SdkResponseMetadata": {"RequestId": identifier},
            "StatusCode": status,
        }

    def _await_answer(self, info: Members, state: Members) -> None:
        began = info["beat_at"] = _now()
        seconds = float(state.get("TimeoutSeconds") or _FOREVER_SECONDS)
        pause = float(state.get("HeartbeatSeconds") or _FOREVER_SECONDS)
        while not info["event"].is_set():
            left, beat_left = began + seconds - _now(), info["beat_at"] + pause - _now()
            if left <= 0:
                raise self._error("States.Timeout", "")
            if beat_left <= 0:
                raise self._error("States.HeartbeatTimeout", "")
            info["event"].wait(min(left, beat_left, 1_000.0))

    def _context(self, text: Any) -> str:
        """Return the JSON text that a ClientContext means."""
        if not text:
            return ""
        try:
            decoded = base64.b64decode(str(text), validate=True).decode()
            json.loads(decoded)
        except (binascii.Error, ValueError) as error:
            message = f"Client context must be a valid Base64-encoded JSON object. (Request ID: {_id()})"
            raise self._error("Lambda.InvalidRequestContentException", message) from error
        return decoded

    def _arn(self, reference: str) -> str:
        if reference.startswith("arn:"):
            return reference
        module = self._module
        name = reference.rpartition(":function:")[2]
        return f"arn:aws:lambda:{module.get_region()}:{module.get_account_id()}:function:{name}"

    def _error(self, error: str, cause: str) -> Exception:
        made: Exception = self._module._ExecutionError(error, cause)
        return made


def _now() -> float:
    return time.monotonic()


def _id() -> str:
    return str(uuid.uuid4())


def stepfunctions(bridge: Bridge, module: Any) -> None:
    """State machines: they act with a role."""
    Tasks(bridge, module).take_part()


PARTICIPANTS: dict[str, Callable[[Bridge, Any], None]] = {"stepfunctions": stepfunctions}
