"""The caller's fault, as a value that travels up to a door. Only doors know status codes."""

from __future__ import annotations

from types import MappingProxyType
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

_NO_MEMBERS: Mapping[str, str] = MappingProxyType({})
# For the answers in which AWS leaves `Type` out although the error's shape has it.
UNTYPED: Mapping[str, str] = MappingProxyType({"Type": ""})


class LambdaError(Exception):
    """An error of AWS's API: an error code of the service description and AWS's text.

    `members` are further members of the error shape, for example `Reason` of TooManyRequestsException.
    The door looks up the HTTP status and the spelling of `Message` by `code`.
    """

    code = "ServiceException"
    kind = "User"

    def __init__(self, message: str, *, code: str | None = None, members: Mapping[str, str] = _NO_MEMBERS) -> None:
        super().__init__(message)
        self.message = message
        self.members = members
        if code is not None:
            self.code = code

    def __reduce__(self) -> tuple[object, ...]:
        # Errors come back from worker processes.
        return _rebuilt, (type(self), self.message, self.code, dict(self.members))


class ValidationError(LambdaError):
    """A member breaks a constraint of the service description (400)."""

    code = "ValidationException"


class InvalidParameterValueError(LambdaError):
    """A value is of the right form and still not acceptable (400)."""

    code = "InvalidParameterValueException"


class InvalidRequestContentError(LambdaError):
    """The body could not be read as JSON (400)."""

    code = "InvalidRequestContentException"


class RequestTooLargeError(LambdaError):
    """The request's payload is over the quota (413)."""

    code = "RequestTooLargeException"


class RequestEntityTooLargeError(LambdaError):
    """The HTTP request's body is over the door's bound (413)."""

    code = "RequestEntityTooLargeException"


class ResourceNotFoundError(LambdaError):
    """No such function, version or resource (404)."""

    code = "ResourceNotFoundException"


class ProvisionedConcurrencyConfigNotFoundError(LambdaError):
    """The version or alias has no provisioned concurrency (404)."""

    code = "ProvisionedConcurrencyConfigNotFoundException"


class ResourceConflictError(LambdaError):
    """The resource exists already or is in a state that forbids the operation (409)."""

    code = "ResourceConflictException"


class PreconditionFailedError(LambdaError):
    """RevisionId does not match (412)."""

    code = "PreconditionFailedException"


class TooManyRequestsError(LambdaError):
    """Throttled (429); `members['Reason']` is one of AWS's ThrottleReason values."""

    code = "TooManyRequestsException"


class CodeStorageExceededError(LambdaError):
    """The account's code storage quota is used up (400)."""

    code = "CodeStorageExceededException"


class AccessDeniedError(LambdaError):
    """The caller may not do this (403)."""

    code = "AccessDeniedException"


class StateReasonError(LambdaError):
    """Why a function cannot become active: refused at once (400), or told by its state when `is_told_later`.

    `reason_code` is a StateReasonCode of the service description.
    """

    code = "InvalidParameterValueException"
    reason_code = "InvalidConfiguration"
    is_told_later = False


class NotImplementedHereError(LambdaError):
    """An operation or form of AWS's that Lambent does not do yet (501); the message says so clearly."""

    code = "NotImplementedException"
    kind = "Service"


class ServiceError(LambdaError):
    """Our fault (500)."""

    code = "ServiceException"
    kind = "Service"


class UnavailableError(ServiceError):
    """The store cannot be reached at the moment (503): the same request may go through later."""


def _rebuilt(kind: type[LambdaError], message: str, code: str, members: Mapping[str, str]) -> LambdaError:
    return kind(message, code=code, members=members)
