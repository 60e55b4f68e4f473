"""Avro bodies as plain JSON values."""

from __future__ import annotations

import io
import json
from typing import Any

import fastavro
import pytest

from lambent.events.sources.kafka.schemas.avro import avro_reader
from lambent.events.sources.kafka.schemas.contracts import DataFormat, RegisteredSchema

USER: dict[str, Any] = {
    "type": "record",
    "name": "User",
    "fields": [
        {"name": "name", "type": "string"},
        {"name": "age", "type": ["null", "int"]},
        {"name": "born", "type": {"type": "int", "logicalType": "date"}},
        {"name": "worth", "type": {"type": "bytes", "logicalType": "decimal", "precision": 4, "scale": 2}},
        {"name": "address", "type": "Address"},
        {"name": "tags", "type": {"type": "map", "values": {"type": "array", "items": "boolean"}}},
        {"name": "kind", "type": {"type": "enum", "name": "Kind", "symbols": ["A", "B"]}},
    ],
}
ADDRESS = {"type": "record", "name": "Address", "fields": [{"name": "city", "type": "string"}]}
SCHEMA = RegisteredSchema(DataFormat.AVRO, json.dumps(USER), {"Address": json.dumps(ADDRESS)})
VALUE = {
    "name": "Ada", "age": None, "born": 7, "worth": b"\x00\xff", "address": {"city": "L"}, "tags": {"x": [True, False]},
    "kind": "B",
}  # fmt: skip


def body() -> bytes:
    """Return VALUE as Avro has it."""
    named: dict[str, Any] = {}
    fastavro.parse_schema(ADDRESS, named_schemas=named)
    plain = json.loads(json.dumps(USER).replace('"logicalType"', '"ignored"'))
    written = io.BytesIO()
    fastavro.schemaless_writer(written, fastavro.parse_schema(plain, named_schemas=named), VALUE)
    return written.getvalue()


def test_a_record_is_plain_json() -> None:
    assert avro_reader(SCHEMA)(body()) == {**VALUE, "worth": "\x00ÿ"}


def test_a_text_alone_is_one_too() -> None:
    # Source: Avro specification, "Binary Encoding": the example of a string.
    assert avro_reader(RegisteredSchema(DataFormat.AVRO, '"string"'))(b"\x06foo") == "foo"


def test_bodies_that_do_not_fit_are_refused() -> None:
    read = avro_reader(SCHEMA)
    for cut in range(len(body())):
        with pytest.raises(ValueError, match="does not fit"):
            read(body()[:cut])


@pytest.mark.parametrize("text", ["{", '{"type": "record"}', '{"type": "Unknown"}', '"Unknown"', "5"])
def test_schemas_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"."):
        avro_reader(RegisteredSchema(DataFormat.AVRO, text))
