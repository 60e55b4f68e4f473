"""Signature Version 4: who signs a request, and whether the signature is right.

Source: AWS General Reference, "Signature Version 4 signing process"; presigned form with X-Amz-* query parameters.
"""

from __future__ import annotations

import functools
import hashlib
import hmac
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING
from urllib.parse import quote, unquote

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
PRESIGNED_SECONDS_MAX = 604_800

_HEADER = re.compile(
    r"AWS4-HMAC-SHA256\s+Credential=([^,\s]+)\s*,\s*SignedHeaders=([^,\s]+)\s*,\s*Signature=([0-9a-fA-F]{64})"
)
_SPACES = re.compile(r" +")


class SignatureError(Exception):
    """The request carries no usable signature; `code` is AWS's error code."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


@dataclass(frozen=True, slots=True)
class Signature:
    """What a request says about its signer. `at` is the signing time, `YYYYMMDDTHHMMSSZ`; `expires_seconds` only when
    presigned."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]
    signature: str
    at: str
    session_token: str | None
    expires_seconds: int | None = None

    @property
    def scope(self) -> str:
        """The credential scope."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


@dataclass(frozen=True, slots=True)
class SignedRequest:
    """What is signed. `path` and `query` are as received (percent-encoded); header names are lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


def read_signature(request: SignedRequest) -> Signature | None:
    """Return who signed the request, or None when it is not signed at all.

    Raises:
        SignatureError: IncompleteSignatureException, a malformed signature.
    """
    authorization = request.headers.get("authorization")
    if authorization is not None:
        return _from_header(authorization, request.headers)
    if "X-Amz-Signature=" in request.query:
        return _from_query(request.query)
    return None


def verify(signature: Signature, request: SignedRequest, secret: str, payload_sha256: str) -> bool:
    """Return whether the signature is that of `secret` over the request. `payload_sha256`: hex of the true body."""
    declared = request.headers.get("x-amz-content-sha256")
    if declared is not None and declared not in (UNSIGNED_PAYLOAD, payload_sha256):
        return False
    if "host" not in signature.signed_headers:
        return False
    given = signature.signature.lower()
    if hmac.compare_digest(compute(signature, request, secret, declared or payload_sha256), given):
        return True
    # S3's presigned form leaves the body unsigned without a header that says so.
    is_unsigned_form = signature.expires_seconds is not None and declared is None
    return is_unsigned_form and hmac.compare_digest(compute(signature, request, secret, UNSIGNED_PAYLOAD), given)


def compute(signature: Signature, request: SignedRequest, secret: str, payload_hash: str) -> str:
    """Return the signature, lower-case hex, that `secret` gives."""
    canonical = canonical_request(request, signature.signed_headers, payload_hash)
    digest = hashlib.sha256(canonical.encode()).hexdigest()
    text = f"{ALGORITHM}\n{signature.at}\n{signature.scope}\n{digest}"
    key = signing_key(secret, signature.date, signature.region, signature.service)
    return hmac.new(key, text.encode(), hashlib.sha256).hexdigest()


def canonical_request(request: SignedRequest, signed_headers: Iterable[str], payload_hash: str) -> str:
    """Return the canonical request."""
    names = sorted(signed_headers)
    lines = "".join(f"{name}:{_SPACES.sub(' ', request.headers.get(name, '').strip())}\n" for name in names)
    # Every service but S3 signs the path encoded once more than it is sent.
    path = quote(request.path or "/", safe="/~")
    return f"{request.method}\n{path}\n{_canonical_query(request.query)}\n{lines}\n{';'.join(names)}\n{payload_hash}"


def signing_time(signature: Signature) -> datetime | None:
    """Return when the request was signed, UTC, or None when the text is no time."""
    try:
        return datetime.strptime(signature.at, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC)
    except ValueError:
        return None


@functools.lru_cache(maxsize=1024)
def signing_key(secret: str, date: str, region: str, service: str) -> bytes:
    """Return the derived key of a day, region and service; kept, because deriving costs more than signing."""
    key = f"AWS4{secret}".encode()
    for part in (date, region, service, "aws4_request"):
        key = hmac.new(key, part.encode(), hashlib.sha256).digest()
    return key


def _from_header(authorization: str, headers: Mapping[str, str]) -> Signature:
    match = _HEADER.fullmatch(authorization.strip())
    if match is None:
        raise SignatureError(
            "IncompleteSignatureException",
            "Authorization header requires 'Credential' parameter. Authorization header requires 'Signature' "
            "parameter. Authorization header requires 'SignedHeaders' parameter. Authorization header requires "
            f"existence of either a 'X-Amz-Date' or a 'Date' header. Authorization={authorization[:64]}",
        )
    at = headers.get("x-amz-date") or headers.get("date")
    if at is None:
        raise SignatureError(
            "IncompleteSignatureException",
            "Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.",
        )
    key_id, date, region, service = _credential(match[1])
    names = tuple(name.lower() for name in match[2].split(";"))
    return Signature(key_id, date, region, service, names, match[3], at, headers.get("x-amz-security-token"))


def _from_query(query: str) -> Signature:
    values = {unquote(name): unquote(value) for name, value in _pairs(query)}
    try:
        key_id, date, region, service = _credential(values["X-Amz-Credential"])
        expires_seconds = int(values["X-Amz-Expires"])
        names = tuple(values["X-Amz-SignedHeaders"].lower().split(";"))
        at, signature = values["X-Amz-Date"], values["X-Amz-Signature"]
    except (KeyError, ValueError):
        raise SignatureError("IncompleteSignatureException", "A parameter of the presigned form is missing.") from None
    if values.get("X-Amz-Algorithm") != ALGORITHM or not 0 < expires_seconds <= PRESIGNED_SECONDS_MAX:
        raise SignatureError("IncompleteSignatureException", "A parameter of the presigned form is wrong.")
    token = values.get("X-Amz-Security-Token")
    return Signature(key_id, date, region, service, names, signature, at, token, expires_seconds)


def _credential(text: str) -> tuple[str, str, str, str]:
    parts = text.rsplit("/", 4)
    if len(parts) != 5 or parts[4] != "aws4_request" or not parts[0]:
        raise SignatureError(
            "IncompleteSignatureException",
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term.",
        )
    return parts[0], parts[1], parts[2], parts[3]


def _canonical_query(query: str) -> str:
    if not query:
        return ""
    pairs = [
        (quote(unquote(name), safe="~"), quote(unquote(value), safe="~"))
        for name, value in _pairs(query)
        if name != "X-Amz-Signature"
    ]
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _pairs(query: str) -> list[tuple[str, str]]:
    return [(name, value) for name, _, value in (part.partition("=") for part in query.split("&") if part)]
