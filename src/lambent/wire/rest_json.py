"""REST-JSON: requests to generated types and generated types to answers, as the service description binds them."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Any, Protocol

import msgspec
from msgspec import Struct

from lambent.wire import validation

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.wire.api_description import ErrorForm, Operation


class RequestError(Exception):
    """The request cannot be understood. `code` is AWS's error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class RequestParts(Struct, frozen=True):
    """What the transport knows of a request: decoded path labels, decoded query (last value wins, lists kept),
    lower-case headers, and the body's JSON value (None when empty)."""

    labels: Mapping[str, str]
    query: Mapping[str, list[str]]
    headers: Mapping[str, str]
    body: Any


class Answer(Struct, frozen=True):
    """Status, headers beside the general ones, body."""

    status: int
    headers: tuple[tuple[str, str], ...]
    body: bytes


def parse_body(operation: Operation, body: bytes) -> Any:
    """Return what a request's body holds: a JSON value, or, where the body is a blob, that in base64; None when empty.

    Raises:
        RequestError: SerializationException (400).
    """
    if has_blob_body(operation.shapes()):
        return base64.b64encode(body).decode() if body else None
    return parse_json(body)


def parse_json(body: bytes) -> Any:
    """Return the JSON value of a request body, None for an empty one.

    Raises:
        RequestError: SerializationException (400).
    """
    if not body:
        return None
    try:
        return msgspec.json.decode(body)
    except (msgspec.DecodeError, RecursionError) as error:
        raise RequestError("SerializationException", f"Could not parse request body into json: {error}") from None
    except UnicodeDecodeError:
        raise RequestError("SerializationException", "Could not parse request body into json: not UTF-8") from None


def decode_request(operation: Operation, parts: RequestParts) -> Any:
    """Return the operation's request type.

    Raises:
        RequestError: SerializationException or ValidationException (400), in AWS's wording.
    """
    shapes = operation.shapes()
    if shapes.REQUEST is None:
        return None
    values = check_request(operation, parts)
    try:
        return msgspec.convert(values, shapes.REQUEST, strict=False)
    except (msgspec.ValidationError, RecursionError) as error:
        raise RequestError("SerializationException", str(error)) from None


class Described(Protocol):
    """An operation whose module says what it takes."""

    def shapes(self) -> Any:
        """Return that module."""


def check_request(operation: Described, parts: RequestParts) -> dict[str, Any]:
    """Return the request's members by AWS's names, after checking every constraint.

    Raises:
        RequestError: SerializationException or ValidationException (400), in AWS's wording.
    """
    shapes = operation.shapes()
    values = _gather(shapes, parts)
    try:
        message = validation.violations(shapes.INPUT, values)
    except validation.WrongTypeError as error:
        raise RequestError("SerializationException", str(error)) from None
    if message is not None:
        raise RequestError("ValidationException", message)
    return values


def has_blob_body(shapes: Any) -> bool:
    """Whether the body of a request is a blob member itself, in whatever form, and no JSON document with members."""
    payload = shapes.INPUT_PAYLOAD
    return payload is not None and shapes.INPUT[1][payload][0][0] == "blob"


def encode_response(operation: Operation, response: Any) -> Answer:
    """Return the answer that carries `response` (the operation's response type, or None for none)."""
    if response is None:
        return Answer(operation.status, (), b"")
    shapes = operation.shapes()
    locations: dict[str, tuple[str, str, str | None]] = shapes.OUTPUT_LOCATIONS
    status = operation.status
    headers: list[tuple[str, str]] = []
    for attribute, location, name in locations.values():
        value = getattr(response, attribute)
        if value is None:
            continue
        if location == "statusCode":
            status = value
        elif location == "header" and name is not None:
            headers.append((name, str(value)))
    if shapes.OUTPUT_PAYLOAD is not None:
        payload = getattr(response, shapes.OUTPUT_PAYLOAD)
        return Answer(status, tuple(headers), payload if isinstance(payload, bytes) else msgspec.json.encode(payload))
    if status == 204:
        return Answer(status, tuple(headers), b"")
    document = msgspec.to_builtins(response)
    for member in locations:
        document.pop(member, None)
    return Answer(status, tuple(headers), msgspec.json.encode(document))


def encode_error(code: str, form: ErrorForm, message: str, members: Mapping[str, str]) -> Answer:
    """Return the answer of an error in the form its shape describes.

    Without a text AWS answers null; a member that is empty text is one that this answer of AWS leaves out.
    Source: recorded (test_function_arns; test_notfound_and_invalid_routingconfigs, no Type).
    """
    document: dict[str, Any] = {}
    if form.kind is not None:
        document["Type"] = form.kind
    document[form.message_member] = message or None
    headers = [("x-amzn-ErrorType", code)]
    for member, value in members.items():
        if not value:
            document.pop(member, None)
        elif member in form.headers:
            headers.append((form.headers[member], value))
        else:
            document[member] = value
    return Answer(form.status, tuple(headers), msgspec.json.encode(document))


def _gather(shapes: Any, parts: RequestParts) -> dict[str, Any]:
    """Put labels, query, headers and body members into one mapping by AWS's member names."""
    values: dict[str, Any] = {}
    body = parts.body
    if body is not None and not isinstance(body, dict) and not has_blob_body(shapes):
        raise RequestError("SerializationException", "Unexpected field type")
    members = shapes.INPUT[1]
    payload = shapes.INPUT_PAYLOAD
    for member, (spec, location, name) in members.items():
        wire = name or member
        if location == "uri":
            if wire in parts.labels:
                values[member] = _scalar(spec, parts.labels[wire])
        elif location == "querystring":
            if wire in parts.query:
                given = parts.query[wire]
                values[member] = given if spec[0] == "list" else _scalar(spec, given[-1])
        elif location == "header":
            if wire.lower() in parts.headers:
                values[member] = _scalar(spec, parts.headers[wire.lower()])
        elif payload is None and body is not None and body.get(wire) is not None:
            values[member] = _cleaned(spec, body[wire])
        elif member == payload and body is not None:
            values[member] = _cleaned(spec, body)
    return values


def _scalar(spec: Any, text: str) -> Any:
    kind = spec[0]
    try:
        if kind == "integer":
            return int(text)
        if kind == "double":
            return float(text)
    except ValueError:
        raise RequestError("SerializationException", "STRING_VALUE can not be converted to an Integer") from None
    if kind == "boolean":
        return text.lower() == "true"
    return text


def _cleaned(spec: Any, value: Any) -> Any:
    """Drop unknown members and nulls, as AWS ignores them, and check that blobs are base64."""
    kind = spec[0]
    if kind == "structure" and isinstance(value, dict):
        members = spec[1]
        return {
            member: _cleaned(inner, value[name or member])
            for member, (inner, _location, name) in members.items()
            if value.get(name or member) is not None
        }
    if kind == "list" and isinstance(value, list):
        return [_cleaned(spec[3], item) for item in value]
    if kind == "map" and isinstance(value, dict):
        return {key: _cleaned(spec[4], item) for key, item in value.items()}
    if kind == "integer" and isinstance(value, float) and value.is_integer():
        return int(value)
    if kind == "blob" and isinstance(value, str):
        try:
            base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise RequestError("SerializationException", "Invalid base64 in a blob member") from None
    return value
