"""Blob members of large request documents: taken out of the JSON and written to files of their own, hashed.

Blocking and heavy: for a worker process.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import importlib
import os
import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

from lambent.wire.rest_json import RequestError, parse_json


class BlobFile(NamedTuple):
    """One blob: absolute path, size of the decoded bytes, their sha256 in lower-case hex."""

    path: str
    size_bytes: int
    sha256: str


def has_blobs(spec: Any) -> bool:
    """Whether a request of this form has blob members inside its JSON document."""
    if spec is None or spec[0] != "structure":
        return False
    return any(location is None and (inner[0] == "blob" or has_blobs(inner)) for inner, location, _ in spec[1].values())


def extract_blobs(body: bytes, module: str, directory: str) -> tuple[bytes, dict[str, BlobFile]]:
    """Return the document without its blobs, as JSON, and the blobs by dotted member path ("Code.ZipFile").

    `module` is the operation's generated module. The files are made in `directory` and belong to the caller.

    Raises:
        RequestError: SerializationException (400); no file is left then.
        OSError: the directory cannot be written to; no file is left either.
    """
    blobs: dict[str, BlobFile] = {}
    document = parse_json(body)
    spec = importlib.import_module(f"lambent.wire.generated.{module}").INPUT
    try:
        _take(spec, document, "", Path(directory), blobs)
    except BaseException:
        for blob in blobs.values():
            Path(blob.path).unlink(missing_ok=True)
        raise
    return msgspec.json.encode(document), blobs


def _take(spec: Any, value: Any, prefix: str, directory: Path, blobs: dict[str, BlobFile]) -> None:
    if spec[0] != "structure" or not isinstance(value, dict):
        return
    for member, (inner, location, name) in spec[1].items():
        key = name or member
        found = value.get(key)
        if location is not None or found is None:
            continue
        if inner[0] == "blob" and isinstance(found, str):
            blobs[prefix + member] = _write(found, directory)
            del value[key]
        elif inner[0] == "structure":
            _take(inner, found, f"{prefix}{member}.", directory, blobs)


def _write(text: str, directory: Path) -> BlobFile:
    try:
        content = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise RequestError("SerializationException", "Invalid base64 in a blob member") from None
    descriptor, name = tempfile.mkstemp(prefix="blob-", dir=directory)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
    except BaseException:
        Path(name).unlink(missing_ok=True)
        raise
    return BlobFile(name, len(content), hashlib.sha256(content).hexdigest())
