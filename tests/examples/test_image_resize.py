"""examples/image-resize: a native library in the package."""

from __future__ import annotations

import base64
import struct
import zlib
from typing import TYPE_CHECKING, Any

import pytest

from tests.examples.deployment import deploy, invoke, with_packages

if TYPE_CHECKING:
    from pathlib import Path


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes([row % 256, 80, 160]) * width for row in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.slow
def test_an_image_gets_smaller(lambda_client: Any, tmp_path: Path) -> None:
    """Proportions stay; what is no image is the function's error."""
    package = with_packages("image-resize", tmp_path / "package")
    deploy(lambda_client, "example-image-resize", package, Handler="resize.handler", MemorySize=512)
    image = base64.b64encode(_png(640, 320)).decode()
    answer = invoke(lambda_client, "example-image-resize", {"image": image, "width": 64, "height": 64})
    assert answer.error is None, answer
    assert (answer.payload["width"], answer.payload["height"]) == (64, 32)
    small = base64.b64decode(answer.payload["image"])
    assert small.startswith(b"\x89PNG")
    assert struct.unpack(">II", small[16:24]) == (64, 32)
    broken = invoke(lambda_client, "example-image-resize", {"image": base64.b64encode(b"text").decode()})
    assert broken.error == "Unhandled"
    assert broken.payload["errorType"] == "UnidentifiedImageError"
