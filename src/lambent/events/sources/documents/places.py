"""Where a mapping's cluster is, and as whom it is entered.

AWS asks DescribeDBClusters. Here the setting `event_sources.brokers` has a connection string by ARN:
`mongodb://host:27017/?tls=true&replicaSet=rs0`; several hosts apart by `;`, options as MongoDB's drivers know them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.events.sources.secrets import read_secrets
from lambent.events.sources.source import SourceError, Trouble

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.wire.client import OutwardClient

_SCHEMES = ("mongodb://", "mongodb+srv://")


def connection_string(mapping: EventSourceMapping, brokers: Mapping[str, str]) -> str:
    """Return the connection string of a mapping's cluster. Raises SourceError: the setting has none."""
    text = brokers.get(mapping.event_source_arn or "")
    if text is None:
        raise SourceError(
            f"the setting event_sources.brokers has no address for {mapping.event_source_arn}",
            is_lasting=True,
            trouble=Trouble.CONFIG,
        )
    if not text.startswith(_SCHEMES):
        raise SourceError(
            "event_sources.brokers: an address of DocumentDB begins with mongodb://",
            is_lasting=True,
            trouble=Trouble.CONFIG,
        )
    return text.replace(";", ",")


async def read_user(client: OutwardClient, mapping: EventSourceMapping) -> tuple[str, str]:
    """Return user name and password of the mapping's secret. Raises SourceError."""
    secrets = await read_secrets(client, mapping, mapping.source_access_configurations or ())
    secret = secrets.get("BASIC_AUTH", {})
    user, password = secret.get("username"), secret.get("password")
    if not user or not password:
        raise SourceError(
            "the secret for BASIC_AUTH must have username and password", is_lasting=True, trouble=Trouble.CONFIG
        )
    return user, password
