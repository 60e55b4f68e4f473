"""Registries with Confluent's API: framing, references, accounts, certificates, trouble."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from lambent.events.sources.kafka.schemas.confluent import ConfluentRegistry
from lambent.events.sources.kafka.schemas.contracts import DataFormat, SchemaNotFoundError
from lambent.events.sources.source import SourceError
from tests.certificates import self_signed
from tests.schema_registry import Registry

if TYPE_CHECKING:
    from pathlib import Path


def test_the_framing() -> None:
    registry = ConfluentRegistry("http://127.0.0.1:1", {})
    assert registry.framed(b"\x00\x00\x00\x01\x02body") == ("258", b"body")
    for wrong in (b"", b"\x00\x00\x00\x01", b"\x01\x00\x00\x00\x01x", b"plain text"):
        with pytest.raises(ValueError, match="registry"):
            registry.framed(wrong)


async def test_schemas_come_with_what_they_refer_to() -> None:
    with Registry() as served:
        served.register("a/b", '"string"')
        served.register("middle", "{}", "JSON", ["a/b"])
        number = served.register("outer", "text", "PROTOBUF", ["middle", "a/b"])
        found = await ConfluentRegistry(served.url + "/", {}).schema(str(number))
        assert (found.format, found.text) == (DataFormat.PROTOBUF, "text")
        assert list(found.references.items()) == [("a/b", '"string"'), ("middle", "{}")]
        assert (await ConfluentRegistry(served.url, {}).schema("1")).format is DataFormat.AVRO
        with pytest.raises(SchemaNotFoundError):
            await ConfluentRegistry(served.url, {}).schema("9")


async def test_accounts() -> None:
    with Registry("me:secret") as served:
        served.register("s", '"string"')
        right = {"BASIC_AUTH": {"username": "me", "password": "secret"}}
        assert (await ConfluentRegistry(served.url, right).schema("1")).text == '"string"'
        with pytest.raises(SourceError, match="401"):
            await ConfluentRegistry(served.url, {}).schema("1")
        with pytest.raises(SourceError, match="password"):
            ConfluentRegistry(served.url, {"BASIC_AUTH": {"username": "me"}})


async def test_certificates_of_both_sides(tmp_path: Path) -> None:
    certificate, key = self_signed(tmp_path)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH, cafile=str(certificate))
    tls.load_cert_chain(certificate, key)
    tls.verify_mode = ssl.CERT_REQUIRED
    mine = {"certificate": certificate.read_text(), "privateKey": key.read_text()}
    root = {"SERVER_ROOT_CA_CERTIFICATE": {"certificate": certificate.read_text()}}
    with Registry(tls=tls) as served:
        served.register("s", '"string"')
        both = {**root, "CLIENT_CERTIFICATE_TLS_AUTH": mine}
        assert (await ConfluentRegistry(served.url, both).schema("1")).text == '"string"'
        with pytest.raises(SourceError, match="certificate"):
            await ConfluentRegistry(served.url, {}).schema("1")
    with pytest.raises(SourceError, match="certificates"):
        ConfluentRegistry(served.url, {"SERVER_ROOT_CA_CERTIFICATE": {"certificate": "none"}})


async def test_trouble_passes() -> None:
    with Registry() as served:
        served.failing = 503
        with pytest.raises(SourceError, match="503"):
            await ConfluentRegistry(served.url, {}).schema("1")
    with pytest.raises(SourceError, match="cannot be asked"):
        await ConfluentRegistry(served.url, {}).schema("1")
