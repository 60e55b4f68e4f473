"""Records by their schemas: what is selected is checked and replaced, what is not stays, what fails says why."""

from __future__ import annotations

import base64
import json

import pytest

from lambent.events.sources.kafka.schemas.contracts import DataFormat, Framed, RegisteredSchema, SchemaNotFoundError
from lambent.events.sources.kafka.schemas.decoding import SchemaDecoder
from lambent.events.sources.source import SourceError, SourceRecord
from lambent.events.sources.streams.failures import GivenUp

NUMBERS = RegisteredSchema(DataFormat.JSON, '{"type": "object", "properties": {"n": {"type": "integer"}}}')


class Registry:
    """A registry whose bodies begin with the id of their schema and a colon."""

    def __init__(self) -> None:
        self.schemas = {"numbers": NUMBERS, "broken": RegisteredSchema(DataFormat.AVRO, "{")}
        self.asked: list[str] = []
        self.is_away = False

    def framed(self, data: bytes) -> Framed:
        """See SchemaRegistry."""
        schema_id, colon, body = data.partition(b":")
        if not colon:
            raise ValueError("no framing")
        return Framed(schema_id.decode(), body)

    async def schema(self, schema_id: str) -> RegisteredSchema:
        """See SchemaRegistry."""
        self.asked.append(schema_id)
        if self.is_away:
            raise SourceError("away")
        if schema_id not in self.schemas:
            raise SchemaNotFoundError(schema_id)
        return self.schemas[schema_id]


def record(**parts: bytes) -> SourceRecord:
    """Return a record with a key, a value, or both."""
    document = {"offset": 1, **{name: base64.b64encode(part).decode() for name, part in parts.items()}}
    return SourceRecord(document, {"offset": 1, **{name: part.decode() for name, part in parts.items()}}, "t-0/1", 100)


async def test_a_value_becomes_json_and_is_seen_by_filters() -> None:
    registry = Registry()
    decoder = SchemaDecoder(registry, ("value",), is_json=True)
    for _ in range(2):
        (found, reason, _text) = await decoder.decoded(record(key=b"raw", value=b'numbers:{ "n" : 5 }'))
        assert (reason, registry.asked) == (None, ["numbers"])
        assert found is not None
        assert found.document == {
            "offset": 1,
            "key": base64.b64encode(b"raw").decode(),
            "value": base64.b64encode(b'{"n":5}').decode(),
            "valueSchemaMetadata": {"dataFormat": "JSON", "schemaId": "numbers"},
        }
        assert (found.view["key"], json.loads(found.view["value"])) == ("raw", {"n": 5})
        assert found.size_bytes > 100


async def test_as_they_were_but_for_the_framing() -> None:
    decoder = SchemaDecoder(Registry(), ("key", "value"), is_json=False)
    found = (await decoder.decoded(record(key=b'numbers: {"n":1}', value=b"numbers: {}"))).record
    assert found is not None
    assert base64.b64decode(found.document["key"]) == b' {"n":1}'
    assert found.view["key"] == {"n": 1}
    assert found.document["keySchemaMetadata"] == found.document["valueSchemaMetadata"]


async def test_what_is_not_there_stays_so() -> None:
    found = (await SchemaDecoder(Registry(), ("key", "value"), is_json=True).decoded(record(key=b"numbers:{}"))).record
    assert found is not None
    assert "value" not in found.document
    assert "valueSchemaMetadata" not in found.document


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (b"nothing", GivenUp.DESERIALIZATION_ERROR),
        (b"numbers:", GivenUp.DESERIALIZATION_ERROR),
        (b'numbers:{"n": "x"}', GivenUp.DESERIALIZATION_ERROR),
        (b"broken:x", GivenUp.DESERIALIZATION_ERROR),
        (b"unknown:x", GivenUp.SCHEMA_NOT_FOUND),
        (b"numbers:" + b"[" * 100_000, GivenUp.DESERIALIZATION_ERROR),
    ],
)
async def test_what_fails_says_why(value: bytes, reason: GivenUp) -> None:
    found = await SchemaDecoder(Registry(), ("value",), is_json=True).decoded(record(value=value))
    assert (found.record, found.reason) == (None, reason)
    assert found.text


async def test_a_registry_that_is_away_is_asked_again() -> None:
    registry = Registry()
    registry.is_away = True
    decoder = SchemaDecoder(registry, ("value",), is_json=True)
    with pytest.raises(SourceError):
        await decoder.decoded(record(value=b"numbers:{}"))
    registry.is_away = False
    assert (await decoder.decoded(record(value=b"numbers:{}"))).record is not None
