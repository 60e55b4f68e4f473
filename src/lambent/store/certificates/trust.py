"""What sandboxes see as the machine's certificates: the host's directories, and our authority in them."""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import shutil
import struct
from typing import TYPE_CHECKING

from lambent.store.certificates.authority import hashed_name

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from lambent.store.certificates.authority import Authority

# Those that the launcher shows (its mounts.py).
_PLACES = ("/etc/ssl/certs", "/etc/pki/tls/certs", "/etc/pki/ca-trust/extracted")
_OWN_FILE = "lambent-amazonaws.pem"
# Which of these a program reads is compiled into it.
_BUNDLES = frozenset({"ca-certificates.crt", "ca-bundle.crt", "tls-ca-bundle.pem", "ca-bundle.pem"})
_JAVA = "cacerts"
_ALWAYS = "etc/ssl/certs"
_FILE_BYTES_MAX = 8 * 1024 * 1024
_FILES_MAX = 4_000
_MARK = "mark"
_CURRENT = "current"
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----([A-Za-z0-9+/=\s]+)-----END CERTIFICATE-----")
# The form in which Java keeps certificates; whoever reads them without a password checks no digest.
# Source: sun.security.provider.JavaKeyStore.
_KEY_STORE_MAGIC = bytes.fromhex("feedfeed")
_KEY_STORE_PASSWORD = "changeit"
_TRUSTED = 2
_ALIAS = "lambent-amazonaws"


def lay_out_trust(directory: Path, authority: Authority, host: Path) -> bool:
    """Write the directories of certificates for sandboxes, if host or authority have changed.

    `directory` is `trust/` in the data directory, `host` the root of the machine's files. Returns False, and writes
    nothing, for a host without certificates: who is told to trust one authority would trust no other. Blocks for some
    milliseconds when there is something to do. Nothing may be shown from it yet. Raises OSError.
    """
    mark = _marked(host, authority)
    current = directory / _CURRENT
    mark_file = directory / _MARK
    if mark_file.is_file() and mark_file.read_text() == mark and current.is_dir():
        return True
    mark_file.unlink(missing_ok=True)
    shutil.rmtree(current, ignore_errors=True)
    bundle = _bundle(host)
    if not bundle:
        return False
    for place in _PLACES:
        source = host / place[1:]
        target = current / place[1:]
        if source.is_dir() or place == f"/{_ALWAYS}":
            target.mkdir(parents=True, mode=0o755)
            _copy(source, target, authority, bundle)
    own = current / _ALWAYS
    (own / "ca-certificates.crt").write_bytes(bundle + authority.certificate_pem)
    (own / _OWN_FILE).write_bytes(authority.certificate_pem)
    (own / hashed_name()).symlink_to(_OWN_FILE)
    java = current / "java"
    java.mkdir()
    (java / _JAVA).write_bytes(key_store(b"", bundle, authority.certificate_der))
    mark_file.write_text(mark)
    return True


def key_store(existing: bytes, bundle: bytes, certificate: bytes) -> bytes:
    """Return Java's key store with one certificate more: of what is there, or of all of a bundle in PEM."""
    if existing[:8] == _KEY_STORE_MAGIC + struct.pack("!I", 2) and len(existing) > 32:
        (count,) = struct.unpack_from("!I", existing, 8)
        entries = existing[12:-20]
    else:
        found = [base64.b64decode(text) for text in _PEM.findall(bundle)]
        count = len(found)
        entries = b"".join(_entry(f"host-{number}", each) for number, each in enumerate(found))
    body = _KEY_STORE_MAGIC + struct.pack("!II", 2, count + 1) + entries + _entry(_ALIAS, certificate)
    salted = _KEY_STORE_PASSWORD.encode("utf-16-be") + b"Mighty Aphrodite" + body
    return body + hashlib.sha1(salted, usedforsecurity=False).digest()


def _entry(alias: str, certificate: bytes) -> bytes:
    kind = b"X.509"
    head = struct.pack("!IH", _TRUSTED, len(alias)) + alias.encode() + struct.pack("!Q", 0)
    return head + struct.pack("!H", len(kind)) + kind + struct.pack("!I", len(certificate)) + certificate


def _copy(source: Path, target: Path, authority: Authority, bundle: bytes) -> None:
    for entry in _entries(source):
        place = target / entry.name
        if entry.is_dir(follow_symlinks=False):
            place.mkdir(mode=0o755)
            # One level below is all there is: java/, pem/, openssl/.
            _copy_files(source / entry.name, place, authority, bundle)
        else:
            _copy_file(entry, place, authority, bundle)


def _copy_files(source: Path, target: Path, authority: Authority, bundle: bytes) -> None:
    for entry in _entries(source):
        if not entry.is_dir(follow_symlinks=False):
            _copy_file(entry, target / entry.name, authority, bundle)


def _copy_file(entry: os.DirEntry[str], place: Path, authority: Authority, bundle: bytes) -> None:
    is_ours = entry.name in _BUNDLES or entry.name == _JAVA
    if entry.is_symlink() and not is_ours:
        led = os.readlink(entry.path)
        # Beside it, or in /usr, which sandboxes see.
        if "/" not in led or led.startswith("/usr/"):
            place.symlink_to(led)
            return
    try:
        if not entry.is_file() or entry.stat().st_size > _FILE_BYTES_MAX:
            return
        with open(entry.path, "rb") as file:
            content = file.read(_FILE_BYTES_MAX)
    except OSError:
        # What this account may not read no function may either.
        return
    if entry.name in _BUNDLES:
        content = _ended(content) + authority.certificate_pem
    elif entry.name == _JAVA:
        content = key_store(content, bundle, authority.certificate_der)
    place.write_bytes(content)


def _bundle(host: Path) -> bytes:
    for place in _PLACES:
        for name in sorted(_BUNDLES):
            for path in (host / place[1:] / name, host / place[1:] / "pem" / name):
                if path.is_file():
                    return _ended(path.read_bytes()[:_FILE_BYTES_MAX])
    return b""


def _ended(text: bytes) -> bytes:
    return text if not text or text.endswith(b"\n") else text + b"\n"


def _marked(host: Path, authority: Authority) -> str:
    digest = hashlib.sha256(authority.certificate_pem)
    for place in _PLACES:
        source = host / place[1:]
        for entry in _entries(source):
            status = entry.stat(follow_symlinks=False)
            digest.update(f"{entry.path} {status.st_mtime_ns} {status.st_size}\n".encode())
            if entry.name in _BUNDLES or entry.is_dir(follow_symlinks=False):
                with contextlib.suppress(OSError):
                    through = os.stat(entry.path)
                    digest.update(f"{through.st_mtime_ns} {through.st_size}\n".encode())
    return digest.hexdigest()


def _entries(directory: Path) -> Iterator[os.DirEntry[str]]:
    if not directory.is_dir():
        return
    with os.scandir(directory) as found:
        yield from sorted(found, key=lambda entry: entry.name)[:_FILES_MAX]
