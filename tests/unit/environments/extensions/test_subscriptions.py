"""What a subscription may say, and how it is refused."""

from __future__ import annotations

import json
from typing import Any

import pytest

from lambent.environments.extensions.registry import RefusedError
from lambent.environments.extensions.subscriptions import Api, Category, Destination, Subscription, parse_subscription

GOOD: dict[str, Any] = {
    "schemaVersion": "2022-12-13",
    "types": ["platform", "function", "platform"],
    "destination": {"protocol": "HTTP", "URI": "http://sandbox.localdomain:8080/a?b"},
}


def parse(api: Api = Api.TELEMETRY, **changes: Any) -> Subscription:
    return parse_subscription(api, "e", json.dumps({**GOOD, **changes}).encode())


def test_defaults() -> None:
    assert parse() == Subscription(
        Api.TELEMETRY,
        "e",
        "2022-12-13",
        (Category.PLATFORM, Category.FUNCTION),
        Destination(8080, "/a?b"),
        10_000,
        262_144,
        1_000,
    )


def test_bounds_are_inclusive() -> None:
    least = parse(buffering={"maxItems": 1_000, "maxBytes": 262_144, "timeoutMs": 25})
    assert (least.items_max, least.bytes_max, least.timeout_ms) == (1_000, 262_144, 25)
    most = parse(buffering={"maxItems": 10_000, "maxBytes": 1_048_576, "timeoutMs": 30_000})
    assert (most.items_max, most.bytes_max, most.timeout_ms) == (10_000, 1_048_576, 30_000)


def test_what_the_logs_api_says_beside() -> None:
    old = {"protocol": "HTTP", "URI": "http://sandbox:1", "method": "PUT", "encoding": "JSON"}
    body = json.dumps({"types": ["function"], "destination": old}).encode()
    subscription = parse_subscription(Api.LOGS, "e", body)
    assert subscription.schema_version == "2020-08-15"
    assert subscription.destination == Destination(1, "/", "PUT")


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"types": []}, "types should not be empty"),
        ({"types": "platform"}, "types should not be empty"),
        ({"types": [{}]}, "types should be of platform, function, extension"),
        ({"destination": None}, "destination should not be empty"),
        ({"destination": {"protocol": "UDP"}}, "destination protocol should be HTTP or TCP"),
        ({"destination": {"protocol": "TCP"}}, "port is not provided"),
        ({"destination": {"protocol": "TCP", "port": True}}, "port should be between 1 and 65535"),
        ({"destination": {"protocol": "HTTP"}}, "URI is not provided"),
        ({"destination": {"protocol": "HTTP", "URI": "https://sandbox:1"}}, "URI scheme should be http"),
        ({"destination": {"protocol": "HTTP", "URI": "http://127.0.0.1:1"}}, "URI host should be sandbox.localdomain"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox"}}, "URI port is not provided"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox:x"}}, "URI is malformed"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox:1/\r\nX: y"}}, "URI is malformed"),
        ({"destination": {"protocol": "HTTP", "URI": "http://sandbox:1/a b"}}, "URI is malformed"),
        ({"buffering": 1}, "buffering should be an object"),
        ({"buffering": {"timeoutMs": 24}}, "timeoutMs should be between 25 and 30000"),
        ({"buffering": {"maxItems": "1000"}}, "maxItems should be between 1000 and 10000"),
        ({"schemaVersion": "2021-03-18"}, "schemaVersion should be one of 2022-07-01, 2022-12-13, 2025-01-29"),
        ({"schemaVersion": []}, "schemaVersion should be one of 2022-07-01, 2022-12-13, 2025-01-29"),
    ],
)
def test_refusals(changes: dict[str, Any], text: str) -> None:
    with pytest.raises(RefusedError) as error:
        parse(**changes)
    assert (error.value.error_type, error.value.status, str(error.value)) == ("ValidationError", 400, text)


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"1", b"[" * 100_000])
def test_what_is_no_object(body: bytes) -> None:
    with pytest.raises(RefusedError):
        parse_subscription(Api.TELEMETRY, "e", body)
