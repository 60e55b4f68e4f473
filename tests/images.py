"""Container images for tests: made from files, pushed to a real registry, or served by one that misbehaves."""

from __future__ import annotations

import gzip
import hashlib
import http.client
import http.server
import io
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import sysconfig
import tarfile
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

from tests.running import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"
INDEX_TYPE = "application/vnd.oci.image.index.v1+json"
CONFIG_TYPE = "application/vnd.oci.image.config.v1+json"
LAYER_TYPE = "application/vnd.oci.image.layer.v1.tar"
USER, PASSWORD = "reader", "open sesame"
# PASSWORD under bcrypt, as registries of Docker's want it.
_HTPASSWD = f"{USER}:$2b$05$abcdefghijklmnopqrstuupx2xBUC4954936wVIjyyPHmUBFu0wCW\n"
_START_SECONDS = 15.0


@dataclass(frozen=True)
class Entry:
    """One member of a layer: a file's content, or another kind of tar's."""

    content: bytes = b""
    mode: int = 0o755
    kind: bytes = tarfile.REGTYPE
    link: str = ""
    device: tuple[int, int] = (0, 0)
    extended: Mapping[str, str] = field(default_factory=dict)
    mtime: int = 1_700_000_000


@dataclass(frozen=True)
class Image:
    """One image: its manifest (or index) and all blobs by digest. `digest` is hex."""

    manifest: bytes
    media_type: str
    blobs: Mapping[str, bytes]
    manifests: Mapping[str, bytes] = field(default_factory=dict)

    @property
    def digest(self) -> str:
        """SHA-256 of the manifest."""
        return hex_of(self.manifest)


def hex_of(content: bytes) -> str:
    """Return SHA-256 in hex."""
    return hashlib.sha256(content).hexdigest()


def make_tar(entries: Iterable[tuple[str, Entry | bytes | str]]) -> bytes:
    """Return a tar of (name, entry or a file's content), in this order."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w", format=tarfile.PAX_FORMAT) as archive:
        for name, item in entries:
            entry = item if isinstance(item, Entry) else Entry(item.encode() if isinstance(item, str) else item)
            info = tarfile.TarInfo(name)
            info.type, info.mode, info.linkname, info.mtime = entry.kind, entry.mode, entry.link, entry.mtime
            info.devmajor, info.devminor = entry.device
            info.pax_headers = dict(entry.extended)
            if entry.kind == tarfile.REGTYPE:
                info.size = len(entry.content)
            archive.addfile(info, io.BytesIO(entry.content))
    return buffer.getvalue()


def make_image(
    layers: Sequence[bytes], config: Mapping[str, Any] | None = None, *, compression: str = "gzip",
    architecture: str = "amd64",
) -> Image:  # fmt: skip
    """Return an image of layers (tars, lowest first) with a configuration as a Dockerfile makes it."""
    document = {
        "architecture": architecture,
        "os": "linux",
        "config": dict(config or {}),
        "rootfs": {"type": "layers", "diff_ids": [f"sha256:{hex_of(layer)}" for layer in layers]},
    }
    content = json.dumps(document).encode()
    blobs = {hex_of(content): content}
    descriptors = []
    for layer in layers:
        packed, suffix = _packed(layer, compression)
        blobs[hex_of(packed)] = packed
        descriptors.append(_descriptor(packed, LAYER_TYPE + suffix))
    manifest = {
        "schemaVersion": 2,
        "mediaType": MANIFEST_TYPE,
        "config": _descriptor(content, CONFIG_TYPE),
        "layers": descriptors,
    }
    return Image(json.dumps(manifest).encode(), MANIFEST_TYPE, blobs)


def make_index(images: Mapping[str, Image]) -> Image:
    """Return an index of images by architecture (amd64, arm64)."""
    entries = [
        {**_descriptor(image.manifest, MANIFEST_TYPE), "platform": {"os": "linux", "architecture": name}}
        for name, image in images.items()
    ]
    content = json.dumps({"schemaVersion": 2, "mediaType": INDEX_TYPE, "manifests": entries}).encode()
    blobs = {digest: blob for image in images.values() for digest, blob in image.blobs.items()}
    return Image(content, INDEX_TYPE, blobs, {image.digest: image.manifest for image in images.values()})


def write_layout(image: Image, directory: Path, name: str | None = None) -> Path:
    """Write an OCI layout and return its directory."""
    blobs = directory / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    for content in (image.manifest, *image.manifests.values(), *image.blobs.values()):
        (blobs / hex_of(content)).write_bytes(content)
    entry: dict[str, Any] = _descriptor(image.manifest, image.media_type)
    if name is not None:
        entry["annotations"] = {"org.opencontainers.image.ref.name": name}
    (directory / "index.json").write_text(json.dumps({"schemaVersion": 2, "manifests": [entry]}))
    (directory / "oci-layout").write_text('{"imageLayoutVersion": "1.0.0"}')
    return directory


def write_docker_archive(image: Image, layers: Sequence[bytes], path: Path, name: str) -> Path:
    """Write what `docker save` would, and return the file."""
    config = json.loads(image.manifest)["config"]["digest"].removeprefix("sha256:")
    entries: list[tuple[str, Entry | bytes | str]] = [(f"{config}.json", image.blobs[config])]
    entries += [(f"layer{number}/layer.tar", layer) for number, layer in enumerate(layers)]
    listing = [
        {
            "Config": f"{config}.json",
            "RepoTags": [name],
            "Layers": [f"layer{number}/layer.tar" for number in range(len(layers))],
        }
    ]
    path.write_bytes(make_tar([*entries, ("manifest.json", json.dumps(listing))]))
    return path


class RealRegistry:
    """Debian's docker-registry on loopback, with a directory and a port of its own."""

    def __init__(self, directory: Path, *, is_private: bool = False) -> None:
        self.port = free_port()
        self.host = f"localhost:{self.port}"
        self._directory = directory
        self._is_private = is_private
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> RealRegistry:
        """Start it and return when it answers."""
        self._directory.mkdir(parents=True, exist_ok=True)
        config: dict[str, Any] = {
            "version": 0.1,
            "log": {"level": "error"},
            "storage": {"filesystem": {"rootdirectory": str(self._directory)}, "delete": {"enabled": True}},
            "http": {"addr": f"127.0.0.1:{self.port}", "secret": "for tests"},
        }
        if self._is_private:
            passwords = self._directory / "htpasswd"
            passwords.write_text(_HTPASSWD)
            config["auth"] = {"htpasswd": {"realm": "tests", "path": str(passwords)}}
        path = self._directory / "config.yml"
        # What is JSON is YAML.
        path.write_text(json.dumps(config))
        self._process = subprocess.Popen(
            ["docker-registry", "serve", str(path)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        deadline = time.monotonic() + _START_SECONDS
        while True:
            try:
                self._call("GET", "/v2/")
                return self
            except OSError:
                assert time.monotonic() < deadline, "the registry does not start"
                time.sleep(0.05)

    def stop(self) -> None:
        """End it."""
        process, self._process = self._process, None
        if process is not None:
            process.send_signal(signal.SIGTERM)
            process.wait(10)

    def push(self, image: Image, repository: str, tag: str = "latest") -> str:
        """Push an image and return its reference."""
        for content in image.blobs.values():
            self._push_blob(repository, content)
        for digest, manifest in image.manifests.items():
            self._put_manifest(repository, f"sha256:{digest}", manifest, MANIFEST_TYPE)
        self._put_manifest(repository, tag, image.manifest, image.media_type)
        return f"{self.host}/{repository}:{tag}"

    def delete(self, image: Image, repository: str) -> None:
        """Take an image away."""
        status, _, _ = self._call("DELETE", f"/v2/{repository}/manifests/sha256:{image.digest}")
        assert status == 202

    def _push_blob(self, repository: str, content: bytes) -> None:
        status, headers, _ = self._call("POST", f"/v2/{repository}/blobs/uploads/")
        assert status == 202, status
        place = urlsplit(headers["location"])
        target = f"{place.path}?{place.query}&digest=sha256:{hex_of(content)}"
        status, _, body = self._call("PUT", target, content, {"content-type": "application/octet-stream"})
        assert status == 201, body

    def _put_manifest(self, repository: str, reference: str, content: bytes, media_type: str) -> None:
        target = f"/v2/{repository}/manifests/{reference}"
        status, _, body = self._call("PUT", target, content, {"content-type": media_type})
        assert status == 201, body

    def _call(
        self, method: str, target: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, dict[str, str], bytes]:
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        all_headers = dict(headers or {})
        if self._is_private:
            import base64

            all_headers["authorization"] = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
        try:
            connection.request(method, target, body or None, all_headers)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()
        finally:
            connection.close()


@dataclass
class Asked:
    """One request that a BadRegistry got."""

    path: str
    headers: Mapping[str, str]


class BadRegistry:
    """A registry that does as a test says: `answer(asked)` returns (status, headers, body), or None for the usual.

    With `cut_after` a blob's body breaks off after so many bytes, each time. With `token` it wants one, which it gives
    at /token to whoever brings USER and PASSWORD.
    """

    def __init__(self, images: Mapping[str, Image], certificate: tuple[Path, Path] | None = None) -> None:
        self.images = dict(images)
        self.asked: list[Asked] = []
        self.answer: Callable[[Asked], tuple[int, Mapping[str, str], bytes] | None] = lambda _: None
        self.cut_after: int | None = None
        self.token: str | None = None
        self.ranges: list[str] = []
        outer = self

        class Answers(http.server.BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def do_GET(self) -> None:
                outer._respond(self)

            def log_message(self, *_: Any) -> None:
                pass

        self._server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Answers)
        if certificate is not None:
            context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
            context.load_cert_chain(*certificate)
            self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self.port = self._server.server_address[1]
        self.host = f"localhost:{self.port}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def close(self) -> None:
        """End it."""
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def _respond(self, request: http.server.BaseHTTPRequestHandler) -> None:
        asked = Asked(request.path, {name.lower(): value for name, value in request.headers.items()})
        self.asked.append(asked)
        status, headers, body = self.answer(asked) or self._usual(asked)
        start = 0
        span = asked.headers.get("range")
        if status == 200 and span and "/blobs/" in asked.path:
            self.ranges.append(span)
            start = int(span.removeprefix("bytes=").rstrip("-"))
            status, body = 206, body[start:]
        request.send_response(status)
        for name, value in headers.items():
            request.send_header(name, value)
        request.send_header("content-length", str(len(body)))
        request.end_headers()
        if self.cut_after is not None and "/blobs/" in asked.path and len(body) > self.cut_after:
            request.wfile.write(body[: self.cut_after])
            request.wfile.flush()
            request.close_connection = True
            request.connection.close()
            return
        request.wfile.write(body)

    def _usual(self, asked: Asked) -> tuple[int, Mapping[str, str], bytes]:
        if asked.path.startswith("/token"):
            import base64

            wanted = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
            if asked.headers.get("authorization") != wanted:
                return 401, {}, b"{}"
            return 200, {}, json.dumps({"token": self.token}).encode()
        if self.token is not None and asked.headers.get("authorization") != f"Bearer {self.token}":
            challenge = f'Bearer realm="http://127.0.0.1:{self.port}/token",service="tests",scope="pull"'
            return 401, {"www-authenticate": challenge}, b"{}"
        for repository, image in self.images.items():
            prefix = f"/v2/{repository}/"
            if asked.path.startswith(f"{prefix}manifests/"):
                manifests = {f"sha256:{digest}": content for digest, content in image.manifests.items()}
                wanted = asked.path.removeprefix(f"{prefix}manifests/")
                if wanted in manifests:
                    return 200, {"content-type": MANIFEST_TYPE}, manifests[wanted]
                return 200, {"content-type": image.media_type}, image.manifest
            digest = asked.path.removeprefix(f"{prefix}blobs/sha256:")
            if digest in image.blobs:
                return 200, {}, image.blobs[digest]
        return 404, {}, b"{}"


# --- images that run --------------------------------------------------------------------------------------------------

_BOOTSTRAP = r"""#!/bin/busybox sh
api="http://$AWS_LAMBDA_RUNTIME_API/2018-06-01/runtime/invocation"
while true; do
  event=$(/bin/busybox wget -q -S -O - "$api/next" 2>/tmp/headers) || exit 1
  id=$(/bin/busybox grep -i aws-request-id /tmp/headers | /bin/busybox tr -d '\r' | /bin/busybox sed 's/.*: *//')
  said=$(/bin/busybox sh -c "${COMMAND:-true}" 2>&1 | /bin/busybox tr '\n' '|' | /bin/busybox sed 's/[\\"]/./g')
  body="{\"event\": $event, \"word\": \"$WORD\", \"args\": \"$*\", \"cwd\": \"$PWD\", \"said\": \"$said\"}"
  /bin/busybox wget -q -O /dev/null --post-data "$body" "$api/$id/response" || exit 1
done
"""


def busybox_layer() -> bytes:
    """Return a layer with a static shell and a runtime that answers what it was told and where it is."""
    shell = shutil.which("busybox")
    if shell is None:
        pytest.skip("no busybox on this machine")
    return make_tar(
        [
            ("bin/busybox", Path(shell).read_bytes()),
            ("bin/sh", Entry(kind=tarfile.SYMTYPE, link="busybox")),
            ("app/bootstrap", _BOOTSTRAP),
        ]
    )


def echo_image(
    *layers: bytes, config: Mapping[str, Any] | None = None, compression: str = "gzip", **more: Any
) -> Image:
    """Return an image whose function answers; further layers lie over it."""
    usual = {"Entrypoint": ["/app/bootstrap"], "Cmd": ["one"], "WorkingDir": "/app", "Env": ["WORD=hello", "PATH=/bin"]}
    return make_image([busybox_layer(), *layers], {**usual, **(config or {})}, compression=compression, **more)


def python_image(handler: str) -> Image:
    """Return an image with a Python of its own and AWS's client in it, unchanged; `handler` is the text of app.py."""
    interpreter = os.path.realpath(sys.executable)
    files: dict[str, Path] = {interpreter: Path(interpreter)}
    libraries = {interpreter}
    library = Path(sysconfig.get_path("stdlib"))
    for path in library.rglob("*"):
        parts = path.relative_to(library).parts
        if path.is_file() and not _is_left_out(parts):
            files[str(path)] = path
            if path.suffix == ".so":
                libraries.add(str(path))
    site = Path(sysconfig.get_path("purelib"))
    for name in ("awslambdaric", "snapshot_restore_py", "simplejson", "runtime_client"):
        for path in [*site.glob(f"{name}/**/*"), *site.glob(f"{name}*.so"), *site.glob(f"{name}*.py")]:
            if path.is_file() and "__pycache__" not in path.parts:
                files[f"/function/{path.relative_to(site)}"] = path
                if path.suffix == ".so":
                    libraries.add(str(path))
    for needed in _needed(libraries):
        files[needed] = Path(os.path.realpath(needed))
    entries: list[tuple[str, Entry | bytes | str]] = [
        (name.lstrip("/"), Entry(path.read_bytes(), path.stat().st_mode & 0o777 | 0o444))
        for name, path in sorted(files.items())
    ]
    entries.append(("function/app.py", Entry(handler.encode(), 0o644)))
    config = {
        "Entrypoint": [interpreter, "-m", "awslambdaric"],
        "Cmd": ["app.handler"],
        "WorkingDir": "/function",
        "Env": ["GREETING=from the image"],
    }
    return make_image([make_tar(entries)], config)


def _is_left_out(parts: tuple[str, ...]) -> bool:
    top = {"test", "idlelib", "tkinter", "turtledemo", "ensurepip", "site-packages", "dist-packages", "lib2to3"}
    return "__pycache__" in parts or parts[0] in top or parts[0].startswith("config-") or "tests" in parts


def _needed(programs: Iterable[str]) -> set[str]:
    found: set[str] = set()
    for program in programs:
        ran = subprocess.run(["ldd", program], capture_output=True, text=True, check=False)
        for line in ran.stdout.splitlines():
            words = line.replace("=>", " ").split()
            found.update(word for word in words if word.startswith("/") and os.path.exists(word))
    return found


def _packed(layer: bytes, compression: str) -> tuple[bytes, str]:
    if compression == "gzip":
        return gzip.compress(layer, 1, mtime=0), "+gzip"
    if compression == "zstd":
        import zstandard

        return zstandard.ZstdCompressor().compress(layer), "+zstd"
    return layer, ""


def _descriptor(content: bytes, media_type: str) -> dict[str, Any]:
    return {"mediaType": media_type, "digest": f"sha256:{hex_of(content)}", "size": len(content)}
