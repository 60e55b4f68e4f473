"""Protobuf bodies: the path to the message's type, and the message as JSON."""

from __future__ import annotations

import pytest

from lambent.events.sources.kafka.schemas.contracts import DataFormat, RegisteredSchema
from lambent.events.sources.kafka.schemas.protobuf import protobuf_reader

TEXT = """
syntax = "proto3";
package p;
import "shared.proto";
import "google/protobuf/timestamp.proto";
message First { int32 number = 1; Kind kind = 2; map<string, int64> counts = 3; Shared shared = 4;
                google.protobuf.Timestamp created_at = 5; optional string note = 6; }
message Second { message Inner { string text = 1; } message Other { bytes data = 1; } }
enum Kind { NONE = 0; SOME = 1; }
"""
SHARED = 'syntax = "proto3"; package p; message Shared { bool yes = 1; }'
SCHEMA = RegisteredSchema(DataFormat.PROTOBUF, TEXT, {"shared.proto": SHARED})


@pytest.mark.parametrize(
    ("body", "value"),
    [
        # 150 is the example of Protocol Buffers' own description of its encoding.
        (b"\x00\x08\x96\x01", {"number": 150}),
        (b"\x02\x00\x08\x96\x01", {"number": 150}),
        (b"\x00\x10\x01\x1a\x05\x0a\x01a\x10\x05", {"kind": "SOME", "counts": {"a": "5"}}),
        (b"\x00\x22\x02\x08\x01\x2a\x02\x08\x01", {"shared": {"yes": True}, "createdAt": "1970-01-01T00:00:01Z"}),
        (b"\x00\x32\x00", {"note": ""}),
        (b"\x04\x02\x00\x0a\x05hello", {"text": "hello"}),
        (b"\x04\x02\x02\x0a\x02\x00\xff", {"data": "AP8="}),
        (b"\x00", {}),
    ],
)  # fmt: skip
def test_bodies_are_read(body: bytes, value: object) -> None:
    assert protobuf_reader(SCHEMA)(body) == value


@pytest.mark.parametrize(
    "body", [b"", b"\x80", b"\x06\x00", b"\x02\x0e", b"\x00\x08", b"\x01", b"\x02\x01\x00", b"\xff\xff\xff\xff\xff\x01"]
)
def test_bodies_that_do_not_fit_are_refused(body: bytes) -> None:
    with pytest.raises(ValueError, match="it "):
        protobuf_reader(SCHEMA)(body)


def test_glue_counts_messages_breadth_first() -> None:
    read = protobuf_reader(RegisteredSchema(DataFormat.PROTOBUF, TEXT, {"shared.proto": SHARED}, has_flat_index=True))
    assert read(b"\x00\x08\x96\x01") == {"number": 150}
    assert read(b"\x03\x0a\x05hello") == {"text": "hello"}


@pytest.mark.parametrize("text", ["message A { Missing m = 1; }", "message A {", 'import "gone.proto"; message A {}'])
def test_schemas_that_are_none_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="no Protobuf schema"):
        protobuf_reader(RegisteredSchema(DataFormat.PROTOBUF, text))
