"""The authority for AWS's names: made once, bound to them, found by OpenSSL."""

from __future__ import annotations

import os
import subprocess
from typing import TYPE_CHECKING

import pytest
from cryptography import x509

from lambent.store.certificates import Authority
from lambent.store.certificates.authority import hashed_name
from tests.unit.store.conftest import JumpingClock

if TYPE_CHECKING:
    from pathlib import Path

_YEAR_MS = 365 * 86_400_000


def test_it_is_made_once_and_readable_by_nobody_else(tmp_path: Path) -> None:
    clock = JumpingClock()
    first = Authority.open(tmp_path, clock)
    clock.now_ms += 7 * _YEAR_MS
    assert Authority.open(tmp_path, clock).certificate_pem == first.certificate_pem
    [file] = tmp_path.iterdir()
    assert file.stat().st_mode & 0o777 == 0o600
    clock.now_ms += 2 * _YEAR_MS
    assert Authority.open(tmp_path, clock).certificate_pem != first.certificate_pem


@pytest.mark.parametrize("content", [b"", b"made 1767225600\n", b"made 1767225600\nno certificate\n", b"\0" * 100])
def test_a_damaged_one_is_made_anew(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "amazonaws.pem").write_bytes(content)
    made = Authority.open(tmp_path, JumpingClock())
    assert x509.load_der_x509_certificate(made.certificate_der).issuer


def test_it_is_good_for_awss_names_only(tmp_path: Path) -> None:
    certificate = x509.load_der_x509_certificate(Authority.open(tmp_path, JumpingClock()).certificate_der)
    extension = certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert extension.critical
    permitted = extension.value.permitted_subtrees or []
    assert [name.value for name in permitted] == ["amazonaws.com", "amazonaws.com.cn"]
    assert [str(name.value) for name in extension.value.excluded_subtrees or []] == ["0.0.0.0/0", "::/0"]
    assert certificate.extensions.get_extension_for_class(x509.BasicConstraints).value.path_length == 0


def test_openssl_finds_it_in_a_directory_of_certificates(tmp_path: Path) -> None:
    made = Authority.open(tmp_path, JumpingClock())
    said = subprocess.run(
        ["openssl", "x509", "-noout", "-hash"],
        input=made.certificate_pem,
        capture_output=True,
        check=True,
        env={"PATH": os.defpath},
    )
    assert hashed_name() == f"{said.stdout.decode().strip()}.0"
