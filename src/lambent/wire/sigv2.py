"""Signature Version 2 of S3, in presigned queries alone: SDKs still make such URLs where no region demands the newer.

Source: Amazon S3 User Guide, "Signing and authenticating REST requests (AWS signature version 2)".
"""

from __future__ import annotations

import base64
import hmac
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import unquote

from lambent.wire.addressing import bucket_of_host
from lambent.wire.sigv4 import SignatureError

if TYPE_CHECKING:
    from lambent.wire.sigv4 import SignedRequest

# Parameters that are part of the resource.
_SIGNED_PARAMETERS = frozenset(
    {
        "accelerate", "acl", "analytics", "cors", "defaultObjectAcl", "delete", "inventory", "lifecycle", "location",
        "logging", "metrics", "notification", "object-lock", "partNumber", "policy", "replication", "requestPayment",
        "response-cache-control", "response-content-disposition", "response-content-encoding",
        "response-content-language", "response-content-type", "response-expires", "restore", "select", "select-type",
        "storageClass", "tagging", "torrent", "uploadId", "uploads", "versionId", "versioning", "versions", "website",
    }
)  # fmt: skip


class OldSignature(NamedTuple):
    """What a presigned query says. `expires` is a Unix time in seconds, as sent."""

    access_key_id: str
    signature: str
    expires: str
    security_token: str | None


def read(query: str) -> OldSignature | None:
    """Return the signature in a query, None when it has none of this version."""
    if "AWSAccessKeyId=" not in query:
        return None
    fields = _fields(query)
    if "Signature" not in fields or "Expires" not in fields:
        return None
    return OldSignature(
        fields.get("AWSAccessKeyId", ""), fields["Signature"], fields["Expires"], fields.get("x-amz-security-token")
    )


def verify(request: SignedRequest, signature: OldSignature, secret_access_key: str, now_ms: int) -> None:
    """Check a signature and its time.

    Raises:
        SignatureError: AccessDenied when it has expired, SignatureDoesNotMatch when it is wrong (403).
    """
    if not signature.expires.isdigit() or int(signature.expires) * 1000 < now_ms:
        raise SignatureError("AccessDenied", "Request has expired")
    digest = hmac.digest(secret_access_key.encode(), _string_to_sign(request, signature).encode(), "sha1")
    if not hmac.compare_digest(base64.b64encode(digest), signature.signature.encode()):
        raise SignatureError(
            "SignatureDoesNotMatch",
            "The request signature we calculated does not match the signature you provided. Check your key and "
            "signing method.",
        )


def _string_to_sign(request: SignedRequest, signature: OldSignature) -> str:
    fields = _fields(request.query)
    # A signer moves the headers it signed into the query; whoever uses the URL may send others.
    told = {**request.headers, **{name.lower(): value for name, value in fields.items()}}
    amz = sorted(name for name in told if name.startswith("x-amz-"))
    lines = [request.method, told.get("content-md5", ""), told.get("content-type", ""), signature.expires]
    lines += [f"{name}:{told[name].strip()}" for name in amz]
    return "\n".join([*lines, _resource(request)])


def _resource(request: SignedRequest) -> str:
    bucket = bucket_of_host(request.headers.get("host", ""))
    path = f"/{bucket}{request.path}" if bucket else request.path
    pairs = []
    for part in request.query.split("&"):
        name, equals, value = part.partition("=")
        if name in _SIGNED_PARAMETERS:
            pairs.append((name, f"{name}={unquote(value)}" if equals else name))
    return path + ("?" + "&".join(text for _, text in sorted(pairs)) if pairs else "")


def _fields(query: str) -> dict[str, str]:
    return {name: unquote(value) for name, _, value in (part.partition("=") for part in query.split("&"))}
