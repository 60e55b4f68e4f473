"""Glue's registry: its framing, and what its endpoint answers."""

from __future__ import annotations

import uuid
import zlib
from typing import Any

import pytest

from lambent.events.sources.kafka.schemas.contracts import DataFormat, SchemaNotFoundError
from lambent.events.sources.kafka.schemas.glue import GlueRegistry
from lambent.events.sources.source import SourceError
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError

ARN = "arn:aws:glue:eu-west-1:000000000000:registry/r"
VERSION = uuid.UUID("00112233-4455-6677-8899-aabbccddeeff")


class Glue:
    """An OutwardClient whose Glue answers one thing."""

    def __init__(self, answer: dict[str, Any] | Exception) -> None:
        self._answer = answer
        self.calls: list[tuple[Any, ...]] = []

    async def call(self, *call: Any) -> dict[str, Any]:
        """See OutwardClient."""
        self.calls.append(call)
        if isinstance(self._answer, Exception):
            raise self._answer
        return self._answer


def registry(answer: dict[str, Any] | Exception) -> tuple[GlueRegistry, Glue]:
    """Return a registry and its Glue."""
    glue = Glue(answer)
    return GlueRegistry(ARN, glue, "1"), glue  # type: ignore[arg-type]


def test_the_framing() -> None:
    read, _ = registry({})
    assert read.framed(b"\x03\x00" + VERSION.bytes + b"body") == (str(VERSION), b"body")
    assert read.framed(b"\x03\x05" + VERSION.bytes + zlib.compress(b"body" * 99)) == (str(VERSION), b"body" * 99)
    for wrong in (
        b"",
        b"\x03\x00short",
        b"\x00\x00" + VERSION.bytes,
        b"\x03\x01" + VERSION.bytes,
        b"\x03\x05" + bytes(20),
    ):
        with pytest.raises(ValueError, match="it "):
            read.framed(wrong)


async def test_a_version_is_asked_for() -> None:
    read, glue = registry({"SchemaDefinition": "text", "DataFormat": "PROTOBUF"})
    found = await read.schema(str(VERSION))
    assert (found.format, found.text, found.has_flat_index) == (DataFormat.PROTOBUF, "text", True)
    asked = ("glue", "GetSchemaVersion", {"SchemaVersionId": str(VERSION)}, Principal("000000000000", "eu-west-1"))
    assert glue.calls == [asked]


async def test_what_glue_refuses() -> None:
    with pytest.raises(SchemaNotFoundError):
        await registry(CallError("EntityNotFoundException", "", 400))[0].schema("x")
    with pytest.raises(SourceError, match="AccessDenied"):
        await registry(CallError("AccessDeniedException", "", 400))[0].schema("x")
    with pytest.raises(SourceError, match="nobody"):
        await registry(NeighbourError("NotImplemented", "nobody answers for glue", 501))[0].schema("x")
    with pytest.raises(SourceError, match="something else"):
        await registry({"DataFormat": "XML"})[0].schema("x")
    with pytest.raises(SourceError, match="no schema registry"):
        GlueRegistry("arn:aws:s3:::bucket", Glue({}), "1")  # type: ignore[arg-type]
