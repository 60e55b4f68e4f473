"""Avro: binary records to plain JSON values."""

from __future__ import annotations

import io
import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.events.sources.kafka.schemas.contracts import RegisteredSchema


def avro_reader(schema: RegisteredSchema) -> Callable[[bytes], object]:
    """Return what reads a record. Values of logical types stay numbers and texts; bytes are text, a character each.

    Raises:
        ValueError: it is no schema.
    """
    import fastavro
    from fastavro.schema import SchemaParseException, UnknownType

    try:
        named: dict[str, dict[str, Any]] = {}
        for text in schema.references.values():
            fastavro.parse_schema(_plain(json.loads(text)), named_schemas=named)
        parsed = fastavro.parse_schema(_plain(json.loads(schema.text)), named_schemas=named)
    except (SchemaParseException, UnknownType, TypeError, KeyError) as error:
        raise ValueError(f"no Avro schema: {error!r}") from error

    def read(body: bytes) -> object:
        try:
            found = fastavro.schemaless_reader(io.BytesIO(body), parsed, None)
        except (EOFError, IndexError, TypeError, KeyError, OverflowError, MemoryError) as error:
            raise ValueError(f"it does not fit its Avro schema: {error!r}") from error
        return _json_value(found)

    return read


def _plain(schema: str | list[Any] | dict[str, Any]) -> str | list[Any] | dict[str, Any]:
    """Return a schema without logical types, which would become objects that JSON has not."""
    if isinstance(schema, dict):
        return {key: _plain(value) for key, value in schema.items() if key != "logicalType"}
    return [_plain(one) for one in schema] if isinstance(schema, list) else schema


def _json_value(value: object) -> object:
    if isinstance(value, bytes):
        # Source: Avro specification, "JSON Encoding".
        return value.decode("iso-8859-1")
    if isinstance(value, dict):
        return {key: _json_value(one) for key, one in value.items()}
    return [_json_value(one) for one in value] if isinstance(value, list) else value
