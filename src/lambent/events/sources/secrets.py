"""Secrets by which a source is reached: from Secrets Manager at its configured endpoint."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from lambent.events.sources.source import SourceError
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lambent.model.configs.event_source import EventSourceMapping, SourceAccess
    from lambent.wire.client import OutwardClient


async def read_secrets(
    client: OutwardClient, mapping: EventSourceMapping, accesses: Iterable[SourceAccess] | None = None
) -> Mapping[str, Mapping[str, str]]:
    """Return the content of every secret that a mapping names, by the kind of access that it is for.

    `accesses` are others than those to its source.

    Raises:
        SourceError: one is not there, or is no JSON object.
    """
    principal = Principal(mapping.account_id, mapping.region)
    found: dict[str, Mapping[str, str]] = {}
    for access in (mapping.source_access_configurations or ()) if accesses is None else accesses:
        if not access.type or not access.uri or not access.uri.startswith("arn:"):
            # A subnet, a security group, a virtual host.
            continue
        try:
            answer = await client.call("secretsmanager", "GetSecretValue", {"SecretId": access.uri}, principal)
            secret = json.loads(answer.get("SecretString") or "null")
        except (CallError, NeighbourError, ValueError) as error:
            raise SourceError(f"the secret {access.uri} cannot be used: {error}") from error
        if not isinstance(secret, dict):
            raise SourceError(f"the secret {access.uri} is no JSON object")
        found[access.type] = {str(key): str(value) for key, value in secret.items()}
    return found
