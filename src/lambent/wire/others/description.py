"""The description of another service that is served here: operations, bounds, errors.

Its protocol is REST-JSON, or JSON with the operation in X-Amz-Target.
"""

from __future__ import annotations

import json
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import ModuleType

_NO_HEADERS: Mapping[str, str] = MappingProxyType({})


class _Input(NamedTuple):
    """What an operation takes, under the names of Lambda's generated modules."""

    INPUT: Any
    INPUT_PAYLOAD: None = None


class ServedOperation(NamedTuple):
    """One operation. `module` is its method's name here."""

    name: str
    module: str
    method: str
    uri: str
    status: int
    input_spec: Any

    def shapes(self) -> Any:
        """Return what `wire.rest_json.check_request` asks for."""
        return _Input(self.input_spec)


class ServedDescription:
    """Finds operations. Scope: process; immutable. `generated` is a module that scripts/generate wrote."""

    def __init__(self, generated: ModuleType) -> None:
        self._errors: dict[str, int] = generated.ERRORS
        # Beginning of X-Amz-Target and version of the JSON protocol; empty for REST-JSON.
        target: tuple[str, str] = getattr(generated, "TARGET", ("", ""))
        self._target, self._version = target
        self._operations = [
            (_segments(uri), ServedOperation(name, module, method, uri, status, generated.INPUTS[module]))
            for name, module, method, uri, status in generated.OPERATIONS
        ]

    def match(
        self, method: str, target: str, headers: Mapping[str, str] = _NO_HEADERS
    ) -> tuple[ServedOperation, dict[str, str]] | None:
        """Return the operation of a request and its path parameters (decoded), or None. Header names: lower case."""
        if self._target:
            start, _, name = headers.get("x-amz-target", "").rpartition(".")
            named = (one for _, one in self._operations if one.name == name and start == self._target)
            return next(((one, {}) for one in named), None)
        segments = _segments(target)
        if segments[:1] == ["tags"]:
            # ARNs hold a slash that some clients do not escape.
            segments = ["tags", "%2F".join(segments[1:])]
        for template, operation in self._operations:
            if operation.method == method and len(template) == len(segments):
                labels = _labels(template, segments)
                if labels is not None:
                    return operation, labels
        return None

    @property
    def content_type(self) -> str:
        """The media type of answers."""
        return f"application/x-amz-json-{self._version}" if self._target else "application/json"

    def error_body(self, code: str, message: str) -> bytes:
        """Return the body of an error."""
        return json.dumps({"__type": code, "message": message} if self._target else {"Message": message}).encode()

    def status_of(self, code: str) -> int:
        """Return the HTTP status of an error."""
        unknown = 400 if self._target else 404
        common = {"SerializationException": 400, "UnknownOperationException": unknown, "ServiceException": 500}
        common |= {"InternalServerException": 500, "NotImplementedException": 501}
        return self._errors.get(code) or common.get(code, 400)


def _segments(target: str) -> list[str]:
    return target.partition("?")[0].strip("/").split("/")


def _labels(template: list[str], segments: list[str]) -> dict[str, str] | None:
    labels: dict[str, str] = {}
    for expected, segment in zip(template, segments, strict=True):
        if expected.startswith("{"):
            if not segment:
                return None
            labels[expected[1:-1]] = unquote(segment)
        elif expected != segment:
            return None
    return labels
