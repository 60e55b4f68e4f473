"""A client of the registry protocol: manifests, and blobs from any byte on; basic and token authentication.

Source: OCI distribution specification 1.1; Docker registry token authentication.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from typing import TYPE_CHECKING
from urllib.parse import quote, urlencode, urljoin, urlsplit

from msgspec import Struct
from msgspec.structs import replace

from lambent.images import failures
from lambent.images.manifests import DOCUMENT_BYTES_MAX, INDEX_TYPES, MANIFEST_TYPES
from lambent.images.registries import is_loopback
from lambent.wire.http_client import ConnectionFailedError, Origin, OutwardRequest

if TYPE_CHECKING:
    from lambent.images.references import ImageReference
    from lambent.images.registries import Login, Place, RegistryTable
    from lambent.wire.http_client import HttpClient, OutwardResponse

_ACCEPT = ", ".join((*MANIFEST_TYPES, *INDEX_TYPES))
_REDIRECTS_MAX = 5
_TRIES = 3
_PAUSE_SECONDS = 0.5
_TOKENS_MAX = 1_000
_REDIRECT = frozenset((301, 302, 303, 307, 308))
_BUSY = frozenset((429, 500, 502, 503, 504))
_PARAMETER = re.compile(r'([A-Za-z]+)="([^"]*)"')


class Document(Struct, frozen=True):
    """A manifest or a configuration as it came. `digest`: SHA-256 of its bytes, lower-case hex."""

    content: bytes
    media_type: str
    digest: str


class Registry:
    """Asks registries. Scope: node. Keeps tokens in memory; after a crash: asked for anew."""

    def __init__(self, client: HttpClient, table: RegistryTable) -> None:
        self._client = client
        self._table = table
        self._tokens: dict[tuple[Origin, str], str] = {}

    async def manifest(self, reference: ImageReference, image_uri: str) -> Document:
        """Return the manifest or index that a reference means; one by digest is what the digest says.

        Raises:
            ImageUnusableError: not there, denied, unreachable, no registry is configured, or not what its digest says.
        """
        place = await self._place(reference, image_uri)
        path = f"{place.prefix}{reference.repository}/manifests/{quote(reference.asked, safe=':')}"
        response = await self._get(place, reference, path, {"accept": _ACCEPT})
        if response.status != 200:
            await response.aclose()
            raise _refusal(response.status, image_uri, reference)
        media_type = _header(response, "content-type")
        content = await self._read(response, reference)
        digest = hashlib.sha256(content).hexdigest()
        if reference.digest not in (None, digest):
            raise failures.invalid(image_uri, "its registry answers with another manifest than the digest names")
        return Document(content, media_type, digest)

    async def document(self, reference: ImageReference, image_uri: str, digest: str) -> bytes:
        """Return a small blob, checked. Raises as `manifest`."""
        response = await self.blob(reference, image_uri, digest)
        content = await self._read(response, reference)
        if hashlib.sha256(content).hexdigest() != digest:
            raise failures.invalid(image_uri, f"sha256:{digest} is not what its registry sent under that name")
        return content

    async def blob(self, reference: ImageReference, image_uri: str, digest: str, start: int = 0) -> OutwardResponse:
        """Return the answer whose body is a blob from byte `start` on (status 206), or whole (200).

        Raises as `manifest`; ConnectionFailedError while its body is read.
        """
        place = await self._place(reference, image_uri)
        path = f"{place.prefix}{reference.repository}/blobs/sha256:{digest}"
        headers = {"range": f"bytes={start}-"} if start else {}
        response = await self._get(place, reference, path, headers)
        if response.status not in (200, 206) or (response.status == 206 and not start):
            await response.aclose()
            if response.status == 416:
                raise failures.invalid(image_uri, f"sha256:{digest} is shorter than its manifest says")
            raise _refusal(response.status, image_uri, reference)
        return response

    async def _place(self, reference: ImageReference, image_uri: str) -> Place:
        place = await asyncio.to_thread(self._table.place_of, reference)
        if place is None:
            raise failures.unmapped(image_uri, reference.registry)
        return place

    async def _read(self, response: OutwardResponse, reference: ImageReference) -> bytes:
        try:
            return await response.read(DOCUMENT_BYTES_MAX)
        except ConnectionFailedError as error:
            raise failures.unreachable(reference.registry, str(error)) from error

    async def _get(
        self, place: Place, reference: ImageReference, path: str, headers: dict[str, str]
    ) -> OutwardResponse:
        """GET with what the registry wants as proof; once more when it wants another."""
        scope = f"repository:{place.prefix}{reference.repository}:pull"
        key = (place.origin, scope)
        proof = self._tokens.get(key)
        for attempt in range(_TRIES):
            response = await self._patient(place.origin, f"/v2/{path}", headers, proof)
            if response.status != 401:
                return response
            challenge = _header(response, "www-authenticate")
            await response.aclose()
            if attempt == _TRIES - 1:
                break
            proof = await self._proof(place, challenge, scope)
            if len(self._tokens) >= _TOKENS_MAX:
                self._tokens.clear()
            self._tokens[key] = proof
        self._tokens.pop(key, None)
        raise failures.denied()

    async def _patient(
        self, origin: Origin, target: str, headers: dict[str, str], proof: str | None
    ) -> OutwardResponse:
        """Follow redirects; wait shortly for a registry that is busy or away."""
        for attempt in range(_TRIES):
            try:
                response = await self._followed(origin, target, headers, proof)
            except ConnectionFailedError as error:
                if attempt == _TRIES - 1:
                    raise failures.unreachable(origin.host, str(error)) from error
            else:
                if response.status not in _BUSY or attempt == _TRIES - 1:
                    return response
                await response.aclose()
            await asyncio.sleep(_PAUSE_SECONDS * 2**attempt)
        raise AssertionError("unreachable")

    async def _followed(
        self, origin: Origin, target: str, headers: dict[str, str], proof: str | None
    ) -> OutwardResponse:
        asked = origin
        for _ in range(_REDIRECTS_MAX):
            # Who is sent elsewhere, storage behind a registry mostly, brings no proof there.
            known = {**headers, "authorization": proof} if proof and asked == origin else headers
            request = OutwardRequest("GET", target, (("host", _authority(asked)), *known.items()))
            response = await self._client.send(asked, request)
            if response.status not in _REDIRECT:
                return response
            location = _header(response, "location")
            await response.aclose()
            asked, target = moved(asked, target, location)
        raise ConnectionFailedError("it redirects without end")

    async def _proof(self, place: Place, challenge: str, scope: str) -> str:
        """Return the Authorization header that answers a challenge. Raises ImageUnusableError."""
        kind, _, rest = challenge.partition(" ")
        if kind.lower() == "basic":
            if place.login is None or not place.login.user:
                raise failures.denied()
            return place.login.basic
        if kind.lower() != "bearer":
            raise failures.denied()
        parameters = {name.lower(): value for name, value in _PARAMETER.findall(rest)}
        return await self._token(place, parameters, scope)

    async def _token(self, place: Place, parameters: dict[str, str], scope: str) -> str:
        asked, target = moved(place.origin, "/", parameters.get("realm", ""))
        query = {"scope": parameters.get("scope") or scope}
        if "service" in parameters:
            query["service"] = parameters["service"]
        login = place.login
        if login is not None and login.identity_token:
            request = _exchange(asked, target, query, login)
        else:
            proof = (("authorization", login.basic),) if login is not None and login.user else ()
            target += ("&" if "?" in target else "?") + urlencode(query)
            request = OutwardRequest("GET", target, (("host", _authority(asked)), *proof))
        try:
            response = await self._client.send(asked, request)
            content = await response.read(DOCUMENT_BYTES_MAX)
        except ConnectionFailedError as error:
            raise failures.unreachable(asked.host, str(error)) from error
        if response.status != 200:
            raise failures.denied()
        try:
            answer = json.loads(content)
            token = answer.get("token") or answer.get("access_token")
        except (ValueError, AttributeError):
            token = None
        if not isinstance(token, str) or not token.isprintable():
            raise failures.denied()
        return f"Bearer {token}"


def _exchange(asked: Origin, target: str, query: dict[str, str], login: Login) -> OutwardRequest:
    form = {**query, "grant_type": "refresh_token", "refresh_token": login.identity_token, "client_id": "lambent"}
    headers = (("host", _authority(asked)), ("content-type", "application/x-www-form-urlencoded"))
    return OutwardRequest("POST", target, headers, urlencode(form).encode())


def moved(origin: Origin, target: str, location: str) -> tuple[Origin, str]:
    """Return where a Location or a realm leads. Raises ConnectionFailedError for one that leaves TLS, or nowhere."""
    present = f"{origin.scheme}://{_authority(origin)}{target}"
    parts = urlsplit(urljoin(present, location))
    try:
        port = parts.port
    except ValueError:
        port = None
    is_plain_loopback = parts.scheme == "http" and is_loopback(parts.hostname or "")
    is_as_plain = parts.scheme == "http" and origin.scheme == "http"
    if not parts.hostname or not (parts.scheme == "https" or is_plain_loopback or is_as_plain):
        raise ConnectionFailedError("it sends us where nothing is protected")
    there = Origin(parts.scheme, parts.hostname, port or (443 if parts.scheme == "https" else 80))
    if is_plain_loopback and not is_loopback(origin.host):
        raise ConnectionFailedError("it sends us to services of this machine")
    return there, replace_spaces(f"{parts.path or '/'}{'?' + parts.query if parts.query else ''}")


def replace_spaces(target: str) -> str:
    """Return a request target without what would end it."""
    return quote(target, safe="/?&=%:@!$'()*+,;~#[]-._")


def _authority(origin: Origin) -> str:
    host = f"[{origin.host}]" if ":" in origin.host else origin.host
    is_default = origin.port == (443 if origin.scheme == "https" else 80)
    return host if is_default else f"{host}:{origin.port}"


def _header(response: OutwardResponse, name: str) -> str:
    return next((value for each, value in response.headers if each.lower() == name), "")


def _refusal(status: int, image_uri: str, reference: ImageReference) -> failures.ImageUnusableError:
    if status in (400, 404):
        return failures.not_there(image_uri)
    if status in (401, 403):
        return failures.denied()
    return failures.unreachable(reference.registry, f"status {status}")


def by_digest(reference: ImageReference, digest: str) -> ImageReference:
    """Return the reference with a digest."""
    return replace(reference, digest=digest)
