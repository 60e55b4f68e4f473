"""The way to a neighbour: what is changed in a request before it is handed on, and what happens when nobody answers."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import TYPE_CHECKING

from lambent.wire.addressing import bucket_of_host
from lambent.wire.client import unreachable
from lambent.wire.error_forms import NeighbourError
from lambent.wire.http_client import ConnectionFailedError
from lambent.wire.sigv4 import UNSIGNED_PAYLOAD, SignedRequest, sign

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from lambent.clock import Clock
    from lambent.wire.client import Place, Places
    from lambent.wire.http_client import ForwardedRequest, HttpClient, OutwardRequest, OutwardResponse

_HASHED_BYTES_MAX = 16_777_216
_SIGNATURE_HEADERS = frozenset({"authorization", "x-amz-date", "x-amz-security-token", "date"})
_SIGNATURE_QUERY = (
    "X-Amz-Algorithm=", "X-Amz-Credential=", "X-Amz-Date=", "X-Amz-Expires=", "X-Amz-SignedHeaders=",
    "X-Amz-Signature=", "X-Amz-Security-Token=", "AWSAccessKeyId=", "Signature=", "Expires=",
)  # fmt: skip
# Names by which services sign, where they are not those on the command line.
_SCOPES = {
    "cloudwatch": "monitoring", "cloudcontrol": "cloudcontrolapi", "dynamodbstreams": "dynamodb",
    "efs": "elasticfilesystem", "elbv2": "elasticloadbalancing", "emr": "elasticmapreduce", "iot-data": "iotdata",
    "kinesisanalyticsv2": "kinesisanalytics", "location": "geo", "mwaa": "airflow", "opensearch": "es",
    "opensearchserverless": "aoss", "resourcegroupstaggingapi": "tagging", "stepfunctions": "states",
}  # fmt: skip


class Forwarder:
    """Hands requests on. Scope: process; keeps nothing. A body is never held, a failed request never repeated."""

    def __init__(self, places: Places, http: HttpClient, clock: Clock) -> None:
        self._places = places
        self._http = http
        self._clock = clock

    async def forward(self, forwarded: ForwardedRequest) -> OutwardResponse:
        """Hand a request on; return the answer when its head has arrived.

        The embedded child is told the caller's account, whatever the key. An endpoint with credentials gets a
        signature of ours, any other the caller's.

        Raises:
            NeighbourError: nobody answers this service, or not in time (501, 503).
        """
        place = await self._places.place(forwarded.asked)
        request = forwarded.request
        if place.is_embedded:
            request = _in_account(request, forwarded.account_id)
        elif place.credentials is not None:
            request = await self._signed(place, forwarded)
        elif place.base_path:
            request = replace(request, target=place.base_path + request.target)
        try:
            return await self._http.send(place.origin, request)
        except ConnectionFailedError as error:
            raise unreachable(place, error) from error

    async def _signed(self, place: Place, forwarded: ForwardedRequest) -> OutwardRequest:
        assert place.credentials is not None
        request = forwarded.request
        headers = {name: value for name, value in request.headers if name not in _SIGNATURE_HEADERS}
        path, _, query = request.target.partition("?")
        query = "&".join(pair for pair in query.split("&") if not pair.startswith(_SIGNATURE_QUERY))
        bucket = bucket_of_host(headers.get("host", "")) if forwarded.asked == "s3" else None
        path = place.base_path + (f"/{bucket}{path}" if bucket else path)
        headers["host"] = place.host
        body, payload = request.body, headers.get("x-amz-content-sha256", "")
        if payload.startswith("STREAMING-AWS4"):
            raise NeighbourError(
                "NotImplemented",
                f"Bodies whose chunks are signed cannot be signed anew for {place.setting}; "
                "send them unsigned (UNSIGNED-PAYLOAD) or signed as a whole.",
                501,
            )
        if not payload:
            if isinstance(body, bytes) or forwarded.asked != "s3":
                body = await _whole(body)
                payload = hashlib.sha256(body).hexdigest()
            else:
                payload = headers["x-amz-content-sha256"] = UNSIGNED_PAYLOAD
        scope = (place.region or forwarded.region, _SCOPES.get(forwarded.asked, forwarded.asked))
        added = sign(
            SignedRequest(request.method, path, query, headers), payload, place.credentials, scope,
            self._clock.time_ms(),
        )  # fmt: skip
        target = path + (f"?{query}" if query else "")
        return replace(request, target=target, headers=tuple({**headers, **added}.items()), body=body)


def _in_account(request: OutwardRequest, account_id: str) -> OutwardRequest:
    """Let the key id of the signature name the caller's account: the child reads nothing else of it."""
    headers = tuple(
        (name, _with_key(value, "Credential=", "/", account_id)) if name == "authorization" else (name, value)
        for name, value in request.headers
    )
    target = request.target
    if "X-Amz-Credential=" in target:
        target = _with_key(
            target,
            "X-Amz-Credential=",
            "/" if "/" in target.partition("X-Amz-Credential=")[2].partition("&")[0] else "%2F",
            account_id,
        )
    return replace(request, headers=headers, target=target)


def _with_key(text: str, before: str, after: str, account_id: str) -> str:
    start, found, rest = text.partition(before)
    key_id, slash, rest = rest.partition(after)
    return f"{start}{before}{account_id}{slash}{rest}" if found and slash and key_id else text


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
