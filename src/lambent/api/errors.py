"""Errors to answers: the only place that gives an error its status and AWS's form."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.api.messages import HttpResponse
from lambent.model.errors import LambdaError, UnavailableError
from lambent.wire.rest_json import RequestError, encode_error
from lambent.wire.sigv4 import SignatureError

if TYPE_CHECKING:
    import logging
    from collections.abc import Mapping

    from lambent.wire.api_description import ApiDescription

# Refusals of the transport, before any operation is known.
_TRANSPORT_CODES = {
    400: "BadRequestException",
    408: "RequestTimeoutException",
    413: "RequestEntityTooLargeException",
    414: "RequestUriTooLongException",
    417: "ExpectationFailedException",
    431: "RequestHeaderFieldsTooLargeException",
    501: "NotImplementedException",
    503: "ServiceUnavailableException",
    505: "HttpVersionNotSupportedException",
}


class ErrorAnswers:
    """Scope: process; immutable."""

    def __init__(self, description: ApiDescription, log: logging.Logger) -> None:
        self._description = description
        self._log = log

    def of(self, error: Exception, request_id: str) -> HttpResponse:
        """Return the answer to any exception; what is our fault is logged once, with the request id."""
        if isinstance(error, LambdaError):
            answer = self.answer(error.code, error.message, error.members)
            # The description knows one status for a code; clients try again sooner when they are told "unavailable".
            return answer._replace(status=503) if isinstance(error, UnavailableError) else answer
        if isinstance(error, RequestError | SignatureError):
            return self.answer(error.code, error.message, {})
        self._log.error("request %s failed", request_id, exc_info=error)
        return self.answer("ServiceException", "An error occurred and the request cannot be processed.", {})

    def answer(self, code: str, message: str, members: Mapping[str, str]) -> HttpResponse:
        """Return the answer with this code and text."""
        form = self._description.error_form(code)
        encoded = encode_error(code, form, message, members)
        return HttpResponse(encoded.status, (("Content-Type", "application/json"), *encoded.headers), encoded.body)

    def refusal(self, status: int, reason: str) -> HttpResponse:
        """Return the answer to bytes that are no request we take; the connection ends with it."""
        code = _TRANSPORT_CODES.get(status, "ServiceException")
        answer = self.answer(code, reason, {})
        return HttpResponse(status, answer.headers, answer.body, is_last=True)
