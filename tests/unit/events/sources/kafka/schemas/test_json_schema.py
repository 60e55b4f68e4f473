"""JSON bodies that must fit their schema."""

from __future__ import annotations

import json

import pytest

from lambent.events.sources.kafka.schemas.contracts import DataFormat, RegisteredSchema
from lambent.events.sources.kafka.schemas.json_schema import json_reader

ADDRESS = {"type": "object", "required": ["city"], "properties": {"city": {"type": "string"}}}
USER = {
    "type": "object",
    "required": ["name"],
    "properties": {"name": {"type": "string"}, "at": {"$ref": "address.json"}},
}
SCHEMA = RegisteredSchema(DataFormat.JSON, json.dumps(USER), {"address.json": json.dumps(ADDRESS)})


def test_what_fits_is_read() -> None:
    assert json_reader(SCHEMA)(b'{"name": "Ada", "at": {"city": "L"}}') == {"name": "Ada", "at": {"city": "L"}}


@pytest.mark.parametrize("body", [b"", b"{", b"{}", b'{"name": 1}', b'{"name": "x", "at": {}}', b"\xff", b"[]"])
def test_what_does_not_fit_is_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match=r"."):
        json_reader(SCHEMA)(body)


def test_schemas_that_are_none_are_refused() -> None:
    with pytest.raises(ValueError, match="no JSON Schema"):
        json_reader(RegisteredSchema(DataFormat.JSON, '{"type": 5}'))


def test_a_reference_that_is_nowhere_is_not_fetched() -> None:
    schema = RegisteredSchema(DataFormat.JSON, '{"$ref": "http://127.0.0.1:1/x.json"}')
    with pytest.raises(ValueError, match="does not fit"):
        json_reader(schema)(b"{}")
