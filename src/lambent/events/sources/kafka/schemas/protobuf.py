"""Protocol Buffers: binary messages to JSON, by schemas as texts."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.events.sources.kafka.schemas.proto_text import parse_proto

if TYPE_CHECKING:
    from collections.abc import Callable

    from google.protobuf.descriptor import Descriptor, FileDescriptor
    from google.protobuf.descriptor_pool import DescriptorPool
    from google.protobuf.message import Message

    from lambent.events.sources.kafka.schemas.contracts import RegisteredSchema

_FILE = "schema.proto"
# Files that every schema may import. Source: Protocol Buffers, "Well-Known Types".
_WELL_KNOWN = ("any", "api", "descriptor", "duration", "empty", "field_mask", "source_context", "struct", "timestamp")
_WELL_KNOWN_PACKAGE = "google/protobuf/"
_INDEXES_MAX = 100


def protobuf_reader(schema: RegisteredSchema) -> Callable[[bytes], object]:
    """Return what reads a body: which of the schema's messages it is, and the message, as Protocol Buffers' JSON.

    Raises:
        ValueError: it is no schema.
    """
    from google.protobuf import json_format, message, message_factory

    file = _described(schema)
    order = _breadth_first(file) if schema.has_flat_index else []
    classes: dict[tuple[int, ...], type[Message]] = {}

    def found(indexes: tuple[int, ...]) -> type[Message]:
        known = classes.get(indexes)
        if known is None:
            known = classes[indexes] = message_factory.GetMessageClass(_descriptor(file, indexes))
        return known

    def read(body: bytes) -> object:
        try:
            if schema.has_flat_index:
                number, at = _varint(body, 0)
                kind = message_factory.GetMessageClass(order[number])
            else:
                indexes, at = _indexes(body)
                kind = found(indexes)
            return json_format.MessageToDict(kind.FromString(body[at:]))
        except (message.DecodeError, json_format.Error, IndexError, TypeError) as error:
            raise ValueError(f"it does not fit its Protobuf schema: {error}") from error

    return read


def _described(schema: RegisteredSchema) -> FileDescriptor:
    from google.protobuf import descriptor_pool

    pool = descriptor_pool.DescriptorPool()
    added: set[str] = set()
    try:
        for name, text in schema.references.items():
            _add(pool, name, text, added)
        _add(pool, _FILE, schema.text, added)
        return pool.FindFileByName(_FILE)
    except (TypeError, KeyError) as error:
        raise ValueError(f"no Protobuf schema: {error}") from error


def _add(pool: DescriptorPool, name: str, text: str, added: set[str]) -> None:
    file = parse_proto(name, text)
    for imported in file.dependency:
        _add_well_known(pool, imported, added)
    pool.Add(file)
    added.add(name)


def _add_well_known(pool: DescriptorPool, name: str, added: set[str]) -> None:
    stem = name.removeprefix(_WELL_KNOWN_PACKAGE).removesuffix(".proto")
    if name in added or not name.startswith(_WELL_KNOWN_PACKAGE) or stem not in (*_WELL_KNOWN, "type", "wrappers"):
        return
    import importlib

    from google.protobuf import descriptor_pb2

    module = importlib.import_module(f"google.protobuf.{stem}_pb2")
    file = descriptor_pb2.FileDescriptorProto()
    module.DESCRIPTOR.CopyToProto(file)
    for imported in file.dependency:
        _add_well_known(pool, imported, added)
    pool.Add(file)
    added.add(name)


def _descriptor(file: FileDescriptor, indexes: tuple[int, ...]) -> Descriptor:
    """Return the message that a path of numbers leads to, in the order in which the schema declares them."""
    found = list(file.message_types_by_name.values())[indexes[0]]
    for index in indexes[1:]:
        found = found.nested_types[index]
    return found


def _breadth_first(file: FileDescriptor) -> list[Descriptor]:
    order = list(file.message_types_by_name.values())
    for one in order:
        order.extend(one.nested_types)
    return order


def _indexes(body: bytes) -> tuple[tuple[int, ...], int]:
    """Return the path to the message's type and where the message begins.

    Source: Confluent documentation, "Wire format": numbers in zigzag, their count first; a 0 alone is the first.
    """
    count, at = _zigzag(body, 0)
    if not 0 <= count <= _INDEXES_MAX:
        raise ValueError("it has no message indexes")
    if not count:
        return (0,), at
    found = []
    for _ in range(count):
        number, at = _zigzag(body, at)
        if number < 0:
            raise ValueError("it has no message indexes")
        found.append(number)
    return tuple(found), at


def _zigzag(body: bytes, at: int) -> tuple[int, int]:
    number, at = _varint(body, at)
    return (number >> 1) ^ -(number & 1), at


def _varint(body: bytes, at: int) -> tuple[int, int]:
    number = 0
    for shift in range(0, 35, 7):
        if at >= len(body):
            break
        byte = body[at]
        at += 1
        number |= (byte & 0x7F) << shift
        if byte < 0x80:
            return number, at
    raise ValueError("it has no message indexes")
