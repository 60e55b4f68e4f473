"""Whether a request is Alexa's: its certificate, its signature, its time.

Source: Alexa Skills Kit, "Host a Custom Skill as a Web Service", Manually verify that the request was sent by Alexa.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import posixpath
import ssl
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote, urlsplit

from lambent.wire.http_client import ConnectionFailedError, Origin, OutwardRequest

if TYPE_CHECKING:
    from collections.abc import Mapping

    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.x509 import Certificate
    from cryptography.x509.verification import Store

    from lambent.clock import Clock
    from lambent.wire.http_client import HttpClient

_HOST = "s3.amazonaws.com"
_PATH = "/echo.api/"
_NAME = "echo-api.amazon.com"
_CHAIN_BYTES_MAX = 65_536
_CHAINS_MAX = 16
_ROOTS = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem")


class UnsignedError(Exception):
    """A request is not known to be Alexa's; the text says why."""


class SignatureRules(NamedTuple):
    """Settings alexa.*. `certificates_at`: where chains are fetched; `roots`: a file, empty for the machine's own."""

    is_checking: bool = True
    tolerance_seconds: int = 150
    certificates_at: str = f"https://{_HOST}"
    roots: str = ""


class SkillSignatures:
    """Checks requests. Scope: process; remembers the last chains, each until it is over."""

    def __init__(self, rules: SignatureRules, http: HttpClient, clock: Clock) -> None:
        self._rules = rules
        self._http = http
        self._clock = clock
        self._chains: dict[str, tuple[Certificate, ...]] = {}
        self._roots: Store | None = None
        self._lock = asyncio.Lock()

    def check_head(self, headers: Mapping[str, str], timestamp: object) -> None:
        """Refuse what costs nothing to refuse: the address of the chain, a signature that is none, the time.

        Raises:
            UnsignedError: the request is not Alexa's, or too old.
        """
        if not self._rules.is_checking:
            return
        chain_path(headers.get("signaturecertchainurl", ""))
        _signature(headers)
        self._check_time(timestamp)

    async def check(self, headers: Mapping[str, str], body: bytes) -> None:
        """Refuse a body that the certificate which its headers name has not signed.

        Raises:
            UnsignedError: the certificate is not Alexa's, cannot be had, or did not sign this.
        """
        if not self._rules.is_checking:
            return
        path = chain_path(headers.get("signaturecertchainurl", ""))
        async with self._lock:
            chain = self._chains.get(path)
            if chain is None:
                chain = _certificates(await self._fetched(path))
            roots = await self._trusted()
            now = datetime.fromtimestamp(self._clock.time_ms() / 1_000, UTC)
            try:
                key = await asyncio.to_thread(_trusted_key, chain, roots, now)
            except UnsignedError:
                self._chains.pop(path, None)
                raise
            if len(self._chains) >= _CHAINS_MAX:
                del self._chains[next(iter(self._chains))]
            self._chains[path] = chain
        _check_signature(key, headers, body)

    def _check_time(self, timestamp: object) -> None:
        if isinstance(timestamp, bool) or not isinstance(timestamp, str):
            raise UnsignedError("The request has no timestamp.")
        try:
            moment = datetime.fromisoformat(timestamp)
        except ValueError as error:
            raise UnsignedError("The request's timestamp is not one.") from error
        if moment.tzinfo is None:
            moment = moment.replace(tzinfo=UTC)
        apart = abs(moment.timestamp() - self._clock.time_ms() / 1_000)
        if apart > self._rules.tolerance_seconds:
            raise UnsignedError(f"The request's timestamp is {apart:.0f} seconds away.")

    async def _fetched(self, path: str) -> bytes:
        url = urlsplit(self._rules.certificates_at)
        origin = Origin(url.scheme, url.hostname or "", url.port or (443 if url.scheme == "https" else 80))
        request = OutwardRequest("GET", url.path.rstrip("/") + path, (("host", url.netloc),))
        try:
            response = await self._http.send(origin, request)
            body = await response.read(_CHAIN_BYTES_MAX)
        except ConnectionFailedError as error:
            raise UnsignedError(f"The certificate cannot be fetched: {error}") from error
        if response.status != 200:
            raise UnsignedError(f"The certificate cannot be fetched: status {response.status}")
        return body

    async def _trusted(self) -> Store:
        if self._roots is None:
            self._roots = await asyncio.to_thread(_store, self._rules.roots)
        return self._roots


def chain_path(url: str) -> str:
    """Return the path of a chain whose address may be Alexa's.

    Raises:
        UnsignedError: it is not Alexa's.
    """
    try:
        parts = urlsplit(url.strip())
        port = parts.port
    except ValueError as error:
        raise UnsignedError("SignatureCertChainUrl is no address.") from error
    path = posixpath.normpath(unquote(parts.path)) if parts.path else ""
    if parts.scheme.lower() != "https":
        raise UnsignedError("SignatureCertChainUrl is not https.")
    if (parts.hostname or "").lower() != _HOST or parts.username is not None or port not in (None, 443):
        raise UnsignedError("SignatureCertChainUrl is not at Alexa's host.")
    if not path.startswith(_PATH) or not path.isascii() or not path.isprintable() or " " in path or "?" in path:
        raise UnsignedError("SignatureCertChainUrl is not below Alexa's path.")
    return path


def _signature(headers: Mapping[str, str]) -> bytes:
    """Return the signature; the newer header counts where both are there."""
    try:
        signature = base64.b64decode(headers.get("signature-256") or headers.get("signature", ""), validate=True)
    except (binascii.Error, ValueError) as error:
        raise UnsignedError("The signature is not base64.") from error
    if not signature:
        raise UnsignedError("The request is not signed.")
    return signature


def _certificates(pem: bytes) -> tuple[Certificate, ...]:
    from cryptography import x509

    try:
        return tuple(x509.load_pem_x509_certificates(pem))
    except ValueError as error:
        raise UnsignedError("The certificate is not one.") from error


def _trusted_key(chain: tuple[Certificate, ...], roots: Store, now: datetime) -> RSAPublicKey:
    """Return the key of a chain that leads to a trusted root, is valid now, and is of Alexa's name."""
    from cryptography.hazmat.primitives.asymmetric.rsa import RSAPublicKey
    from cryptography.x509 import DNSName
    from cryptography.x509.verification import PolicyBuilder, VerificationError

    verifier = PolicyBuilder().store(roots).time(now).build_server_verifier(DNSName(_NAME))
    try:
        verifier.verify(chain[0], list(chain[1:]))
    except VerificationError as error:
        raise UnsignedError(f"The certificate is not to be trusted: {error}") from error
    key = chain[0].public_key()
    if not isinstance(key, RSAPublicKey):
        raise UnsignedError("The certificate's key is not RSA's.")
    return key


def _check_signature(key: RSAPublicKey, headers: Mapping[str, str], body: bytes) -> None:
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15

    # SHA-1 is what skills of before 2021 are sent; newer requests have both.
    algorithm = hashes.SHA256() if headers.get("signature-256") else hashes.SHA1()
    try:
        key.verify(_signature(headers), body, PKCS1v15(), algorithm)
    except InvalidSignature as error:
        raise UnsignedError("The signature is not of this request.") from error


def _store(file: str) -> Store:
    from cryptography import x509
    from cryptography.x509.verification import Store

    candidates = (file,) if file else (ssl.get_default_verify_paths().cafile, *_ROOTS)
    for path in candidates:
        if path and Path(path).is_file():
            try:
                return Store(x509.load_pem_x509_certificates(Path(path).read_bytes()))
            except (OSError, ValueError) as error:
                raise UnsignedError(f"{path} holds no certificates to trust.") from error
    raise UnsignedError("This machine has no certificates to trust; alexa.roots names a file of them.")
