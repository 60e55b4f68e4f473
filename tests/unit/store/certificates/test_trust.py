"""The directories of certificates that sandboxes see: the host's, and the authority in every form that is read."""

from __future__ import annotations

import hashlib
import os
import struct
from typing import TYPE_CHECKING

import pytest

from lambent.clock import SystemClock
from lambent.store.certificates import Authority, lay_out_trust
from lambent.store.certificates.authority import hashed_name
from lambent.store.certificates.trust import key_store

if TYPE_CHECKING:
    from pathlib import Path

_OTHER = b"-----BEGIN CERTIFICATE-----\nAAECAw==\n-----END CERTIFICATE-----\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    keys = tmp_path / "keys"
    keys.mkdir()
    return Authority.open(keys, SystemClock())


@pytest.fixture
def host(tmp_path: Path) -> Path:
    """A machine with certificates as Debian has them."""
    root = tmp_path / "host"
    certificates = root / "etc/ssl/certs"
    (certificates / "java").mkdir(parents=True)
    (certificates / "ca-certificates.crt").write_bytes(_OTHER)
    (certificates / "other.pem").symlink_to("/usr/share/other.crt")
    (certificates / "0a0b0c0d.0").symlink_to("other.pem")
    (root / "etc/local.pem").write_bytes(b"local")
    (certificates / "local.pem").symlink_to("../../local.pem")
    (certificates / "java/cacerts").write_bytes(key_store(b"", _OTHER, b"first"))
    return root


def test_the_hosts_certificates_and_our_own(tmp_path: Path, authority: Authority, host: Path) -> None:
    assert lay_out_trust(tmp_path / "trust", authority, host)
    made = tmp_path / "trust/current/etc/ssl/certs"
    assert (made / "ca-certificates.crt").read_bytes() == _OTHER + authority.certificate_pem
    assert (made / hashed_name()).read_bytes() == authority.certificate_pem
    assert os.readlink(made / "other.pem") == "/usr/share/other.crt"
    assert os.readlink(made / "0a0b0c0d.0") == "other.pem"
    assert (made / "local.pem").read_bytes() == b"local"
    assert authority.certificate_der in (made / "java/cacerts").read_bytes()
    assert authority.certificate_der in (tmp_path / "trust/current/java/cacerts").read_bytes()


def test_they_are_written_when_something_has_changed(tmp_path: Path, authority: Authority, host: Path) -> None:
    trust = tmp_path / "trust"
    lay_out_trust(trust, authority, host)
    bundle = trust / "current/etc/ssl/certs/ca-certificates.crt"
    written = bundle.stat().st_ino
    lay_out_trust(trust, authority, host)
    assert bundle.stat().st_ino == written
    (host / "etc/ssl/certs/ca-certificates.crt").write_bytes(_OTHER * 2)
    lay_out_trust(trust, authority, host)
    assert bundle.read_bytes() == _OTHER * 2 + authority.certificate_pem


def test_a_host_without_certificates_has_none(tmp_path: Path, authority: Authority) -> None:
    (tmp_path / "host").mkdir()
    (tmp_path / "trust").mkdir()
    assert not lay_out_trust(tmp_path / "trust", authority, tmp_path / "host")
    assert list((tmp_path / "trust").iterdir()) == []


def test_another_place_and_another_name(tmp_path: Path, authority: Authority) -> None:
    root = tmp_path / "host"
    extracted = root / "etc/pki/ca-trust/extracted"
    (extracted / "pem").mkdir(parents=True)
    (extracted / "pem/tls-ca-bundle.pem").write_bytes(_OTHER)
    (root / "etc/pki/tls/certs").mkdir(parents=True)
    (root / "etc/pki/tls/certs/ca-bundle.crt").symlink_to("../../ca-trust/extracted/pem/tls-ca-bundle.pem")
    assert lay_out_trust(tmp_path / "trust", authority, root)
    current = tmp_path / "trust/current/etc"
    for name in (
        "pki/tls/certs/ca-bundle.crt", "pki/ca-trust/extracted/pem/tls-ca-bundle.pem", "ssl/certs/ca-certificates.crt"
    ):  # fmt: skip
        assert (current / name).read_bytes() == _OTHER + authority.certificate_pem


def test_javas_form() -> None:
    store = key_store(b"", _OTHER, b"one")
    more = key_store(store, b"", b"two")
    assert struct.unpack_from("!I", more, 8) == (3,)
    assert b"\0\1\2\3" in more
    assert b"two" in more
    salted = "changeit".encode("utf-16-be") + b"Mighty Aphrodite" + more[:-20]
    assert more[-20:] == hashlib.sha1(salted, usedforsecurity=False).digest()
