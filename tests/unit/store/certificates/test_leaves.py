"""Certificates by name, spoken over real TLS in memory, with Python's strictest checks."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING

import pytest

from lambent.clock import SystemClock
from lambent.store.certificates import Authority, LeafCertificates
from lambent.store.certificates import leaves as module

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.open(tmp_path, SystemClock())


@pytest.fixture
def leaves(tmp_path: Path, authority: Authority) -> LeafCertificates:
    return LeafCertificates(authority, tmp_path, SystemClock())


def shake_hands(leaves: LeafCertificates, authority: Authority, name: str) -> dict[str, object]:
    """Return the certificate that a strict client accepts for a name. Raises ssl.SSLError."""
    trusting = ssl.create_default_context(cadata=authority.certificate_pem.decode())
    trusting.verify_flags |= ssl.VERIFY_X509_STRICT
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = trusting.wrap_bio(to_client, to_server, server_hostname=name)
    server = leaves.listening().wrap_bio(to_server, to_client, server_side=True)
    done: set[ssl.SSLObject] = set()
    for _ in range(8):
        for side in (client, server):
            try:
                side.do_handshake()
                done.add(side)
            except ssl.SSLWantReadError:
                continue
    assert done == {client, server}
    return dict(client.getpeercert() or {})


@pytest.mark.parametrize(
    "name",
    [
        "sqs.us-east-1.amazonaws.com",
        "bucket.with.dots.s3.eu-west-1.amazonaws.com",
        "under_score.s3.amazonaws.com",
        f"{'a' * 63}.s3.eu-west-1.amazonaws.com",
        "s3.cn-north-1.amazonaws.com.cn",
    ],
)
def test_any_of_awss_names_has_one(leaves: LeafCertificates, authority: Authority, name: str) -> None:
    assert shake_hands(leaves, authority, name)["subjectAltName"] == (("DNS", name),)


@pytest.mark.parametrize("name", ["example.com", "amazonaws.com.example.com", "xamazonaws.com"])
def test_no_other_name_has(leaves: LeafCertificates, authority: Authority, name: str) -> None:
    with pytest.raises(ssl.SSLError):
        shake_hands(leaves, authority, name)


def test_they_are_kept_and_bounded(
    leaves: LeafCertificates, authority: Authority, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "_KEPT_MAX", 2)
    first = shake_hands(leaves, authority, "a.amazonaws.com")["serialNumber"]
    assert shake_hands(leaves, authority, "a.amazonaws.com")["serialNumber"] == first
    for name in ("b", "c"):
        shake_hands(leaves, authority, f"{name}.amazonaws.com")
    assert shake_hands(leaves, authority, "a.amazonaws.com")["serialNumber"] != first
    assert [path.name for path in tmp_path.iterdir()] == ["amazonaws.pem"]
