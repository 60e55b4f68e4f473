"""Images in files: OCI layouts (a directory or a tar of one) and what `docker save` writes, read on the user's side."""

from __future__ import annotations

import contextlib
import hashlib
import json
import tarfile
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, Protocol

from msgspec import Struct

from lambent.cli.failure import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

_PIECE_BYTES = 1 << 20
_OCI_MANIFEST = "application/vnd.oci.image.manifest.v1+json"
_OCI_INDEX = "application/vnd.oci.image.index.v1+json"
_INDEXES = (_OCI_INDEX, "application/vnd.docker.distribution.manifest.list.v2+json")
_NAME = "org.opencontainers.image.ref.name"
_CONTAINERD_NAME = "io.containerd.image.name"


class Blob(Struct, frozen=True):
    """A part of an image: its digest (sha256:…), its size in bytes, and either its content or its name in the file."""

    digest: str
    size_bytes: int
    content: bytes | None = None
    name: str = ""


class ImageFile(Struct, frozen=True):
    """One image of a file: the digest of its manifest or index, the parts to upload, the name that the file says."""

    digest: str
    blobs: tuple[Blob, ...]
    reference: str | None = None


class Files(Protocol):
    """A directory or a tar of one."""

    def has(self, name: str) -> bool:
        """Whether there is a file of that name."""

    def size(self, name: str) -> int:
        """Return a file's size in bytes."""

    def open(self, name: str) -> BinaryIO:
        """Open a file."""


@contextlib.contextmanager
def opened(path: str) -> Iterator[Files]:
    """Open a layout's directory, or an archive, compressed or not. Raises CommandError."""
    place = Path(path)
    if place.is_dir():
        yield _Directory(place)
        return
    try:
        with tarfile.open(place) as archive:
            yield _Archive(archive)
    except (OSError, tarfile.TarError) as error:
        raise CommandError(f"{path} is neither an OCI layout nor an archive of an image: {error}.") from error


def read_images(files: Files, path: str) -> list[ImageFile]:
    """Return the images of a file. Raises CommandError for one that holds none."""
    if files.has("index.json"):
        found = _from_layout(files)
    elif files.has("manifest.json"):
        found = _from_docker(files)
    else:
        raise CommandError(f"{path} holds neither index.json (an OCI layout) nor manifest.json (`docker save`).")
    if not found:
        raise CommandError(f"{path} holds no image.")
    return found


def _from_layout(files: Files) -> list[ImageFile]:
    images = []
    for descriptor in _document(files, "index.json").get("manifests", []):
        blobs: dict[str, Blob] = {}
        _collect(files, descriptor, blobs)
        annotations = descriptor.get("annotations") or {}
        reference = annotations.get(_CONTAINERD_NAME) or annotations.get(_NAME)
        # Many tools write the tag alone there, which is no reference.
        is_whole = isinstance(reference, str) and ("/" in reference or ":" in reference)
        images.append(ImageFile(descriptor["digest"], tuple(blobs.values()), reference if is_whole else None))
    return images


def _collect(files: Files, descriptor: dict[str, Any], blobs: dict[str, Blob]) -> None:
    digest = str(descriptor.get("digest"))
    name = f"blobs/{digest.replace(':', '/', 1)}"
    if not files.has(name):
        # Of an index only some platforms may have been brought.
        return
    content = _read(files, name)
    document = _parsed(content, name)
    blobs[digest] = Blob(digest, len(content), content)
    if descriptor.get("mediaType") in _INDEXES or "manifests" in document:
        for each in document.get("manifests", []):
            _collect(files, each, blobs)
        return
    for part in (document.get("config"), *document.get("layers", [])):
        if not isinstance(part, dict) or not isinstance(part.get("digest"), str):
            raise CommandError(f"{name} is no manifest.")
        inner = f"blobs/{part['digest'].replace(':', '/', 1)}"
        if not files.has(inner):
            raise CommandError(f"the file lacks {part['digest']}, which its manifest names.")
        blobs[part["digest"]] = Blob(part["digest"], files.size(inner), None, inner)


def _from_docker(files: Files) -> list[ImageFile]:
    entries = json.loads(_read(files, "manifest.json"))
    images = []
    for entry in entries if isinstance(entries, list) else ():
        config = _read(files, entry["Config"])
        blobs = [Blob(_digest_of(config), len(config), config)]
        layers = []
        for name in entry["Layers"]:
            digest = _digest_in(files, name)
            blobs.append(Blob(digest, files.size(name), None, name))
            media_type = "application/vnd.oci.image.layer.v1.tar"
            layers.append({"mediaType": media_type, "digest": digest, "size": files.size(name)})
        manifest = json.dumps(
            {
                "schemaVersion": 2,
                "mediaType": _OCI_MANIFEST,
                "config": {
                    "mediaType": "application/vnd.oci.image.config.v1+json",
                    "digest": blobs[0].digest,
                    "size": len(config),
                },
                "layers": layers,
            }
        ).encode()
        blobs.append(Blob(_digest_of(manifest), len(manifest), manifest))
        tags = entry.get("RepoTags") or []
        images.append(ImageFile(_digest_of(manifest), tuple(blobs), tags[0] if tags else None))
    return images


def _digest_of(content: bytes) -> str:
    return f"sha256:{hashlib.sha256(content).hexdigest()}"


def _digest_in(files: Files, name: str) -> str:
    digest = hashlib.sha256()
    with files.open(name) as file:
        while piece := file.read(_PIECE_BYTES):
            digest.update(piece)
    return f"sha256:{digest.hexdigest()}"


def _document(files: Files, name: str) -> dict[str, Any]:
    return _parsed(_read(files, name), name)


def _parsed(content: bytes, name: str) -> dict[str, Any]:
    try:
        document = json.loads(content)
    except ValueError as error:
        raise CommandError(f"{name} is not JSON: {error}.") from error
    if not isinstance(document, dict):
        raise CommandError(f"{name} is no object.")
    return document


def _read(files: Files, name: str) -> bytes:
    with files.open(name) as file:
        return file.read()


class _Directory:
    def __init__(self, path: Path) -> None:
        self._path = path

    def has(self, name: str) -> bool:
        return (self._path / name).is_file()

    def size(self, name: str) -> int:
        return (self._path / name).stat().st_size

    def open(self, name: str) -> BinaryIO:
        return (self._path / name).open("rb")


class _Archive:
    def __init__(self, archive: tarfile.TarFile) -> None:
        self._archive = archive
        self._members = {member.name.removeprefix("./"): member for member in archive.getmembers()}

    def has(self, name: str) -> bool:
        return name in self._members

    def size(self, name: str) -> int:
        return self._real(name).size

    def open(self, name: str) -> BinaryIO:
        file = self._archive.extractfile(self._real(name))
        if file is None:
            raise CommandError(f"{name} in the archive is no file.")
        return file  # type: ignore[return-value]

    def _real(self, name: str) -> tarfile.TarInfo:
        # `docker save` names layers that several images share by links.
        member = self._members.get(name)
        if member is not None and member.issym():
            target = str(Path(name).parent / member.linkname)
            parts: list[str] = []
            for part in target.split("/"):
                if part == "..":
                    del parts[-1:]
                elif part != ".":
                    parts.append(part)
            member = self._members.get("/".join(parts))
        if member is None:
            raise CommandError(f"the archive lacks {name}.")
        return member
