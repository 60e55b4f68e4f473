"""Functions made from images: what a pull costs beside `tar -x` of the same bytes, and a cold start beside a package's.

The registry is a real one on loopback. The image is of 195 MB: files of this machine in three layers, packed with gzip.
"""

from __future__ import annotations

import io
import json
import shutil
import statistics
import subprocess
import tarfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measuring import codes
from benchmarks.measuring.cold import ColdRow, measure
from benchmarks.measuring.daemon import ROLE, Daemon
from benchmarks.measuring.generator import LoadError
from benchmarks.measuring.rows import Row, missing
from tests.images import RealRegistry, make_image, make_tar

if TYPE_CHECKING:
    from collections.abc import Iterator

    from benchmarks.measuring.context import Context
    from tests.images import Image

_IMAGE_BYTES = 195_000_000
_LAYERS = 3
_PULLS = 3
_SOURCES = ("/usr/lib", "/usr/share", "/usr/bin")


@dataclass(frozen=True, slots=True)
class ImageCode:
    """A function of an image, in place of a package."""

    reference: str
    memory_mib: int = 256

    def members(self) -> dict[str, object]:
        """Return CreateFunction's members without the name, as they stand in JSON."""
        return {
            "PackageType": "Image",
            "Role": ROLE,
            "Timeout": 30,
            "MemorySize": self.memory_mib,
            "Code": {"ImageUri": self.reference},
        }


def rows(context: Context) -> list[Row]:
    """Pull and unpack; then an empty C runtime from an image and from a package, in one run."""
    if shutil.which("docker-registry") is None:
        return [missing("image_pull_ratio", "195 MB image", "times", "no docker-registry here")]
    registry = RealRegistry(context.folder / "registry").start()
    daemon = Daemon({"images.registries": registry.host})
    try:
        daemon.start()
        return [_pull_row(context, daemon, registry), *_cold_rows(context, daemon, registry)]
    except LoadError as error:
        return [missing("image_pull_ratio", "195 MB image", "times", str(error)[:400])]
    finally:
        daemon.close()
        registry.stop()


def _pull_row(context: Context, daemon: Daemon, registry: RealRegistry) -> Row:
    pulled, unpacked = [], []
    layers = list(_layers())
    for number in range(_PULLS):
        # A layer that is here already would cost nothing: each turn has bytes of its own.
        image = make_image([_marked(layer, number) for layer in layers], {"Entrypoint": ["/none"]})
        reference = registry.push(image, "large", str(number))
        unpacked.append(_tar_seconds(context.folder / "tar", image))
        begun = time.monotonic()
        body = json.dumps({"FunctionName": f"large-{number}", **ImageCode(reference).members()}).encode()
        status, _, answer = daemon.call("POST", "/2015-03-31/functions", body)
        if status != 201:
            raise LoadError(f"CreateFunction: {status} {answer[:500]!r}")
        daemon.wait_active(f"large-{number}")
        pulled.append(time.monotonic() - begun)
    ratio = statistics.median(pulled) / statistics.median(unpacked)
    detail: dict[str, object] = {
        "pull_seconds": statistics.median(pulled), "tar_seconds": statistics.median(unpacked),
        "unpacked_mb": sum(map(len, layers)) / 1e6, "count": _PULLS,
    }  # fmt: skip
    what = "195 MB image, pulled and unpacked, to tar -x of it"
    return Row("image_pull_ratio", what, ratio, "times", 3, detail=detail)


def _cold_rows(context: Context, daemon: Daemon, registry: RealRegistry) -> list[Row]:
    program = context.programs.path("bootstrap")
    layer = make_tar([("bootstrap", program.read_bytes())])
    padding = [make_tar([(f"layer{number}", str(number))]) for number in range(6)]
    image = make_image([layer, *padding], {"Entrypoint": ["/bootstrap"]})
    reference = registry.push(image, "small")
    package = ColdRow(
        "cold_custom_beside_image", "custom (C) cold, pool hit, same run: p50", codes.custom(program), None
    )
    first = measure(context, daemon, package)
    target = None if first.value is None else first.value + 5
    row = ColdRow("cold_image_hit", "image of 7 layers, C, cold, pool hit: p50", ImageCode(reference), target)
    return [first, measure(context, daemon, row)]


def _layers() -> Iterator[bytes]:
    """Yield layers of files as this machine has them, 195 MB in all."""
    left = _IMAGE_BYTES
    buffer = io.BytesIO()
    archive = tarfile.open(fileobj=buffer, mode="w")  # noqa: SIM115
    for path in _files():
        size = path.stat().st_size
        if size > 5_000_000:
            continue
        archive.add(path, str(path).lstrip("/"), recursive=False)
        left -= size
        if buffer.tell() > _IMAGE_BYTES / _LAYERS or left <= 0:
            archive.close()
            yield buffer.getvalue()
            if left <= 0:
                return
            buffer = io.BytesIO()
            archive = tarfile.open(fileobj=buffer, mode="w")  # noqa: SIM115


def _files() -> Iterator[Path]:
    for source in _SOURCES:
        for path in sorted(Path(source).rglob("*")):
            if path.is_file() and not path.is_symlink():
                yield path


def _marked(layer: bytes, number: int) -> bytes:
    """Return a layer with another file in front of it."""
    return make_tar([(f"marks/{number}", str(number))]).rstrip(b"\0").ljust(1024, b"\0") + layer


def _tar_seconds(folder: Path, image: Image) -> float:
    manifest = json.loads(image.manifest)
    files = []
    folder.mkdir()
    for layer in manifest["layers"]:
        digest = layer["digest"].removeprefix("sha256:")
        (folder / digest).write_bytes(image.blobs[digest])
        files.append(folder / digest)
    (folder / "out").mkdir()
    begun = time.monotonic()
    for file in files:
        subprocess.run(["tar", "-xzf", str(file), "-C", str(folder / "out")], check=True)
    taken = time.monotonic() - begun
    shutil.rmtree(folder)
    return taken
