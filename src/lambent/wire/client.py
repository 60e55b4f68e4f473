"""Signed calls of our own to other services, by AWS's public wire: JSON protocols, and objects of S3."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol
from urllib.parse import quote, urlencode

from lambent.wire.error_forms import NeighbourError
from lambent.wire.http_client import ConnectionFailedError, Origin, OutwardRequest
from lambent.wire.sigv4 import EMPTY_SHA256, SignedRequest, SigningCredentials, sign

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.clock import Clock
    from lambent.wire.http_client import HttpClient, OutwardResponse

PROOF_HEADER = "x-lambent-proof"
# Names to the embedded child who calls: sessions of execution roles are ours, and it does not know them.
PRINCIPAL_HEADER = "x-lambent-principal"
_ANSWER_BYTES_MAX = 16_777_216
_ERROR_BYTES_MAX = 65_536
# Service → beginning of X-Amz-Target and version of the JSON protocol. Source: botocore's descriptions.
_JSON_TARGETS = {
    "logs": ("Logs_20140328", "1.1"),
    "kms": ("TrentService", "1.1"),
    "secretsmanager": ("secretsmanager", "1.1"),
    "sqs": ("AmazonSQS", "1.0"),
    "events": ("AWSEvents", "1.1"),
    "kinesis": ("Kinesis_20131202", "1.1"),
    "glue": ("AWSGlue", "1.1"),
    "dynamodbstreams": ("DynamoDBStreams_20120810", "1.0"),
}
# Services whose signatures name another one. Source: botocore's descriptions (signingName).
_SIGNING_NAMES = {"dynamodbstreams": "dynamodb", "stepfunctions": "states", "cloudwatch": "monitoring"}


class CallError(Exception):
    """A service refused a call: its code, its text, its status."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(f"{code}: {message}")
        self.code = code
        self.message = message
        self.status = status


@dataclass(frozen=True, slots=True)
class Place:
    """Where a service answers. `host` is the Host header, `base_path` stands before every path, without a last slash.

    Without `credentials` callers' signatures are passed on, and our own calls are signed with the account's number as
    access key, as development stacks take it. `region` empty: the caller's. `setting` is what to set for
    another place.
    """

    origin: Origin
    host: str
    setting: str
    base_path: str = ""
    credentials: SigningCredentials | None = None
    region: str = ""
    is_embedded: bool = False
    password: str = field(default="", repr=False)

    @property
    def proof(self) -> tuple[tuple[str, str], ...]:
        """The headers by which the embedded child knows that a request comes from its daemon."""
        return ((PROOF_HEADER, self.password),) if self.password else ()


class Places(Protocol):
    """Who knows where services answer."""

    async def place(self, asked: str) -> Place:
        """Return where a service answers, started if need be. Raises NeighbourError."""


class Principal(NamedTuple):
    """In whose name a call is made."""

    account_id: str
    region: str


class OutwardClient:
    """Calls services in the name of an account. Scope: process; keeps nothing but connections, repeats nothing."""

    def __init__(self, places: Places, http: HttpClient, clock: Clock) -> None:
        self._places = places
        self._http = http
        self._clock = clock

    async def call(self, asked: str, action: str, body: Mapping[str, object], principal: Principal) -> dict[str, Any]:
        """Call an operation of a service with a JSON protocol (logs, kms, sqs …) and return its answer.

        Raises:
            CallError: the service refused, or answered something else than JSON.
            NeighbourError: the service is not there or does not answer.
        """
        target, version = _JSON_TARGETS[asked]
        headers = {"content-type": f"application/x-amz-json-{version}", "x-amz-target": f"{target}.{action}"}
        data = json.dumps(body, separators=(",", ":")).encode()
        place = await self._places.place(asked)
        request = SignedRequest("POST", "/", "", headers)
        response = await self._send(place, asked, principal, request, data)
        return _decoded(await self._read(place, response, _ANSWER_BYTES_MAX), response.status)

    async def rest(
        self, asked: str, method: str, path: str, query: Mapping[str, str], principal: Principal
    ) -> dict[str, Any]:
        """Call an operation of a service with the REST-JSON protocol and no body; `path` is encoded already.

        Raises:
            CallError: the service refused, or answered something else than JSON.
            NeighbourError: the service is not there or does not answer.
        """
        place = await self._places.place(asked)
        wanted = SignedRequest(method, path, urlencode(query, quote_via=quote), {"accept": "application/json"})
        response = await self._send(place, asked, principal, wanted, b"")
        return _decoded(await self._read(place, response, _ANSWER_BYTES_MAX), response.status, _named(response))

    async def operate(self, service: str, action: str, parameters: Mapping[str, Any], principal: Principal) -> bytes:
        """Call any operation of a service as AWS's SDKs do; return its answer's body as it came.

        `service` is its name in the SDKs, `action` begins with a small letter: sqs, sendMessage.

        Raises:
            CallError: the service refused.
            NeighbourError: the service is not there or does not answer.
            UnknownOperationError: no such service, operation or parameter.
        """
        from lambent.wire.others.sdk_call import serialized

        made = serialized(service, action, parameters)
        place = await self._places.place(made.asked)
        request = SignedRequest(made.method, made.path, made.query, made.headers)
        response = await self._send(place, made.asked, principal, request, made.body)
        text = await self._read(place, response, _ANSWER_BYTES_MAX)
        if response.status >= 300:
            is_xml = text.lstrip()[:1] == b"<"
            raise _xml_error(text, response.status) if is_xml else _json_error(text, response.status, _named(response))
        return text

    async def query(self, asked: str, action: str, parameters: Mapping[str, str], principal: Principal) -> str:
        """Call an operation of a service with the query protocol (ec2, sns) and return its answer, XML.

        Raises:
            CallError: the service refused.
            NeighbourError: the service is not there or does not answer.
        """
        place = await self._places.place(asked)
        headers = {"content-type": "application/x-www-form-urlencoded; charset=utf-8"}
        body = urlencode({"Action": action, **parameters}).encode()
        response = await self._send(place, asked, principal, SignedRequest("POST", "/", "", headers), body)
        text = await self._read(place, response, _ANSWER_BYTES_MAX)
        if response.status >= 300:
            raise _xml_error(text, response.status)
        return text.decode("utf-8", "replace")

    async def get_object(self, bucket: str, key: str, version: str | None, principal: Principal) -> OutwardResponse:
        """Return an object of S3, path-style, to be read as it arrives.

        Raises:
            CallError: S3 refused.
            NeighbourError: S3 is not there or does not answer.
        """
        place = await self._places.place("s3")
        query = "" if version is None else urlencode({"versionId": version})
        path = quote(f"/{bucket}/{key}", safe="/-_.~")
        headers = {"x-amz-content-sha256": EMPTY_SHA256}
        response = await self._send(place, "s3", principal, SignedRequest("GET", path, query, headers), b"")
        if response.status != 200:
            raise _xml_error(await self._read(place, response, _ERROR_BYTES_MAX), response.status)
        return response

    async def put_object(
        self, bucket: str, key: str, body: bytes, headers: Mapping[str, str], principal: Principal
    ) -> None:
        """Write an object of S3, path-style. Header names are lower case.

        Raises:
            CallError: S3 refused.
            NeighbourError: S3 is not there or does not answer.
        """
        place = await self._places.place("s3")
        path = quote(f"/{bucket}/{key}", safe="/-_.~")
        signed = {"x-amz-content-sha256": hashlib.sha256(body).hexdigest(), **headers}
        response = await self._send(place, "s3", principal, SignedRequest("PUT", path, "", signed), body)
        text = await self._read(place, response, _ERROR_BYTES_MAX)
        if response.status >= 300:
            raise _xml_error(text, response.status)

    async def _send(
        self, place: Place, asked: str, principal: Principal, wanted: SignedRequest, body: bytes
    ) -> OutwardResponse:
        headers = {"host": place.host, **wanted.headers}
        request = wanted._replace(path=place.base_path + wanted.path, headers=headers)
        # An access key of twelve digits names its account at every service of a development installation.
        credentials = place.credentials or SigningCredentials(principal.account_id, "lambent")
        scope = (place.region or principal.region, _SIGNING_NAMES.get(asked, asked))
        added = sign(request, hashlib.sha256(body).hexdigest(), credentials, scope, self._clock.time_ms())
        target = request.path + (f"?{request.query}" if request.query else "")
        complete = (*{**headers, **added}.items(), *place.proof)
        try:
            return await self._http.send(place.origin, OutwardRequest(request.method, target, complete, body))
        except ConnectionFailedError as error:
            raise unreachable(place, error) from error

    @staticmethod
    async def _read(place: Place, response: OutwardResponse, bytes_max: int) -> bytes:
        try:
            return await response.read(bytes_max)
        except ConnectionFailedError as error:
            raise unreachable(place, error) from error


def unreachable(place: Place, error: ConnectionFailedError) -> NeighbourError:
    """Return what a caller is told when a service does not answer (503)."""
    service = place.setting.split(".")[1]
    where = "embedded" if place.is_embedded else f"{place.origin.scheme}://{place.host}, setting {place.setting}"
    return NeighbourError("ServiceUnavailable", f"The service {service} ({where}) cannot be reached: {error}.", 503)


def _decoded(text: bytes, status: int, named: str = "") -> dict[str, Any]:
    if status >= 300:
        raise _json_error(text, status, named)
    try:
        decoded = json.loads(text or b"{}")
    except ValueError as error:
        raise CallError("SerializationException", "the answer is not JSON", status) from error
    assert isinstance(decoded, dict)
    return decoded


def _named(response: OutwardResponse) -> str:
    """Return the error's code where REST-JSON has it, "" if it is not there."""
    code = next((value for name, value in response.headers if name.lower() == "x-amzn-errortype"), "")
    return code.partition(":")[0]


def _json_error(text: bytes, status: int, named: str = "") -> CallError:
    try:
        document = json.loads(text)
        code = str(document.get("__type", "")).rpartition("#")[2]
        message = str(document.get("message") or document.get("Message") or "")
    except (ValueError, AttributeError):
        code, message = "", text[:200].decode("utf-8", "replace")
    return CallError(code or named or str(status), message, status)


def _xml_error(text: bytes, status: int) -> CallError:
    document = text.decode("utf-8", "replace")
    return CallError(_element(document, "Code") or str(status), _element(document, "Message") or "", status)


def _element(document: str, name: str) -> str | None:
    # A pattern and no XML parser: the answer is another machine's, and entities are work without end.
    match = re.search(rf"<{name}>([^<]*)</{name}>", document)
    if match is None:
        return None
    import html

    return html.unescape(match[1])
