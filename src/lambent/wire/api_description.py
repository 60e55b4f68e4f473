"""The service description as an index: which operation a request means, and what belongs to it."""

from __future__ import annotations

import importlib
import sys
from typing import Any
from urllib.parse import unquote

from msgspec import Struct

from lambent.wire.generated.routes import ERRORS, OPERATIONS


class Operation(Struct, frozen=True):
    """One operation. `module` is its generated module's name and its method's name in the control plane."""

    name: str
    module: str
    method: str
    uri: str
    status: int

    def shapes(self) -> Any:
        """Return the generated module, imported at the first call."""
        name = f"lambent.wire.generated.{self.module}"
        # Asked several times for each request, and the import system takes its time to find out that it has it.
        return sys.modules.get(name) or importlib.import_module(name)


class ErrorForm(Struct, frozen=True):
    """How an error is answered: HTTP status, spelling of the message member, `Type`, members sent as headers."""

    status: int
    message_member: str
    kind: str | None
    headers: dict[str, str]


# Codes AWS answers that its description does not model. Source: API reference, common errors; recorded answers.
_COMMON_ERRORS = {
    "ValidationException": ErrorForm(400, "message", None, {}),
    "SerializationException": ErrorForm(400, "message", None, {}),
    "AccessDeniedException": ErrorForm(403, "Message", None, {}),
    "MissingAuthenticationTokenException": ErrorForm(403, "message", None, {}),
    "IncompleteSignatureException": ErrorForm(403, "message", None, {}),
    "InvalidSignatureException": ErrorForm(403, "message", None, {}),
    "UnrecognizedClientException": ErrorForm(403, "message", None, {}),
    "ExpiredTokenException": ErrorForm(403, "message", None, {}),
    "UnknownOperationException": ErrorForm(404, "message", None, {}),
    "RequestEntityTooLargeException": ErrorForm(413, "message", None, {}),
    "RequestTimeoutException": ErrorForm(408, "message", None, {}),
    "NotImplementedException": ErrorForm(501, "Message", "Service", {}),
    "ServiceUnavailableException": ErrorForm(503, "Message", "Service", {}),
}


class ApiDescription:
    """Finds operations and error forms. Scope: process; immutable after construction."""

    def __init__(self) -> None:
        self._routes: dict[tuple[str, int], list[tuple[tuple[str, ...], Operation]]] = {}
        self._by_name: dict[str, Operation] = {}
        for row in OPERATIONS:
            operation = Operation(*row)
            segments = _segments(operation.uri)
            self._by_name[operation.name] = operation
            self._routes.setdefault((operation.method, len(segments)), []).append((segments, operation))
        for routes in self._routes.values():
            # What asks for a query pair before what does not; fixed segments before labels, so that
            # /functions/x/code is not taken for a label's value.
            routes.sort(key=lambda route: ("?" not in route[1].uri, [part.startswith("{") for part in route[0]]))

    def operations(self) -> tuple[Operation, ...]:
        """Return all operations, by name."""
        return tuple(self._by_name[name] for name in sorted(self._by_name))

    def operation(self, name: str) -> Operation:
        """Return an operation by its name. Raises KeyError."""
        return self._by_name[name]

    def match(self, method: str, target: str) -> tuple[Operation, dict[str, str]] | None:
        """Return the operation of a request and its path parameters (decoded), or None.

        `target` is the request target, percent-encoded as received.
        """
        segments = _segments(target)
        pairs = target.partition("?")[2].split("&")
        for template, operation in self._routes.get((method, len(segments)), ()):
            parameters = _match(template, segments)
            asked = operation.uri.partition("?")[2]
            if parameters is not None and (not asked or asked in pairs):
                return operation, parameters
        return self._match_unescaped_arn(method, segments)

    def error_form(self, code: str) -> ErrorForm:
        """Return how `code` is answered; an unknown one as a ServiceException would be."""
        row = ERRORS.get(code)
        if row is not None:
            return ErrorForm(*row)
        return _COMMON_ERRORS.get(code) or ErrorForm(500, "Message", "Service", {})

    def _match_unescaped_arn(self, method: str, segments: tuple[str, ...]) -> tuple[Operation, dict[str, str]] | None:
        # Tag routes take an ARN as their last label, and some ARNs hold a slash that clients do not escape.
        if len(segments) > 3 and segments[1] == "tags":
            return self.match(method, "/" + "/".join((segments[0], segments[1], "%2F".join(segments[2:]))))
        return None


def _segments(path: str) -> tuple[str, ...]:
    return tuple(path.split("?", 1)[0].strip("/").split("/"))


def _match(template: tuple[str, ...], segments: tuple[str, ...]) -> dict[str, str] | None:
    parameters: dict[str, str] = {}
    for expected, segment in zip(template, segments, strict=True):
        if expected.startswith("{"):
            if not segment:
                return None
            parameters[expected[1:-1].rstrip("+")] = unquote(segment)
        elif expected != segment:
            return None
    return parameters
