"""The certificate authority of one installation: bound by name constraints to AWS's names, so useless for any other.

What the certificates are made with is loaded when one is made: a start whose functions never ask does without it.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import os
import re
import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
    from cryptography.x509 import Certificate, KeyUsage, Name

    from lambent.clock import Clock

NAMES = ("amazonaws.com", "amazonaws.com.cn")
_FILE = "amazonaws.pem"
_SUBJECT = "Lambent, for amazonaws.com inside functions"
_LIFE = timedelta(days=3650)
# Nobody but sandboxes trusts it, and they are told anew at each start: it is replaced long before its end.
_RENEWED_AFTER_SECONDS = 8 * 365 * 86_400
# Clocks of images and of the machine need not be the same.
_EARLIER = timedelta(days=1)
LEAF_LIFE = timedelta(days=90)
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----\n?", re.DOTALL)
_MADE = re.compile(rb"\Amade (\d{1,15})\n")
_COMMON_NAME = bytes.fromhex("0603550403")


class Authority:
    """Scope: installation. After a crash: as written, whole or not at all. `text` is the file's."""

    def __init__(self, text: bytes) -> None:
        self._text = text
        found = _PEM.search(text)
        if found is None:
            raise ValueError("no certificate")
        self.certificate_pem = found[0]
        self._pair: tuple[EllipticCurvePrivateKey, Certificate] | None = None

    @classmethod
    def open(cls, keys_directory: Path, clock: Clock) -> Authority:
        """Return the installation's authority; the first call makes it, 0600, and so does one in its last years.

        Raises OSError.
        """
        path = keys_directory / _FILE
        with contextlib.suppress(FileNotFoundError, ValueError):
            text = path.read_bytes()
            made = _MADE.match(text)
            if made is not None and clock.time_ms() // 1000 - int(made[1]) < _RENEWED_AFTER_SECONDS:
                return cls(text)
        text = _make(clock)
        fresh = keys_directory / f".{_FILE}.{secrets.token_hex(8)}"
        try:
            fd = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o600)
            with open(fd, "wb") as file:
                file.write(text)
                os.fsync(fd)
            fresh.rename(path)
        finally:
            fresh.unlink(missing_ok=True)
        return cls(text)

    @property
    def certificate_der(self) -> bytes:
        """The certificate's bytes."""
        return base64.b64decode(b"".join(self.certificate_pem.splitlines()[1:-1]))

    def issue(self, name: str, key: EllipticCurvePrivateKey, clock: Clock) -> bytes:
        """Return a server's certificate in PEM for one name below `NAMES`."""
        from cryptography import x509
        from cryptography.hazmat.primitives import hashes, serialization
        from cryptography.x509.oid import ExtendedKeyUsageOID

        ca_key, ca = self._loaded()
        now = _now(clock)
        ca_identifier = ca.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
        made = (
            x509.CertificateBuilder()
            # A name longer than a common name may be is only where it is looked for.
            .subject_name(_named(name if len(name) <= 64 else NAMES[0]))
            .issuer_name(ca.subject)
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _EARLIER)
            .not_valid_after(now + LEAF_LIFE)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_usage(is_authority=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(ca_identifier), critical=False
            )
            .sign(ca_key, hashes.SHA256())
        )
        return made.public_bytes(serialization.Encoding.PEM)

    def _loaded(self) -> tuple[EllipticCurvePrivateKey, Certificate]:
        if self._pair is None:
            from cryptography import x509
            from cryptography.hazmat.primitives.asymmetric import ec
            from cryptography.hazmat.primitives.serialization import load_pem_private_key

            key = load_pem_private_key(self._text, None)
            if not isinstance(key, ec.EllipticCurvePrivateKey):
                raise ValueError("the authority's key is of another kind")
            self._pair = key, x509.load_pem_x509_certificate(self.certificate_pem)
        return self._pair


def hashed_name() -> str:
    """Return the file name by which OpenSSL finds the authority in a directory of certificates.

    Source: OpenSSL's X509_NAME_hash: SHA-1 of the name in lower case, of which the first four bytes count.
    """
    text = _SUBJECT.lower().encode()
    attribute = _COMMON_NAME + bytes([0x0C, len(text)]) + text
    sequence = bytes([0x30, len(attribute)]) + attribute
    digest = hashlib.sha1(bytes([0x31, len(sequence)]) + sequence, usedforsecurity=False).digest()
    return f"{int.from_bytes(digest[:4], 'little'):08x}.0"


def _make(clock: Clock) -> bytes:
    """Return time, key and certificate of a new authority."""
    import ipaddress

    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID

    key = ec.generate_private_key(ec.SECP256R1())
    now = _now(clock)
    everywhere = [x509.IPAddress(ipaddress.ip_network(network)) for network in ("0.0.0.0/0", "::/0")]
    made = (
        x509.CertificateBuilder()
        .subject_name(_named(_SUBJECT))
        .issuer_name(_named(_SUBJECT))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _EARLIER)
        .not_valid_after(now + _LIFE)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(is_authority=True), critical=True)
        .add_extension(x509.NameConstraints([x509.DNSName(name) for name in NAMES], everywhere), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    form = serialization.PrivateFormat.PKCS8
    private = key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
    made_at = f"made {clock.time_ms() // 1000}\n".encode()
    return made_at + private + made.public_bytes(serialization.Encoding.PEM)


def _usage(*, is_authority: bool) -> KeyUsage:
    from cryptography.x509 import KeyUsage

    return KeyUsage(
        digital_signature=not is_authority,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=is_authority,
        crl_sign=is_authority,
        encipher_only=False,
        decipher_only=False,
    )


def _named(text: str) -> Name:
    from cryptography.x509 import Name, NameAttribute
    from cryptography.x509.oid import NameOID

    return Name([NameAttribute(NameOID.COMMON_NAME, text)])


def _now(clock: Clock) -> datetime:
    return datetime.fromtimestamp(clock.time_ms() // 1000, UTC)
