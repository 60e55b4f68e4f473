"""The Extensions API's answers on the wire, over the connection that the Runtime API's clients use."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lambent.environments.extensions.api import ExtensionsApi
from lambent.environments.extensions.registry import ExtensionRegistry, ExtensionState
from lambent.environments.runtime_api import RuntimeConnection
from lambent.environments.session import RuntimeSession
from tests.unit.environments.test_runtime_api import Transport, error_of, invocation

if TYPE_CHECKING:
    from lambent.environments.http_requests import InsideRequest

API = b"/2020-01-01/extension/"


class Nobody:
    def subscribe(self, target: str, name: str, body: bytes) -> bool:
        return target == "/2022-07-01/telemetry"


def connected(*external: str) -> tuple[ExtensionRegistry, RuntimeConnection, Transport]:
    registry = ExtensionRegistry("0" * 32)
    registry.begin(external)
    api = ExtensionsApi(registry, invocation().version, Nobody())

    def answer(connection: RuntimeConnection, request: InsideRequest) -> bool:
        return api.answer(connection, request)

    connection, transport = RuntimeConnection(RuntimeSession(lambda: None), answer), Transport()
    connection.connection_made(transport)
    return registry, connection, transport


def request(method: bytes, path: bytes, headers: bytes = b"", body: bytes = b"") -> bytes:
    return method + b" " + path + b" HTTP/1.1\r\n" + headers + b"Content-Length: %d\r\n\r\n" % len(body) + body


def register(registry: ExtensionRegistry, connection: RuntimeConnection, name: str, body: Any) -> bytes:
    header = f"Lambda-Extension-Name: {name}\r\nLambda-Extension-Accept-Feature: x, accountId\r\n".encode()
    connection.data_received(request(b"POST", API + b"register", header, json.dumps(body).encode()))
    return f"Lambda-Extension-Identifier: {registry.find(name).identifier}\r\n".encode()


def test_a_whole_life_on_one_connection() -> None:
    registry, connection, transport = connected("watcher")
    identity = register(registry, connection, "watcher", {"events": ["INVOKE"]})
    head, _, body = transport.writes[0].partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\n")
    assert identity.strip() in head
    assert list(json.loads(body)) == ["accountId", "functionName", "functionVersion", "handler"]
    # What is pipelined behind event/next waits until the event was sent.
    ask = request(b"GET", API + b"event/next", identity)
    connection.data_received(ask + ask)
    assert len(transport.writes) == 1
    extension = registry.find("watcher")
    extension.tell(b"event")
    assert transport.writes[1:] == [b"event"]
    assert extension.state is ExtensionState.READY
    header = identity + b"Lambda-Extension-Function-Error-Type: Mine.Bad\r\n"
    other = RuntimeConnection(RuntimeSession(lambda: None), connection._others)
    other_transport = Transport()
    other.connection_made(other_transport)
    other.data_received(request(b"POST", API + b"exit/error", header, b"{}"))
    assert other_transport.writes[0].startswith(b"HTTP/1.1 202 Accepted\r\n")
    assert (extension.state, extension.error_type) == (ExtensionState.EXIT_ERROR, "Mine.Bad")


def test_a_refused_next_does_not_hold_the_connection() -> None:
    registry, connection, transport = connected("watcher")
    identity = register(registry, connection, "watcher", {})
    connection.data_received(request(b"GET", API + b"event/next", identity.replace(b"Identifier: ", b"Identifier: z")))
    assert error_of(transport.writes[1])[1]["errorType"] == "Extension.InvalidExtensionIdentifier"
    connection.data_received(request(b"POST", API + b"init/error", identity, b"{}"))
    assert error_of(transport.writes[2])[1]["errorType"] == "Extension.MissingHeader"


def test_subscriptions_go_to_who_takes_them_and_the_rest_is_not_found() -> None:
    registry, connection, transport = connected("watcher")
    identity = register(registry, connection, "watcher", {})
    connection.data_received(request(b"PUT", b"/2022-07-01/telemetry/", identity, b"{}"))
    assert transport.writes[1].endswith(b'\r\n\r\n"OK"')
    connection.data_received(request(b"PUT", b"/2022-07-01/elsewhere", identity, b"{}"))
    assert error_of(transport.writes[2])[0] == 404
    connection.data_received(request(b"GET", b"/2022-07-01/telemetry", identity))
    assert error_of(transport.writes[3])[0] == 404
