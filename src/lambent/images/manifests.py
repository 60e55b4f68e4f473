"""Manifests, indexes and configurations of images: read, checked, bounded. Pure; everything here may be hostile.

Source: OCI image specification 1.1; Docker's image manifest, version 2, schema 2.
"""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

from msgspec import Struct, field

from lambent.model.image import ARCHITECTURES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

DOCUMENT_BYTES_MAX = 4 << 20
LAYERS_MAX = 127
_ENTRIES_MAX = 1_000
_VARIABLES_MAX = 1_000
INDEX_TYPES = (
    "application/vnd.oci.image.index.v1+json",
    "application/vnd.docker.distribution.manifest.list.v2+json",
)
MANIFEST_TYPES = (
    "application/vnd.oci.image.manifest.v1+json",
    "application/vnd.docker.distribution.manifest.v2+json",
)
# Which compression a layer's media type says; what a layer really is, its first bytes tell.
_LAYER_TYPE = re.compile(
    r"application/vnd\.(oci\.image\.layer(\.nondistributable)?\.v1\.tar(\+gzip|\+zstd)?"
    r"|docker\.image\.rootfs(\.foreign)?\.diff\.tar(\.gzip|\.zstd)?)"
)
_DIGEST = re.compile(r"sha256:([0-9a-f]{64})")


class ManifestError(Exception):
    """It is no image that can be used; the text says why. `is_unsupported`: of a kind that nobody here reads."""

    def __init__(self, reason: str, *, is_unsupported: bool = False) -> None:
        super().__init__(reason)
        self.is_unsupported = is_unsupported


class Descriptor(Struct, frozen=True):
    """Something by its digest (lower-case hex of SHA-256) and size in bytes."""

    digest: str
    size_bytes: int
    media_type: str = ""


class Manifest(Struct, frozen=True):
    """What one image for one platform is made of: configuration and layers, lowest first."""

    config: Descriptor
    layers: tuple[Descriptor, ...]


class Index(Struct, frozen=True):
    """Images for several platforms: (operating system, architecture by AWS's name, manifest)."""

    platforms: tuple[tuple[str, str, Descriptor], ...]

    def choose(self, architectures: Sequence[str]) -> Descriptor:
        """Return the manifest for the first of the architectures that there is. Raises ManifestError."""
        for wanted in architectures:
            for system, architecture, descriptor in self.platforms:
                if system == "linux" and architecture == wanted:
                    return descriptor
        there = sorted({f"{system}/{architecture}" for system, architecture, _ in self.platforms})
        raise ManifestError(
            f"it is built for {', '.join(there) or 'no platform'}, not for {' or '.join(architectures)}"
        )


class ImageConfiguration(Struct, frozen=True):
    """What an image says about itself. `diff_ids`: SHA-256 (hex) of each layer's uncompressed bytes, lowest first."""

    architecture: str
    system: str
    diff_ids: tuple[str, ...]
    entry_point: tuple[str, ...] = ()
    command: tuple[str, ...] = ()
    working_directory: str | None = None
    variables: Mapping[str, str] = field(default_factory=dict)


def read_manifest(content: bytes, media_type: str = "") -> Manifest | Index:
    """Return what a registry or a layout calls a manifest. Raises ManifestError."""
    document = _document(content)
    kind = document.get("mediaType") or media_type.partition(";")[0].strip()
    if document.get("schemaVersion") != 2:
        raise ManifestError("manifests of schema version 2 are read, and this is none", is_unsupported=True)
    if kind in INDEX_TYPES or (kind not in MANIFEST_TYPES and isinstance(document.get("manifests"), list)):
        return _index(document)
    if kind and kind not in MANIFEST_TYPES:
        raise ManifestError(f"media type {str(kind)[:100]}", is_unsupported=True)
    layers = _list(document.get("layers"), "layers", LAYERS_MAX)
    found = tuple(_descriptor(layer) for layer in layers)
    for layer in found:
        if _LAYER_TYPE.fullmatch(layer.media_type) is None:
            raise ManifestError(f"a layer of media type {layer.media_type[:100]}", is_unsupported=True)
    return Manifest(_descriptor(document.get("config")), found)


def read_configuration(content: bytes) -> ImageConfiguration:
    """Return an image's configuration. Raises ManifestError."""
    document = _document(content)
    rootfs = document.get("rootfs")
    diff_ids = _list(rootfs.get("diff_ids") if isinstance(rootfs, dict) else None, "rootfs.diff_ids", LAYERS_MAX)
    config = document.get("config") or {}
    if not isinstance(config, dict):
        raise ManifestError("config is no object")
    variables: dict[str, str] = {}
    for pair in _texts(config.get("Env"), "Env", _VARIABLES_MAX):
        name, equals, value = pair.partition("=")
        if name and equals:
            variables[name] = value
    architecture = str(document.get("architecture") or "")
    return ImageConfiguration(
        architecture=ARCHITECTURES.get(architecture, architecture),
        system=str(document.get("os") or "linux"),
        diff_ids=tuple(_digest(each) for each in diff_ids),
        entry_point=_texts(config.get("Entrypoint"), "Entrypoint", _ENTRIES_MAX),
        command=_texts(config.get("Cmd"), "Cmd", _ENTRIES_MAX),
        working_directory=_text(config.get("WorkingDir"), "WorkingDir") or None,
        variables=variables,
    )


def _index(document: Mapping[str, Any]) -> Index:
    platforms = []
    for entry in _list(document.get("manifests"), "manifests", _ENTRIES_MAX):
        descriptor = _descriptor(entry)
        platform = entry.get("platform") or {}
        if not isinstance(platform, dict):
            raise ManifestError("a platform is no object")
        architecture = str(platform.get("architecture") or "")
        platforms.append((str(platform.get("os") or ""), ARCHITECTURES.get(architecture, architecture), descriptor))
    return Index(tuple(platforms))


def _document(content: bytes) -> dict[str, Any]:
    if len(content) > DOCUMENT_BYTES_MAX:
        raise ManifestError("a document is too large")
    try:
        document = json.loads(content)
    except (ValueError, RecursionError):
        raise ManifestError("a document is not JSON") from None
    if not isinstance(document, dict):
        raise ManifestError("a document is no object")
    return document


def _descriptor(value: object) -> Descriptor:
    if not isinstance(value, dict):
        raise ManifestError("a descriptor is no object")
    size = value.get("size")
    if type(size) is not int or size < 0:
        raise ManifestError("a descriptor has no size")
    return Descriptor(_digest(value.get("digest")), size, _text(value.get("mediaType"), "mediaType"))


def _digest(value: object) -> str:
    match = _DIGEST.fullmatch(value) if isinstance(value, str) else None
    if match is None:
        raise ManifestError("a digest is not one of SHA-256")
    return match[1]


def _list(value: object, name: str, length_max: int) -> list[Any]:
    if not isinstance(value, list) or not value:
        raise ManifestError(f"{name} is no list or empty")
    if len(value) > length_max:
        raise ManifestError(f"{name} has more than {length_max} entries")
    return value


def _texts(value: object, name: str, length_max: int) -> tuple[str, ...]:
    if value is None:
        return ()
    if not isinstance(value, list) or len(value) > length_max:
        raise ManifestError(f"{name} is no list, or too long")
    return tuple(_text(each, name) for each in value)


def _text(value: object, name: str) -> str:
    if value is None:
        return ""
    if not isinstance(value, str) or "\0" in value:
        raise ManifestError(f"{name} is no text")
    return value
