"""Requests for other services: verified as ours are, then handed on as they arrive; answers come back the same way."""

from __future__ import annotations

import hashlib
import re
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from lambent.api.messages import BodyPlan, HttpResponse, SizedStream
from lambent.api.transport.spool import BodyLostError
from lambent.model.errors import LambdaError, NotImplementedHereError
from lambent.wire.addressing import LAMBDA, asked_for
from lambent.wire.error_forms import NeighbourError, error_form
from lambent.wire.http_client import ConnectionFailedError, ForwardedRequest, OutwardRequest, OutwardResponse
from lambent.wire.http_exchange import BrokenStreamError
from lambent.wire.rest_json import RequestError
from lambent.wire.sigv4 import SignatureError

if TYPE_CHECKING:
    import logging
    from collections.abc import AsyncIterator, Mapping

    from lambent.api.authentication import Identity
    from lambent.api.messages import HttpRequest
    from lambent.api.served.door import ServedDoor

# S3's largest object in one request, with the framing of signed chunks.
_STREAMED = BodyPlan(0, 6 * 1024**3, is_streamed=True)
# Whoever signs the body's hash without saying it sends small bodies: it must be whole before it can be verified.
_WHOLE = BodyPlan(16_777_216, 16_777_216)
# Requests for services that are served here.
_SERVED = BodyPlan(1_048_576, 1_048_576)
_SHA256 = re.compile(r"[0-9a-f]{64}")
# What only concerns one connection. Source: RFC 9110, section 7.6.1.
_HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "te", "trailer", "transfer-encoding", "upgrade", "expect"}
)
_PROTO = "x-forwarded-proto"
_FRAMING = frozenset({"content-length", "proxy-authenticate", "proxy-authorization"})
_PRIVATE_PATHS = ("/_ministack", "/_localstack")


class Forwards(Protocol):
    """What the door needs of the neighbours."""

    async def forward(self, request: ForwardedRequest) -> OutwardResponse:
        """Hand a request on. Raises NeighbourError, and what reading its body raises."""


class ElsewhereDoor:
    """Answers what is not for Lambda. Scope: process; keeps nothing. `neighbours` None: there are none.

    `services`: those that are served here, by their names on AWS's command line.
    """

    def __init__(
        self,
        neighbours: Forwards | None,
        *,
        is_verifying: bool,
        log: logging.Logger,
        services: Mapping[str, ServedDoor] = MappingProxyType({}),
    ) -> None:
        self._neighbours = neighbours
        self._services = services
        self._is_verifying = is_verifying
        self._log = log

    def plan(self, request: HttpRequest) -> BodyPlan | None:
        """Say how the body of a request for another service is taken; None when it is not for one."""
        asked = asked_for(request.method, request.target, request.headers)
        if asked in self._services:
            return _SERVED
        return self._plan(request) if asked not in (None, LAMBDA) else None

    def unnamed_plan(self, request: HttpRequest) -> BodyPlan | None:
        """The same for a request that no operation of Lambda matches; None when it was meant for Lambda."""
        asked = asked_for(request.method, request.target, request.headers)
        return self._plan(request) if asked is None else None

    def _plan(self, request: HttpRequest) -> BodyPlan | None:
        if self._neighbours is None:
            return None
        is_presigned = "X-Amz-Signature=" in request.target or "AWSAccessKeyId=" in request.target
        if self._is_verifying and "x-amz-content-sha256" not in request.headers and not is_presigned:
            return _WHOLE
        return _STREAMED

    def asked(self, request: HttpRequest, identity: Identity) -> str | None:
        """Return the service that a request is for, None when it is Lambda's own or nothing says."""
        if identity.service in (LAMBDA, "lambent"):
            return None
        asked = asked_for(request.method, request.target, request.headers)
        return None if asked == LAMBDA else asked

    async def answer(self, request: HttpRequest, asked: str | None, identity: Identity) -> HttpResponse:
        """Hand a request on and return the answer, whose body follows as it arrives.

        Raises:
            NeighbourError: the service is not there, cannot be reached or does not answer.
            RequestError: nothing says which service is meant, and there is none to guess.
        """
        if (asked is None and self._neighbours is None) or request.path.startswith(_PRIVATE_PATHS):
            raise RequestError("UnknownOperationException", f"Unknown operation: {request.method} {request.path[:200]}")
        served = self._services.get(asked or "")
        if served is not None:
            return await served.answer(request, identity)
        asked = asked or "s3"  # Whoever signs nothing and names nothing fetches an object.
        if self._neighbours is None:
            text = f"The service '{asked[:64]}' is not available at this endpoint, which answers AWS Lambda."
            raise NeighbourError(NotImplementedHereError.code, text, 501)
        if request.is_oversize:
            raise NeighbourError("EntityTooLarge", "The request's body is larger than this endpoint takes.", 413)
        outward = self._outward(request)
        forwarded = ForwardedRequest(
            asked,
            identity.account_id,
            identity.region,
            outward,
            is_vouched=identity.is_known,
            principal_arn=identity.principal_arn,
        )
        return _relayed(await self._neighbours.forward(forwarded), request, self._log)

    def refusal(self, request: HttpRequest, error: Exception, request_id: str) -> HttpResponse | None:
        """Return an error in the form of the asked service, None when it is Lambda's; ours is logged once."""
        asked = asked_for(request.method, request.target, request.headers)
        if isinstance(error, NeighbourError):
            asked, code, message, status = asked or "s3", error.code, error.message, error.status
        elif isinstance(error, BodyLostError):
            asked, code, message, status = asked or "s3", "IncompleteBody", str(error), 400
        elif asked in (None, LAMBDA) or isinstance(error, RequestError):
            return None
        elif isinstance(error, SignatureError | LambdaError):
            code, message, status = error.code, error.message, 403
        else:
            self._log.error("request %s failed", request_id, exc_info=error)
            code, message, status = "InternalFailure", "An error occurred and the request cannot be processed.", 500
        assert asked is not None
        form = error_form(asked, request.headers, (code, message), request_id)
        return HttpResponse(status, (("Content-Type", form.content_type), *form.headers), form.body)

    def _outward(self, request: HttpRequest) -> OutwardRequest:
        headers = request.headers
        left_out = _HOP_BY_HOP | _FRAMING | {name.strip().lower() for name in headers.get("connection", "").split(",")}
        passed = tuple((name, value) for name, value in headers.items() if name not in left_out)
        if request.peer.scheme == "https" and _PROTO not in headers:
            # Who puts addresses into answers puts them as the caller can use them.
            passed += ((_PROTO, "https"),)
        incoming = request.incoming
        if incoming is None:
            return OutwardRequest(request.method, request.target, passed, request.body)
        length = headers.get("content-length")
        declared = headers.get("x-amz-content-sha256", "")
        body: AsyncIterator[bytes] = incoming
        if self._is_verifying and _SHA256.fullmatch(declared):
            body = _CheckedBody(incoming, declared)
        return OutwardRequest(request.method, request.target, passed, body, int(length) if length else None)


class _CheckedBody:
    """A body on its way whose hash was signed: the last part is held back until the hash is known to be right."""

    def __init__(self, body: AsyncIterator[bytes], sha256: str) -> None:
        self._body = body
        self._sha256 = sha256
        self._hash = hashlib.sha256()
        self._held = b""
        self._is_at_end = False

    def __aiter__(self) -> _CheckedBody:
        return self

    async def __anext__(self) -> bytes:
        while not self._is_at_end:
            try:
                part = await self._body.__anext__()
            except StopAsyncIteration:
                self._is_at_end = True
                if self._hash.hexdigest() != self._sha256:
                    raise SignatureError(
                        "XAmzContentSHA256Mismatch",
                        "The provided 'x-amz-content-sha256' header does not match what was computed.",
                    ) from None
                break
            self._hash.update(part)
            held, self._held = self._held, part
            if held:
                return held
        held, self._held = self._held, b""
        if not held:
            raise StopAsyncIteration
        return held


class _RelayedBody:
    """An answer's body on its way back. When it breaks off, the client's connection does too."""

    def __init__(self, response: OutwardResponse, log: logging.Logger, asked: str) -> None:
        self._response = response
        self._log = log
        self._asked = asked

    def __aiter__(self) -> _RelayedBody:
        return self

    async def __anext__(self) -> bytes:
        try:
            return await self._response.__anext__()
        except ConnectionFailedError as error:
            self._log.warning("an answer to %s broke off: %s", self._asked, error)
            raise BrokenStreamError from error

    async def aclose(self) -> None:
        await self._response.aclose()


def _relayed(response: OutwardResponse, request: HttpRequest, log: logging.Logger) -> HttpResponse:
    named = next((value for name, value in response.headers if name.lower() == "connection"), "")
    left_out = _HOP_BY_HOP | {"content-length"} | {name.strip().lower() for name in named.split(",")}
    headers = tuple((name, value) for name, value in response.headers if name.lower() not in left_out)
    body = _RelayedBody(response, log, request.path[:200])
    if response.status in (204, 304):
        return HttpResponse(response.status, headers, b"", is_forwarded=True)
    if response.length_bytes is not None:
        return HttpResponse(response.status, headers, SizedStream(body, response.length_bytes), is_forwarded=True)
    return HttpResponse(response.status, headers, body, is_forwarded=True)
