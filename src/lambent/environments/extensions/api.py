"""The Extensions API (2020-01-01), and the ways to the Telemetry and Logs API, on the listener of the Runtime API.

Source: developer guide, "Lambda Extensions API"; error types and texts of AWS's runtime interface emulator.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Protocol

from lambent.environments.extensions.registry import EventConnection, ExtensionState, RefusedError

if TYPE_CHECKING:
    from lambent.environments.extensions.registry import Extension, ExtensionRegistry
    from lambent.environments.http_requests import InsideRequest
    from lambent.model.function import FunctionVersion

_EXTENSION = "/2020-01-01/extension/"
_PHRASES = {200: "OK", 202: "Accepted", 400: "Bad Request", 403: "Forbidden", 404: "Not Found"}
_IDENTIFIER = re.compile(rb"[0-9a-fA-F]{8}(?:-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}")
_ERROR_TYPE_CHARACTERS_MAX = 256
_NAME_CHARACTERS_MAX = 512
_EVENTS_MAX = 16


class ExtensionConnection(EventConnection, Protocol):
    """A connection from inside, as the API needs it."""

    def answer(self, message: bytes) -> None:
        """Write one whole HTTP answer."""

    def hold(self, *, is_held: bool) -> None:
        """Keep what is pipelined behind this request until `send_invocation`, or no longer."""


class Subscriptions(Protocol):
    """Who takes subscriptions: the Telemetry API and the Logs API."""

    def subscribe(self, target: str, name: str, body: bytes) -> bool:
        """Subscribe the extension of a name; False when `target` is neither API. Raises RefusedError."""


class ExtensionsApi:
    """Answers requests of extensions. Scope: environment."""

    def __init__(self, registry: ExtensionRegistry, version: FunctionVersion, subscriptions: Subscriptions) -> None:
        self._registry = registry
        self._version = version
        self._subscriptions = subscriptions

    def answer(self, connection: ExtensionConnection, request: InsideRequest) -> bool:
        """Answer one request; False when it is none of ours."""
        target = request.target.partition("?")[0].rstrip("/")
        try:
            if target.startswith(_EXTENSION):
                return self._extension(connection, request, target.removeprefix(_EXTENSION))
            if request.method != b"PUT":
                return False
            extension = self._identified(request, "Unknown extension {}")
            if not self._subscriptions.subscribe(target, extension.name, request.body):
                return False
            connection.answer(http_answer(200, b'"OK"'))
        except RefusedError as refused:
            body = {"errorMessage": str(refused), "errorType": refused.error_type}
            connection.answer(http_answer(refused.status, json.dumps(body, separators=(",", ":")).encode() + b"\n"))
        return True

    def _extension(self, connection: ExtensionConnection, request: InsideRequest, action: str) -> bool:
        match request.method, action:
            case b"POST", "register":
                connection.answer(self._register(request))
            case b"GET", "event/next":
                extension = self._identified(request, "Unknown extension {}")
                connection.hold(is_held=True)
                try:
                    extension.ask(connection)
                except RefusedError:
                    connection.hold(is_held=False)
                    raise
            case b"POST", "init/error":
                connection.answer(self._report(request, ExtensionState.INIT_ERROR, "InitError"))
            case b"POST", "exit/error":
                connection.answer(self._report(request, ExtensionState.EXIT_ERROR, "Exited"))
            case _:
                return False
        return True

    def _register(self, request: InsideRequest) -> bytes:
        name = request.headers.get(b"lambda-extension-name", b"").decode(errors="replace")
        if not name:
            raise RefusedError("Extension.InvalidExtensionName", "Empty extension name")
        if len(name) > _NAME_CHARACTERS_MAX or not name.isprintable():
            raise RefusedError("Extension.InvalidExtensionName", "Invalid extension name")
        extension = self._registry.register(name, _wanted_events(request.body))
        features = request.headers.get(b"lambda-extension-accept-feature", b"").split(b",")
        answer: dict[str, str] = {}
        if b"accountId" in {feature.strip() for feature in features}:
            answer["accountId"] = self._version.account_id
        answer |= {
            "functionName": self._version.name,
            "functionVersion": self._version.version,
            "handler": self._version.handler or "",
        }
        headers = f"Lambda-Extension-Identifier: {extension.identifier}\r\n"
        return http_answer(200, json.dumps(answer, separators=(",", ":")).encode() + b"\n", headers)

    def _report(self, request: InsideRequest, state: ExtensionState, wanted: str) -> bytes:
        extension = self._identified(request, "Unknown Lambda-Extension-Identifier")
        error_type = request.headers.get(b"lambda-extension-function-error-type", b"").decode("latin-1")
        if not error_type:
            raise RefusedError("Extension.MissingHeader", "Lambda-Extension-Function-Error-Type not found")
        extension.move(state, wanted)
        extension.error_type = extension.error_type or error_type[:_ERROR_TYPE_CHARACTERS_MAX]
        return http_answer(202, b'{"status":"OK"}\n')

    def _identified(self, request: InsideRequest, text: str) -> Extension:
        identifier = request.headers.get(b"lambda-extension-identifier", b"")
        if not identifier:
            raise RefusedError("Extension.MissingExtensionIdentifier", "Missing Lambda-Extension-Identifier header")
        if _IDENTIFIER.fullmatch(identifier) is None:
            raise RefusedError("Extension.InvalidExtensionIdentifier", "Invalid Lambda-Extension-Identifier")
        wanted = identifier.decode().lower()
        return self._registry.identified(wanted, text.format(wanted))


def http_answer(status: int, body: bytes, headers: str = "") -> bytes:
    """Return a whole HTTP answer with a JSON body. `headers` are lines that end in CRLF."""
    head = f"HTTP/1.1 {status} {_PHRASES[status]}\r\nContent-Type: application/json\r\n{headers}"
    return f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body


def _wanted_events(body: bytes) -> list[str]:
    try:
        wanted = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise RefusedError("InvalidRequestFormat", str(error)) from None
    if not isinstance(wanted, dict):
        raise RefusedError("InvalidRequestFormat", "the body is not a JSON object")
    if wanted.get("configurationKeys"):
        text = "configurationKeys are deprecated; use environment variables instead"
        raise RefusedError("InvalidRequestFormat", text)
    events = wanted.get("events") or []
    if not isinstance(events, list) or len(events) > _EVENTS_MAX or not all(isinstance(each, str) for each in events):
        raise RefusedError("InvalidRequestFormat", "events is not a list of strings")
    return events
