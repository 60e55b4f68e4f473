"""The description of another service that is served here, with the REST-JSON protocol: operations, bounds, errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import unquote

if TYPE_CHECKING:
    from types import ModuleType


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
        self._operations = [
            (_segments(uri), ServedOperation(name, module, method, uri, status, generated.INPUTS[module]))
            for name, module, method, uri, status in generated.OPERATIONS
        ]

    def match(self, method: str, target: str) -> tuple[ServedOperation, dict[str, str]] | None:
        """Return the operation of a request and its path parameters (decoded), or None."""
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

    def status_of(self, code: str) -> int:
        """Return the HTTP status of an error."""
        common = {"SerializationException": 400, "UnknownOperationException": 404, "ServiceException": 500}
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
