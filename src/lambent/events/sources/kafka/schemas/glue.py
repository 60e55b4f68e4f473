"""AWS Glue's schema registry, at its configured endpoint: its framing, and GetSchemaVersion."""

from __future__ import annotations

import uuid
import zlib
from typing import TYPE_CHECKING

from lambent.events.sources.kafka.schemas.contracts import (
    DataFormat,
    Framed,
    RegisteredSchema,
    SchemaNotFoundError,
)
from lambent.events.sources.source import SourceError
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from lambent.wire.client import OutwardClient

# Source: AWS Glue Schema Registry library, header version, compression bytes: none, zlib.
_HEADER = 3
_COMPRESSIONS = {0: False, 5: True}
_HEADER_BYTES = 18
_BODY_BYTES_MAX = 64 * 1024 * 1024


class GlueRegistry:
    """Scope: mapping; keeps nothing. `arn` names the registry."""

    def __init__(self, arn: str, client: OutwardClient, account_id: str) -> None:
        parts = arn.split(":")
        if len(parts) < 6 or parts[2] != "glue":
            raise SourceError(f"{arn} is no schema registry", is_lasting=True)
        self._arn = arn
        self._client = client
        self._principal = Principal(parts[4] or account_id, parts[3])

    def framed(self, data: bytes) -> Framed:
        """See SchemaRegistry."""
        if len(data) < _HEADER_BYTES or data[0] != _HEADER or data[1] not in _COMPRESSIONS:
            raise ValueError("it was not written with a schema of Glue")
        body = data[_HEADER_BYTES:]
        if _COMPRESSIONS[data[1]]:
            opened = zlib.decompressobj()
            try:
                body = opened.decompress(body, _BODY_BYTES_MAX)
            except zlib.error as error:
                raise ValueError(f"it cannot be decompressed: {error}") from error
            if opened.unconsumed_tail:
                raise ValueError("it is too large")
        return Framed(str(uuid.UUID(bytes=data[2:_HEADER_BYTES])), body)

    async def schema(self, schema_id: str) -> RegisteredSchema:
        """See SchemaRegistry."""
        try:
            answer = await self._client.call(
                "glue", "GetSchemaVersion", {"SchemaVersionId": schema_id}, self._principal
            )
        except CallError as error:
            if error.code.rpartition(".")[2] in ("EntityNotFoundException", "InvalidInputException"):
                raise SchemaNotFoundError(f"{self._arn} has no schema version {schema_id}") from error
            raise SourceError(f"the schema registry {self._arn}: {error}") from error
        except NeighbourError as error:
            raise SourceError(f"the schema registry {self._arn} cannot be asked: {error.message}") from error
        try:
            kind, text = DataFormat(str(answer["DataFormat"])), str(answer["SchemaDefinition"])
            return RegisteredSchema(kind, text, has_flat_index=True)
        except (KeyError, ValueError) as error:
            raise SourceError(f"the schema registry {self._arn} answers something else: {error!r}") from error
