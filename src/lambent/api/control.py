"""Control-plane operations: a matched request to a typed call of the control plane, its response to an answer."""

from __future__ import annotations

import asyncio
from concurrent.futures import BrokenExecutor
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, Protocol
from urllib.parse import parse_qs

from lambent.api.messages import BodyPlan, HttpResponse
from lambent.api.operations import OPERATIONS
from lambent.model.caller import Caller, UploadedBlob
from lambent.model.errors import RequestEntityTooLargeError, ServiceError
from lambent.model.quotas import PAYLOAD_BYTES, ZIP_HTTP_REQUEST_BYTES
from lambent.wire.blob_members import extract_blobs, has_blobs
from lambent.wire.rest_json import (
    RequestError,
    RequestParts,
    decode_request,
    encode_response,
    has_blob_body,
    parse_body,
)

if TYPE_CHECKING:
    from collections.abc import Mapping
    from concurrent.futures import Executor

    from lambent.api.authentication import Identity
    from lambent.api.messages import HttpRequest
    from lambent.wire.api_description import Operation

Matched = tuple["Operation", dict[str, str]]


class BodyOptions(NamedTuple):
    """Where and from which size (bytes) control-plane bodies leave memory, and who decodes them then."""

    memory_bytes_max: int
    spool_directory: Path
    workers: Executor


class DecodedBody(NamedTuple):
    """A body without its blobs: `document` is JSON, `blobs` by dotted member path ("Code.ZipFile")."""

    document: bytes
    blobs: dict[str, UploadedBlob]


class ControlPlane(Protocol):
    """What the door needs of the control plane beside its operations."""

    def acting(self, caller: Caller, request: object) -> Caller:
        """Return the caller, in the account of the function if its policy allows the operation."""


class ControlDoor:
    """Calls the planes: objects, by room, with the methods that operations.py names. Keeps no state."""

    def __init__(self, control_plane: ControlPlane, bodies: BodyOptions, planes: Mapping[str, object]) -> None:
        self._acting = control_plane.acting
        self._planes = {"functions": control_plane, **planes}
        self._bodies = bodies
        self._plans: dict[str, BodyPlan] = {}

    def plan(self, operation: Operation) -> BodyPlan:
        """Say how the body of an operation's request is taken."""
        plan = self._plans.get(operation.name)
        if plan is None:
            plan = self._new_plan(operation)
            self._plans[operation.name] = plan
        return plan

    def _new_plan(self, operation: Operation) -> BodyPlan:
        shapes = operation.shapes()
        if has_blob_body(shapes):
            return BodyPlan(PAYLOAD_BYTES.value, PAYLOAD_BYTES.value)
        size = ZIP_HTTP_REQUEST_BYTES if has_blobs(shapes.INPUT) else PAYLOAD_BYTES
        return BodyPlan(self._bodies.memory_bytes_max, size.value, self._bodies.spool_directory)

    async def answer(self, request: HttpRequest, matched: Matched, identity: Identity, request_id: str) -> HttpResponse:
        """Run an operation and return its answer.

        Raises:
            NotImplementedHereError: something asked for is not there yet (501).
            RequestError, LambdaError: what is wrong with the request (4xx).
        """
        operation, labels = matched
        row = OPERATIONS[operation.name]
        body = await self._decode(request, operation)
        try:
            query = parse_qs(request.query, keep_blank_values=True, errors="replace") if "?" in request.target else {}
            parts = RequestParts(labels, query, request.headers, parse_body(operation, body.document))
            typed = decode_request(operation, parts)
            caller = self._acting(caller_of(request, identity, request_id, body, operation.name), typed)
            response = await getattr(self._planes[row.room], row.method)(caller, typed)
        finally:
            if body.blobs:
                await asyncio.get_running_loop().run_in_executor(None, discard_blobs, body.blobs)
        encoded = encode_response(operation, response)
        headers = encoded.headers if not encoded.body else (("Content-Type", "application/json"), *encoded.headers)
        return HttpResponse(encoded.status, headers, encoded.body)

    def too_large(self, operation: Operation) -> RequestEntityTooLargeError:
        """Return the error about a body over its bound (413)."""
        bytes_max = self.plan(operation).bytes_max
        return RequestEntityTooLargeError(
            f"Request must be smaller than {bytes_max} bytes for the {operation.name} operation"
        )

    async def _decode(self, request: HttpRequest, operation: Operation) -> DecodedBody:
        if request.spooled is None:
            return DecodedBody(request.body, {})
        bodies = self._bodies
        loop = asyncio.get_running_loop()
        try:
            decoded = await loop.run_in_executor(
                bodies.workers, decode_spooled, str(request.spooled.path), operation.module, str(bodies.spool_directory)
            )
        except (BrokenExecutor, OSError) as error:
            raise ServiceError(f"The request's body could not be decoded: {error}") from error
        if isinstance(decoded, DecodedBody):
            return decoded
        raise RequestError(*decoded)


def caller_of(
    request: HttpRequest, identity: Identity, request_id: str, body: DecodedBody | None = None, operation: str = ""
) -> Caller:
    """Return who asks, in the planes' words."""
    peer = request.peer
    host = request.headers.get("host") or f"{peer.local_host}:{peer.local_port}"
    return Caller(
        account_id=identity.account_id,
        region=identity.region,
        principal_arn=identity.principal_arn,
        request_id=request_id,
        base_url=f"{peer.scheme}://{host}",
        blobs=body.blobs if body is not None else {},
        operation=operation,
    )


def decode_spooled(path: str, module: str, directory: str) -> DecodedBody | tuple[str, str]:
    """Decode a spooled body; return it, or code and text of an error. Runs in a worker process.

    `module` is the operation's generated module; blob files are made in `directory` and belong to the caller.
    """
    try:
        document, blobs = extract_blobs(Path(path).read_bytes(), module, directory)
    except RequestError as error:
        return error.code, error.message
    return DecodedBody(document, {name: UploadedBlob(*blob) for name, blob in blobs.items()})


def discard_blobs(blobs: dict[str, UploadedBlob]) -> None:
    """Remove the blob files that nobody has taken."""
    for blob in blobs.values():
        Path(blob.path).unlink(missing_ok=True)
