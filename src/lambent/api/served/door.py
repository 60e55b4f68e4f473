"""The door of another service that is served here: from its description to an object with its operations."""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from lambent.api.control import caller_of
from lambent.api.messages import HttpResponse
from lambent.model.errors import LambdaError
from lambent.wire.rest_json import RequestError, RequestParts, check_request, parse_json

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.api.authentication import Identity
    from lambent.api.messages import HttpRequest
    from lambent.wire.others.description import ServedDescription


class ServedDoor:
    """Answers a service's operations. Scope: process; keeps nothing.

    `operations` returns an object with a coroutine for each: it takes the caller and the members of the request by
    AWS's names, and returns those of the answer; None among them is left out. It may raise LambdaError.
    """

    def __init__(self, describe: Callable[[], ServedDescription], operations: Callable[[], object]) -> None:
        self._describe = describe
        self._operations = operations

    @cached_property
    def _description(self) -> ServedDescription:
        # At the first request: a start pays for no service that nobody asks.
        return self._describe()

    async def answer(self, request: HttpRequest, identity: Identity) -> HttpResponse:
        """Return the answer to a request; what is the caller's fault is an answer too."""
        try:
            status, document = await self._run(request, identity)
        except (LambdaError, RequestError) as error:
            code = "InternalServerException" if error.code == "ServiceException" else error.code
            described = self._description
            headers = (("Content-Type", described.content_type), ("x-amzn-ErrorType", code))
            return HttpResponse(described.status_of(code), headers, described.error_body(code, error.message))
        return HttpResponse(status, (("Content-Type", self._description.content_type),), json.dumps(document).encode())

    async def _run(self, request: HttpRequest, identity: Identity) -> tuple[int, dict[str, object]]:
        matched = self._description.match(request.method, request.target, request.headers)
        if matched is None:
            raise RequestError("UnknownOperationException", f"Unknown operation: {request.method} {request.path[:200]}")
        if request.is_oversize and request.plan is not None:
            raise RequestError("ValidationException", f"Request must be smaller than {request.plan.bytes_max} bytes")
        operation, labels = matched
        query = parse_qs(request.query, keep_blank_values=True, errors="replace")
        members = check_request(operation, RequestParts(labels, query, request.headers, parse_json(request.body)))
        answered = await getattr(self._operations(), operation.module)(caller_of(request, identity, ""), members)
        return operation.status, {name: value for name, value in answered.items() if value is not None}
