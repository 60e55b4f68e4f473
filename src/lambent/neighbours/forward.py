"""The way to a neighbour: what is changed in a request before it is handed on, and what happens when nobody answers."""

from __future__ import annotations

import hashlib
from datetime import datetime
from typing import TYPE_CHECKING
from urllib.parse import unquote

from lambent.neighbours.aws_chunks import UnframedBody
from lambent.wire.addressing import api_of_host, bucket_of_host
from lambent.wire.client import PRINCIPAL_HEADER, PROOF_HEADER, unreachable
from lambent.wire.error_forms import NeighbourError
from lambent.wire.http_client import ConnectionFailedError
from lambent.wire.sigv4 import UNSIGNED_PAYLOAD, SignedRequest, SigningCredentials, sign

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable

    from lambent.clock import Clock
    from lambent.wire.client import Place, Places
    from lambent.wire.http_client import ForwardedRequest, HttpClient, OutwardRequest, OutwardResponse

_HASHED_BYTES_MAX = 16_777_216
_SIGNATURE_HEADERS = frozenset({"authorization", "x-amz-date", "x-amz-security-token", "date"})
# What a proxy on the way may change must not be signed. Source: AWS's SDKs leave the first two out.
_TOLD_HEADERS = frozenset({PROOF_HEADER, PRINCIPAL_HEADER})
_UNSIGNED_HEADERS = frozenset({"user-agent", "x-amzn-trace-id", "via", "forwarded"})
_SIGNATURE_QUERY = (
    "X-Amz-Algorithm=", "X-Amz-Credential=", "X-Amz-Date=", "X-Amz-Expires=", "X-Amz-SignedHeaders=",
    "X-Amz-Signature=", "X-Amz-Security-Token=", "AWSAccessKeyId=", "Signature=", "Expires=",
    "x-amz-security-token=",
)  # fmt: skip
# Names by which services sign, where they are not those on the command line.
_SCOPES = {
    "cloudwatch": "monitoring", "cloudcontrol": "cloudcontrolapi", "dynamodbstreams": "dynamodb",
    "efs": "elasticfilesystem", "elbv2": "elasticloadbalancing", "emr": "elasticmapreduce", "iot-data": "iotdata",
    "kinesisanalyticsv2": "kinesisanalytics", "location": "geo", "mwaa": "airflow", "opensearch": "es",
    "opensearchserverless": "aoss", "resourcegroupstaggingapi": "tagging", "stepfunctions": "states",
}  # fmt: skip


class Forwarder:
    """Hands requests on. Scope: process; keeps nothing. A body is never held, a failed request never repeated.

    `wait_settled` returns when the embedded child knows what it must know of what was done here before.
    """

    def __init__(
        self,
        places: Places,
        http: HttpClient,
        clock: Clock,
        wait_settled: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self._places = places
        self._http = http
        self._clock = clock
        self._wait_settled = wait_settled

    async def forward(self, forwarded: ForwardedRequest) -> OutwardResponse:
        """Hand a request on; return the answer when its head has arrived.

        The embedded child gets the caller's signature, of which it reads who asks, unless the access key is one of
        ours, of which it knows nothing: then it is told the account. An endpoint with credentials gets a signature of
        ours, any other the caller's.

        Raises:
            NeighbourError: nobody answers this service, or not in time (501, 503).
        """
        place = await self._places.place(forwarded.asked)
        request = forwarded.request
        if place.is_embedded:
            if self._wait_settled is not None:
                await self._wait_settled()
            request = self._in_account(forwarded) if forwarded.is_vouched else request
            # What only this daemon may tell the child is taken out of what its callers say.
            told = [_as_embedded(name, value) for name, value in request.headers if name not in _TOLD_HEADERS]
            if forwarded.is_vouched:
                told.append((PRINCIPAL_HEADER, forwarded.principal_arn))
            request = request._replace(headers=(*told, *place.proof))
        elif place.credentials is not None:
            request = await self._signed(place, forwarded)
        elif place.base_path:
            request = request._replace(target=place.base_path + request.target)
        try:
            return await self._http.send(place.origin, request)
        except ConnectionFailedError as error:
            raise unreachable(place, error) from error

    def _in_account(self, forwarded: ForwardedRequest) -> OutwardRequest:
        """Name the caller's account to the child as its keys do: by an access key of twelve digits."""
        request = forwarded.request
        headers = {name: value for name, value in request.headers if name not in _SIGNATURE_HEADERS}
        path, query = self._unsigned_target(request)
        scope = (forwarded.region, _SCOPES.get(forwarded.asked, forwarded.asked))
        signed = SignedRequest(request.method, path, query, {"host": headers.get("host", "")})
        credentials = SigningCredentials(forwarded.account_id, "lambent")
        added = sign(signed, UNSIGNED_PAYLOAD, credentials, scope, self._clock.time_ms())
        target = path + (f"?{query}" if query else "")
        return request._replace(target=target, headers=tuple({**headers, **added}.items()))

    def _unsigned_target(self, request: OutwardRequest) -> tuple[str, str]:
        """Return path and query without a signature; one that has expired is refused."""
        path, _, query = request.target.partition("?")
        self._check_expiry(query)
        return path, "&".join(pair for pair in query.split("&") if not pair.startswith(_SIGNATURE_QUERY))

    def _check_expiry(self, query: str) -> None:
        fields = {name: unquote(value) for name, _, value in (pair.partition("=") for pair in query.split("&"))}
        if "AWSAccessKeyId" in fields and fields.get("Expires", "").isdigit():
            # The old signature says when, not for how long.
            fields |= {"X-Amz-Date": "19700101T000000Z", "X-Amz-Expires": fields["Expires"]}
        expires = fields.get("X-Amz-Expires", "")
        if not expires.isdigit():
            return
        try:
            signed = datetime.strptime(fields.get("X-Amz-Date", ""), "%Y%m%dT%H%M%S%z")
        except ValueError:
            return
        if signed.timestamp() + int(expires) < self._clock.time_ms() / 1000:
            raise NeighbourError("AccessDenied", "Request has expired", 403)

    async def _signed(self, place: Place, forwarded: ForwardedRequest) -> OutwardRequest:
        assert place.credentials is not None
        request = forwarded.request
        headers = {name: value for name, value in request.headers if name not in _SIGNATURE_HEADERS}
        path, query = self._unsigned_target(request)
        bucket = bucket_of_host(headers.get("host", "")) if forwarded.asked == "s3" else None
        path = place.base_path + (f"/{bucket}{path}" if bucket else path)
        headers["host"] = place.host
        if headers.get("x-amz-content-sha256", "").startswith("STREAMING-AWS4"):
            request = _unframed(request, headers)
        body, payload = request.body, headers.get("x-amz-content-sha256", "")
        if not payload:
            if isinstance(body, bytes) or forwarded.asked != "s3":
                body = await _whole(body)
                payload = hashlib.sha256(body).hexdigest()
            else:
                payload = headers["x-amz-content-sha256"] = UNSIGNED_PAYLOAD
        scope = (place.region or forwarded.region, _SCOPES.get(forwarded.asked, forwarded.asked))
        kept = {name: value for name, value in headers.items() if _is_signed(name)}
        added = sign(
            SignedRequest(request.method, path, query, kept), payload, place.credentials, scope,
            self._clock.time_ms(),
        )  # fmt: skip
        target = path + (f"?{query}" if query else "")
        return request._replace(target=target, headers=tuple({**headers, **added}.items()), body=body)


def _as_embedded(name: str, value: str) -> tuple[str, str]:
    """Return a header as the embedded services know it: of APIs they know the address that they gave them."""
    api = api_of_host(value) if name == "host" else None
    return name, value if api is None else f"{api}.execute-api.localhost"


def _is_signed(name: str) -> bool:
    return name not in _UNSIGNED_HEADERS and not name.startswith("x-forwarded-")


def _unframed(request: OutwardRequest, headers: dict[str, str]) -> OutwardRequest:
    """Take a body out of its signed chunks; `headers` lose what tells of them. Its checksum in a trailer goes too."""
    length = headers.pop("x-amz-decoded-content-length", "")
    if not length.isdigit():
        raise NeighbourError("MissingContentLength", "x-amz-decoded-content-length is missing.", 411)
    encodings = [one.strip() for one in headers.pop("content-encoding", "").split(",")]
    kept = [one for one in encodings if one and one != "aws-chunked"]
    if kept:
        headers["content-encoding"] = ",".join(kept)
    headers.pop("x-amz-trailer", None)
    headers["x-amz-content-sha256"] = UNSIGNED_PAYLOAD
    framed = request.body if not isinstance(request.body, bytes) else _once(request.body)
    return request._replace(body=UnframedBody(framed), length_bytes=int(length))


async def _once(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def _whole(body: bytes | AsyncIterator[bytes]) -> bytes:
    if isinstance(body, bytes):
        return body
    parts, size = [], 0
    async for part in body:
        parts.append(part)
        size += len(part)
        if size > _HASHED_BYTES_MAX:
            raise NeighbourError("RequestEntityTooLargeException", "The request's body is too large to be signed.", 413)
    return b"".join(parts)
