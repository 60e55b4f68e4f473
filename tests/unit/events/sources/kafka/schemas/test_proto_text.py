"""Schemas as .proto texts: every form of the language that says how a message lies in bytes."""

from __future__ import annotations

import pytest

from lambent.events.sources.kafka.schemas.proto_text import parse_proto

EVERYTHING = """
// A comment; with "quotes" and { braces.
syntax = "proto3";
package shop.v1; /* another
                    one */
import "google/protobuf/timestamp.proto";
import public 'other.proto';
option java_package = "x.y";
option (custom).deep = { a: 1 b: { c: "}" } };

message Order {
  option deprecated = true;
  reserved 100 to 200, 300;
  reserved "old", "older";
  enum Kind { KIND_UNSPECIFIED = 0; option allow_alias = true; NEW = 1 [deprecated = true]; ALSO_NEW = 1; BAD = -2; }
  message Line { string name = 1; repeated int32 counts = 2 [packed = false, (custom) = { x: [1, 2] }]; }
  string id = 1;
  optional sint64 change = 2;
  Kind kind = 3;
  repeated .shop.v1.Order.Line lines = 4;
  map<string, Line> by_name = 5;
  oneof payment { string card = 6; bytes token = 0x7; }
  google.protobuf.Timestamp at = 8;
  optional bool is_paid = 9;
  double message = 10;
}
service Orders { rpc Get (Order) returns (stream Order) { option (http) = { get: "/x" }; } }
"""


def test_every_form_is_understood() -> None:
    file = parse_proto("orders.proto", EVERYTHING)
    assert (file.name, file.package, file.syntax) == ("orders.proto", "shop.v1", "proto3")
    assert list(file.dependency) == ["google/protobuf/timestamp.proto", "other.proto"]
    assert list(file.public_dependency) == [1]
    (order,) = file.message_type
    assert [one.name for one in order.nested_type] == ["Line", "ByNameEntry"]
    assert {field.name: field.number for field in order.field} == {
        "id": 1, "change": 2, "kind": 3, "lines": 4, "by_name": 5, "card": 6, "token": 7, "at": 8, "is_paid": 9,
        "message": 10,
    }  # fmt: skip
    assert [one.name for one in order.oneof_decl] == ["payment", "_change", "_is_paid"]
    fields = {field.name: field for field in order.field}
    assert (fields["card"].oneof_index, fields["change"].oneof_index) == (0, 1)
    assert fields["change"].proto3_optional
    assert (fields["lines"].label, fields["lines"].type_name) == (3, ".shop.v1.Order.Line")
    assert order.nested_type[1].options.map_entry
    assert [(one.name, one.number) for one in order.enum_type[0].value][-1] == ("BAD", -2)


def test_the_older_language_has_groups_and_extensions() -> None:
    file = parse_proto(
        "old.proto",
        """message A { required int32 a = 1 [default = 5]; extensions 10 to max;
           repeated group Part = 2 { optional string x = 1; } extend A { optional int32 b = 11; } ; }
           extend A { optional int32 c = 12; }""",
    )
    (message,) = file.message_type
    assert [(one.name, one.type, one.label) for one in message.field] == [("a", 5, 2), ("part", 10, 3)]


@pytest.mark.parametrize(
    "text",
    [
        "message {", "message A { string }", "nonsense", "message A { string x 1; }", 'message A { string x = "1"; }',
        "message A { \x00 }", "message A { string x = 1; ", 'edition = "2023"; message A {}',
        "message A { int32 x = y; }",
        "message A { message A " * 40, "import", '"', "[", "option x = [",
    ],
)  # fmt: skip
def test_what_is_no_schema_says_so(text: str) -> None:
    with pytest.raises(ValueError, match="no Protobuf schema|invalid literal"):
        parse_proto("x.proto", text)
