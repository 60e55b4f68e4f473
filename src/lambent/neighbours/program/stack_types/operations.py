"""Lambda's operations as a stack's handlers use them: errors in CloudFormation's words, waiting, trying again."""

from __future__ import annotations

import re
import time
import uuid
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable

    Members = dict[str, Any]

# What passes by itself is tried again after these seconds.
_PAUSES_SECONDS = (0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 10.0, 10.0)
_PASSING = frozenset({"TooManyRequestsException", "ServiceException", "ServiceUnavailableException"})
# "The operation cannot be performed at this time. An update is in progress for resource: …"
_BUSY = re.compile(r"cannot be performed at this time|currently in the following state: Pending")
_WAIT_SECONDS = 900.0
_WAIT_PAUSE_SECONDS_MIN = 0.01
_WAIT_PAUSE_SECONDS_MAX = 0.5
# Source: CloudFormation CLI user guide, "Handler error codes".
_HANDLER_CODES = {
    "ResourceNotFoundException": "NotFound",
    "ResourceConflictException": "AlreadyExists",
    "InvalidParameterValueException": "InvalidRequest",
    "ValidationException": "InvalidRequest",
    "AccessDeniedException": "AccessDenied",
    "TooManyRequestsException": "Throttling",
    "CodeStorageExceededException": "ServiceLimitExceeded",
    "ServiceException": "ServiceInternalError",
}


class Answered(NamedTuple):
    """What came of an operation: its members, or code and text of an error, with status and request id."""

    members: Members
    code: str = ""
    text: str = ""
    status: int = 200
    request_id: str = ""


class ResourceFailedError(Exception):
    """A resource cannot be made, changed or removed; the text is what the stack's event says."""


class OperationError(ResourceFailedError):
    """An operation was refused. `code`: Lambda's. Source: events of stacks; the SDK's text within the handler's."""

    def __init__(self, answered: Answered) -> None:
        inner = f"{answered.text} (Service: Lambda, Status Code: {answered.status}, Request ID: {answered.request_id})"
        super().__init__(returned_message(inner, _HANDLER_CODES.get(answered.code, "GeneralServiceException")))
        self.code = answered.code


def returned_message(text: str, handler_code: str) -> str:
    """Return what a stack's event says of a handler that failed."""
    return (
        f'Resource handler returned message: "{text}" (RequestToken: {uuid.uuid4()}, HandlerErrorCode: {handler_code})'
    )


class Operations:
    """Calls the daemon. Scope: process; keeps nothing. Blocks: never from the loop's thread."""

    def __init__(self, send: Callable[[str, Members], Answered]) -> None:
        self._send = send

    def call(self, operation: str, **members: Any) -> Members:
        """Return the answer's members. Members that are None are not sent. Raises OperationError."""
        given = {name: value for name, value in members.items() if value is not None}
        for pause in (*_PAUSES_SECONDS, None):
            answered = self._send(operation, given)
            if not answered.code:
                return answered.members
            is_passing = answered.code in _PASSING or (
                answered.code == "ResourceConflictException" and _BUSY.search(answered.text) is not None
            )
            if not is_passing or pause is None:
                break
            time.sleep(pause)
        raise OperationError(answered)

    def find(self, operation: str, **members: Any) -> Members | None:
        """Return the answer's members, or None when there is no such resource. Raises OperationError."""
        try:
            return self.call(operation, **members)
        except OperationError as error:
            if error.code in ("ResourceNotFoundException", "ProvisionedConcurrencyConfigNotFoundException"):
                return None
            raise

    @staticmethod
    def wait(is_done: Callable[[], bool]) -> None:
        """Return when it is done. Raises ResourceFailedError after fifteen minutes."""
        end = time.monotonic() + _WAIT_SECONDS
        pause = _WAIT_PAUSE_SECONDS_MIN
        while not is_done():
            if time.monotonic() > end:
                raise ResourceFailedError(returned_message("Exceeded attempts to wait", "NotStabilized"))
            time.sleep(pause)
            pause = min(pause * 1.5, _WAIT_PAUSE_SECONDS_MAX)
