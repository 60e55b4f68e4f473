"""Certificates like Alexa's: a root, an intermediate, and one for a name that the intermediate vouches for."""

from __future__ import annotations

import base64
import datetime
from typing import NamedTuple

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import padding, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

NAME = "echo-api.amazon.com"
CHAIN_URL = "https://s3.amazonaws.com/echo.api/echo-api-cert-12.pem"
_DAY = datetime.timedelta(days=1)


class Signer(NamedTuple):
    """Who signs requests: the chain in PEM, the root in PEM, the key."""

    chain: bytes
    root: bytes
    key: rsa.RSAPrivateKey

    def headers(self, body: bytes, *, is_old: bool = False) -> dict[str, str]:
        """Return the headers that Alexa sends with a body; `is_old`: only those of before 2021."""
        old = base64.b64encode(self.key.sign(body, padding.PKCS1v15(), hashes.SHA1())).decode()
        new = base64.b64encode(self.key.sign(body, padding.PKCS1v15(), hashes.SHA256())).decode()
        headers = {"signaturecertchainurl": CHAIN_URL, "signature": old}
        return headers if is_old else {**headers, "signature-256": new}


def make_signer(name: str = NAME, *, days: int = 30) -> Signer:
    """Return a signer whose certificate is of this name and valid for so many days; below 0: no more."""
    now = datetime.datetime.now(datetime.UTC)
    root_key, middle_key, key = (rsa.generate_private_key(65_537, 2_048) for _ in range(3))
    root = _certificate(("Root", root_key), ("Root", root_key), now + 3_000 * _DAY, is_authority=True)
    middle = _certificate(("Middle", middle_key), ("Root", root_key), now + 2_000 * _DAY, is_authority=True)
    leaf = _certificate((name, key), ("Middle", middle_key), now + days * _DAY, is_authority=False)
    pem = serialization.Encoding.PEM
    return Signer(leaf.public_bytes(pem) + middle.public_bytes(pem), root.public_bytes(pem), key)


def _certificate(
    of: tuple[str, rsa.RSAPrivateKey], by: tuple[str, rsa.RSAPrivateKey], end: datetime.datetime, *, is_authority: bool
) -> x509.Certificate:
    name, key = of
    issuer, issuer_key = by
    builder = (
        x509.CertificateBuilder()
        .subject_name(_named(name))
        .issuer_name(_named(issuer))
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(end - 3_650 * _DAY)
        .not_valid_after(end)
        .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer_key.public_key()), critical=False)
        .add_extension(_usage(is_authority=is_authority), critical=True)
    )
    if not is_authority:
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        builder = builder.add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
    return builder.sign(issuer_key, hashes.SHA256())


def _named(name: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _usage(*, is_authority: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not is_authority, content_commitment=False, key_encipherment=False, data_encipherment=False,
        key_agreement=False, key_cert_sign=is_authority, crl_sign=is_authority, encipher_only=False,
        decipher_only=False,
    )  # fmt: skip
