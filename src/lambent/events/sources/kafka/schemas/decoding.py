"""Records with schemas: each selected part is checked by its own, and delivered as the mapping wants it.

Source: developer guide, "Using schema registries with Kafka event sources in Lambda".
"""

from __future__ import annotations

import asyncio
import base64
import json
from typing import TYPE_CHECKING, Any, NamedTuple

from msgspec.structs import replace

from lambent.events.sources.kafka.schemas.contracts import DataFormat, ReadableSchema, SchemaNotFoundError
from lambent.events.sources.source import SourceError
from lambent.events.sources.streams.failures import GivenUp

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.events.sources.kafka.schemas.contracts import RegisteredSchema, SchemaRegistry
    from lambent.events.sources.source import SourceRecord
    from lambent.model.configs.event_source import EventSourceMapping
    from lambent.model.configs.event_source import SchemaRegistry as RegistryConfig
    from lambent.wire.client import OutwardClient

# Schemas of a registry never change; more than so many are begun anew.
_SCHEMAS_MAX = 1_000
_GLUE = "arn:"
# What is larger is read in a thread, so that nobody else waits for it.
_READ_APART_BYTES = 16_384


class Decoded(NamedTuple):
    """A record as its schemas say, or why it is given up."""

    record: SourceRecord | None
    reason: GivenUp | None = None
    text: str = ""


class SchemaDecoder:
    """Scope: mapping; remembers schemas, at most _SCHEMAS_MAX. `attributes` are `key` and `value`, or one of them."""

    def __init__(self, registry: SchemaRegistry, attributes: tuple[str, ...], *, is_json: bool) -> None:
        self._registry = registry
        self._attributes = attributes
        self._is_json = is_json
        self._schemas: dict[str, ReadableSchema] = {}

    async def decoded(self, record: SourceRecord) -> Decoded:
        """Return the record with every selected part checked and without its framing.

        A part of no bytes is left as it is. Raises SourceError: the registry does not answer.
        """
        document, view = dict(record.document), dict(record.view)
        for attribute in self._attributes:
            given = document.get(attribute)
            if given is None:
                continue
            try:
                framed = self._registry.framed(base64.b64decode(given))
                schema = await self._schema(framed.schema_id)
                if len(framed.body) < _READ_APART_BYTES:
                    value = schema.read(framed.body)
                else:
                    value = await asyncio.to_thread(schema.read, framed.body)
                text = json.dumps(value, separators=(",", ":"), ensure_ascii=False)
                body = text.encode() if self._is_json else framed.body
            except SchemaNotFoundError as error:
                return Decoded(None, GivenUp.SCHEMA_NOT_FOUND, str(error))
            except (ValueError, RecursionError) as error:
                return Decoded(None, GivenUp.DESERIALIZATION_ERROR, f"{attribute}: {error}")
            document[attribute] = base64.b64encode(body).decode()
            document[f"{attribute}SchemaMetadata"] = {"dataFormat": schema.format.value, "schemaId": framed.schema_id}
            view[attribute] = text if attribute == "value" else value
        size_bytes = record.size_bytes + len(json.dumps(document)) - len(json.dumps(record.document))
        return Decoded(replace(record, document=document, view={**document, **view}, size_bytes=size_bytes))

    async def _schema(self, schema_id: str) -> ReadableSchema:
        known = self._schemas.get(schema_id)
        if known is None:
            found = await self._registry.schema(schema_id)
            if len(self._schemas) >= _SCHEMAS_MAX:
                self._schemas.clear()
            known = self._schemas[schema_id] = await asyncio.to_thread(_readable, found)
        return known


def make_decoder(
    mapping: EventSourceMapping,
    config: RegistryConfig,
    secrets: Mapping[str, Mapping[str, str]],
    client: OutwardClient,
) -> SchemaDecoder:
    """Return what decodes a mapping's records. `secrets`: see `read_secrets`.

    Raises:
        SourceError: the registry cannot be reached that way.
    """
    uri = config.schema_registry_uri or ""
    registry: SchemaRegistry
    if uri.startswith(_GLUE):
        from lambent.events.sources.kafka.schemas.glue import GlueRegistry

        registry = GlueRegistry(uri, client, mapping.account_id)
    else:
        from lambent.events.sources.kafka.schemas.confluent import ConfluentRegistry

        registry = ConfluentRegistry(uri, secrets)
    attributes = tuple((one.attribute or "").lower() for one in config.schema_validation_configs or ())
    return SchemaDecoder(registry, attributes, is_json=config.event_record_format == "JSON")


def _readable(schema: RegisteredSchema) -> ReadableSchema:
    """Make a schema ready. Raises ValueError: it is none; SourceError: its library is not installed."""
    read: Any
    try:
        match schema.format:
            case DataFormat.AVRO:
                from lambent.events.sources.kafka.schemas.avro import avro_reader

                read = avro_reader(schema)
            case DataFormat.JSON:
                from lambent.events.sources.kafka.schemas.json_schema import json_reader

                read = json_reader(schema)
            case DataFormat.PROTOBUF:
                from lambent.events.sources.kafka.schemas.protobuf import protobuf_reader

                read = protobuf_reader(schema)
    except ImportError as error:
        raise SourceError(f"schemas need the package {error.name}: pip install 'lambent[kafka]'") from error
    return ReadableSchema(schema.format, read)
