"""The setting's addresses of brokers."""

from __future__ import annotations

from typing import Any

import pytest

from lambent.events.sources.brokers.addresses import BrokerAddress, addresses_of
from lambent.events.sources.source import SourceError, Trouble
from lambent.model.configs.event_source import EventSourceMapping

ARN = "arn:aws:mq:us-east-1:000000000000:broker:b:b-1"


def mapping(**members: Any) -> EventSourceMapping:
    """Return a mapping of the broker."""
    return EventSourceMapping("000000000000", "us-east-1", "u", "r", "f", 0, event_source_arn=ARN, **members)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("amqp://localhost", [BrokerAddress("amqp", "localhost", 5672)]),
        ("amqps://b.mq.example:5671", [BrokerAddress("amqps", "b.mq.example", 5671)]),
        (
            "stomp+ssl://a:61614; stomp+ssl://b?cafile=/etc/ca.pem",
            [BrokerAddress("stomp+ssl", "a", 61614), BrokerAddress("stomp+ssl", "b", 61614, "/etc/ca.pem")],
        ),
        ("stomp://[::1]:1", [BrokerAddress("stomp", "::1", 1)]),
    ],
)
def test_addresses(text: str, found: list[BrokerAddress]) -> None:
    assert list(addresses_of(mapping(), {ARN: text})) == found


@pytest.mark.parametrize("text", ["", ";", "ssl://a:61617", "amqp://", "amqp://a:port", "amqp://a;stomp://b", "a:1"])
def test_what_is_none(text: str) -> None:
    with pytest.raises(SourceError) as caught:
        addresses_of(mapping(), {ARN: text})
    assert caught.value.trouble is Trouble.CONFIG


def test_a_broker_that_nobody_named() -> None:
    with pytest.raises(SourceError, match="event_sources.brokers has no address for arn:aws:mq:") as caught:
        addresses_of(mapping(), {})
    assert caught.value.trouble is Trouble.CONFIG
