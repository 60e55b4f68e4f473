"""Where a mapping's broker is and by what it is entered: the setting, the secret, the virtual host.

AWS asks DescribeBroker for the endpoints. Here the setting `event_sources.brokers` has them by ARN, written as AWS
shows them: `amqps://host:5671` for RabbitMQ; `stomp+ssl://host:61614` for ActiveMQ, several apart by `;`.
"""

from __future__ import annotations

import asyncio
import ssl
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qs, urlsplit

from lambent.events.sources.secrets import read_secrets
from lambent.events.sources.source import SourceError, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.wire.client import OutwardClient

_PORTS = {"amqp": 5672, "amqps": 5671, "stomp": 61613, "stomp+ssl": 61614}
_TLS = frozenset(("amqps", "stomp+ssl"))


class BrokerAddress(NamedTuple):
    """One endpoint of a broker. `cafile` is whom its certificate is checked against; empty: the system's authorities.

    Whoever writes `amqp` or `stomp` lets the password go without TLS, and so says that the network is his own.
    """

    scheme: str
    host: str
    port: int
    cafile: str = ""

    @property
    def is_rabbitmq(self) -> bool:
        """Whether the protocol is AMQP 0-9-1."""
        return self.scheme.startswith("amqp")

    @property
    def is_tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in _TLS

    async def tls(self) -> ssl.SSLContext | None:
        """Return what checks the broker's certificate, None without TLS. Raises SourceError."""
        if not self.is_tls:
            return None
        try:
            # It reads files.
            return await asyncio.to_thread(ssl.create_default_context, cafile=self.cafile or None)
        except OSError as error:
            raise SourceError(f"{self.cafile}: {error}", trouble=Trouble.CONFIG) from error


class Login(NamedTuple):
    """User and password of the secret, and RabbitMQ's virtual host."""

    user: str
    password: str
    virtual_host: str

    def __repr__(self) -> str:
        return f"Login({self.user!r}, {self.virtual_host!r})"


def addresses_of(mapping: EventSourceMapping, brokers: Mapping[str, str]) -> Sequence[BrokerAddress]:
    """Return the broker's endpoints, at least one, all of one protocol.

    Raises:
        SourceError: the setting has none, or one that is none.
    """
    text = brokers.get(mapping.event_source_arn or "")
    if text is None:
        raise SourceError(
            f"the setting event_sources.brokers has no address for {mapping.event_source_arn}",
            is_lasting=True,
            trouble=Trouble.CONFIG,
        )
    found = [_address(one.strip()) for one in text.split(";") if one.strip()]
    if not found or len({one.is_rabbitmq for one in found}) != 1:
        raise _wrong(mapping.event_source_arn or "")
    return found


async def read_login(client: OutwardClient, mapping: EventSourceMapping) -> Login:
    """Return what the mapping's SourceAccessConfigurations say.

    Source: service description, SourceAccessType: BASIC_AUTH, VIRTUAL_HOST.

    Raises:
        SourceError: there is no such secret, or it has no user name or password.
    """
    accesses = mapping.source_access_configurations or ()
    secret = (await read_secrets(client, mapping, accesses)).get("BASIC_AUTH", {})
    user, password = secret.get("username"), secret.get("password")
    if not user or password is None:
        raise SourceError(
            "the secret for BASIC_AUTH must have username and password", is_lasting=True, trouble=Trouble.CONFIG
        )
    host = next((access.uri for access in accesses if access.type == "VIRTUAL_HOST" and access.uri), "/")
    return Login(user, password, host)


def _address(text: str) -> BrokerAddress:
    try:
        url = urlsplit(text)
        port = url.port
    except ValueError as error:
        raise _wrong(text) from error
    if url.scheme not in _PORTS or not url.hostname:
        raise _wrong(text)
    cafile = parse_qs(url.query).get("cafile", [""])[0]
    return BrokerAddress(url.scheme, url.hostname, port or _PORTS[url.scheme], cafile)


def _wrong(text: str) -> SourceError:
    forms = ", ".join(f"{scheme}://HOST:PORT" for scheme in _PORTS)
    return SourceError(
        f"event_sources.brokers: {text}: none of {forms}; several of one protocol apart by ;",
        is_lasting=True,
        trouble=Trouble.CONFIG,
    )
