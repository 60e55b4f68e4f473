"""Registries with Confluent's API: its wire format, and the two operations that readers need.

Source: Confluent documentation, "Wire format", "Schema Registry API Reference".
"""

from __future__ import annotations

import asyncio
import base64
import json
import os
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import TYPE_CHECKING, Any

from lambent.events.sources.kafka.schemas.contracts import (
    DataFormat,
    Framed,
    RegisteredSchema,
    SchemaNotFoundError,
)
from lambent.events.sources.source import SourceError

if TYPE_CHECKING:
    from collections.abc import Mapping

_MAGIC = 0
_HEADER_BYTES = 5
_SECONDS_MAX = 10.0
_ANSWER_BYTES_MAX = 16 * 1024 * 1024
_REFERENCES_MAX = 200
_BASIC = "BASIC_AUTH"
_CLIENT_CERTIFICATE = "CLIENT_CERTIFICATE_TLS_AUTH"
_ROOT_CERTIFICATE = "SERVER_ROOT_CA_CERTIFICATE"
_OAUTH = "OAUTHBEARER_AUTH"


class ConfluentRegistry:
    """Scope: mapping; keeps nothing. `secrets`: see `read_secrets`."""

    def __init__(self, url: str, secrets: Mapping[str, Mapping[str, str]]) -> None:
        """Raises SourceError: the secrets are not what their kind needs."""
        if _OAUTH in secrets:
            raise SourceError("OAUTHBEARER_AUTH of schema registries is not there yet", is_lasting=True)
        self._url = url.rstrip("/")
        self._headers = {"Accept": "application/vnd.schemaregistry.v1+json, application/json"}
        if _BASIC in secrets:
            account = f"{_member(secrets, _BASIC, 'username')}:{_member(secrets, _BASIC, 'password')}"
            self._headers["Authorization"] = f"Basic {base64.b64encode(account.encode()).decode()}"
        self._tls = _tls(secrets) if self._url.startswith("https:") else None

    def framed(self, data: bytes) -> Framed:
        """See SchemaRegistry."""
        if len(data) < _HEADER_BYTES or data[0] != _MAGIC:
            raise ValueError("it was not written with a schema of a registry")
        return Framed(str(int.from_bytes(data[1:_HEADER_BYTES], "big")), data[_HEADER_BYTES:])

    async def schema(self, schema_id: str) -> RegisteredSchema:
        """See SchemaRegistry."""
        return await asyncio.to_thread(self._schema, schema_id)

    def _schema(self, schema_id: str) -> RegisteredSchema:
        found = self._get(f"/schemas/ids/{schema_id}")
        try:
            # Registries leave the type out for Avro, which was there before the others.
            kind = DataFormat(found.get("schemaType") or DataFormat.AVRO)
            references: dict[str, str] = {}
            self._refer(found, references)
            return RegisteredSchema(kind, str(found["schema"]), references)
        except (KeyError, TypeError, ValueError) as error:
            raise SourceError(f"the schema registry {self._url} answers something else: {error!r}") from error

    def _refer(self, schema: Mapping[str, Any], references: dict[str, str]) -> None:
        """Collect what a schema refers to, each after what it refers to itself."""
        for one in schema.get("references") or ():
            if one["name"] in references:
                continue
            if len(references) >= _REFERENCES_MAX:
                raise ValueError(f"more than {_REFERENCES_MAX} references")
            found = self._get(f"/subjects/{urllib.parse.quote(one['subject'], safe='')}/versions/{one['version']}")
            self._refer(found, references)
            references[one["name"]] = str(found["schema"])

    def _get(self, path: str) -> dict[str, Any]:
        request = urllib.request.Request(self._url + path, headers=self._headers)
        opener = urllib.request.build_opener(
            urllib.request.HTTPSHandler(context=self._tls), urllib.request.ProxyHandler({})
        )
        try:
            with opener.open(request, timeout=_SECONDS_MAX) as answer:
                found = json.loads(answer.read(_ANSWER_BYTES_MAX))
        except urllib.error.HTTPError as error:
            with error:
                if error.code == 404:
                    raise SchemaNotFoundError(f"{self._url} has no {path}") from error
                raise SourceError(f"the schema registry {self._url} answers {error.code}") from error
        except (OSError, ValueError) as error:
            reason = getattr(error, "reason", error)
            raise SourceError(f"the schema registry {self._url} cannot be asked: {reason}") from error
        if not isinstance(found, dict):
            raise SourceError(f"the schema registry {self._url} answers something else")
        return found


def _tls(secrets: Mapping[str, Mapping[str, str]]) -> ssl.SSLContext:
    root = secrets.get(_ROOT_CERTIFICATE)
    try:
        context = ssl.create_default_context(cadata=None if root is None else root.get("certificate"))
        if _CLIENT_CERTIFICATE in secrets:
            parts = [_member(secrets, _CLIENT_CERTIFICATE, name) for name in ("certificate", "privateKey")]
            # OpenSSL reads keys from files only. This one is in memory, and nobody else can open it.
            file = os.memfd_create("client-certificate", os.MFD_CLOEXEC)
            try:
                os.write(file, "\n".join(parts).encode())
                password = secrets[_CLIENT_CERTIFICATE].get("privateKeyPassword") or ""
                context.load_cert_chain(f"/proc/self/fd/{file}", password=password)
            finally:
                os.close(file)
    except (OSError, ValueError) as error:
        raise SourceError(f"the certificates for the schema registry cannot be used: {error}") from error
    return context


def _member(secrets: Mapping[str, Mapping[str, str]], kind: str, name: str) -> str:
    value = secrets[kind].get(name)
    if not value:
        raise SourceError(f"the schema registry's secret for {kind} has no {name}", is_lasting=True)
    return value
