"""From a mapping to a connection."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any, cast

import pytest

from lambent.clock import SystemClock
from lambent.events.sources.brokers.addresses import Login
from lambent.events.sources.brokers.connecting import Connector
from lambent.events.sources.brokers.rabbitmq import RabbitMq
from lambent.events.sources.source import SourceError, Trouble
from lambent.model.configs.event_source import EventSourceMapping, SourceAccess

if TYPE_CHECKING:
    from lambent.events.sources.brokers.activemq import ActiveMq

ARN = "arn:aws:mq:us-east-1:000000000000:broker:b:b-1"
SECRET = SourceAccess("BASIC_AUTH", "arn:aws:secretsmanager:us-east-1:000000000000:secret:s")
MAPPING = EventSourceMapping(
    "000000000000", "us-east-1", "u", "r", "f", 0, event_source_arn=ARN, queues=("q",),
    source_access_configurations=(SECRET, SourceAccess("VIRTUAL_HOST", "plant")),
)  # fmt: skip


class Secrets:
    """Secrets Manager with one secret."""

    def __init__(self, **secret: str) -> None:
        self.secret = secret

    async def call(self, *_: object) -> dict[str, Any]:
        return {"SecretString": json.dumps(self.secret)}


def connector(address: str, **secret: str) -> Connector:
    """Return a connector to a broker."""
    return Connector(cast("Any", Secrets(**secret)), {ARN: address}, SystemClock())


async def test_the_scheme_says_which_broker_it_is_and_endpoints_take_turns() -> None:
    rabbit = await connector("amqps://a", username="u", password="p").connect(MAPPING)
    assert isinstance(rabbit, RabbitMq)
    assert list(rabbit.event(())["rmqMessagesByQueue"]) == ["q::plant"]
    pair = connector("stomp://a;stomp://b:1", username="u", password="p")
    places = [cast("ActiveMq", await pair.connect(MAPPING))._address.host for _ in range(3)]
    assert places == ["a", "b", "a"]


@pytest.mark.parametrize("secret", [{}, {"username": "u"}, {"password": "p"}])
async def test_a_secret_without_what_it_must_have(secret: dict[str, str]) -> None:
    with pytest.raises(SourceError, match="username and password") as caught:
        await connector("amqp://a", **secret).connect(MAPPING)
    assert caught.value.trouble is Trouble.CONFIG


async def test_a_package_that_is_not_installed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "aiormq", None)
    with pytest.raises(SourceError, match=r"pip install 'lambent\[mq\]'"):
        await connector("amqp://a", username="u", password="p").connect(MAPPING)


def test_a_login_never_shows_its_password() -> None:
    assert "hidden" not in repr(Login("u", "hidden", "/"))
