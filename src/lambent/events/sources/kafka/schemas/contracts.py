"""What reading by schemas is made of."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple, Protocol

from msgspec import Struct, field

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping


class DataFormat(StrEnum):
    """AWS's names, which registries use too. Source: developer guide, "Payload formats" for Kafka."""

    AVRO = "AVRO"
    JSON = "JSON"
    PROTOBUF = "PROTOBUF"


class Framed(NamedTuple):
    """A key or value: the id of its schema, and what follows the framing."""

    schema_id: str
    body: bytes


class RegisteredSchema(Struct, frozen=True):
    """A schema's text. `references` are texts of others by the name under which this one speaks of them.

    `has_flat_index`: a Protobuf body names its message by one number, as Glue's do, and not by a path.
    """

    format: DataFormat
    text: str
    references: Mapping[str, str] = field(default_factory=dict)
    has_flat_index: bool = False


class ReadableSchema(NamedTuple):
    """`read(body)` returns the JSON value of a body; it raises ValueError when the body does not fit the schema."""

    format: DataFormat
    read: Callable[[bytes], object]


class SchemaNotFoundError(Exception):
    """The registry has no schema of that id."""


class SchemaRegistry(Protocol):
    """One registry."""

    def framed(self, data: bytes) -> Framed:
        """Take a key or value apart. Raises ValueError: it was not written with this kind of registry."""

    async def schema(self, schema_id: str) -> RegisteredSchema:
        """Return a schema. Raises SchemaNotFoundError; SourceError: the registry refuses or does not answer."""
