"""The language of .proto files, as far as reading messages needs it: registries keep schemas as texts.

Options and services say nothing about how a message lies in bytes: they are passed over, but for what makes it a map
entry or a group. Names are resolved by Protocol Buffers' own pool. Source: Protocol Buffers, "Language Specification".
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

    from google.protobuf.descriptor_pb2 import (
        DescriptorProto,
        EnumDescriptorProto,
        FieldDescriptorProto,
        FileDescriptorProto,
    )

_TOKENS = re.compile(
    r"""(?:\s+|//[^\n]*|/\*.*?\*/)*
    ( "(?:[^"\\\n]|\\.)*" | '(?:[^'\\\n]|\\.)*' | \.?[A-Za-z_][\w.]* | [-+]?[0-9][\w.+-]* | [{}()\[\]<>;=,:.+-] | /
    | \Z )""",
    re.VERBOSE | re.DOTALL,
)
_SCALARS = {
    name: number
    for number, name in enumerate(
        (
            "double", "float", "int64", "uint64", "int32", "fixed64", "fixed32", "bool", "string", "group", "message",
            "bytes", "uint32", "enum", "sfixed32", "sfixed64", "sint32", "sint64",
        ),
        1,
    )
    if name not in ("group", "message", "enum")
}  # fmt: skip
_LABELS = {"optional": 1, "required": 2, "repeated": 3}
_GROUP = 10
_DEPTH_MAX = 32


def parse_proto(name: str, text: str) -> FileDescriptorProto:
    """Return the FileDescriptorProto of a text under a name. Raises ValueError: it is no such text."""
    return _Parser(text).file(name)


def _tokens(text: str) -> Iterator[str]:
    at = 0
    while True:
        match = _TOKENS.match(text, at)
        if match is None:
            raise ValueError(f"no Protobuf schema: {text[at : at + 20].strip()!r} is not understood")
        yield match[1]
        if not match[1]:
            return
        at = match.end()


class _Parser:
    def __init__(self, text: str) -> None:
        self._tokens = list(_tokens(text))
        self._at = 0
        self._is_proto3 = False
        self._depth = 0

    def file(self, name: str) -> FileDescriptorProto:
        from google.protobuf import descriptor_pb2

        file = descriptor_pb2.FileDescriptorProto(name=name)
        while (word := self._next()) != "":
            match word:
                case "syntax" | "edition":
                    self._expect("=")
                    file.syntax = self._string()
                    self._is_proto3 = file.syntax == "proto3"
                    if word == "edition":
                        raise ValueError("no Protobuf schema: editions are not understood")
                case "package":
                    file.package = self._next()
                case "import":
                    if self._peek() in ("public", "weak") and self._next() == "public":
                        file.public_dependency.append(len(file.dependency))
                    file.dependency.append(self._string())
                case "message":
                    self._message(file.message_type.add())
                    continue
                case "enum":
                    self._enum(file.enum_type.add())
                    continue
                case "option":
                    self._pass_over(";")
                    continue
                case "service" | "extend":
                    self._pass_over("{")
                    self._pass_block()
                    continue
                case ";":
                    continue
                case _:
                    raise self._wrong(word)
            self._expect(";")
        return file

    def _message(self, message: DescriptorProto) -> None:
        message.name = self._next()
        self._body(message)

    def _body(self, message: DescriptorProto) -> None:
        self._depth += 1
        if self._depth > _DEPTH_MAX:
            raise ValueError("no Protobuf schema: too many messages in one another")
        self._expect("{")
        while (word := self._next()) != "}":
            match word:
                case "message" if self._peek(1) == "{":
                    self._message(message.nested_type.add())
                case "enum" if self._peek(1) == "{":
                    self._enum(message.enum_type.add())
                case "oneof" if self._peek(1) == "{":
                    self._oneof(message)
                case "map" if self._peek() == "<":
                    self._map(message)
                case "option" | "reserved" | "extensions":
                    self._pass_over(";")
                case "extend":
                    self._pass_over("{")
                    self._pass_block()
                case ";":
                    continue
                case _:
                    self._field(message, word)
        self._depth -= 1
        for field in message.field:
            if field.proto3_optional:
                # Source: "Implementing proto3 presence": it stands in a oneof of its own, after those that are written.
                field.oneof_index = len(message.oneof_decl)
                message.oneof_decl.add(name=f"_{field.name}")

    def _oneof(self, message: DescriptorProto) -> None:
        index = len(message.oneof_decl)
        message.oneof_decl.add(name=self._next())
        self._expect("{")
        while (word := self._next()) != "}":
            if word == "option":
                self._pass_over(";")
            elif word != ";":
                self._field(message, word).oneof_index = index

    def _map(self, message: DescriptorProto) -> None:
        self._expect("<")
        key = self._next()
        self._expect(",")
        value = self._next()
        self._expect(">")
        name = self._next()
        # Source: descriptor.proto, MessageOptions.map_entry: the entry's name.
        entry = message.nested_type.add(name="".join(part[:1].upper() + part[1:] for part in name.split("_")) + "Entry")
        entry.options.map_entry = True
        for number, (field, kind) in enumerate((("key", key), ("value", value)), 1):
            self._typed(entry.field.add(name=field, number=number, label=1), kind)
        field = message.field.add(name=name, label=3, type=11, type_name=entry.name)
        self._numbered(field)

    def _field(self, message: DescriptorProto, word: str) -> FieldDescriptorProto:
        label = _LABELS.get(word)
        kind = self._next() if label is not None else word
        field = message.field.add(label=label or 1)
        if kind == "group":
            field.name = self._next()
            group = message.nested_type.add(name=field.name)
            field.type, field.type_name, field.name = _GROUP, group.name, field.name.lower()
            self._expect("=")
            field.number = self._number()
            if self._peek() == "[":
                self._options()
            self._body(group)
            return field
        field.name = self._next()
        self._typed(field, kind)
        self._numbered(field)
        if word == "optional" and self._is_proto3:
            field.proto3_optional = True
        return field

    @staticmethod
    def _typed(field: FieldDescriptorProto, kind: str) -> None:
        scalar = _SCALARS.get(kind)
        if scalar is not None:
            field.type = scalar
        else:
            field.type_name = kind

    def _numbered(self, field: FieldDescriptorProto) -> None:
        self._expect("=")
        field.number = self._number()
        if self._peek() == "[":
            self._options()
        self._expect(";")

    def _enum(self, enum: EnumDescriptorProto) -> None:
        enum.name = self._next()
        self._expect("{")
        while (word := self._next()) != "}":
            if word in ("option", "reserved"):
                if word == "option" and self._peek() == "allow_alias":
                    enum.options.allow_alias = True
                self._pass_over(";")
            elif word != ";":
                self._expect("=")
                enum.value.add(name=word, number=self._number())
                if self._peek() == "[":
                    self._options()
                self._expect(";")

    def _options(self) -> None:
        depth = 0
        while True:
            word = self._next()
            depth += (word in "[{") - (word in "]}")
            if not depth:
                return

    def _pass_over(self, end: str) -> None:
        """Read up to a word; what stands in braces before it counts as one."""
        depth = 0
        while (word := self._next()) != end or depth:
            depth += (word == "{") - (word == "}")

    def _pass_block(self) -> None:
        depth = 1
        while depth:
            word = self._next()
            depth += (word == "{") - (word == "}")

    def _peek(self, ahead: int = 0) -> str:
        at = self._at + ahead
        return self._tokens[at] if at < len(self._tokens) else ""

    def _next(self) -> str:
        if self._at >= len(self._tokens):
            raise ValueError("no Protobuf schema: it ends too early")
        self._at += 1
        return self._tokens[self._at - 1]

    def _expect(self, word: str) -> None:
        found = self._next()
        if found != word:
            raise self._wrong(found)

    def _string(self) -> str:
        return self._next()[1:-1]

    def _number(self) -> int:
        word = self._next()
        sign = -1 if word.startswith("-") else 1
        return sign * int(self._next() if word in "+-" else word.lstrip("+-"), 0)

    @staticmethod
    def _wrong(word: str) -> ValueError:
        return ValueError(f"no Protobuf schema: {word!r} is not understood")
