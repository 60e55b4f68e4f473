"""AWS Signature Version 4: read, verify and make signatures, in headers and in presigned queries.

Source: AWS General Reference, "Signature Version 4 signing process". Times of the wire are UTC, `YYYYMMDDTHHMMSSZ`.
"""

from __future__ import annotations

import calendar
import functools
import hashlib
import hmac
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote, unquote

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Mapping

ALGORITHM = "AWS4-HMAC-SHA256"
UNSIGNED_PAYLOAD = "UNSIGNED-PAYLOAD"
EMPTY_SHA256 = hashlib.sha256(b"").hexdigest()
PRESIGNED_SECONDS_MAX = 604_800
_KEYS_MAX = 4_096
_AUTHORIZATIONS_MAX = 4_096

# S3 signs a path as it stands in the request, encoded once.
_SINGLE_ENCODING = frozenset({"s3", "s3express", "s3-outposts", "s3-object-lambda"})
_PLAIN_PATH = re.compile(r"(?:/[A-Za-z0-9_~-][A-Za-z0-9_.~-]*)+/?")
_TIME = re.compile(r"\d{8}T\d{6}Z")
_SHA256 = re.compile(r"[0-9a-f]{64}")

_MISMATCH = (
    "The request signature we calculated does not match the signature you provided. Check your AWS Secret Access Key "
    "and signing method. Consult the service documentation for details."
)


class SignatureError(Exception):
    """The signature is missing, malformed or wrong. `code` is AWS's error code, the text AWS's message."""

    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message


class Scope(Struct, frozen=True):
    """What an Authorization header (without its signature) says."""

    access_key_id: str
    date: str
    region: str
    service: str
    signed_headers: tuple[str, ...]

    @property
    def text(self) -> str:
        """The credential scope as it stands in the string to sign."""
        return f"{self.date}/{self.region}/{self.service}/aws4_request"


class Authorization(NamedTuple):
    """A signature as received. `expires_seconds` is None in the header form; `security_token` as sent, if any."""

    scope: Scope
    signature: str
    time: str
    security_token: str | None
    expires_seconds: int | None = None


class SignedRequest(NamedTuple):
    """What is signed. `path` and `query` as received (percent-encoded); header names lower case."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]


@dataclass(frozen=True, slots=True)
class SigningCredentials:
    """What signs outward calls."""

    access_key_id: str
    secret_access_key: str = field(repr=False)
    session_token: str | None = field(default=None, repr=False)


class SigningKeys:
    """Derived keys, kept because four HMACs a request are a third of verifying. Scope: process; bounded."""

    def __init__(self) -> None:
        self._keys: dict[tuple[str, str, str, str], bytes] = {}

    def key(self, secret_access_key: str, date: str, region: str, service: str) -> bytes:
        """Return the signing key of a credential scope."""
        name = (secret_access_key, date, region, service)
        key = self._keys.get(name)
        if key is None:
            key = f"AWS4{secret_access_key}".encode()
            for part in (date, region, service, "aws4_request"):
                key = hmac.digest(key, part.encode(), "sha256")
            if len(self._keys) >= _KEYS_MAX:
                self._keys.clear()
            self._keys[name] = key
        return key


class AuthorizationReader:
    """Reads Authorization headers; all but the signature is the same for a client's whole day, so it is kept."""

    def __init__(self) -> None:
        self._scopes: dict[str, Scope] = {}

    def read(self, request: SignedRequest) -> Authorization | None:
        """Return the signature of a request, None when it has none.

        Raises:
            SignatureError: IncompleteSignatureException (403).
        """
        header = request.headers.get("authorization")
        if header is not None:
            return self._from_header(header, request.headers)
        if "X-Amz-Signature=" in request.query or "X-Amz-Credential=" in request.query:
            return _from_query(request.query)
        return None

    def _from_header(self, header: str, headers: Mapping[str, str]) -> Authorization:
        prefix, found, signature = header.partition("Signature=")
        scope = self._scopes.get(prefix) if found else None
        if scope is None:
            scope, signature = _parse_header(header)
            if found and header.endswith(signature):
                if len(self._scopes) >= _AUTHORIZATIONS_MAX:
                    self._scopes.clear()
                self._scopes[prefix] = scope
        stamp = headers.get("x-amz-date")
        if stamp is None:
            stamp = _from_http_date(headers.get("date"))
        if _TIME.fullmatch(stamp) is None:
            raise _incomplete(f"Date must be in ISO-8601 'basic format'. Got '{stamp}'.")
        return Authorization(scope, signature, stamp, headers.get("x-amz-security-token"))


def verify(
    request: SignedRequest, authorization: Authorization, payload_sha256: str, secret_access_key: str, keys: SigningKeys
) -> None:
    """Check a signature. `payload_sha256` is the hash of the body as received (hex); times are checked apart.

    Raises:
        SignatureError: InvalidSignatureException (403).
    """
    scope = authorization.scope
    declared = request.headers.get("x-amz-content-sha256", payload_sha256)
    if declared not in (payload_sha256, UNSIGNED_PAYLOAD):
        raise SignatureError(
            "InvalidSignatureException",
            "The provided 'x-amz-content-sha256' header does not match what was computed.",
        )
    query = request.query
    if authorization.expires_seconds is not None:
        query = "&".join(pair for pair in query.split("&") if not pair.startswith("X-Amz-Signature="))
    payloads = [declared]
    if authorization.expires_seconds is not None and "x-amz-content-sha256" not in request.headers:
        payloads.append(UNSIGNED_PAYLOAD)  # A URL is often signed before there is a body.
    key = keys.key(secret_access_key, scope.date, scope.region, scope.service)
    received = authorization.signature.encode()
    for payload in payloads:
        canonical = canonical_request(request, query, scope, payload)
        if hmac.compare_digest(_signature(key, authorization.time, scope.text, canonical), received):
            return
    raise SignatureError("InvalidSignatureException", _MISMATCH)


def check_time(authorization: Authorization, now_ms: int, skew_seconds: int) -> None:
    """Check the time of a signature against ours.

    Raises:
        SignatureError: InvalidSignatureException with AWS's text about a time too early or too late (403).
    """
    signed = _seconds(authorization.time)
    if not authorization.time.startswith(authorization.scope.date):
        raise SignatureError(
            "InvalidSignatureException",
            f"Date in Credential scope does not match YYYYMMDD from ISO-8601 version of date from HTTP: "
            f"'{authorization.scope.date}' != '{authorization.time[:8]}', from '{authorization.time}'.",
        )
    now = now_ms // 1000
    lifetime = skew_seconds if authorization.expires_seconds is None else authorization.expires_seconds
    if signed + lifetime < now:
        raise SignatureError(
            "InvalidSignatureException",
            f"Signature expired: {authorization.time} is now earlier than {_stamp(now - lifetime)} "
            f"({_stamp(now)} - {_span(lifetime)})",
        )
    if signed > now + skew_seconds:
        raise SignatureError(
            "InvalidSignatureException",
            f"Signature not yet current: {authorization.time} is still later than {_stamp(now + skew_seconds)} "
            f"({_stamp(now)} + {_span(skew_seconds)})",
        )


def sign(
    request: SignedRequest, payload_sha256: str, credentials: SigningCredentials, scope: tuple[str, str], now_ms: int
) -> dict[str, str]:
    """Return the headers to add to `request` (which must have `host`). `scope` is (region, service)."""
    region, service = scope
    stamp = _stamp(now_ms // 1000)
    added = {"x-amz-date": stamp}
    if credentials.session_token is not None:
        added["x-amz-security-token"] = credentials.session_token
    headers = {**request.headers, **added}
    names = tuple(sorted(headers))
    complete = Scope(credentials.access_key_id, stamp[:8], region, service, names)
    signed = SignedRequest(request.method, request.path, request.query, headers)
    declared = headers.get("x-amz-content-sha256", payload_sha256)
    key = SigningKeys().key(credentials.secret_access_key, complete.date, region, service)
    signature = _signature(key, stamp, complete.text, canonical_request(signed, request.query, complete, declared))
    added["authorization"] = (
        f"{ALGORITHM} Credential={credentials.access_key_id}/{complete.text}, "
        f"SignedHeaders={';'.join(names)}, Signature={signature.decode()}"
    )
    return added


def canonical_request(request: SignedRequest, query: str, scope: Scope, payload: str) -> str:
    """Return the canonical request; any service but S3 encodes the path once more."""
    headers = request.headers
    lines = []
    for name in scope.signed_headers:
        value = headers.get(name, "")
        lines.append(f"{name}:{' '.join(value.split()) if '  ' in value else value.strip()}\n")
    path = _canonical_path(request.path) if scope.service not in _SINGLE_ENCODING else _encoded_path(request.path)
    return (
        f"{request.method}\n{path}\n{_canonical_query(query) if query else ''}\n"
        f"{''.join(lines)}\n{';'.join(scope.signed_headers)}\n{payload}"
    )


def _signature(key: bytes, stamp: str, scope: str, canonical: str) -> bytes:
    digest = hashlib.sha256(canonical.encode("utf-8", "surrogateescape")).hexdigest()
    return hmac.digest(key, f"{ALGORITHM}\n{stamp}\n{scope}\n{digest}".encode(), "sha256").hex().encode()


def _canonical_path(path: str) -> str:
    if _PLAIN_PATH.fullmatch(path) is not None:
        return path
    kept: list[str] = []
    for segment in path.split("/"):
        if segment == "..":
            if kept:
                kept.pop()
        elif segment not in ("", "."):
            kept.append(segment)
    tail = "/" if kept and path.endswith("/") else ""
    return quote("/" + "/".join(kept) + tail, safe="/~")


def _encoded_path(path: str) -> str:
    return quote(unquote(path, errors="surrogateescape"), safe="/-_.~", errors="surrogateescape")


def _canonical_query(query: str) -> str:
    pairs = []
    for part in query.split("&"):
        if part:
            name, _, value = part.partition("=")
            pairs.append((_encoded(name), _encoded(value)))
    return "&".join(f"{name}={value}" for name, value in sorted(pairs))


def _encoded(text: str) -> str:
    return quote(unquote(text, errors="surrogateescape"), safe="-_.~", errors="surrogateescape")


def _parse_header(header: str) -> tuple[Scope, str]:
    algorithm, _, rest = header.partition(" ")
    if algorithm != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{algorithm}'")
    fields: dict[str, str] = {}
    for part in rest.split(","):
        name, found, value = part.strip().partition("=")
        if not found:
            raise _incomplete(
                f"'{part.strip()}' not a valid key=value pair (missing equal-sign) in Authorization header: '{header}'."
            )
        fields[name] = value
    missing = [name for name in ("Credential", "Signature", "SignedHeaders") if not fields.get(name)]
    if missing:
        told = " ".join(f"Authorization header requires '{name}' parameter." for name in missing)
        raise _incomplete(f"{told} Authorization={algorithm}")
    return _scope(fields["Credential"], fields["SignedHeaders"]), fields["Signature"]


def _scope(credential: str, signed_headers: str) -> Scope:
    # An access key id may not hold a slash, so the scope is what follows the first one.
    parts = credential.split("/")
    if len(parts) != 5 or parts[4] != "aws4_request" or not all(parts):
        raise _incomplete(
            "Credential must have exactly 5 slash-delimited elements, e.g. keyid/date/region/service/term, "
            f"got '{credential}'"
        )
    names = tuple(signed_headers.lower().split(";"))
    if "host" not in names:
        raise SignatureError(
            "InvalidSignatureException", "'Host' or ':authority' must be a 'SignedHeader' in the AWS Authorization."
        )
    return Scope(parts[0], parts[1], parts[2], parts[3], names)


def _from_query(query: str) -> Authorization:
    fields = {}
    for part in query.split("&"):
        name, _, value = part.partition("=")
        if name in fields:
            raise _incomplete(f"AWS query-string parameter '{name}' stands twice.")
        if name.startswith("X-Amz-"):
            fields[name] = unquote(value)
    required = ("X-Amz-Algorithm", "X-Amz-Credential", "X-Amz-Date", "X-Amz-SignedHeaders", "X-Amz-Signature")
    missing = [name for name in required if not fields.get(name)]
    if missing:
        told = " ".join(f"AWS query-string parameters must include '{name}'." for name in missing)
        raise _incomplete(f"{told} Re-examine the query-string parameters.")
    if fields["X-Amz-Algorithm"] != ALGORITHM:
        raise _incomplete(f"Unsupported AWS 'algorithm': '{fields['X-Amz-Algorithm']}'")
    if _TIME.fullmatch(fields["X-Amz-Date"]) is None:
        raise _incomplete(f"Date must be in ISO-8601 'basic format'. Got '{fields['X-Amz-Date']}'.")
    expires = fields.get("X-Amz-Expires", "300")
    if not (expires.isascii() and expires.isdigit() and len(expires) <= 6 and int(expires) <= PRESIGNED_SECONDS_MAX):
        raise _incomplete(f"X-Amz-Expires must be a number of seconds up to {PRESIGNED_SECONDS_MAX}. Got '{expires}'.")
    return Authorization(
        _scope(fields["X-Amz-Credential"], fields["X-Amz-SignedHeaders"]),
        fields["X-Amz-Signature"],
        fields["X-Amz-Date"],
        fields.get("X-Amz-Security-Token"),
        int(expires),
    )


def _incomplete(message: str) -> SignatureError:
    return SignatureError("IncompleteSignatureException", message)


def _from_http_date(value: str | None) -> str:
    if value is None:
        raise _incomplete("Authorization header requires existence of either a 'X-Amz-Date' or a 'Date' header.")
    # Clients that sign an HTTP date are rare, and the module that reads one is large.
    from email.utils import parsedate_to_datetime

    try:
        return _stamp(int(parsedate_to_datetime(value).timestamp()))
    except (ValueError, OverflowError):
        return value


# Requests of one second share their stamp; parsing one takes longer than checking a signature.
@functools.lru_cache(maxsize=256)
def _seconds(stamp: str) -> int:
    try:
        return calendar.timegm(datetime.strptime(stamp, "%Y%m%dT%H%M%SZ").replace(tzinfo=UTC).utctimetuple())
    except ValueError:
        raise _incomplete(f"Date must be in ISO-8601 'basic format'. Got '{stamp}'.") from None


def _stamp(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%SZ")


def _span(seconds: int) -> str:
    return f"{seconds // 60} min." if seconds % 60 == 0 else f"{seconds} sec."
