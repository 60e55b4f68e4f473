"""What a subscription to the Telemetry API (2022-07-01) or the Logs API (2020-08-15) says, and its check.

Source: developer guide, "Lambda Telemetry API reference" and "Lambda Logs API" (bounds, defaults, schema versions,
"URI port is not provided; types should not be empty").
"""

from __future__ import annotations

import json
from enum import StrEnum
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from msgspec import Struct

from lambent.environments.extensions.registry import RefusedError

if TYPE_CHECKING:
    from collections.abc import Mapping

_HOSTS = ("sandbox.localdomain", "sandbox")
_URI_CHARACTERS_MAX = 2_048
# Name → (least, most, default). Source: developer guide, "buffering".
BUFFERING = {
    "maxItems": (1_000, 10_000, 10_000),
    "maxBytes": (262_144, 1_048_576, 262_144),
    "timeoutMs": (25, 30_000, 1_000),
}


class Api(StrEnum):
    """Which API an extension subscribed by, by its path."""

    TELEMETRY = "/2022-07-01/telemetry"
    LOGS = "/2020-08-15/logs"


class Category(StrEnum):
    """What one can subscribe to."""

    PLATFORM = "platform"
    FUNCTION = "function"
    EXTENSION = "extension"


SCHEMA_VERSIONS: Mapping[Api, tuple[str, ...]] = {
    Api.TELEMETRY: ("2022-07-01", "2022-12-13", "2025-01-29"),
    Api.LOGS: ("2020-08-15", "2021-03-18"),
}


class Destination(Struct, frozen=True):
    """Where to deliver: a port of the sandbox's loopback. `path` is None for TCP."""

    port: int
    path: str | None
    method: str = "POST"


class Subscription(Struct, frozen=True):
    """One valid subscription. `timeout_ms` is how long a record may wait for others."""

    api: Api
    name: str
    schema_version: str
    categories: tuple[Category, ...]
    destination: Destination
    items_max: int
    bytes_max: int
    timeout_ms: int


def parse_subscription(api: Api, name: str, body: bytes) -> Subscription:
    """Return the subscription of the extension `name`. Raises RefusedError (ValidationError, 400)."""
    try:
        request = json.loads(body)
    except (ValueError, RecursionError):
        raise _refused("the body is not JSON") from None
    if not isinstance(request, dict):
        raise _refused("the body is not a JSON object")
    problems: list[str] = []
    categories = _categories(request.get("types"), problems)
    destination = _destination(request.get("destination"), problems)
    buffering = _buffering(request.get("buffering"), problems)
    # Older Logs API clients send none.
    schema = request.get("schemaVersion", SCHEMA_VERSIONS[api][0])
    if schema not in SCHEMA_VERSIONS[api]:
        problems.append(f"schemaVersion should be one of {', '.join(SCHEMA_VERSIONS[api])}")
    if problems or destination is None:
        raise _refused("; ".join(problems))
    return Subscription(api, name, str(schema), categories, destination, *buffering)


def _refused(text: str) -> RefusedError:
    return RefusedError("ValidationError", text, 400)


def _destination(asked: object, problems: list[str]) -> Destination | None:
    if not isinstance(asked, dict):
        problems.append("destination should not be empty")
        return None
    match asked.get("protocol"):
        case "HTTP":
            return _http_destination(asked, problems)
        case "TCP":
            port = asked.get("port")
            if type(port) is int and 0 < port < 65_536:
                return Destination(port, None)
            problems.append("port is not provided" if port is None else "port should be between 1 and 65535")
        case _:
            problems.append("destination protocol should be HTTP or TCP")
    return None


def _http_destination(asked: Mapping[str, object], problems: list[str]) -> Destination | None:
    uri = asked.get("URI")
    if (
        not isinstance(uri, str)
        or not uri
        or len(uri) > _URI_CHARACTERS_MAX
        or not uri.isascii()
        or not uri.isprintable()
    ):
        problems.append("URI is not provided" if not uri else "URI is malformed")
        return None
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError:
        problems.append("URI is malformed")
        return None
    if parts.scheme != "http":
        problems.append("URI scheme should be http")
    elif parts.hostname not in _HOSTS:
        problems.append(f"URI host should be {_HOSTS[0]}")
    elif not port:
        problems.append("URI port is not provided")
    elif " " in uri:
        problems.append("URI is malformed")
    else:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        # The Logs API's clients may ask for PUT.
        return Destination(port, path, "PUT" if asked.get("method") == "PUT" else "POST")
    return None


def _categories(asked: object, problems: list[str]) -> tuple[Category, ...]:
    if not isinstance(asked, list) or not asked:
        problems.append("types should not be empty")
        return ()
    if any(each not in tuple(Category) for each in asked):
        problems.append(f"types should be of {', '.join(Category)}")
        return ()
    return tuple(Category(each) for each in dict.fromkeys(asked))


def _buffering(asked: object, problems: list[str]) -> tuple[int, int, int]:
    given = asked if isinstance(asked, dict) else {}
    if asked is not None and not isinstance(asked, dict):
        problems.append("buffering should be an object")
    values = []
    for name, (least, most, default) in BUFFERING.items():
        value = given.get(name)
        if value is None:
            value = default
        elif type(value) is not int or not least <= value <= most:
            problems.append(f"{name} should be between {least} and {most}")
            value = default
        values.append(value)
    return values[0], values[1], values[2]
